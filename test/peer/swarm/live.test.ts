/** `tsp-peer swarm seed|get --live`, as real processes: listeners in a chain, a relay that lies, a source that comes back. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { liveSwarm } from '../../../peer/swarm/live-swarm.js';
import { SwarmNode } from '../../../peer/swarm/swarm-node.js';
import { UdpWire } from '../../../peer/swarm/udp-wire.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { ECDSA_P256 } from '../../../protocol/ppspp/constants.js';
import { LiveSource } from '../../../protocol/ppspp/live-source.js';
import { liveSwarmId } from '../../../protocol/ppspp/signatures.js';
import { systemClock } from '../../../src/clock.js';
import { Chance } from '../../simulation/chance.js';
import { freePort } from '../../support/free-port.js';
import { noTerminal, openTerminal } from '../../support/pty.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { type RunningCommand, spawnCommand } from '../../support/spawn-command.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';

// They wait for peers that are gone to be given up, which takes no work.
t.jobs = 3;

/** Signed at once: 32 chunks. */
const BLOCK = 32 * 1_024;

/** A source that is fed by hand. */
async function source(t: Teardown, home: string, listenPort = 0, ...more: string[]) {
  const words = ['swarm', 'seed', '--live', '--listen', `127.0.0.1:${listenPort}`, ...more];
  const command = await spawnCommand(t, 'tsp-peer', words, { home });
  const { port } = await command.ready();
  const give = (bytes: Uint8Array): boolean => command.child.stdin.write(bytes);
  return { command, id: command.lines[0]!.split(' ')[0]!, give, peer: `127.0.0.1:${port}` };
}

/** One that listens to these peers alone. */
async function listener(t: Teardown, id: string, peers: readonly string[], ...more: string[]) {
  const port = await freePort('udp');
  const named = peers.flatMap(peer => ['--peer', peer]);
  const here = ['--listen', `127.0.0.1:${port}`, '--max-peers', `${peers.length}`];
  const words = ['swarm', 'get', '--live', id, ...named, ...here, ...more];
  const command = await spawnCommand(t, 'tsp-peer', words);
  return { command, peer: `127.0.0.1:${port}` };
}

const udpNode = (): SwarmNode =>
  new SwarmNode({
    clock: systemClock,
    logger: new RecordingLogger(),
    randomBytes,
    wire: new UdpWire(),
  });

const heard = (command: RunningCommand, bytes: number): Promise<true> =>
  until(
    () => `${bytes} bytes, and not ${command.bytes.length}: ${command.stderr}`,
    () => command.bytes.length >= bytes,
  );

/** Gives what chance makes of this seed, and keeps it. */
function streamTo(give: (bytes: Uint8Array) => unknown, seed: number) {
  const chance = new Chance(seed);
  const all: Uint8Array[] = [];
  const giveNext = (length: number): void => {
    all.push(chance.bytes(length));
    give(all.at(-1)!);
  };
  return { giveNext, given: () => Buffer.concat(all) };
}

/** Each listener begins where the stream is then, and only what is new tells where that is: so it flows until this one has. */
const flows = (giveNext: (length: number) => void, last: RunningCommand): Promise<true> =>
  until('the last one hears it', () => {
    giveNext(1_024);
    return last.bytes.length >= BLOCK;
  });

const isTailOf = (tail: Uint8Array, whole: Uint8Array): boolean =>
  tail.length <= whole.length && Buffer.compare(tail, whole.subarray(whole.length - tail.length)) === 0;

