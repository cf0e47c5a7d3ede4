/**
 * Files that change, fail or vanish while a real `tsp-peer` sends them. The rule: what arrives is the song, byte for byte,
 * or the connection is reset; a clean end after wrong or too few bytes is never seen. The host lives on and says why.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, open, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import t from 'tap';
import { queueKey, readSendQueues } from '../../peer/hosting/send-queues.js';
import { LmdbLibraryStore } from '../../peer/library/store-lmdb.js';
import { encode } from '../../protocol/tsp/codec.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { openDisk } from '../../src/disk.js';
import { connectFrom, gone, range } from '../support/crowd.js';
import { failCalls, LMDB_REFUSED, noFaults } from '../support/failing-calls.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { mount, noMounts, seenBy, spawnWithMount, unmount } from '../support/private-mounts.js';
import { noProc } from '../support/proc.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { commandPath, spawnCommand } from '../support/spawn-command.js';
import { stackTraceIn, watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp } from '../support/tsp-client.js';
import { type Teardown, until, untilDone } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';

const MIB = 1024 * 1024;
/** More than the kernel holds for a listener that takes nothing, so that the host is in the middle of it. */
const songOf = (seed: number): Buffer => {
  const frames = mp3Bytes({ seconds: 30, bitrate: 320_000, seed, title: `Martinete ${seed}` });
  return Buffer.alloc(16 * MIB, frames);
};
const overwrite = async (path: string, foreign: Buffer): Promise<void> => {
  const file = await open(path, 'r+');
  await file.write(foreign, 0, foreign.length, 0);
  await file.close();
};
/** Times to the nanosecond, as a tag editor that hides its traces puts them back. */
const keepingTimes = async (path: string, change: () => Promise<unknown>): Promise<void> => {
  const reference = `${await tempFolder(t)}/times`;
  execFileSync('touch', ['-r', path, reference]);
  await change();
  execFileSync('touch', ['-r', reference, path]);
};

interface Change {
  readonly how: string;
  readonly change: (path: string, foreign: Buffer) => Promise<unknown>;
  /** The bytes are there as they were: the song must come whole. */
  readonly harmless?: boolean;
}
const CHANGES: readonly Change[] = [
  { how: 'truncated', change: path => truncate(path, 100_000) },
  { how: 'appended to', change: (path, foreign) => appendFile(path, foreign) },
  { how: 'overwritten in place', change: overwrite },
  {
    how: 'overwritten in place and given back its times',
    change: (path, foreign) => keepingTimes(path, () => overwrite(path, foreign)),
  },
  {
    how: 'replaced by rename',
    change: async (path, foreign) => {
      await writeFile(`${path}.new`, foreign);
      await rename(`${path}.new`, path);
    },
  },
  { how: 'removed', change: path => rm(path) },
  { how: 'renamed', change: path => rename(path, `${path}-renamed.mp3`), harmless: true },
  {
    how: 'touched and given back its times',
    change: path => keepingTimes(path, () => utimes(path, 1, 1)),
    harmless: true,
  },
];

const network = await openNetwork(t);
const songs = CHANGES.map((_, index) => songOf(index + 1));
const [failing, unopened] = [songOf(30), mp3Bytes({ seconds: 3, seed: 98, title: 'Caña' })];
const steady = mp3Bytes({ seconds: 2, seed: 99, title: 'Toná' });
const host = await network.host({
  songs: {
    'steady.mp3': steady,
    'failing.mp3': failing,
    'unopened.mp3': unopened,
    ...Object.fromEntries(songs.map((bytes, index) => [`${index}.mp3`, bytes])),
  },
  args: ['--slots', '0', '--max-per-address', '0'],
});
const ids = await Promise.all(songs.map(bytes => network.idOf(bytes)));
const [steadyId, failingId, unopenedId] = (await Promise.all(
  [steady, failing, unopened].map(bytes => network.idOf(bytes)),
)) as [SongId, SongId, SongId];

async function serves(): Promise<void> {
  const listener = await connectTsp(t, host.port);
  listener.send({ type: 'PLAY', song: steadyId });
  if (!(await listener.receive('SONG_DATA')).payload.equals(steady)) throw new Error('the song came wrong');
  listener.destroy();
}
const survivor = await watchSurvivor(host.command, serves);

