/**
 * A host that dies, freezes, drips, lies or changes its file in the middle of a song: what arrives is the song, byte for
 * byte, or the command says that it could not be had. All with the real commands; hosts that misbehave on the wire are
 * played by the test.
 */
import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { honestBut } from '../support/honest-host.js';
import { mp3Bytes } from '../support/mp3.js';
import { type Network, openNetwork, type RunningHost } from '../support/network.js';
import { atPace } from '../support/paced-clock.js';
import { drip } from '../support/rule-breakers.js';
import type { RunningCommand } from '../support/spawn-command.js';
import { connectTsp, type TspClient } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';

/** 80 s of 320 kbit/s: 3.2 MB, so that at 1 MB/s there is time to be in its middle. A test has a song of its own. */
const songOf = (seed: number): Buffer =>
  mp3Bytes({ seconds: 80, bitrate: 320_000, seed, title: `Fandango ${seed}` });
let songs = 0;
const newSong = (): Buffer => {
  songs += 1;
  return songOf(songs);
};
const SLOW = ['--max-upload', '1M', '--trace-wire', '--log-level', 'debug'];

const middleOf = (listener: RunningCommand): Promise<true> =>
  until('the middle of the song', () => listener.bytes.length > 800_000);

/** Of these hosts, the one that is sending the song. */
const servingOne = (hosts: readonly RunningHost[]): Promise<RunningHost> =>
  until('a host serves', () => hosts.find(({ command }) => command.stderr.includes('SONG_DATA')));

async function fetchToStdout(network: Network, song: Buffer): Promise<RunningCommand> {
  return await network.run(['get', String(await network.idOf(song)), '-o', '-']);
}

const world = await openNetwork(t);

/** Two slow hosts of one song, and a listener in the middle of it. */
async function listenToTwo(t: Teardown) {
  const network = world.during(t);
  const song = newSong();
  const start = () => network.host({ songs: { 'fandango.mp3': song }, args: SLOW });
  const hosts = await Promise.all([start(), start()]);
  const listener = await fetchToStdout(network, song);
  await middleOf(listener);
  return { song, listener, serving: await servingOne(hosts) };
}

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  t.test(`a host that gets ${signal} mid-song is replaced at the exact byte`, async t => {
    const { song, listener, serving } = await listenToTwo(t);
    serving.command.kill(signal);
    t.equal(await listener.exitCode(), 0);
    t.ok(listener.bytes.equals(song), 'byte-exact');
  });
}

const MISBEHAVIOUR = {
  'lies from the middle on': (client: TspClient, offset: number, bytes: Buffer) => {
    const from = 1_000_000;
    if (offset + bytes.length > from) bytes.fill(0x55, Math.max(0, Math.ceil(from - offset)));
    client.write(bytes);
  },
  'sends too few bytes and ends': (client: TspClient, _offset: number, bytes: Buffer) => {
    client.write(bytes.subarray(0, bytes.length - 1));
    client.end();
  },
  'falls silent inside a piece': (client: TspClient, _offset: number, bytes: Buffer) => {
    client.write(bytes.subarray(0, Math.floor(bytes.length / 2)));
  },
  'drips a byte at a time': (client: TspClient, _offset: number, bytes: Buffer) => drip(client.socket, bytes),
  'sends more than it announced': (client: TspClient, _offset: number, bytes: Buffer) => {
    client.write(Buffer.concat([bytes, Buffer.alloc(9, 0x83)]));
  },
};

/** For a host: a slot is its listener's for ten seconds after a question, which so are longer than anything takes here. */
const LEISURE = 1 / 12;
const spoilt = Object.entries(MISBEHAVIOUR).map(([name, misbehave]) => ({
  name,
  misbehave,
  song: newSong(),
}));
const good = await world.host({
  songs: Object.fromEntries(spoilt.map(({ song }, i) => [`${i}.mp3`, song])),
  args: ['--slots', '1'],
  env: await atPace(t, LEISURE),
});

for (const { name, misbehave, song } of spoilt) {
  t.test(`a host that ${name} does not spoil the song`, async t => {
    const network = world.during(t);
    let asked = 0;
    const bad = await network.scriptedHost(
      song,
      honestBut(song, (client, offset, bytes) => {
        asked += 1;
        return misbehave(client, offset, bytes);
      }),
    );
    // The good host's only slot is taken, so that the listener begins with the bad one.
    const holder = await connectTsp(t, good.port);
    const id = await network.idOf(song);
    holder.send({ type: 'RANGE', song: id, offset: 0, count: 1 });
    await holder.receive('SONG_DATA');
    const listener = await fetchToStdout(network, song);
    await until('the bad host was asked', () => asked > 0);
    holder.destroy();
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.ok(listener.bytes.equals(song), 'byte-exact');
    bad.registration.destroy();
  });
}

t.test('only a liar has the song: nothing false is written, it is named, and the command fails', async t => {
  const network = world.during(t);
  const song = newSong();
  const liar = await network.scriptedHost(
    song,
    honestBut(song, (client, _, bytes) => client.write(bytes.fill(1))),
  );
  const home = await network.newHome();
  const target = join(home, 'song.mp3');
  const listener = await network.run(['get', String(await network.idOf(song)), '-o', target], home);
  t.equal(await listener.exitCode(), 1);
  t.match(listener.stderr, new RegExp(`:${liar.port}`), 'the liar is named');
  t.same(
    (await readdir(home)).filter(name => name.includes('song')),
    [],
    'no file, not even half a one',
  );
});

t.test('the last host dies: said, never finished', async t => {
  const network = world.during(t);
  const song = newSong();
  const only = await network.host({ songs: { 'fandango.mp3': song }, args: ['--max-upload', '200k'] });
  const listener = await fetchToStdout(network, song);
  await until('it has begun', () => listener.bytes.length > 0);
  only.command.kill('SIGKILL');
  t.equal(await listener.exitCode(), 69);
  t.ok(listener.bytes.length < song.length);
  t.ok(song.subarray(0, listener.bytes.length).equals(listener.bytes), 'what came before is right');
});

const CHANGES = {
  'replaced by rename': async (path: string, song: Buffer) => {
    await writeFile(`${path}.new`, Buffer.alloc(song.length, 0x41));
    await rename(`${path}.new`, path);
  },
  'overwritten in place': (path: string, song: Buffer) => writeFile(path, Buffer.alloc(song.length, 0x41)),
  truncated: (path: string, song: Buffer) => writeFile(path, song.subarray(0, 1000)),
};

for (const [name, change] of Object.entries(CHANGES)) {
  t.test(`a file ${name} mid-song gives nobody a foreign byte`, async t => {
    const { song, listener, serving } = await listenToTwo(t);
    await change(join(serving.folder, 'fandango.mp3'), song);
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.ok(listener.bytes.equals(song), 'byte-exact');
  });
}

t.test('a listener that takes nothing costs others nothing', async t => {
  const network = world.during(t);
  const song = newSong();
  const host = await network.host({ songs: { 'fandango.mp3': song } });
  const id = await network.idOf(song);
  for (let i = 0; i < 4; i += 1) {
    const slow = await connectTsp(t, host.port);
    slow.socket.pause();
    slow.send({ type: 'PLAY', song: id });
  }
  const listener = await fetchToStdout(network, song);
  t.equal(await listener.exitCode(), 0);
  t.ok(listener.bytes.equals(song));
});
