/** What the library believes, without a disk: songs by content, files by path, paths that became quiet; and both stores. */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { Catalogue, type CatalogueChange, type HostedSong } from '../../../peer/library/catalogue.js';
import type { FileReading, Fingerprint } from '../../../peer/library/file-facts.js';
import { KnownSong, SongNodes } from '../../../peer/library/hosted-song.js';
import { KnownFiles } from '../../../peer/library/known-files.js';
import { Readings } from '../../../peer/library/readings.js';
import {
  type KnownFile,
  type LibraryStore,
  MemoryLibraryStore,
  openLibraryStore,
} from '../../../peer/library/store.js';
import { LmdbLibraryStore } from '../../../peer/library/store-lmdb.js';
import { QUIET_MS, QuietPaths, TOGETHER_MS } from '../../../peer/library/watch.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { openDisk } from '../../../src/disk.js';
import { hashOf } from '../../support/content.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';

const print = (inode: number, more: Partial<Fingerprint> = {}): Fingerprint => ({
  size: 100,
  mtimeNs: 1_700_000_000_123_456_789n,
  ctimeNs: 1_700_000_000_123_456_790n,
  inode: BigInt(inode),
  ...more,
});
const songFile = (hash: number, fingerprint = print(hash)): KnownFile => ({
  fingerprint,
  content: { kind: 'song', hash: hashOf(hash), fields: { artist: 'x', size: 100, duration: 1.5 } },
});
const skippedFile: KnownFile = { fingerprint: print(5), content: { kind: 'skipped', reason: 'not-mp3' } };

function song(path: string, hash: number, more: Partial<Fingerprint> = {}): HostedSong {
  const content = { hash: hashOf(hash), fields: { size: 100 } };
  const nodes = new SongNodes(new MemoryLibraryStore(), new Catalogue());
  return new KnownSong(path, { fingerprint: print(1, more), content }, { namedAfter: path, nodes });
}

/** A catalogue and what its listener was told: titles changed, hashes removed. */
function watched() {
  const catalogue = new Catalogue();
  const told: string[] = [];
  const end = catalogue.onChange(({ changed, removed }) => {
    told.push(
      [...changed.map(each => `+${each.offer.title}`), ...removed.map(hash => `-${Number(hash)}`)].join(' '),
    );
  });
  const tell = () => {
    catalogue.publish();
    return told.splice(0);
  };
  return { catalogue, end, tell };
}

t.test('a song is listed once, under its first path, until its last one went', async t => {
  const { catalogue, tell } = watched();
  catalogue.set(song('/m/a.mp3', 1));
  catalogue.set(song('/m/b.mp3', 1));
  catalogue.set(song('/m/c.mp3', 2));
  t.same(tell(), ['+a +c']);
  t.equal(catalogue.size, 2);
  t.same(catalogue.pathsOf(hashOf(1)), ['/m/a.mp3', '/m/b.mp3']);
  t.equal(catalogue.get(hashOf(1))?.path, '/m/a.mp3');
  t.same(
    [...catalogue.songs()].map(each => each.offer.title),
    ['a', 'c'],
  );
  catalogue.delete('/m/a.mp3');
  t.same(tell(), ['+b'], 'it lives on at its other path');
  t.notOk(catalogue.has('/m/a.mp3'));
  catalogue.delete('/m/b.mp3');
  catalogue.delete('/m/none.mp3');
  t.same(tell(), ['-1']);
  t.equal(catalogue.get(hashOf(1)), undefined);
  t.same(catalogue.pathsOf(hashOf(1)), []);
});

t.test('what comes to nothing is not told, a rename or new content as one change', async t => {
  const { catalogue, end, tell } = watched();
  catalogue.set(song('/m/a.mp3', 1));
  catalogue.delete('/m/a.mp3');
  t.ok(catalogue.isDirty);
  t.same(tell(), []);
  t.notOk(catalogue.isDirty);
  catalogue.set(song('/m/a.mp3', 1));
  tell();
  catalogue.set(song('/m/a.mp3', 1));
  t.same(tell(), [], 'the same again');
  catalogue.delete('/m/a.mp3');
  catalogue.set(song('/m/renamed.mp3', 1));
  t.same(tell(), ['+renamed']);
  catalogue.set(song('/m/renamed.mp3', 1, { mtimeNs: 5n }));
  t.same(tell(), ['+renamed'], 'hosting has to know the new time');
  catalogue.set(song('/m/renamed.mp3', 2));
  t.same(tell(), ['+renamed -1'], 'other content at the path');
  end();
  catalogue.delete('/m/renamed.mp3');
  t.same(tell(), [], 'who left is told nothing');
});

