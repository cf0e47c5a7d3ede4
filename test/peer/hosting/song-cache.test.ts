/** Songs in memory, over real files: read once, bounded, and never other bytes than those that were hashed. */
import { appendFile, link, mkdir, open, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { SLICE_BYTES, UNSHARED_BYTES } from '../../../peer/hosting/served-song.js';
import { SongCache, type SongReader } from '../../../peer/hosting/song-cache.js';
import type { HostedSong } from '../../../peer/library/catalogue.js';
import { hostedSong, songBytes, watchedFiles } from '../../support/hosted-songs.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const MIB = 1024 * 1024;

/** A cache over real files that counts what it does with them. */
async function openCache(t: Parameters<typeof tempFolder>[0], budgetBytes = 64 * MIB) {
  const folder = await tempFolder(t);
  const clock = new VirtualClock();
  const counts = { open: 0, opened: 0, reads: 0, fingerprints: 0 };
  const rechecked: string[] = [];
  const cache = new SongCache({
    files: watchedFiles(step => {
      if (step === 'opened') counts.opened += 1;
      if (step === 'opened') counts.open += 1;
      if (step === 'close') counts.open -= 1;
      if (step === 'read') counts.reads += 1;
      if (step === 'fingerprint') counts.fingerprints += 1;
    }),
    budgetBytes,
    clock,
    recheck: hash => rechecked.push(hash),
  });
  const add = async (name: string, bytes: Uint8Array): Promise<HostedSong> => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    return await hostedSong(path, bytes);
  };
  const readers: SongReader[] = [];
  const listen = async (song: HostedSong): Promise<SongReader> => {
    const reader = await cache.open(song);
    readers.push(reader);
    return reader;
  };
  t.teardown(async () => {
    for (const reader of readers) reader.close();
    await cache.stop();
  });
  return { cache, listen, clock, counts, rechecked, folder, add };
}

async function readAll(reader: SongReader, size: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < size; ) {
    const piece = await reader.read(at, size - at);
    parts.push(Buffer.from(piece.bytes));
    at += piece.bytes.length;
    piece.release();
  }
  return Buffer.concat(parts);
}

t.test('a file is opened once, read once and checked rarely, however many listen', async t => {
  const { cache, listen, counts, add, clock } = await openCache(t);
  const bytes = songBytes(2 * SLICE_BYTES + 100);
  const song = await add('a.mp3', bytes);
  const readers = await Promise.all(Array.from({ length: 20 }, () => listen(song)));
  for (const all of await Promise.all(readers.map(reader => readAll(reader, bytes.length))))
    t.ok(all.equals(bytes));
  t.match(counts, { open: 1, opened: 1, reads: 3 });
  const before = counts.fingerprints;
  for (let round = 0; round < 2; round++) for (const reader of readers) await readAll(reader, bytes.length);
  t.equal(counts.fingerprints, before);
  clock.advance(101);
  for (const reader of readers) await readAll(reader, bytes.length);
  t.equal(counts.fingerprints, before + 1);
  t.strictSame(cache.status(), { songs: 1, slices: 3, heldBytes: bytes.length });
  for (const reader of readers) reader.close();
  for (const reader of readers) reader.close();
  await cache.stop();
  t.equal(counts.open, 0);
  t.strictSame(cache.status(), { songs: 0, slices: 0, heldBytes: 0 });
});

t.test('an idle descriptor is closed after ten seconds, its slices stay, at rest', async t => {
  const { cache, listen, counts, add, clock } = await openCache(t);
  const rested: number[] = [];
  cache.useRoom({
    costOf: length => length,
    allocate: length => Buffer.allocUnsafeSlow(length),
    rest: ({ length }) => rested.push(length),
    free() {},
  });
  const song = await add('a.mp3', songBytes(1_000));
  const first = await listen(song);
  await readAll(first, 1_000);
  first.close();
  clock.advance(9_999);
  const second = await listen(song);
  clock.advance(20_000);
  t.equal(counts.open, 1, 'in use again');
  t.strictSame(rested, []);
  second.close();
  await clock.advanceSlowly(10_000);
  t.equal(counts.open, 0);
  t.strictSame(rested, [1_000]);
  t.equal(cache.status().songs, 1);
  const third = await listen(song);
  await readAll(third, 1_000);
  t.match(counts, { opened: 2, reads: 1 });
  third.close();
  await cache.stop();
});

t.test('at most sixteen descriptors are idle, and what holds nothing is forgotten', async t => {
  const { cache, listen, counts, add, clock } = await openCache(t, 0);
  for (let i = 0; i < 20; i++) {
    const reader = await listen(await add(`${i}.mp3`, songBytes(1_000, i)));
    reader.close();
  }
  await until('the others are closed', () => counts.open === 16);
  await clock.advanceSlowly(10_000);
  await until(
    'all descriptors are closed and forgotten',
    () => counts.open === 0 && cache.status().songs === 0,
  );
});