/** A listener that has begun with a song and takes nothing now: the host waits for it. */
async function beginSong(t: Teardown, port: number, song: SongId) {
  const socket = await connectFrom(t, port, 1);
  const chunks: Buffer[] = [];
  socket.write(encode({ type: 'PLAY', song }));
  await once(
    socket.on('data', chunk => chunks.push(chunk)),
    'data',
  );
  socket.pause();
  const key = queueKey({ localPort: port, remotePort: socket.localPort! });
  await until('the host waits', async () => ((await readSendQueues()).get(key) ?? 0) > 0);
  return {
    /** Takes everything else: what came after the header, and how it ended. */
    async rest(): Promise<{ bytes: Buffer; end: 'whole' | 'ended' | 'reset' }> {
      socket.resume();
      const total = (): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      const announced = 9 + chunks[0]!.readUInt32BE(5);
      void gone(socket);
      await until('all has come, or it is over', () => socket.closed || total() >= announced);
      const whole = total() === announced;
      socket.destroy();
      // Node may take a reset for an end. A side that ends in good order is remembered by the kernel; a reset is not.
      const end = (await readSendQueues()).has(key) ? 'ended' : 'reset';
      return { bytes: Buffer.concat(chunks).subarray(9), end: whole ? 'whole' : end };
    },
  };
}

for (const [index, { how, change, harmless = false }] of CHANGES.entries()) {
  t.test(`a file that is ${how} mid-song: the song or a reset`, { skip: noProc }, async t => {
    const song = songs[index]!;
    const listener = await beginSong(t, host.port, ids[index]!);
    await change(join(host.folder, `${index}.mp3`), songOf(50 + index));
    const { bytes, end } = await listener.rest();
    t.ok(bytes.equals(song.subarray(0, bytes.length)), 'no foreign byte');
    t.match(end, harmless ? 'whole' : /^(whole|reset)$/);
    if (end === 'whole') t.equal(bytes.length, song.length);
    await survivor.survived();
  });
}

t.test(
  'a disk that fails mid-song is a reset, a line in the log, and no more',
  { skip: noProc || noFaults },
  async t => {
    const path = join(host.folder, 'failing.mp3');
    const listener = await beginSong(t, host.port, failingId);
    const fault = await failCalls(t, host.command.pid, { calls: 'pread64', error: 'EIO', path });
    const { bytes, end } = await listener.rest();
    t.equal(end, 'reset');
    t.ok(bytes.equals(failing.subarray(0, bytes.length)));
    t.match(await host.command.complains(/EIO[^\n]*/), /an answer failed/);
    await serves();
    const late = await connectTsp(t, host.port);
    late.send({ type: 'RANGE', song: failingId, offset: 15 * MIB, count: 9 });
    t.match(await late.receive('ERROR'), { error: { type: 0x41 } }, 'before the first byte it is an answer');
    await fault.lift();
    late.send({ type: 'RANGE', song: failingId, offset: 15 * MIB, count: 9 });
    t.ok((await late.receive('SONG_DATA')).payload.equals(failing.subarray(15 * MIB, 15 * MIB + 9)));
    late.destroy();
    await survivor.survived();
  },
);

t.test('no descriptor left for a song is «later», and later it comes', { skip: noFaults }, async t => {
  const path = join(host.folder, 'unopened.mp3');
  const fault = await failCalls(t, host.command.pid, { calls: 'openat', error: 'EMFILE', path });
  const listener = await connectTsp(t, host.port);
  listener.send({ type: 'PLAY', song: unopenedId });
  t.match(await listener.receive('ERROR'), { error: { code: 'unavailable', retryAfterMs: Number } });
  await serves();
  await fault.lift();
  listener.send({ type: 'PLAY', song: unopenedId });
  t.ok((await listener.receive('SONG_DATA')).payload.equals(unopened));
  listener.destroy();
  await survivor.survived();
});

