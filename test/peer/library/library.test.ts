/** The whole library on real folders: first and second start, every kind of change, folders that go and come back. */
import { execFileSync } from 'node:child_process';
import type { watch } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Library } from '../../../peer/library/library.js';
import type { LibraryOptions } from '../../../peer/library/library-options.js';
import type { ScanProgress } from '../../../peer/library/report.js';
import { MemoryLibraryStore } from '../../../peer/library/store.js';
import { toHex } from '../../../protocol/bytes.js';
import { ConfigError } from '../../../protocol/errors.js';
import { MerkleTree } from '../../../protocol/merkle.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { openDisk } from '../../../src/disk.js';
import { mp3Bytes } from '../../support/mp3.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

// Most of the time here is spent waiting for a folder to become quiet.
t.jobs = 4;

const hashOf = (bytes: Uint8Array) => toHex(new MerkleTree().update(bytes).digest().root) as ContentHash;

class Subject {
  readonly library: Library;
  readonly logger = new RecordingLogger();
  /** Each change as `+title` and `-hash`. */
  readonly told: string[] = [];
  /** Files that had to be read since somebody set it to 0. */
  toRead = 0;
  #toReadNow = 0;
  phases = new Set<ScanProgress['phase']>();

  constructor(t: Teardown, roots: readonly string[], options: Partial<LibraryOptions> = {}) {
    this.library = new Library({ roots, openDisk, clock: patientClock, logger: this.logger, ...options });
    this.library.catalogue.onChange(({ changed, removed }) => {
      this.told.push(...changed.map(song => `+${song.offer.title}`), ...removed.map(hash => `-${hash}`));
    });
    this.library.onProgress(({ toRead, phase }) => {
      this.toRead += Math.max(0, toRead - this.#toReadNow);
      this.#toReadNow = toRead;
      this.phases.add(phase);
    });
    t.teardown(() => this.library.stop());
  }

  get titles(): string[] {
    return [...this.library.catalogue.songs()].map(song => song.offer.title ?? '').sort();
  }

  lists(...titles: string[]): Promise<true> {
    const wanted = JSON.stringify([...titles].sort());
    return until(
      () => `${JSON.stringify(this.titles)} should be ${wanted}`,
      () => JSON.stringify(this.titles) === wanted && !this.library.catalogue.isDirty,
    ) as Promise<true>;
  }
}

t.test('the first start reads everything, the second one nothing', async t => {
  const root = await tempFolder(t);
  const dataDir = await tempFolder(t);
  await mkdir(join(root, 'album'));
  const bytes = mp3Bytes({ seconds: 9, title: 'One', artist: 'A', bitrate: 192_000, seed: 1 });
  await writeFile(join(root, 'album/1.mp3'), bytes);
  await writeFile(join(root, 'no title.mp3'), mp3Bytes({ seed: 2 }));
  await writeFile(join(root, 'notes.txt'), 'la la la');
  await writeFile(join(root, 'zeros.mp3'), Buffer.alloc(200_000));
  await writeFile(join(root, 'empty.mp3'), '');
  await symlink('/etc/passwd', join(root, 'secret.mp3'));

  const first = new Subject(t, [root], { dataDir });
  await first.library.start();
  t.same(first.titles, ['One', 'no title']);
  t.same([...first.told].sort(), ['+One', '+no title']);
  t.equal(first.toRead, 4);
  t.ok(first.phases.has('scanning') && first.phases.has('reading'));
  const song = first.library.catalogue.get(hashOf(bytes));
  t.match(song, { path: join(root, 'album/1.mp3'), size: bytes.length });
  t.match(song?.offer, {
    title: 'One',
    artist: 'A',
    bitrate: 192_000,
    vbr: false,
    size: bytes.length,
    channels: 2,
  });
  t.same(Buffer.from(song?.nodes ?? []), Buffer.from(new MerkleTree().update(bytes).digest().nodes(6)));
  const report = first.library.report();
  t.match(report, { songs: 2, roots: [{ path: root, available: true, watching: true }] });
  t.same(report.skipped, [{ reason: 'not-mp3', count: 2, text: 'not MP3' }, ...report.skipped.slice(1)]);
  t.same(new Set(report.skipped.map(each => each.reason)), new Set(['not-mp3', 'empty', 'link']));
  t.ok(first.logger.messages('info').includes('library listed'));
  await first.library.stop();

  const second = new Subject(t, [root], { dataDir });
  await second.library.start();
  t.same(second.titles, ['One', 'no title']);
  t.equal(second.toRead, 0);
  t.same(second.library.report().skipped, report.skipped);
  t.same(
    Buffer.from(second.library.catalogue.get(hashOf(bytes))?.nodes ?? []),
    Buffer.from(new MerkleTree().update(bytes).digest().nodes(6)),
  );
});

t.test('added, renamed, retagged, copied and removed files show', async t => {
  const root = await tempFolder(t);
  const subject = new Subject(t, [root]);
  await subject.library.start();
  t.same(subject.titles, []);

  await writeFile(join(root, 'added.mp3'), mp3Bytes({ seed: 1 }));
  await subject.lists('added');

  subject.toRead = 0;
  await rename(join(root, 'added.mp3'), join(root, 'renamed.mp3'));
  await subject.lists('renamed');
  t.equal(subject.toRead, 0, 'a renamed file is not read again');
  t.same(subject.told, ['+added', '+renamed'], 'and its song never goes');

  await link(join(root, 'renamed.mp3'), join(root, 'same file.mp3'));
  await copyFile(join(root, 'renamed.mp3'), join(root, 'same bytes.mp3'));
  await rm(join(root, 'renamed.mp3'));
  await until(
    'both copies are known',
    () => subject.library.catalogue.pathsOf(hashOf(mp3Bytes({ seed: 1 }))).length === 2,
  );
  t.equal(subject.titles.length, 1, 'one content is one song');
  await rm(join(root, 'same file.mp3'));
  await subject.lists('same bytes');

  await writeFile(join(root, 'same bytes.mp3'), mp3Bytes({ seed: 1, title: 'Tagged' }));
  await subject.lists('Tagged');
  t.ok(subject.told.includes(`-${hashOf(mp3Bytes({ seed: 1 }))}`));

  await writeFile(join(root, 'same bytes.mp3'), 'no song any more');
  await subject.lists();
  t.match(subject.library.report().skipped, [{ reason: 'not-mp3', count: 1 }]);
  await rm(join(root, 'same bytes.mp3'));
  await until('it is not counted any more', () => subject.library.report().skipped.length === 0);
});

t.test('whole folders are added, renamed, exchanged and removed', async t => {
  const root = await tempFolder(t);
  const outside = await tempFolder(t);
  await mkdir(join(outside, 'new/deep'), { recursive: true });
  await writeFile(join(outside, 'new/deep/a.mp3'), mp3Bytes({ seed: 1 }));
  await writeFile(join(outside, 'new/b.mp3'), mp3Bytes({ seed: 2 }));
  const subject = new Subject(t, [root]);
  await subject.library.start();

  await rename(join(outside, 'new'), join(root, 'new'));
  await subject.lists('a', 'b');
  subject.toRead = 0;
  await rename(join(root, 'new'), join(root, 'old'));
  await until('it is found at its new place', () =>
    [...subject.library.catalogue.songs()].every(song => song.path.includes('/old/')),
  );
  t.equal(subject.toRead, 0);
  await subject.lists('a', 'b');

  await writeFile(join(root, 'old/deep/c.mp3'), mp3Bytes({ seed: 3 }));
  await subject.lists('a', 'b', 'c');
  await mkdir(join(outside, 'other'));
  await writeFile(join(outside, 'other/d.mp3'), mp3Bytes({ seed: 4 }));
  execFileSync('sh', ['-c', 'mv "$1/old" "$0/gone" && mv "$0/other" "$1/old"', outside, root]);
  await subject.lists('d');
  await writeFile(join(root, 'old/e.mp3'), mp3Bytes({ seed: 5 }));
  await subject.lists('d', 'e');

  await rm(join(root, 'old'), { recursive: true });
  await subject.lists();
  await mkdir(join(root, 'x/y/z'), { recursive: true });
  await writeFile(join(root, 'x/y/z/f.mp3'), mp3Bytes({ seed: 6 }));
  await subject.lists('f');
});

t.test('a folder that vanished withdraws its songs, and brings them back unread', async t => {
  const around = await tempFolder(t);
  const [root, other, away] = ['root', 'other', 'away'].map(name => join(around, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(join(root, 'album'), { recursive: true });
  await mkdir(other);
  await writeFile(join(root, 'album/a.mp3'), mp3Bytes({ seed: 1 }));
  await writeFile(join(root, 'b.mp3'), mp3Bytes({ seed: 2 }));
  await writeFile(join(other, 'c.mp3'), mp3Bytes({ seed: 3 }));
  const subject = new Subject(t, [root, other]);
  await subject.library.start();
  t.same(subject.titles, ['a', 'b', 'c']);

  subject.toRead = 0;
  await rename(root, away);
  await subject.lists('c');
  t.match(subject.library.report().roots, [
    { path: root, available: false, watching: false },
    { path: other, available: true, watching: true },
  ]);
  await rename(away, root);
  await subject.lists('a', 'b', 'c');
  t.match(subject.library.report().roots, [{ available: true, watching: true }, {}]);

  await rename(root, away);
  await mkdir(root);
  await subject.lists('c');
  await rm(root, { recursive: true });
  await rename(away, root);
  await subject.lists('a', 'b', 'c');
  t.equal(
    subject.toRead,
    0,
    'nothing in its place for a while, as under a disk that is not mounted, forgets nothing',
  );
  await writeFile(join(root, 'album/d.mp3'), mp3Bytes({ seed: 4 }));
  await subject.lists('a', 'b', 'c', 'd');
  const messages = subject.logger.messages();
  t.ok(messages.includes('folder is back'));
  t.ok(messages.some(message => message.startsWith('folder is unavailable')));
});

t.test('what was renamed, removed or changed between two starts is found by the second', async t => {
  const root = await tempFolder(t);
  const store = new MemoryLibraryStore();
  for (const [i, name] of ['a', 'b', 'c'].entries())
    await writeFile(join(root, `${name}.mp3`), mp3Bytes({ seed: i + 1 }));
  const first = new Subject(t, [root], { store });
  await first.library.start();
  await first.library.stop();
  await rename(join(root, 'a.mp3'), join(root, 'A.mp3'));
  await rm(join(root, 'b.mp3'));
  await writeFile(join(root, 'c.mp3'), mp3Bytes({ seed: 9, title: 'changed' }));
  store.put('/elsewhere/x.mp3', [...store.entries()][0]![1]);
  const second = new Subject(t, [root], { store });
  await second.library.start();
  t.same(second.titles, ['A', 'changed']);
  t.equal(second.toRead, 1);
  await second.library.stop();
  t.same([...store.entries()].map(([path]) => path).sort(), [
    '/elsewhere/x.mp3',
    join(root, 'A.mp3'),
    join(root, 'c.mp3'),
  ]);
});

t.test('without watches the periodic scan finds what changed, and it is said why', async t => {
  const root = await tempFolder(t);
  const noSpace = Object.assign(new Error('System limit for number of file watchers reached'), {
    code: 'ENOSPC',
  });
  const failing = (() => {
    throw noSpace;
  }) as unknown as typeof watch;
  const subject = new Subject(t, [root], { watch: failing, rescanMs: 50 });
  await subject.library.start();
  t.match(subject.library.report().roots, [{ watching: false, unwatched: /max_user_watches/ }]);
  t.equal(subject.logger.messages('warn').length, 1);
  await writeFile(join(root, 'a.mp3'), mp3Bytes({ seed: 1 }));
  await subject.lists('a');
  await rm(join(root, 'a.mp3'));
  await subject.lists();
});

t.test('a song whose file hosting saw differ is read again, though its times say nothing', async t => {
  const root = await tempFolder(t);
  const path = join(root, 'a.mp3');
  await writeFile(path, mp3Bytes({ seed: 1 }));
  const subject = new Subject(t, [root]);
  await subject.library.start();
  subject.toRead = 0;
  subject.library.recheck(hashOf(mp3Bytes({ seed: 1 })));
  await until('it is read', () => subject.toRead === 1);
  await until('it is listed', () => subject.library.report().phase === 'idle');
  t.same(subject.titles, ['a']);

  // The scan is quicker than the watch here: the file is gone when the look comes.
  subject.library.recheck(hashOf(mp3Bytes({ seed: 1 })));
  await rm(path);
  await subject.lists();
  subject.library.recheck(hashOf(mp3Bytes({ seed: 1 })));
});

t.test('roots and options are checked before anything is begun', async t => {
  const folder = await tempFolder(t);
  await t.rejects(new Subject(t, [join(folder, 'none')]).library.start(), ConfigError);
  t.throws(
    () =>
      new Library({
        roots: [folder],
        encode: true,
        openDisk,
        clock: patientClock,
        logger: new RecordingLogger(),
      }),
    ConfigError,
  );
});

t.test('without folders nothing is opened or timed', async t => {
  const dataDir = await tempFolder(t);
  const clock = new VirtualClock();
  const library = new Library({ roots: [], dataDir, openDisk, clock, logger: new RecordingLogger() });
  await library.start();
  t.equal(clock.pending, 0);
  t.same(await readdir(dataDir), []);
  t.match(library.report(), { songs: 0, phase: 'idle', skipped: [], roots: [] });
  await library.stop();
});

t.test('stopping in the middle of it all ends everything', async t => {
  const root = await tempFolder(t);
  const dataDir = await tempFolder(t);
  for (let i = 0; i < 20; i += 1)
    await writeFile(join(root, `${i}.mp3`), mp3Bytes({ seconds: 60, seed: i + 1 }));
  const subject = new Subject(t, [root], { dataDir });
  const started = subject.library.start();
  await until('something is being read', () => subject.toRead > 0);
  await subject.library.stop();
  await started;
  await utimes(root, 1, 1);
  const again = new Subject(t, [root], { dataDir });
  await again.library.start();
  t.equal(again.titles.length, 20);
});