t.test('a chain of three, from where the stream is to its end', async t => {
  const { command, id, give, peer } = await source(t, await tempFolder(t));
  const { giveNext, given } = streamTo(give, 1);
  giveNext(2 * BLOCK);
  const first = await listener(t, id, [peer]);
  const second = await listener(t, id, [first.peer]);
  const third = await listener(t, id, [second.peer]);
  await flows(giveNext, third.command);
  for (let blocks = 1; blocks <= 8; blocks += 1) {
    const before = third.command.bytes.length;
    giveNext(BLOCK);
    await heard(third.command, before + 1);
  }
  const leaving = (await listener(t, id, [peer])).command;
  await flows(giveNext, leaving);
  leaving.kill('SIGINT');
  t.equal(await leaving.exitCode(), 130);
  t.match(leaving.stderr, /^\d.* kB in .* 100 % 127.* all verified$/m, 'who leaves is told what came, too');
  giveNext(5_000);
  command.endInput();
  const content = given();
  for (const { command: listening } of [first, second, third]) {
    t.equal(await listening.exitCode(), 0, 'a listener ends well');
    t.ok(isTailOf(listening.bytes, content), `${listening.bytes.length} bytes, to the end`);
    t.ok(listening.bytes.length >= 8 * BLOCK);
  }
  t.equal(await command.exitCode(), 0, 'and so does the source');
  t.match(third.command.stderr, `100 % ${second.peer}`, 'from the one before it alone');
});

t.test('a source and a chain of two, in the words of libswift', async t => {
  const way = ['--dialect', 'draft10'];
  const { command, id, give, peer } = await source(t, await tempFolder(t), 0, ...way);
  const { giveNext, given } = streamTo(give, 5);
  giveNext(2 * BLOCK);
  const first = await listener(t, id, [peer], ...way);
  const second = await listener(t, id, [first.peer], ...way);
  await flows(giveNext, second.command);
  giveNext(4 * BLOCK + 100);
  command.endInput();
  const content = given();
  for (const { command: listening } of [first, second]) {
    t.equal(await listening.exitCode(), 0, listening.stderr);
    t.ok(isTailOf(listening.bytes, content), `${listening.bytes.length} bytes, to the end`);
  }
});

t.test('over TCP', async t => {
  const { command, id, give, peer } = await source(t, await tempFolder(t), 0, '--tcp');
  const { giveNext, given } = streamTo(give, 6);
  giveNext(2 * BLOCK);
  const listening = await spawnCommand(t, 'tsp-peer', [
    'swarm',
    'get',
    '--live',
    id,
    '--peer',
    peer,
    '--tcp',
  ]);
  await flows(giveNext, listening);
  giveNext(2 * BLOCK + 100);
  command.endInput();
  t.equal(await listening.exitCode(), 0, listening.stderr);
  const content = given();
  t.ok(isTailOf(listening.bytes, content), `${listening.bytes.length} bytes, to the end`);
});

t.test('who waits while a full source has no place for it says so, and when it has one', async t => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const id = liveSwarmId(ECDSA_P256, key);
  const { swarm, integrity, store } = liveSwarm(id, { chunkBytes: 1_024, dialects: ['rfc7574'] });
  const made = new LiveSource({ integrity, key, have: swarm.have });
  const port = await freePort('udp');
  const words = ['--live', Buffer.from(id).toString('hex'), '--listen', `127.0.0.1:${port}`];
  const waiting = await spawnCommand(t, 'tsp-peer', ['swarm', 'get', ...words]);
  const node = udpNode();
  let isFull = true;
  const slots = { take: () => !isFull, release: () => {} };
  node.join({ swarm, slots, peers: [{ address: '127.0.0.1', port }] });
  await node.start({ host: '127.0.0.1', port: 0 });
  t.teardown(() => node.stop());
  const giveNext = (): void => {
    const bytes = new Uint8Array(1_024);
    store.write(made.next, [bytes]);
    made.add(bytes, Date.now());
    node.wake();
  };
  await until('it says what it waits for', () => {
    giveNext();
    return /no peer has a place for more: waiting for one that has\.\n/.test(waiting.stderr);
  });
  isFull = false;
  await flows(giveNext, waiting);
  await waiting.complains(/has\.\n.*limit.*\ntsp-peer: a peer is there\.\n/s);
});