t.test('told changes always lead to what the catalogue holds', async t => {
  const steps = fc.array(
    fc.record({
      path: fc.nat({ max: 5 }),
      hash: fc.nat({ max: 3 }),
      gone: fc.boolean(),
      publish: fc.boolean(),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, list => {
      const catalogue = new Catalogue();
      const copy = new Map<ContentHash, string>();
      const files = new Map<string, ContentHash>();
      catalogue.onChange((change: CatalogueChange) => {
        for (const each of change.changed) copy.set(each.hash, each.path);
        for (const hash of change.removed) t.ok(copy.delete(hash), 'what is removed was told before');
      });
      for (const { path, hash, gone, publish } of list) {
        const name = `/m/${path}.mp3`;
        if (gone) {
          catalogue.delete(name);
          files.delete(name);
        } else {
          catalogue.set(song(name, hash));
          files.set(name, hashOf(hash));
        }
        if (publish) catalogue.publish();
      }
      catalogue.publish();
      t.same(new Map([...catalogue.songs()].map(each => [each.hash, each.path])), copy);
      t.same(new Set(copy.keys()), new Set(files.values()));
      for (const [hash, path] of copy) t.equal(files.get(path), hash);
      return true;
    }),
    { numRuns: 100 },
  );
});

t.test('a song says what hosting and listeners need', async t => {
  const store = new MemoryLibraryStore();
  const catalogue = new Catalogue();
  const file = songFile(7);
  store.put('/m/x.mp3', file, Buffer.alloc(32, 7));
  const content = { hash: hashOf(7), fields: { artist: 'A', size: 100 } };
  const named = new KnownSong(
    '/m/x.mp3',
    { fingerprint: file.fingerprint, content },
    { namedAfter: '/m/Lied\0\u0308.tar.mp3', nodes: new SongNodes(store, catalogue) },
  );
  t.match(named, { ...file.fingerprint, path: '/m/x.mp3', hash: hashOf(7) });
  t.same(named.offer, { hash: hashOf(7), title: 'Lied\ufffd\u0308.tar', artist: 'A', size: 100 });
  t.same(named.nodes, Buffer.alloc(32, 7));
  store.remove('/m/x.mp3');
  store.put('/m/renamed.mp3', file, Buffer.alloc(32, 7));
  catalogue.set(song('/m/renamed.mp3', 7));
  t.same(named.nodes, Buffer.alloc(32, 7), 'also when it was renamed while somebody serves it');
  catalogue.delete('/m/renamed.mp3');
  t.equal(named.nodes.length, 0);
});

t.test('known files are told from renamed, changed and new ones', async t => {
  const known = new KnownFiles();
  known.set('/m/a.mp3', songFile(1));
  t.match(known.judge('/m/a.mp3', print(1)), { kind: 'same' });
  t.match(known.judge('/m/a.mp3', print(1, { ctimeNs: 9n })), { kind: 'unknown' });
  const moved = known.judge('/m/b.mp3', print(1, { ctimeNs: 9n }));
  t.match(moved, {
    kind: 'renamed',
    from: '/m/a.mp3',
    file: { fingerprint: { ctimeNs: 9n }, content: { hash: hashOf(1) } },
  });
  t.match(known.judge('/m/b.mp3', print(1, { mtimeNs: 9n })), { kind: 'unknown' }, 'another time');
  t.match(known.judge('/m/b.mp3', print(1, { size: 9 })), { kind: 'unknown' }, 'another length');
  t.match(known.judge('/m/b.mp3', print(2)), { kind: 'unknown' }, 'another inode');
  known.forget('/m/a.mp3');
  t.equal(known.get('/m/a.mp3'), undefined);
  t.match(known.judge('/m/b.mp3', print(1)), { kind: 'unknown' }, 'a forgotten file is not renamed');
});

t.test('skipped files are counted by reason, and found below their folders', async t => {
  const known = new KnownFiles();
  known.set('/m/a.mp3', songFile(1));
  known.set('/m/x/b.txt', skippedFile);
  known.skip('/m/x/fifo', 'not-regular');
  known.skip('/m/xy/fifo', 'not-regular');
  t.same(
    known.skipped(),
    new Map([
      ['not-mp3', 1],
      ['not-regular', 2],
    ]),
  );
  t.equal(known.get('/m/x/fifo'), undefined);
  t.same([...known.below(['/m/x', '/m/a.mp3'])].sort(), ['/m/a.mp3', '/m/x/b.txt', '/m/x/fifo']);
  known.set('/m/x/fifo', songFile(2));
  t.equal(known.skipped().get('not-regular'), 1);
});

t.test('a path is due when nothing happened to it for a while', async t => {
  const quiet = new QuietPaths();
  t.equal(quiet.nextDeadline(), undefined);
  quiet.touch('/m/a', 0);
  quiet.touch('/m/b', 100);
  quiet.touch('/m/a', 300);
  t.equal(quiet.nextDeadline(), 100 + QUIET_MS);
  t.same(quiet.due(99 + QUIET_MS), []);
  t.same(quiet.due(100 + QUIET_MS), ['/m/b']);
  t.same(quiet.due(1_000), ['/m/a']);
  t.same(quiet.due(5_000), []);
  quiet.touch('/m/from', 0);
  quiet.touch('/m/to', TOGETHER_MS);
  t.same(quiet.due(QUIET_MS), ['/m/from', '/m/to'], 'both sides of a rename come together');
  for (const path of ['/m/x/y', '/m/x', '/m/xy', '/m/x/y/z']) quiet.touch(path, 0);
  t.same(quiet.due(5_000).sort(), ['/m/x', '/m/xy'], 'what is in a due folder is left to it');
  quiet.touch('/', 0);
  t.same(quiet.due(5_000), ['/']);
});

t.test('what is read is told in the order of the folder, but for what waits too long', async t => {
  const settled: string[] = [];
  const answers = new Map<string, () => void>();
  const readings = new Readings({
    hashing: {
      read: path =>
        new Promise(resolve =>
          answers.set(path, () => resolve({ kind: 'read', ...skippedFile, fingerprint: print(1) })),
        ),
    },
    events: { settled: path => settled.push(path), outdated: () => {}, progressed: () => {} },
  });
  const read = async (...names: string[]) => {
    for (const name of names) answers.get(name)!();
    await new Promise(resolve => setImmediate(resolve));
  };
  for (const name of ['a', 'b', 'c']) readings.begin(name, print(1), false);
  readings.begin('urgent', print(1), true);
  await read('c', 'b', 'urgent');
  t.same(settled.splice(0), ['urgent'], 'somebody waits to see this one');
  await read('a');
  t.same(settled.splice(0), ['a', 'b', 'c']);
  const names = Array.from({ length: 70 }, (_, index) => `${index}`);
  for (const name of names) readings.begin(name, print(1), false);
  await read(...names.slice(2, 67));
  t.same(settled.splice(0), names.slice(2, 67), 'a slow file does not hold up all others');
  await read('69', '1', '0');
  t.same(settled.splice(0), ['0', '1']);
  await read('68', '67');
  t.same(settled.splice(0), ['67', '68', '69']);
  t.equal(readings.size, 0);
});

t.test('a file that a look saw otherwise than it was read is looked at again', async t => {
  const outdated: string[] = [];
  const settled: string[] = [];
  const answers = new Map<string, (reading: FileReading | { kind: 'cancelled' }) => void>();
  let told = 0;
  const readings = new Readings({
    hashing: { read: path => new Promise(resolve => answers.set(path, resolve)) },
    events: {
      settled: path => settled.push(path),
      outdated: path => outdated.push(path),
      progressed: () => (told += 1),
    },
  });
  for (const name of ['same', 'changed', 'gone', 'cancelled']) readings.begin(`/m/${name}`, print(1), false);
  t.notOk(readings.saw('/m/other', print(1)));
  t.ok(readings.saw('/m/same', print(1)));
  t.ok(readings.saw('/m/changed', print(1, { mtimeNs: 9n })));
  readings.missed(path => path === '/m/gone');
  t.match(readings.counts, { toRead: 4, read: 0 });
  readings.reset();
  t.equal(readings.counts.toRead, 4, 'not while something is read');
  for (const [path, answer] of answers) {
    answer(
      path === '/m/cancelled'
        ? { kind: 'cancelled' }
        : { kind: 'read', ...skippedFile, fingerprint: print(1) },
    );
  }
  await readings.idle();
  t.same(settled, ['/m/same', '/m/changed', '/m/gone']);
  t.same(outdated, ['/m/changed', '/m/gone']);
  t.match(readings.counts, { toRead: 4, read: 4 });
  t.ok(told >= 4);
  readings.reset();
  t.equal(readings.counts.toRead, 0);
});

/** The contract of a LibraryStore. `reopen` gives the store of the next start; undefined: it keeps nothing. */
function contract(
  name: string,
  make: (t: Teardown) => Promise<{ store: LibraryStore; reopen?: () => LibraryStore }>,
) {
  t.test(`${name}: what is put is there, at once and at the next start`, async t => {
    const { store, reopen } = await make(t);
    const long = `/m/${'ü'.repeat(2_000)}.mp3`;
    const nodes = Buffer.alloc(96, 3);
    store.put('/m/a.mp3', songFile(1), nodes);
    store.put(long, songFile(2, print(2, { inode: 2n ** 63n })), nodes.subarray(32));
    store.put('/m/b.txt', skippedFile);
    store.put('/m/c.mp3', songFile(3), nodes);
    store.remove('/m/c.mp3');
    store.remove('/m/never-there');
    const check = (store: LibraryStore) => {
      t.same(store.nodes('/m/a.mp3'), nodes);
      t.same(store.nodes(long), nodes.subarray(32));
      t.equal(store.nodes('/m/b.txt'), undefined);
      t.equal(store.nodes('/m/c.mp3'), undefined);
    };
    check(store);
    const expected = new Map([
      ['/m/a.mp3', songFile(1)],
      [long, songFile(2, print(2, { inode: 2n ** 63n }))],
      ['/m/b.txt', skippedFile],
    ]);
    if (reopen === undefined) {
      t.same(new Map(store.entries()), expected);
      return store.close();
    }
    await store.close();
    const again = reopen();
    check(again);
    t.same(new Map(again.entries()), expected);
    again.put('/m/a.mp3', skippedFile);
    t.equal(again.nodes('/m/a.mp3'), undefined, 'what was a song has no nodes any more');
    await again.close();
    const third = reopen();
    t.same(new Map(third.entries()).get('/m/a.mp3'), skippedFile);
    t.equal(third.nodes('/m/a.mp3'), undefined);
    await third.close();
  });
}

contract('in memory', async () => ({ store: new MemoryLibraryStore() }));
contract('in lmdb', async t => {
  const folder = join(await tempFolder(t), 'library');
  const logger = new RecordingLogger();
  const open = () => new LmdbLibraryStore({ folder, openDisk, clock: patientClock, logger });
  return { store: open(), reopen: open };
});

t.test('without a place to keep it, the library is kept in memory, and it is said', async t => {
  const folder = join(await tempFolder(t), 'file');
  await writeFile(folder, 'no folder');
  const logger = new RecordingLogger();
  const store = await openLibraryStore({
    folder: join(folder, 'library'),
    openDisk,
    clock: patientClock,
    logger,
  });
  t.type(store, MemoryLibraryStore);
  t.same(logger.messages('warn'), ['the library cannot be remembered for the next start']);
});

/** A file system of 300 KB; undefined where none may be mounted. */
async function tinyDisk(t: Teardown): Promise<string | undefined> {
  const folder = await tempFolder(t);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'tmpfs', folder]).status !== 0) return undefined;
  t.teardown(() => spawnSync('umount', [folder]));
  return folder;
}

t.test('a full disk is survived and said once', async t => {
  const folder = await tinyDisk(t);
  if (folder === undefined) {
    t.pass('needs a small disk', { skip: 'a file system cannot be mounted here' });
    return;
  }
  const logger = new RecordingLogger();
  const store = new LmdbLibraryStore({
    folder: join(folder, 'library'),
    openDisk,
    clock: patientClock,
    logger,
  });
  const nodes = Buffer.alloc(2_048, 1);
  for (let i = 0; i < 2_000; i += 1) store.put(`/m/${i}.mp3`, songFile(i), nodes);
  await until('it is said', () => logger.messages('warn').length > 0);
  store.put('/m/later.mp3', songFile(9), nodes);
  t.same(store.nodes('/m/1999.mp3'), nodes, 'the songs are offered all the same');
  await store.close();
  t.equal(logger.messages('warn').length, 1);
});
