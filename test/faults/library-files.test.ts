/**
 * A library full of traps at a real `tsp-peer`: links out, loops, pipes, devices, names that cannot be printed, files made
 * to choke whoever reads their tags. The scan ends, says what it skipped, and nothing from outside the folder is offered.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import t from 'tap';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { range } from '../support/crowd.js';
import { mp3Bytes, mpegFrames } from '../support/mp3.js';
import { hashOf, openNetwork, type RunningHost } from '../support/network.js';
import { watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const KIB = 1024;
const MIB = 1024 * KIB;
let seeds = 0;
/** Frames of no other file. */
const sound = (): Buffer => {
  seeds += 1;
  return mpegFrames({ seconds: 1, seed: seeds });
};
const GOOD = mp3Bytes({ seconds: 1, seed: 1_000, title: 'Good' });

const network = await openNetwork(t);

/** What the host says of its library now: how many songs, and how many files it skipped for each reason. */
async function statusOf({
  command,
}: RunningHost): Promise<{ songs: number; skipped: Record<string, number> }> {
  const said = command.lines.length;
  command.write('status\n');
  const line = await until('the status', () =>
    command.lines.slice(said).find(each => each.startsWith('{"command":"status"')),
  );
  const status: unknown = JSON.parse(line);
  const { hosting, library } = status as {
    hosting: { songs: number };
    library: { skipped: { reason: string; count: number }[] };
  };
  return {
    songs: hosting.songs,
    skipped: Object.fromEntries(library.skipped.map(({ reason, count }) => [reason, count])),
  };
}

/** Every song that this host lists, as it sends it; by title. */
async function offered({ port }: RunningHost, count: number): Promise<Map<string, Buffer>> {
  const listener = await connectTsp(t, port);
  // A list may be a second old.
  const rows = await until('all are listed', async () => {
    listener.send({ type: 'LIST' });
    const list = await listener.receive('LIST_INFO');
    return list.rows.length === count && list.rows;
  });
  const songs = new Map<string, Buffer>();
  for (const { hash, title } of rows) {
    listener.send({ type: 'RANGE', song: 0, offset: 0, count: 0, hash: hash as ContentHash });
    songs.set(title as string, (await listener.receive('SONG_DATA')).payload);
  }
  listener.destroy();
  return songs;
}

async function sendsGood({ port }: RunningHost): Promise<void> {
  const listener = await connectTsp(t, port);
  listener.send({ type: 'RANGE', song: 0, offset: 0, count: 0, hash: hashOf(GOOD) });
  if (!(await listener.receive('SONG_DATA')).payload.equals(GOOD)) throw new Error('the song came wrong');
  listener.destroy();
}

/** A host with `good.mp3`, into whose folder everything in `prepare`d one is moved at once. */
async function hostWith(prepare: (folder: string) => Promise<unknown>): Promise<RunningHost> {
  const host = await network.host({ songs: { 'good.mp3': GOOD } });
  const folder = join(host.home, 'prepared');
  await mkdir(folder);
  await prepare(folder);
  await rename(folder, join(host.folder, 'traps'));
  return host;
}

t.test(
  'links, loops, pipes, sockets, devices, depths and giants are skipped, each with its reason',
  async t => {
    const outside = await tempFolder(t);
    const secret = mp3Bytes({ seconds: 1, seed: 2_000, title: 'Secret' });
    await writeFile(join(outside, 'secret.mp3'), secret);
    const server = createServer();
    t.teardown(() => server.close());
    const isRoot = process.getuid?.() === 0;
    const host = await hostWith(async folder => {
      await symlink(join(outside, 'secret.mp3'), join(folder, 'link.mp3'));
      await symlink(outside, join(folder, 'linked-folder'));
      await symlink('/', join(folder, 'root'));
      await symlink('/dev/zero', join(folder, 'zero.mp3'));
      await symlink('/proc/self/mem', join(folder, 'memory.mp3'));
      await symlink('two.mp3', join(folder, 'one.mp3'));
      await symlink('one.mp3', join(folder, 'two.mp3'));
      await symlink('.', join(folder, 'loop'));
      await symlink('..', join(folder, 'up'));
      execFileSync('mkfifo', [join(folder, 'pipe.mp3')]);
      if (isRoot && spawnSync('mknod', [join(folder, 'device.mp3'), 'c', '1', '5']).status !== 0)
        execFileSync('mkfifo', [join(folder, 'device.mp3')]);
      server.listen(join(folder, 'socket.mp3'));
      await writeFile(join(folder, 'giant.mp3'), '');
      await truncate(join(folder, 'giant.mp3'), 3 * 1024 * MIB);
      await writeFile(join(folder, 'sparse.mp3'), '');
      await truncate(join(folder, 'sparse.mp3'), 1024 * MIB);
      await writeFile(join(folder, 'empty.mp3'), '');
      const deep = join(folder, ...range(20).map(String));
      await mkdir(deep, { recursive: true });
      await writeFile(join(deep, 'deep.mp3'), sound());
      await writeFile(join(folder, '.hidden.mp3'), sound());
      await writeFile(join(folder, 'last.mp3'), mp3Bytes({ seconds: 1, seed: 3_000, title: 'Last' }));
    });
    const survivor = await watchSurvivor(host.command, () => sendsGood(host));
    await until('the scan is over', async () => (await statusOf(host)).songs === 2);
    await until('and all is told', async () => Object.keys((await statusOf(host)).skipped).length >= 7);
    const { skipped } = await statusOf(host);
    t.match(skipped, {
      'a link that leads out of the folder or nowhere': 7,
      'no regular file': isRoot ? 3 : 2,
      'larger than 2 GiB': 1,
      'not MP3': 1,
      empty: 1,
      'more than 16 folders deep': 1,
      hidden: 1,
    });
    t.same([...(await offered(host, 2)).keys()].sort(), ['Good', 'Last']);
    await survivor.survived();
  },
);

