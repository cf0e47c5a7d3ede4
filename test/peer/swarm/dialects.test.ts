/** The real commands with scripts of libswift and PyPPSPP at the other end, over UDP and TCP: whole files, both ways. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { staticMetadata } from '../../../peer/swarm/static-swarm.js';
import { toHex } from '../../../protocol/bytes.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { ownOptions, wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import type { Message } from '../../../protocol/ppspp/messages.js';
import { DatagramFramer, frameHeader } from '../../../protocol/ppspp/stream-framing.js';
import { Chance } from '../../simulation/chance.js';
import { SwiftLiveListener, SwiftLiveSource } from '../../support/scripted-live-peers.js';
import {
  PyLeecher,
  PySeeder,
  type Script,
  SwiftLeecher,
  SwiftSeeder,
} from '../../support/scripted-swarm-peers.js';
import { spawnCommand } from '../../support/spawn-command.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';
import { metadataOf } from '../../support/virtual-swarm.js';

t.jobs = 2;

const CONTENT = new Chance(7).bytes(150_001);
const ID = toHex(metadataOf(CONTENT, { hash: 'sha1' }).swarmId);
/** Six subtrees of 32 chunks. */
const SUBTREE = 32 * 1_024;
const STREAM = Buffer.from(new Chance(8).bytes(6 * SUBTREE));
const ANYWHERE = ['--listen', '127.0.0.1:0'];

/** What a script threw, for the test to be ended by it. */
interface Playing {
  broken: unknown;
}

/** A script on a UDP socket; `to` for one that speaks first. Where it is. */
async function overUdp(
  t: Teardown,
  script: Script,
  to?: number,
): Promise<Playing & { readonly port: number }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const playing = { broken: undefined as unknown, port: socket.address().port };
  socket.on('message', (datagram, from) => {
    try {
      script.hear(datagram, answer => socket.send(answer, from.port, from.address));
    } catch (error) {
      playing.broken ??= error;
    }
  });
  if (to !== undefined) script.begin?.(datagram => socket.send(datagram, to, '127.0.0.1'));
  return playing;
}

/** The same on one end of a TCP connection, a frame a datagram. */
function onStream(socket: Socket, script: Script): Playing {
  const playing: Playing = { broken: undefined };
  const framer = new DatagramFramer();
  const say = (datagram: Uint8Array): boolean =>
    socket.write(Buffer.concat([frameHeader(datagram), datagram]));
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => {
    try {
      framer.push(bytes);
      for (let frame = framer.next(); frame !== undefined; frame = framer.next()) script.hear(frame, say);
    } catch (error) {
      playing.broken ??= error;
    }
  });
  socket.on('connect', () => script.begin?.(say));
  return playing;
}

async function seeder(t: Teardown, ...more: string[]) {
  const path = join(await tempFolder(t), 'content');
  writeFileSync(path, CONTENT);
  const command = await spawnCommand(t, 'tsp-peer', [
    'swarm',
    'seed',
    path,
    ...(more.includes('--dialect') ? [] : ['--hash', 'sha1']),
    ...ANYWHERE,
    ...more,
  ]);
  return (await command.ready()).port;
}

async function getter(t: Teardown, port: number, ...more: string[]) {
  const path = join(await tempFolder(t), 'out');
  const words = ['swarm', 'get', ID, '--peer', `127.0.0.1:${port}`, '-o', path, ...more];
  const command = await spawnCommand(t, 'tsp-peer', words);
  return { command, content: () => readFileSync(path) };
}

const PY = ['--dialect', 'pyppspp'];
const UNPROVEN = [...PY, '--allow-unverified', '--size', `${CONTENT.length}`];

for (const [dialect, more] of [
  ['pyppspp', UNPROVEN],
  ['draft10', []],
] as const)
  for (const way of [[], ['--tcp']])
    t.test(`two of us speak ${dialect}${way.length > 0 ? ' over TCP' : ''}`, async t => {
      const port = await seeder(t, '--dialect', dialect, ...way);
      const { command, content } = await getter(t, port, '--dialect', dialect, ...more, ...way);
      t.equal(await command.exitCode(), 0, command.stderr);
      t.ok(content().equals(CONTENT));
    });

