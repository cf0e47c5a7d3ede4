/** One pass over real files: the hash and what the audio is (tags.test.ts: what the tags say); and threads that hang or die meanwhile. */
import { execFileSync, spawnSync } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setEnvironmentData } from 'node:worker_threads';
import t from 'tap';
import type { FileReading } from '../../../peer/library/file-facts.js';
import { Hashing } from '../../../peer/library/hashing.js';
import { FileReader, type ReadingNote } from '../../../peer/library/read-file.js';
import { SecondTries, TRY_AGAIN_MS } from '../../../peer/library/second-tries.js';
import { toHex } from '../../../protocol/bytes.js';
import { MerkleTree } from '../../../protocol/merkle.js';
import { mp3Bytes, mpegFrames, wavBytes } from '../../support/mp3.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until, within } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const read = (
  path: string,
  note: (note: ReadingNote) => void = () => {},
  tags = true,
): Promise<FileReading> => new FileReader().read(path, { tags, note });

/** What was read of a file with these bytes. */
async function readBytes(t: Teardown, bytes: Uint8Array): Promise<FileReading> {
  const path = join(await tempFolder(t), 'x.mp3');
  await writeFile(path, bytes);
  return read(path);
}
const fieldsOf = (reading: FileReading) =>
  reading.kind === 'read' && reading.content.kind === 'song' ? reading.content.fields : reading;

t.test('the hash and the nodes are those of the bytes', async t => {
  for (const seconds of [0.1, 4, 70, 200]) {
    const bytes = mp3Bytes({ seconds, title: 'x', seed: 1 });
    const digest = new MerkleTree().update(bytes).digest();
    const reading = await readBytes(t, bytes);
    if (reading.kind !== 'read' || reading.content.kind !== 'song') throw new Error('is no song');
    t.equal(reading.content.hash, toHex(digest.root), `${bytes.length} bytes`);
    t.same(Buffer.from(reading.nodes ?? []), Buffer.from(digest.nodes(6)));
    t.equal(reading.content.fields.size, bytes.length);
    t.equal(reading.fingerprint.size, bytes.length);
  }
});

t.test('what is no song is told by its reason', async t => {
  for (const [what, bytes, reason] of [
    ['nothing', Buffer.alloc(0), 'empty'],
    ['zeros', Buffer.alloc(3_000_000), 'not-mp3'],
    ['0xff', Buffer.alloc(3_000_000, 0xff), 'not-mp3'],
    ['text', Buffer.from('la la la'), 'not-mp3'],
    ['a cut tag', mp3Bytes({ title: 'x', tagPadding: 5_000 }).subarray(0, 2_000), 'truncated'],
    ['one cut frame', mpegFrames().subarray(0, 400), 'truncated'],
    [
      '64 bytes',
      mpegFrames({ seconds: 0.06, bitrate: 8_000, sampleRate: 24_000 }).subarray(0, 64),
      'truncated',
    ],
    ['WAV', wavBytes({ seconds: 1 }), 'pcm'],
    ['AIFF', Buffer.from('FORM\0\0\0\x10AIFFCOMM____', 'latin1'), 'pcm'],
    ['AIFC', Buffer.from('FORM\0\0\0\x10AIFCCOMM____', 'latin1'), 'pcm'],
  ] as const) {
    t.match(await readBytes(t, bytes), { kind: 'read', content: { kind: 'skipped', reason } }, what);
  }
  t.same(await read('/nowhere/at/all'), { kind: 'gone' });
});

t.test('a sparse file past the limit is not read', async t => {
  const path = join(await tempFolder(t), 'x.mp3');
  await writeFile(path, mp3Bytes());
  await truncate(path, 3 * 1024 ** 3);
  t.match(await read(path), { content: { kind: 'skipped', reason: 'too-large' } });
});