t.test('a song whose place is taken by a link, a pipe or a folder is no longer served', async t => {
  const outside = await tempFolder(t);
  const secret = mp3Bytes({ seconds: 1, seed: 2_001, title: 'Secret' });
  await writeFile(join(outside, 'song.mp3'), secret);
  const takers: readonly ((path: string) => unknown)[] = [
    path => symlink(join(outside, 'song.mp3'), path),
    path => execFileSync('mkfifo', [path]),
    path => mkdir(path),
    path => symlink('/dev/zero', path),
  ];
  const songs = takers.map((_, index) =>
    mp3Bytes({ seconds: 1, seed: 4_000 + index, title: `Taken ${index}` }),
  );
  const host = await network.host({
    songs: { 'good.mp3': GOOD, ...Object.fromEntries(songs.map((bytes, index) => [`${index}.mp3`, bytes])) },
  });
  const ids = await Promise.all(songs.map(bytes => network.idOf(bytes)));
  const survivor = await watchSurvivor(host.command, () => sendsGood(host));
  for (const [index, take] of takers.entries()) {
    const path = join(host.folder, `${index}.mp3`);
    await rm(path);
    await take(path);
    // From at once, before the library has looked, until it has.
    const listener = await connectTsp(t, host.port);
    await until('it is gone', async () => {
      listener.send({ type: 'RANGE', song: ids[index]!, offset: 0, count: 0, hash: hashOf(songs[index]!) });
      const answer = await listener.next();
      // What was opened before is still that song.
      if (answer.type === 'SONG_DATA' && !answer.payload.equals(songs[index]!)) t.fail('foreign bytes');
      return answer.type === 'ERROR' && answer.error.code === 'no-such-song';
    });
    listener.destroy();
  }
  await survivor.survived();
  t.same([...(await offered(host, 1)).keys()], ['Good']);

  // The same with the folder above it: what is outside has the size and the times of the song.
  const album = join(host.folder, 'album');
  const inside = mp3Bytes({ seconds: 1, seed: 4_900, title: 'Inside' });
  await mkdir(album);
  await writeFile(join(album, 'song.mp3'), inside);
  await network.listed(inside, host.port);
  await writeFile(join(outside, 'song.mp3'), Buffer.from(inside).fill(0x41, 1_000));
  execFileSync('touch', ['-r', join(album, 'song.mp3'), join(outside, 'song.mp3')]);
  await rename(album, join(host.home, 'album'));
  await symlink(outside, album);
  const listener = await connectTsp(t, host.port);
  await until('nobody gets it', async () => {
    listener.send({ type: 'RANGE', song: 0, offset: 0, count: 0, hash: hashOf(inside) });
    const answer = await listener.next();
    if (answer.type === 'SONG_DATA' && !answer.payload.equals(inside)) t.fail('foreign bytes');
    return answer.type === 'ERROR' && answer.error.code === 'no-such-song';
  });
  listener.destroy();
});

t.test('names that cannot be printed are offered under names that can, or skipped with a reason', async t => {
  const names = [
    'new\nline.mp3',
    'escape\x1b]0;title\x07.mp3',
    'bidi\u202egnp.mp3',
    'zero\u200bwidth.mp3',
    ' spaces .mp3',
    '-rf.mp3',
    '$(reboot).mp3',
    '"quotes\'.mp3',
    `${'é'.repeat(125)}x.mp3`,
    '😀'.repeat(60),
  ];
  const host = await hostWith(async folder => {
    for (const name of names) await writeFile(join(folder, name), sound());
    const notText = Buffer.concat([
      Buffer.from(`${folder}/`),
      Buffer.of(0xff, 0xfe, 0xc3, 0x28),
      Buffer.from('.mp3'),
    ]);
    await writeFile(notText, sound());
    const folderName = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0x80, 0x81)]);
    await mkdir(folderName);
    await writeFile(Buffer.concat([folderName, Buffer.from('/inside.mp3')]), sound());
  });
  const survivor = await watchSurvivor(host.command, () => sendsGood(host));
  await until('all are offered', async () => (await statusOf(host)).songs === 1 + names.length);
  await until(
    'the others are told',
    async () => (await statusOf(host)).skipped['with a name that is no UTF-8'] === 2,
  );
  const songs = await offered(host, 1 + names.length);
  for (const title of songs.keys()) t.ok(Buffer.byteLength(title) <= 255, title);
  host.command.write('list\n');
  await host.command.says(/"command":"list"/);
  t.notOk(/[\x1b\u202e\u200b]/.test(host.command.stdout), 'and what is printed of them is harmless');
  await survivor.survived();
});