t.test('memory stays within its budget: the longest unused slices go, and songs with them', async t => {
  const { cache, listen, add, clock } = await openCache(t, 2 * MIB);
  for (let i = 0; i < 6; i++) {
    const bytes = songBytes(MIB, i);
    const reader = await listen(await add(`${i}.mp3`, bytes));
    t.ok((await readAll(reader, MIB)).equals(bytes));
    reader.close();
    await clock.advanceSlowly(10_000);
    t.ok(cache.status().heldBytes <= 2 * MIB);
  }
  t.equal(cache.status().songs, 2);
});

t.test('when every slice is in use, a listener is served in small pieces of its own', async t => {
  const { cache, listen, add } = await openCache(t, MIB);
  const [one, two] = [await add('1.mp3', songBytes(MIB, 1)), await add('2.mp3', songBytes(MIB + 500, 2))];
  const held = await (await listen(one)).read(0, 10);
  const reader = await listen(two);
  const piece = await reader.read(100, 2 * MIB);
  t.equal(piece.bytes.length, UNSHARED_BYTES - 100);
  piece.release();
  t.ok((await readAll(reader, MIB + 500)).equals(songBytes(MIB + 500, 2)));
  t.equal(cache.status().heldBytes, MIB);
  held.release();
  t.equal((await reader.read(100, 2 * MIB)).bytes.length, SLICE_BYTES - 100);
});

t.test('a rename is noticed, and the right bytes go on being sent', async t => {
  const { listen, add, rechecked, clock } = await openCache(t);
  const bytes = songBytes(3 * MIB);
  const song = await add('a.mp3', bytes);
  const reader = await listen(song);
  (await reader.read(0, MIB)).release();
  await rename(song.path, `${song.path}.away`);
  clock.advance(1_000);
  t.ok((await readAll(reader, bytes.length)).equals(bytes));
  t.strictSame(rechecked, [song.hash], 'once');
});

t.test('a rewrite that puts size and mtime back is noticed before any of it leaves', async t => {
  const { listen, add, rechecked, clock } = await openCache(t);
  const bytes = songBytes(3 * MIB);
  const then = new Date('2024-01-01');
  const { path } = await add('a.mp3', bytes);
  await utimes(path, then, then);
  const song = await hostedSong(path, bytes);
  const reader = await listen(song);
  const first = await reader.read(0, MIB);
  const file = await open(path, 'r+');
  await file.write(Buffer.from('another title'), 0, 13, 2 * MIB + 70_000);
  await file.close();
  await utimes(path, then, then);
  clock.advance(1_000);
  (await reader.read(MIB, MIB)).release();
  t.ok(rechecked.length > 0, 'looked at again');
  await t.rejects(async () => await reader.read(2 * MIB, MIB), { code: 'song-changed' });
  await t.rejects(async () => await reader.read(0, MIB), { code: 'song-changed' });
  t.ok(Buffer.from(first.bytes).equals(bytes.subarray(0, MIB)), 'what was handed out is untouched');
  first.release();
  reader.close();
  await t.rejects(listen(song), { code: 'song-changed' }, 'not even opened');
  clock.advance(1_000);
  const late = await listen(song);
  t.ok(Buffer.from((await late.read(MIB, 10)).bytes).equals(bytes.subarray(MIB, MIB + 10)));
  await t.rejects(async () => await late.read(2 * MIB, MIB), { code: 'song-changed' });
});

t.test('when the library has hashed the file anew, it is served as what it is', async t => {
  const { cache, listen, add, folder, clock } = await openCache(t);
  const old = await add('a.mp3', songBytes(5_000, 1));
  const reader = await listen(old);
  await readAll(reader, 5_000);
  await writeFile(join(folder, 'b.mp3'), songBytes(5_000, 1));
  const moved = await hostedSong(join(folder, 'b.mp3'), songBytes(5_000, 1));
  await appendFile(old.path, 'x');
  clock.advance(1_000);
  const other = await listen(moved);
  t.ok((await readAll(other, 5_000)).equals(songBytes(5_000, 1)));
  await t.rejects(async () => await reader.read(0, 10), { code: 'song-changed' });
  other.close();
  reader.close();
  await cache.stop();
});

t.test('no link and no folder in its place is followed to other bytes', async t => {
  const { listen, add, folder } = await openCache(t);
  const song = await add('a.mp3', songBytes(5_000));
  await rename(song.path, join(folder, 'secret'));
  await symlink(join(folder, 'secret'), song.path);
  await t.rejects(listen(song), { code: 'song-changed' }, 'a link');
  await mkdir(join(folder, 'd'));
  await t.rejects(listen({ ...song, path: join(folder, 'd') }), { code: 'song-changed' }, 'a folder');
  await t.rejects(
    listen({ ...song, path: join(folder, 'a.mp3', 'x') }),
    { code: 'song-changed' },
    'no folder',
  );
  await link(join(folder, 'secret'), join(folder, 'hard.mp3'));
  const reader = await listen({ ...song, path: join(folder, 'hard.mp3') });
  t.ok(
    (await readAll(reader, 5_000)).equals(songBytes(5_000)),
    'another name of the same file is the same file',
  );
});