t.test(
  'no descriptor for a listener: it may come again, and others are served',
  { skip: noFaults },
  async t => {
    const fault = await failCalls(t, host.command.pid, { calls: 'accept4', error: 'EMFILE', when: '1..20' });
    const crowd = await Promise.all(range(20).map(index => connectFrom(t, host.port, index)));
    await fault.lift();
    for (const socket of crowd) socket.destroy();
    // libuv turns away whoever waits when a call fails, and the lift may come in the middle of that.
    await untilDone('whoever comes again is served', serves);
    await survivor.survived();
  },
);

t.test('a folder that cannot be read just now keeps its songs', { skip: noFaults }, async t => {
  const [shelf, later] = [join(host.folder, 'shelf'), join(host.folder, 'later')];
  const [onShelf, inLater, beside] = range(3).map(index =>
    mp3Bytes({ seconds: 1, seed: 80 + index, title: `Debla ${index}` }),
  ) as [Buffer, Buffer, Buffer];
  await mkdir(shelf);
  await writeFile(join(shelf, 'a.mp3'), onShelf);
  await network.listed(onShelf, host.port);
  const failing = { calls: 'openat', error: 'EMFILE' };
  const fault = await failCalls(t, host.command.pid, { ...failing, path: shelf });
  await utimes(shelf, new Date(), new Date());
  await host.command.complains(/shelf.*cannot be looked into now/);
  await writeFile(join(host.folder, 'beside.mp3'), beside);
  await network.listed(beside, host.port);
  t.ok(await network.idOf(onShelf), 'what was there is not gone');
  await fault.lift();
  const another = await failCalls(t, host.command.pid, { ...failing, path: later });
  await mkdir(later);
  await writeFile(join(later, 'b.mp3'), inLater);
  await host.command.complains(/later.*cannot be looked into now/);
  await another.lift();
  await network.listed(inLater, host.port);
  await survivor.survived();
});

for (const [index, error] of ['EIO', 'ENOSPC'].entries()) {
  t.test(`${error} while the library is written down costs no song`, { skip: noFaults }, async t => {
    const calls = 'pwrite64,pwritev,fdatasync,fsync,ftruncate';
    const fault = await failCalls(t, host.command.pid, { calls, error });
    const song = mp3Bytes({ seconds: 1, seed: 60 + index, title: `Written ${index}` });
    await writeFile(join(host.folder, `written-${index}.mp3`), song);
    await network.listed(song, host.port);
    await host.command.complains(/cannot be remembered/);
    await fault.lift();
    const listener = await connectTsp(t, host.port);
    listener.send({ type: 'PLAY', song: await network.idOf(song) });
    t.ok((await listener.receive('SONG_DATA')).payload.equals(song));
    listener.destroy();
    await survivor.survived();
    t.notMatch(host.command.stderr, LMDB_REFUSED);
  });
}

t.test('a disk that fails lmdb halfway: its store is opened anew', { skip: noFaults }, async t => {
  const [data, folder] = [await tempFolder(t), await tempFolder(t)];
  const words = ['--headless', '--port', '0', '--library', folder, '--data', data];
  const peer = await spawnCommand(t, 'tsp-peer', words);
  await peer.ready();
  const path = join(data, 'library', 'data.mdb');
  const fault = await failCalls(t, peer.pid, { calls: 'fdatasync', error: 'EIO', path });
  await writeFile(join(folder, 'refused.mp3'), mp3Bytes({ seconds: 1, seed: 70 }));
  await peer.complains(/cannot be remembered/);
  await fault.lift();
  await writeFile(join(folder, 'kept.mp3'), mp3Bytes({ seconds: 1, seed: 71 }));
  await peer.says(/2 songs in the library/);
  t.equal(await peer.end(), 0);
  const clock = new VirtualClock();
  const store = new LmdbLibraryStore({
    folder: join(data, 'library'),
    openDisk,
    clock,
    logger: new RecordingLogger(),
  });
  t.same(
    [...store.entries()].map(([file]) => basename(file)),
    ['kept.mp3'],
  );
  await store.close();
});