t.test('files made to choke a reader of tags are read or skipped, and the rest is offered', async t => {
  const bombs = tagBombs();
  const host = await hostWith(async folder => {
    for (const [name, bytes] of Object.entries(bombs)) await writeFile(join(folder, `${name}.mp3`), bytes);
  });
  const survivor = await watchSurvivor(host.command, () => sendsGood(host));
  const all = Object.keys(bombs).length;
  await until('every file is judged', async () => {
    const { songs, skipped } = await statusOf(host);
    return songs - 1 + Object.values(skipped).reduce((sum, count) => sum + count, 0) === all;
  });
  const files = Object.values(bombs).map(bytes => bytes.toString('latin1'));
  for (const [title, bytes] of await offered(host, (await statusOf(host)).songs)) {
    t.ok(title === 'Good' || files.includes(bytes.toString('latin1')), 'what is offered is one of the files');
    t.ok(Buffer.byteLength(title) <= 255);
  }
  t.match((await statusOf(host)).skipped, { 'not MP3': 4 });
  await survivor.survived();
});

/** Most end in real frames, so that they would be songs. */
function tagBombs(): Record<string, Buffer> {
  const falseFrames = Buffer.alloc(256 * KIB, Buffer.of(0xff, 0xfb, 0x00, 0x00));
  const synchsafe = (n: number): Buffer =>
    Buffer.of((n >> 21) & 0x7f, (n >> 14) & 0x7f, (n >> 7) & 0x7f, n & 0x7f);
  const tag = (minor: number, body: Buffer, size = body.length, flags = 0): Buffer =>
    Buffer.concat([Buffer.from('ID3'), Buffer.of(minor, 0, flags), synchsafe(size), body]);
  const frame = (id: string, body: Buffer, flags = 0, size = body.length): Buffer =>
    Buffer.concat([Buffer.from(id), synchsafe(size), Buffer.of(flags >> 8, flags & 0xff), body]);
  const text = (characters: string): Buffer => Buffer.from(`\x03${characters}`);
  const times = (count: number, of: (index: number) => Buffer): Buffer => Buffer.concat(range(count).map(of));
  const zipped = deflateSync(Buffer.alloc(64 * MIB));
  const bodies: Record<string, Buffer> = {
    'false frames': tag(4, Buffer.concat([falseFrames, falseFrames, falseFrames])),
    'all ones': tag(4, Buffer.alloc(MIB, 0xff)),
    'one byte in two': tag(3, Buffer.alloc(MIB, Buffer.of(0xff, 0x00)), MIB, 0x80),
    'a frame longer than its tag': tag(4, frame('TIT2', text('x'), 0, 0x0fff_ffff)),
    'a compressed frame': tag(4, frame('TIT2', Buffer.concat([synchsafe(64 * MIB), zipped]), 0x0009)),
    'an encrypted frame': tag(4, frame('TIT2', Buffer.alloc(500_000, 0x77), 0x0004)),
    'a frame of zeros': tag(4, frame('TIT2', Buffer.concat([text(''), Buffer.alloc(900_000)]))),
    'a title of 900 kB': tag(4, frame('TIT2', text('é'.repeat(450_000)))),
    'a genre of brackets': tag(4, frame('TCON', text('('.repeat(900_000)))),
    'many frames': tag(
      4,
      times(60_000, () => frame('TPE1', text('a'))),
    ),
    'many keys': tag(
      4,
      times(40_000, index => frame('TXXX', text(`${index}\0b`))),
    ),
    'many tags': times(10_000, () => tag(4, frame('TIT2', text('a')))),
  };
  const lastly: Record<string, Buffer> = {
    'APE of 2 GiB': Buffer.concat([Buffer.from('APETAGEX'), Buffer.alloc(12, 0x7f), Buffer.alloc(12)]),
    'lyrics of 1 MB': Buffer.from(`LYRICSBEGIN${'x'.repeat(200)}999999LYRICS200`),
  };
  return {
    'nothing but false frames': falseFrames,
    'nothing but ones': Buffer.alloc(256 * KIB, 0xff),
    'false frames first': Buffer.concat([falseFrames, sound()]),
    'ones first': Buffer.concat([Buffer.alloc(256 * KIB, 0xff), sound()]),
    'a tag of 256 MiB in 16 KiB': Buffer.concat([tag(4, Buffer.alloc(0), 0x0fff_ffff), sound()]),
    ...Object.fromEntries(
      Object.entries(bodies).map(([name, bytes]) => [name, Buffer.concat([bytes, sound()])]),
    ),
    ...Object.fromEntries(
      Object.entries(lastly).map(([name, bytes]) => [name, Buffer.concat([sound(), bytes])]),
    ),
  };
}