t.test('a file that changes while it is read is read again', async t => {
  const path = join(await tempFolder(t), 'x.mp3');
  await writeFile(path, mp3Bytes({ seconds: 1, seed: 1 }));
  const later = mp3Bytes({ seconds: 2, seed: 2 });
  let changes = 0;
  const change: Promise<void>[] = [];
  const reader = new FileReader();
  const reading = await reader.read(path, {
    tags: true,
    note: note => {
      if (note === 'tags' && changes++ === 0) change.push(writeFile(path, later));
    },
  });
  await Promise.all(change);
  const settled =
    reading.kind === 'read' && reading.fingerprint.size === later.length
      ? reading
      : await reader.read(path, { tags: true, note: () => {} });
  t.match(settled, { content: { hash: toHex(new MerkleTree().update(later).digest().root) } });

  const restless = await reader.read(path, {
    tags: true,
    note: note => {
      if (note === 'tags') execFileSync('sh', ['-c', 'printf x >> "$0"', path]);
    },
  });
  t.same(restless, { kind: 'changing' }, 'one that does not rest is left');
});

t.test(
  'what lame makes is what it says',
  { skip: spawnSync('lame', ['--version']).error !== undefined && 'lame is not installed' },
  async t => {
    const folder = await tempFolder(t);
    const wav = join(folder, 'x.wav');
    await writeFile(wav, wavBytes({ seconds: 3 }));
    for (const [what, args, expected] of [
      ['CBR', ['-b', '192'], { bitrate: 192_000, vbr: false }],
      ['VBR', ['-V', '4'], { vbr: true }],
      ['ABR', ['--abr', '130'], {}],
      ['free format', ['--freeformat', '-b', '170'], { bitrate: 170_000, vbr: false }],
      ['no header frame', ['-b', '128', '-t'], { bitrate: 128_000, vbr: false }],
      ['mono at 22 kHz', ['-m', 'm', '--resample', '22.05', '-b', '64'], { channels: 1, sampleRate: 22_050 }],
      [
        'both tags',
        ['--tt', 'Sång', '--ta', 'Åke', '--tn', '4', '--add-id3v2'],
        { title: 'Sång', artist: 'Åke', track: 4 },
      ],
      ['CRC', ['-p', '-b', '128'], { bitrate: 128_000 }],
    ] as const) {
      const mp3 = join(folder, 'x.mp3');
      execFileSync('lame', ['--quiet', ...args, wav, mp3], { env: { ...process.env, LC_ALL: 'C.UTF-8' } });
      const fields = fieldsOf(await read(mp3)) as { duration: number };
      t.match(fields, { sampleRate: 44_100, channels: 2, ...expected }, what);
      t.ok(Math.abs(fields.duration - 3) < 0.08, `${what}: ${fields.duration} s`);
    }
  },
);

const logger = new RecordingLogger();

