/**
 * A host that dies, freezes, drips, lies or changes its file in the middle of a song: what arrives is the song, byte for
 * byte, or the command says that it could not be had. All with the real commands; hosts that misbehave on the wire are
 * played by the test.
 */
import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { MerkleTree } from '../../protocol/merkle.js';
import type { Message } from '../../protocol/tsp/messages.js';
import { mp3Bytes } from '../support/mp3.js';
import { type Network, openNetwork, type RunningHost } from '../support/network.js';
import type { RunningCommand } from '../support/spawn-command.js';
import { connectTsp, type TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';

/** 80 s of 320 kbit/s: 3.2 MB, so that at 1 MB/s there is time to be in its middle. */
const SONG = mp3Bytes({ seconds: 80, bitrate: 320_000, seed: 1, title: 'Fandango' });
const SLOW = ['--max-upload', '1M', '--trace-wire', '--log-level', 'debug'];

const middleOf = (listener: RunningCommand): Promise<true> =>
  until('the middle of the song', () => listener.bytes.length > SONG.length / 4);

/** Of these hosts, the one that is sending the song. */
const servingOne = (hosts: readonly RunningHost[]): Promise<RunningHost> =>
  until('a host serves', () => hosts.find(({ command }) => command.stderr.includes('SONG_DATA')));

async function fetchToStdout(network: Network): Promise<RunningCommand> {
  return await network.run(['get', String(await network.idOf(SONG)), '-o', '-']);
}

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  t.test(`a host that gets ${signal} mid-song is replaced at the exact byte`, async t => {
    const network = await openNetwork(t);
    const songs = { 'fandango.mp3': SONG };
    const hosts = [await network.host({ songs, args: SLOW }), await network.host({ songs, args: SLOW })];
    const listener = await fetchToStdout(network);
    await middleOf(listener);
    (await servingOne(hosts)).command.kill(signal);
    t.equal(await listener.exitCode(), 0);
    t.ok(listener.bytes.equals(SONG), 'byte-exact');
  });
}

/** Answers as an honest host would, but for what `spoil` makes of the song's bytes. */
function honestBut(spoil: (client: TspClient, offset: number, bytes: Buffer) => unknown) {
  const nodes = new MerkleTree().update(SONG).digest().nodes(6);
  return async (client: TspClient, request: Message) => {
    if (request.type === 'HASHES') {
      client.send({ type: 'HASH_LIST', song: request.song, length: nodes.length });
      client.write(nodes);
    } else if (request.type === 'RANGE') {
      const end = request.count === 0 ? SONG.length : Math.min(SONG.length, request.offset + request.count);
      const bytes = Buffer.from(SONG.subarray(request.offset, end));
      client.send({ type: 'SONG_DATA', song: request.song, length: bytes.length });
      await spoil(client, request.offset, bytes);
    } else if (request.type === 'INFO') {
      client.sendRows({ type: 'SONG_INFO', song: request.song }, []);
    }
  };
}

const MISBEHAVIOUR = {
  'lies from the middle on': (client: TspClient, offset: number, bytes: Buffer) => {
    const from = SONG.length / 3;
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
  'drips a byte at a time': async (client: TspClient, _offset: number, bytes: Buffer) => {
    for (const byte of bytes) {
      if (client.socket.destroyed) return;
      client.write(Uint8Array.of(byte));
      await new Promise(resolve => setTimeout(resolve, 500));
    }
  },
  'sends more than it announced': (client: TspClient, _offset: number, bytes: Buffer) => {
    client.write(Buffer.concat([bytes, Buffer.alloc(9, 0x83)]));
  },
};

for (const [name, misbehave] of Object.entries(MISBEHAVIOUR)) {
  t.test(`a host that ${name} does not spoil the song`, async t => {
    const network = await openNetwork(t);
    let asked = 0;
    await network.scriptedHost(
      SONG,
      honestBut((client, offset, bytes) => {
        asked += 1;
        return misbehave(client, offset, bytes);
      }),
    );
    // The good host's only slot is taken, so that the listener begins with the bad one.
    const good = await network.host({ songs: { 'fandango.mp3': SONG }, args: ['--slots', '1'] });
    const holder = await connectTsp(t, good.port);
    const id = await network.idOf(SONG);
    holder.send({ type: 'RANGE', song: id, offset: 0, count: 1 });
    await holder.receive('SONG_DATA');
    const holding = setInterval(() => holder.send({ type: 'RANGE', song: id, offset: 0, count: 1 }), 1_000);
    t.teardown(() => clearInterval(holding));
    const listener = await fetchToStdout(network);
    await until('the bad host was asked', () => asked > 0);
    clearInterval(holding);
    holder.destroy();
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.ok(listener.bytes.equals(SONG), 'byte-exact');
  });
}

t.test('only a liar has the song: nothing false is written, it is named, and the command fails', async t => {
  const network = await openNetwork(t);
  const liar = await network.scriptedHost(
    SONG,
    honestBut((client, _, bytes) => client.write(bytes.fill(1))),
  );
  const home = await network.newHome();
  const target = join(home, 'song.mp3');
  const listener = await network.run(['get', String(await network.idOf(SONG)), '-o', target], home);
  t.equal(await listener.exitCode(), 1);
  t.match(listener.stderr, new RegExp(`:${liar.port}`), 'the liar is named');
  t.same(
    (await readdir(home)).filter(name => name.includes('song')),
    [],
    'no file, not even half a one',
  );
});

t.test('the last host dies: said, never finished', async t => {
  const network = await openNetwork(t);
  const only = await network.host({ songs: { 'fandango.mp3': SONG }, args: SLOW });
  const listener = await fetchToStdout(network);
  await middleOf(listener);
  only.command.kill('SIGKILL');
  t.equal(await listener.exitCode(), 69);
  t.ok(listener.bytes.length < SONG.length);
  t.ok(SONG.subarray(0, listener.bytes.length).equals(listener.bytes), 'what came before is right');
});

const CHANGES = {
  'replaced by rename': async (path: string) => {
    await writeFile(`${path}.new`, Buffer.alloc(SONG.length, 0x41));
    await rename(`${path}.new`, path);
  },
  'overwritten in place': (path: string) => writeFile(path, Buffer.alloc(SONG.length, 0x41)),
  truncated: (path: string) => writeFile(path, SONG.subarray(0, 1000)),
};

for (const [name, change] of Object.entries(CHANGES)) {
  t.test(`a file ${name} mid-song gives nobody a foreign byte`, async t => {
    const network = await openNetwork(t);
    const songs = { 'fandango.mp3': SONG };
    const hosts = [await network.host({ songs, args: SLOW }), await network.host({ songs, args: SLOW })];
    const listener = await fetchToStdout(network);
    await middleOf(listener);
    await change(join((await servingOne(hosts)).folder, 'fandango.mp3'));
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.ok(listener.bytes.equals(SONG), 'byte-exact');
  });
}

t.test('a listener that takes nothing costs others nothing', async t => {
  const network = await openNetwork(t);
  const host = await network.host({ songs: { 'fandango.mp3': SONG } });
  const id = await network.idOf(SONG);
  for (let i = 0; i < 4; i += 1) {
    const slow = await connectTsp(t, host.port);
    slow.socket.pause();
    slow.send({ type: 'PLAY', song: id });
  }
  const listener = await fetchToStdout(network);
  t.equal(await listener.exitCode(), 0);
  t.ok(listener.bytes.equals(SONG));
});