t.test('libswift takes a file from us', async t => {
  const script = new SwiftLeecher(CONTENT);
  const playing = await overUdp(t, script, await seeder(t, '--dialect', 'draft10'));
  await until('it has everything', () => script.isComplete || playing.broken !== undefined);
  t.equal(playing.broken, undefined);
  t.ok(script.received.bytes.equals(CONTENT));
});

t.test('libswift is not answered by who speaks the RFC alone', async t => {
  const port = await seeder(t);
  const script = new SwiftLeecher(CONTENT);
  const mute = await overUdp(t, script, port);
  const { command, content } = await getter(t, port);
  t.equal(await command.exitCode(), 0, 'though it gives to others');
  t.ok(content().equals(CONTENT));
  t.same([script.received.size, mute.broken], [0, undefined]);
});

t.test('we take a file from libswift', async t => {
  const playing = await overUdp(t, new SwiftSeeder(CONTENT));
  const { command, content } = await getter(t, playing.port, '--dialect', 'draft10');
  const code = await command.exitCode();
  t.same([code, playing.broken], [0, undefined]);
  t.ok(content().equals(CONTENT));
});

t.test('who tries the RFC first finds its way to libswift after silence', async t => {
  const playing = await overUdp(t, new SwiftSeeder(CONTENT));
  const { command, content } = await getter(t, playing.port, '--dialect', 'rfc7574', '--dialect', 'draft10');
  t.same([await command.exitCode(), playing.broken], [0, undefined]);
  t.ok(content().equals(CONTENT));
});

t.test('libswift listens to our stream', async t => {
  const words = ['swarm', 'seed', '--live', ...ANYWHERE, '--dialect', 'draft10'];
  const source = await spawnCommand(t, 'tsp-peer', words, { home: await tempFolder(t) });
  const { port } = await source.ready();
  source.child.stdin.write(STREAM.subarray(0, 2 * SUBTREE));
  const script = new SwiftLiveListener(source.lines[0]!.split(' ')[0]!);
  const playing = await overUdp(t, script, port);
  await until('it tunes in', () => script.first !== undefined || playing.broken !== undefined);
  source.child.stdin.write(STREAM.subarray(2 * SUBTREE));
  const rest = () => STREAM.subarray(script.first! * 1_024);
  await until(
    'it hears all',
    () => script.received.size * 1_024 === rest().length || playing.broken !== undefined,
  );
  t.equal(playing.broken, undefined);
  t.ok(script.received.bytes.equals(rest()));
});

t.test('we listen to a stream of libswift', async t => {
  const script = new SwiftLiveSource(STREAM);
  const playing = await overUdp(t, script);
  const peer = ['--peer', `127.0.0.1:${playing.port}`];
  const words = ['swarm', 'get', '--live', script.id, ...peer, '--dialect', 'draft10'];
  const listener = await spawnCommand(t, 'tsp-peer', words);
  const heard = STREAM.subarray(SUBTREE);
  await until('it hears all', () => listener.bytes.length >= heard.length || playing.broken !== undefined);
  t.equal(playing.broken, undefined);
  t.ok(listener.bytes.equals(heard), 'from the last subtree that was signed when it came');
});

t.test('PyPPSPP takes a file from us, and what was lost comes again', async t => {
  const lost = new Set([0, 5, 70, 146]);
  const script = new PyLeecher(CONTENT, { loses: chunk => lost.delete(chunk) });
  const playing = await overUdp(t, script, await seeder(t, ...PY));
  await until('it has everything', () => script.isComplete || playing.broken !== undefined);
  t.equal(playing.broken, undefined);
  t.ok(script.received.bytes.equals(CONTENT));
});

t.test('we take a file from PyPPSPP', async t => {
  const playing = await overUdp(t, new PySeeder(CONTENT));
  const { command, content } = await getter(t, playing.port, ...UNPROVEN);
  t.same([await command.exitCode(), playing.broken], [0, undefined]);
  t.ok(content().equals(CONTENT));
});