t.test('a relay that lies is named and dropped', async t => {
  const content = new Chance(2).bytes(8 * BLOCK);
  const { command, id, give, peer } = await source(t, await tempFolder(t));
  give(content.subarray(0, BLOCK));
  const node = udpNode();
  const live = liveSwarm(Buffer.from(id, 'hex'), { chunkBytes: 1_024, dialects: ['rfc7574'] });
  let lies = 0;
  const read = (chunk: number) => {
    const bytes = live.store.read(chunk);
    if (bytes !== undefined) lies += 1;
    return bytes?.map(byte => byte ^ 1);
  };
  const { port } = await node.start({ host: '127.0.0.1', port: 0 });
  t.teardown(() => node.stop());
  const [address, sourcePort] = peer.split(':') as [string, string];
  const relay = node.join({
    swarm: { ...live.swarm, source: { read } },
    store: live.store,
    peers: [{ address, port: Number(sourcePort) }],
  });
  await until('the relay has chunks', () => relay.swarm.have.size >= 32);
  // Both have it, and the source would likely be asked first: so it is silent until the relay was.
  command.kill('SIGSTOP');
  const listening = await listener(t, id, [`127.0.0.1:${port}`, peer]);
  const liar = `tsp-peer: 127.0.0.1:${port} sent what is not in the file: it is left alone.`;
  await until('the relay is named, at once', () => listening.command.stderr.includes(liar));
  command.kill('SIGCONT');
  await heard(listening.command, BLOCK);
  for (let at = BLOCK; at < content.length; at += BLOCK) {
    give(content.subarray(at, at + BLOCK));
    await heard(listening.command, at - BLOCK);
    await until('the relay has them too', () => relay.swarm.have.size >= at / 1_024);
  }
  command.endInput();
  t.equal(await listening.command.exitCode(), 0, 'it ends well');
  t.ok(isTailOf(listening.command.bytes, content), 'nothing of it is false');
  t.equal(listening.command.stderr.split(liar).length, 2, 'once');
  t.ok(lies >= 3, 'a flipped bit alone is no lie');
});

t.test('a source that is killed goes on with its key, under numbers that it never used', async t => {
  const home = await tempFolder(t);
  const port = await freePort('udp');
  const before = new Chance(3).bytes(4 * BLOCK);
  const after = new Chance(4).bytes(3 * BLOCK + 1);
  const killed = await source(t, home, port);
  killed.give(before);
  const listening = await listener(t, killed.id, [killed.peer]);
  await heard(listening.command, BLOCK);
  killed.command.kill('SIGKILL');
  await killed.command.exited;
  const [key] = readdirSync(home, { recursive: true, encoding: 'utf8' }).filter(path =>
    path.endsWith('live-key.pem'),
  );
  const keyMode = () => statSync(join(home, key!)).mode & 0o777;
  t.equal(keyMode(), 0o600);
  chmodSync(join(home, key!), 0o644);
  const again = await source(t, home, port);
  t.equal(again.id, killed.id);
  t.equal(keyMode(), 0o600, 'a copy that others can read is closed to them');
  again.give(after);
  await until('it goes on', () => isTailOf(after.subarray(0, 3 * BLOCK), listening.command.bytes));
  again.command.endInput();
  t.equal(await listening.command.exitCode(), 0, 'it ends well');
  const { bytes, stderr } = listening.command;
  t.match(stderr, /the stream goes on further on: nobody has what may have been between/);
  t.notMatch(stderr, /left out/, 'no bytes that never were are missing');
  t.ok(isTailOf(after, bytes), 'all of what came then');
  t.ok(isTailOf(bytes.subarray(0, bytes.length - after.length), before), 'after the end of what came before');
});

t.test('a source whose numbers are lost begins at 0 again, and says so', async t => {
  const data = await tempFolder(t);
  const lost = /live-next.*begins at chunk 0 again/;
  for (const isLost of [false, false, true]) {
    if (isLost) rmSync(join(data, 'live-next'));
    const { command } = await source(t, data, 0, '--data', data);
    command.endInput();
    t.equal(await command.exitCode(), 0);
    t.equal(lost.test(command.stderr), isLost, command.stderr);
  }
});

t.test('one source at a time has a key', async t => {
  const home = await tempFolder(t);
  const { command } = await source(t, home);
  const words = ['swarm', 'seed', '--live', '--listen', '127.0.0.1:0', '--json'];
  const second = await spawnCommand(t, 'tsp-peer', words, { home });
  t.equal(await second.exitCode(), 69);
  t.match(second.stderr, `"code":"in-use","message":"Process ${command.pid} gives the stream of ${home}`);
  await command.end();
  const left = readdirSync(home, { recursive: true, encoding: 'utf8' });
  t.notOk(
    left.some(path => path.includes('lock')),
    'it is free again',
  );
});