t.test(
  'a folder that cannot be read is skipped and said; the rest is hosted',
  { skip: noFaults },
  async t => {
    const folder = join(host.folder, 'closed');
    const inside = mp3Bytes({ seconds: 1, seed: 70, title: 'Closed' });
    const beside = mp3Bytes({ seconds: 1, seed: 71, title: 'Beside' });
    const fault = await failCalls(t, host.command.pid, { calls: 'openat', error: 'EACCES', path: folder });
    await mkdir(folder);
    await writeFile(join(folder, 'inside.mp3'), inside);
    await writeFile(join(host.folder, 'beside.mp3'), beside);
    await network.listed(beside, host.port);
    host.command.write('status\n');
    await host.command.says(/"command":"status".*"unreadable"/);
    t.notOk((await network.list()).some(({ title }) => title === 'Closed'));
    await fault.lift();
    await rename(folder, `${folder}-no-more`);
    await network.listed(inside, host.port);
    await survivor.survived();
  },
);

/** A host that sees a tmpfs at one of its folders, with one song. */
async function hostWithMount(t: Teardown, mounted: 'music' | 'data', size: string) {
  const home = await network.during(t).newHome();
  const [library, data] = [join(home, 'music'), join(home, 'data')];
  for (const folder of [library, data]) await mkdir(folder);
  const words = ['--headless', '--json', '--library', library, '--data', data, '--port', '0', '--slots', '0'];
  const tracker = ['--tracker', `127.0.0.1:${network.trackerPort}`];
  const folder = mounted === 'music' ? library : data;
  const command = await spawnWithMount(
    t,
    { folder, size },
    [process.execPath, commandPath('tsp-peer'), ...words, ...tracker],
    { home },
  );
  const { port } = await command.ready();
  const music = seenBy(command, library);
  return { command, port, folder, music, seen: seenBy(command, folder) };
}

t.test(
  'a disk that vanishes takes its songs off the list; back again, they are listed',
  { skip: noProc || noMounts },
  async t => {
    const { command, port, folder, music } = await hostWithMount(t, 'music', '64M');
    const song = songOf(80);
    await writeFile(join(music, 'a.mp3'), song);
    await network.listed(song, port);
    const listener = await beginSong(t, port, await network.idOf(song));
    unmount(command, folder);
    const { bytes, end } = await listener.rest();
    t.ok(bytes.equals(song.subarray(0, bytes.length)));
    t.match(end, /^(whole|reset)$/);
    await until('its songs are off the list', async () => {
      const row = (await network.list()).find(({ title }) => title === 'Martinete 80');
      return row === undefined;
    });
    mount(command, { folder, size: '64M' });
    await writeFile(join(music, 'b.mp3'), song);
    await network.listed(song, port);
    t.equal(stackTraceIn(command.stderr), undefined);
    t.equal(await command.end(), 0);
  },
);

t.test(
  'a data folder on a disk that was full before the start is done without',
  { skip: noMounts },
  async t => {
    const { command, port, music } = await hostWithMount(t, 'data', '16k');
    const song = mp3Bytes({ seconds: 5, seed: 91, title: 'Livianas' });
    await writeFile(join(music, 'a.mp3'), song);
    await network.listed(song, port);
    t.match(command.stderr, /cannot be remembered/);
    t.equal(stackTraceIn(command.stderr), undefined);
    t.equal(await command.end(), 0);
  },
);

t.test(
  'a data folder on a full disk costs the memory of the library, not the songs',
  { skip: noMounts },
  async t => {
    const { command, port, music, seen } = await hostWithMount(t, 'data', '1M');
    await command.says(/"event":"library"/);
    await writeFile(join(seen, 'filler'), Buffer.alloc(2 * MIB)).catch(() => {});
    const song = mp3Bytes({ seconds: 20, seed: 90, title: 'Debla' });
    await writeFile(join(music, 'a.mp3'), song);
    await network.listed(song, port);
    await command.complains(/cannot be remembered/);
    const listener = await connectTsp(t, port);
    listener.send({ type: 'PLAY', song: await network.idOf(song) });
    t.ok((await listener.receive('SONG_DATA')).payload.equals(song));
    t.equal(stackTraceIn(command.stderr), undefined);
    t.equal(await command.end(), 0);
  },
);