t.test(
  'PyPPSPP takes a file from us over TCP; go-PPSPP, which speaks otherwise, is shown the door',
  async t => {
    const port = await seeder(t, ...PY, '--tcp');
    const stranger = connect(port, '127.0.0.1');
    stranger.on('error', () => {}).write('\x13/multistream/1.0.0\n');
    await once(stranger, 'close');
    const socket = connect(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    const script = new PyLeecher(CONTENT, { isReliable: true });
    const playing = onStream(socket, script);
    await until('it has everything', () => script.isComplete || playing.broken !== undefined);
    t.equal(playing.broken, undefined);
    t.ok(script.received.bytes.equals(CONTENT));
  },
);

t.test('we take a file from PyPPSPP over TCP', async t => {
  const playing: Playing[] = [];
  const server = createServer(socket => {
    t.teardown(() => socket.destroy());
    playing.push(onStream(socket, new PySeeder(CONTENT, { isReliable: true })));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const { command, content } = await getter(t, port, ...UNPROVEN, '--tcp');
  t.equal(await command.exitCode(), 0);
  t.ok(playing.length > 0 && playing.every(({ broken }) => broken === undefined));
  t.ok(content().equals(CONTENT));
});

/** A seeder as PyPPSPP is one: it says who it is, proves nothing, and gives each chunk alone. Where it is. */
async function unproven(t: Teardown, swarmId: Uint8Array, content: Uint8Array): Promise<string> {
  const metadata = staticMetadata(swarmId, 'sha1', 1_024);
  const format = wireFormatOf(metadata, ['pyppspp']);
  const everything = { start: 0, end: Math.ceil(content.length / 1_024) - 1 };
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  let theirs = 0;
  socket.on('message', (datagram, { port, address }) => {
    const say = (...messages: Message[]) =>
      socket.send(encodeDatagram(theirs, messages, format), port, address);
    for (const message of decodeDatagram(datagram, format).messages) {
      if (message.type === 'HANDSHAKE') {
        theirs = message.channel;
        const options = { ...ownOptions(metadata, 'pyppspp', 'responder'), peerUuid: new Uint8Array(16) };
        say({ type: 'HANDSHAKE', channel: 7, options }, { type: 'HAVE', range: everything });
      }
      if (message.type !== 'REQUEST') continue;
      for (let chunk = message.range.start; chunk <= message.range.end; chunk += 1)
        say({
          type: 'DATA',
          chunk,
          timestampUs: 1,
          bytes: content.subarray(chunk * 1_024, (chunk + 1) * 1_024),
        });
    }
  });
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve));
  return `127.0.0.1:${socket.address().port}`;
}

t.test('what nobody can prove is taken only if that is asked for, and only if it is the file', async t => {
  const root = Buffer.from(ID, 'hex');
  const spoilt = CONTENT.slice();
  spoilt[5_000]! ^= 1;
  const [honest, lying] = [await unproven(t, root, CONTENT), await unproven(t, root, spoilt)];
  const out = join(await tempFolder(t), 'out');
  const ask = (...more: string[]) =>
    spawnCommand(t, 'tsp-peer', ['swarm', 'get', ID, '-o', out, '--dialect', 'pyppspp', ...more]);
  const refused = await ask('--peer', honest);
  t.equal(await refused.exitCode(), 2);
  t.match(refused.stderr, /--allow-unverified/);
  const allowed = ['--allow-unverified', '--size', `${CONTENT.length}`];
  const cheated = await ask('--peer', lying, ...allowed);
  t.equal(await cheated.exitCode(), 69);
  t.match(cheated.stderr, /what came is not the file, from 127/);
  t.notOk(existsSync(out) || existsSync(`${out}.part`), 'nothing of it stays');
  const taken = await ask('--peer', honest, ...allowed);
  t.equal(await taken.exitCode(), 0);
  t.ok(Buffer.compare(readFileSync(out), CONTENT) === 0, 'byte by byte');
});