t.test('a key that cannot be read is named, not the folder in which it lies', async t => {
  const data = await tempFolder(t);
  const key = join(data, 'live-key.pem');
  symlinkSync(key, key);
  const words = ['swarm', 'seed', '--live', '--listen', '127.0.0.1:0', '--data', data];
  const command = await spawnCommand(t, 'tsp-peer', words);
  t.equal(await command.exitCode(), 1);
  t.ok(command.stderr.startsWith(`tsp-peer: ${key}: `), command.stderr);
});

t.test('what somebody has and nobody gives is left out, and counted', async t => {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const id = liveSwarmId(ECDSA_P256, key);
  const { swarm, integrity, store } = liveSwarm(id, { chunkBytes: 1_024, dialects: ['rfc7574'] });
  const withheld = { start: 64, end: 69 };
  const read = (chunk: number) => (chunk < withheld.start ? store.read(chunk) : undefined);
  const others = new ChunkSet();
  const nodes = [
    { ...swarm, source: { read } },
    { ...swarm, have: others },
  ].map(given => {
    const node = udpNode();
    node.join({ swarm: given });
    t.teardown(() => node.stop());
    return node;
  });
  const peers: string[] = [];
  for (const node of nodes)
    peers.push(`127.0.0.1:${(await node.start({ host: '127.0.0.1', port: 0 })).port}`);
  const content = new Chance(5).bytes(4 * BLOCK);
  const made = new LiveSource({ integrity, key, have: swarm.have });
  const give = (blocks: number): void => {
    for (const end = made.next + 32 * blocks; made.next < end; ) {
      const bytes = content.subarray(1_024 * made.next, 1_024 * (made.next + 1));
      store.write(made.next, [bytes]);
      made.add(bytes, Date.now());
    }
    for (const range of swarm.have.ranges) others.add(range);
    others.delete(withheld);
    for (const node of nodes) node.wake();
  };
  give(1);
  const { command } = await listener(t, Buffer.from(id).toString('hex'), peers);
  await heard(command, BLOCK);
  give(3);
  await command.complains(/nobody gave 6144 bytes in time: they are left out\.\n/);
  await heard(command, 4 * BLOCK - 6_144);
  const whole = [content.subarray(0, 1_024 * withheld.start), content.subarray(1_024 * (withheld.end + 1))];
  t.ok(command.bytes.equals(Buffer.concat(whole)));
});

t.test(
  'a terminal is shown how far it is, and no bytes that nobody asked for',
  { skip: noTerminal },
  async t => {
    const nobody = ['swarm', 'get', '--live', `0d${'ab'.repeat(64)}20`, '--peer', '127.0.0.1:9'];
    const careless = await openTerminal(t, 'tsp-peer', nobody);
    await careless.shows(/nothing to read on a terminal/);
    t.equal(await careless.exitCode(), 2);
    const id = (await source(t, await tempFolder(t))).id;
    const waiting = await openTerminal(t, 'tsp-peer', [...nobody.with(3, id), '-o', '-']);
    await waiting.shows(new RegExp(`${id.slice(0, 8)}….*waiting for a peer`));
    waiting.type('\x03');
    t.equal(await waiting.exitCode(), 130);
  },
);

t.test('wrong use is told', async t => {
  const run = async (...words: string[]) => {
    const command = await spawnCommand(t, 'tsp-peer', ['swarm', ...words]);
    return { code: await command.exitCode(), stderr: command.stderr };
  };
  t.match(await run('get', '--live', 'ab'.repeat(32), '--peer', '127.0.0.1:9'), {
    code: 2,
    stderr: /no live swarm/,
  });
  t.match(await run('seed', '--live', 'file'), { code: 2, stderr: /takes no file/ });
  t.match(await run('hash', '--live'), { code: 2, stderr: /no command swarm hash --live/ });
  t.match(await run('seed'), { code: 2, stderr: /wants a file/ });
});