/** A worker thread of this source. */
const script = (source: string) =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`import { getEnvironmentData, parentPort } from 'node:worker_threads'; ${source}`)}`,
  );

t.test('threads read many files at a time, and say that they go on', async t => {
  const folder = await tempFolder(t);
  const hashing = new Hashing({ threads: 2, clock: patientClock, logger });
  t.teardown(() => hashing.stop());
  const bytes = mp3Bytes({ seconds: 600, seed: 9 });
  await writeFile(join(folder, 'long.mp3'), bytes);
  const long = hashing.read(join(folder, 'long.mp3'));
  const names = Array.from({ length: 12 }, (_, i) => join(folder, `${i}.mp3`));
  for (const [i, name] of names.entries()) await writeFile(name, mp3Bytes({ seed: i + 1, title: `T${i}` }));
  const readings = await Promise.all(names.map(name => hashing.read(name)));
  t.same(
    readings.map(
      reading => 'content' in reading && 'fields' in reading.content && reading.content.fields.title,
    ),
    names.map((_, i) => `T${i}`),
  );
  t.match(await long, { content: { hash: toHex(new MerkleTree().update(bytes).digest().root) } });
  const notes: ReadingNote[] = [];
  await read(join(folder, 'long.mp3'), note => notes.push(note));
  t.same(notes, ['tags', 'bytes', 'bytes'], 'after the tags, and each 8 MiB');
});

t.test('a thread that hangs over tags is replaced, and the file is read without them', async t => {
  const clock = new VirtualClock();
  const hashing = new Hashing({
    threads: 1,
    clock,
    logger,
    script: script(`parentPort.on('message', ({ path, tags }) => {
      if (!tags) return parentPort.postMessage({ result: { kind: 'changing' } });
      parentPort.postMessage({ note: 'tags' });
      for (;;);
    })`),
  });
  t.teardown(() => hashing.stop());
  const reading = hashing.read('bomb.mp3');
  await until('the thread is at the tags', () => clock.nextAt === 2_000);
  clock.advance(2_000);
  t.same(await within('the second thread reads it', reading), { kind: 'changing' });
  clock.advance(10_000);
  t.equal(clock.pending, 0, 'an idle thread is ended');
});

t.test('a thread that hangs over bytes, or dies, gives the file up and the next one is read', async t => {
  const logger = new RecordingLogger();
  const clock = new VirtualClock();
  const hashing = new Hashing({
    threads: 1,
    clock,
    logger,
    script: script(`parentPort.on('message', ({ path }) => {
      if (path === 'hang') for (;;);
      if (path === 'die') throw new Error('dies');
      if (path === 'exit') process.exit(3);
      parentPort.postMessage({ result: { kind: 'gone' } });
    })`),
  });
  const readings = ['hang', 'die', 'exit', 'fine'].map(path => hashing.read(path));
  clock.advance(30_000);
  let isOver = false;
  const answers = Promise.all(readings).finally(() => {
    isOver = true;
  });
  // Between threads that died there is a rest.
  await until('all are answered', () => {
    clock.advance(100);
    return isOver;
  });
  t.same(await answers, [
    { kind: 'refused', reason: 'too-slow' },
    { kind: 'refused', reason: 'unreadable', passing: true },
    { kind: 'refused', reason: 'unreadable', passing: true },
    { kind: 'gone' },
  ]);
  const reasons = logger.entries.map(({ fields }) => (fields.err as Error).message);
  t.ok(reasons.includes('dies'), 'why it died is in the log');
  await hashing.stop();
  t.same(await hashing.read('fine'), { kind: 'cancelled' }, 'after the end nothing is read');
});

t.test('where there is no room for more threads, those that there are read everything', async t => {
  const places = new SharedArrayBuffer(4);
  const hashing = new Hashing({
    threads: 4,
    clock: new VirtualClock(),
    logger,
    // Every thread but one dies as it begins, as without descriptors for its code.
    script: script(`
      if (Atomics.add(new Int32Array(getEnvironmentData('places')), 0, 1) > 0) throw new Error('no room');
      parentPort.on('message', ({ path }) => parentPort.postMessage({ result: { kind: 'gone', path } }));
    `),
  });
  setEnvironmentData('places', places);
  const paths = Array.from({ length: 20 }, (_, index) => `${index}`);
  const readings = await within('all are read', Promise.all(paths.map(path => hashing.read(path))));
  t.same(
    readings,
    paths.map(path => ({ kind: 'gone', path })),
  );
  await hashing.stop();
});

t.test('what could not be read for a moment is tried again, all of it at once, until the end', async t => {
  const clock = new VirtualClock();
  const due: (readonly string[])[] = [];
  const tries = new SecondTries({ clock, due: paths => due.push(paths) });
  tries.add('a');
  clock.advance(TRY_AGAIN_MS - 1);
  for (const path of ['b', 'a']) tries.add(path);
  t.same(due, []);
  clock.advance(1);
  t.same(due, [['a', 'b']]);
  tries.add('c');
  tries.stop();
  tries.add('d');
  clock.advance(TRY_AGAIN_MS);
  t.equal(due.length, 1);
  t.equal(clock.pending, 0);
});

t.test('urgent files come first, and the end answers all', async t => {
  const order: string[] = [];
  const hashing = new Hashing({
    threads: 1,
    clock: patientClock,
    logger,
    script: script(
      `parentPort.on('message', ({ path }) => parentPort.postMessage({ result: { kind: 'gone', path } }))`,
    ),
  });
  const noted = (path: string, urgent: boolean) =>
    hashing.read(path, { urgent }).then(() => order.push(path));
  await Promise.all([noted('first', false), noted('second', false), noted('urgent', true)]);
  t.same(order, ['first', 'urgent', 'second']);
  const readings = ['a', 'b'].map(path => hashing.read(path));
  await hashing.stop();
  t.same(await Promise.all(readings), [{ kind: 'cancelled' }, { kind: 'cancelled' }]);
});
