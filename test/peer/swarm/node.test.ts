/** A swarm node on real sockets: songs offered to who comes, read in order while they come, beside other hosts, with few slots. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import t from 'tap';
import { UploadSlots } from '../../../peer/hosting/slots.js';
import type { Asked } from '../../../peer/swarm/asked-host.js';
import { JoinedSwarm } from '../../../peer/swarm/joined-swarm.js';
import type { ChunkStore, JoinOptions } from '../../../peer/swarm/joining.js';
import type { OfferedContent } from '../../../peer/swarm/offered-content.js';
import { ServedNeighbours } from '../../../peer/swarm/served-neighbours.js';
import { staticMetadata, staticSwarm } from '../../../peer/swarm/static-swarm.js';
import { SwarmNode, type SwarmNodeOptions } from '../../../peer/swarm/swarm-node.js';
import { Tally } from '../../../peer/swarm/tally.js';
import { TcpWire } from '../../../peer/swarm/tcp-wire.js';
import { UdpWire } from '../../../peer/swarm/udp-wire.js';
import { toHex } from '../../../protocol/bytes.js';
import { MerkleTree, PIECE_BYTES, PIECE_LEVEL } from '../../../protocol/merkle.js';
import type { Channel } from '../../../protocol/ppspp/channel.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { NO_CHANNEL } from '../../../protocol/ppspp/constants.js';
import {
  type EndpointEvent,
  MAX_INCOMING_PER_ADDRESS,
  type Outgoing,
} from '../../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../../protocol/ppspp/gate.js';
import { ownOptions, wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { HashTree } from '../../../protocol/ppspp/hash-tree.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { Chance } from '../../simulation/chance.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { FORMAT, scripted } from '../../support/swarm-pair.js';
import { type Teardown, until } from '../../support/until.js';

const CONTENT = new Chance(7).bytes(300_001);
const DIGEST = new MerkleTree().update(CONTENT).digest();

const offer = (more: Partial<OfferedContent> = {}): OfferedContent => ({
  swarmId: DIGEST.root,
  size: CONTENT.length,
  nodes: DIGEST.nodes(PIECE_LEVEL),
  read: async (offset, length) => CONTENT.subarray(offset, offset + length),
  ...more,
});

async function nodeFor(
  t: Teardown,
  options: Partial<SwarmNodeOptions> = {},
): Promise<{ node: SwarmNode; at: PeerAddress; logger: RecordingLogger }> {
  const logger = new RecordingLogger();
  const node = new SwarmNode({ clock: patientClock, logger, randomBytes, wire: new UdpWire(), ...options });
  const at = await node.start({ host: '127.0.0.1', port: 0 });
  t.teardown(() => node.stop());
  return { node, at, logger };
}

const giving = (content: OfferedContent) => (id: string) => (id === toHex(DIGEST.root) ? content : undefined);

function listen(node: SwarmNode, peers: readonly PeerAddress[], more: Partial<JoinOptions> = {}) {
  const chunks = new Map<number, Uint8Array>();
  const store: ChunkStore = {
    isFull: false,
    read: chunk => chunks.get(chunk),
    write: (first, run) => {
      for (const [i, bytes] of run.entries()) chunks.set(first + i, Uint8Array.from(bytes));
    },
  };
  const metadata = staticMetadata(DIGEST.root, 'sha256', 1_024);
  const tree = new HashTree({ root: DIGEST.root, size: CONTENT.length });
  const swarm = staticSwarm({ metadata, tree, have: new ChunkSet(), source: store });
  return node.join({ swarm, store, peers, ...more });
}

async function all(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  return Buffer.concat(pieces);
}

t.test('a chunk is given when all who are there have it, or when it is not here', async t => {
  const host = await nodeFor(t);
  const { node } = await nodeFor(t);
  const source = listen(host.node, []);
  const listener = listen(node, [host.at]);
  await until('it is there', () => source.peers > 0 && listener.peers > 0);
  t.ok(source.isGiven(-1), 'of a stream that ended before anything came');
  t.ok(source.isGiven(5));
  source.swarm.have.add({ start: 0, end: 5 });
  t.notOk(source.isGiven(5));
});

t.test('a song is given to who comes for it, and read in order', async t => {
  const host = await nodeFor(t, { offered: giving(offer()) });
  const { node } = await nodeFor(t);
  const joined = listen(node, [host.at]);
  t.ok((await all(joined.read())).equals(CONTENT), 'from the beginning');
  t.ok(
    (await all(joined.read({ fromByte: 70_001 }))).equals(CONTENT.subarray(70_001)),
    'from within a chunk',
  );
  t.same(joined.sources, [{ host: `127.0.0.1:${host.at.port}`, bytes: CONTENT.length }]);
});

t.test('who reads from the middle, and not far ahead, gets no more than that', async t => {
  const host = await nodeFor(t, { offered: giving(offer()) });
  const { node } = await nodeFor(t);
  const joined = listen(node, [host.at]);
  const reader = joined.read({ fromByte: 100 * 1_024, aheadBytes: 32 * 1_024 });
  const { value } = await reader.next();
  t.ok(Buffer.from(value!).equals(CONTENT.subarray(100 * 1_024, 100 * 1_024 + value!.length)));
  await until('all that is ahead is here', () => joined.swarm.have.covers({ start: 100, end: 131 }));
  const [range, ...more] = joined.swarm.have.ranges;
  t.equal(range!.start, 100);
  t.ok(range!.end < 132 + 64, 'no further than a piece beyond');
  t.same(more, []);
  await reader.return();
});

t.test('less than what a reader waits for is never its distance ahead', async t => {
  const host = await nodeFor(t, { offered: giving(offer()) });
  for (const distances of [{ bufferBytes: 64 * 1_024, aheadBytes: 32 * 1_024 }, { aheadBytes: 0 }]) {
    const { node } = await nodeFor(t);
    t.ok((await all(listen(node, [host.at]).read(distances))).equals(CONTENT), JSON.stringify(distances));
  }
});

t.test('what changed on disk is not given', async t => {
  const changed = CONTENT.slice();
  changed[200_000]! ^= 1;
  const read = async (offset: number, length: number) => changed.subarray(offset, offset + length);
  const host = await nodeFor(t, { offered: giving(offer({ read })) });
  const { node } = await nodeFor(t);
  const joined = listen(node, [host.at]);
  await until('it was noticed', () =>
    host.logger.messages('warn').some(message => /not given any more/.test(message)),
  );
  t.notOk(joined.swarm.have.has(Math.floor(200_000 / 1_024)));
  t.same(joined.failed, [], 'and nobody lied');
});

t.test('questions in any name for any song take nothing from a listener who is here', async t => {
  const opened: string[] = [];
  let goOn = (): void => {};
  const asked = new Promise<void>(resolve => {
    goOn = resolve;
  });
  const last = 4 * PIECE_BYTES;
  const read = async (offset: number, length: number) => {
    if (offset > 0 && offset < last) await asked;
    return CONTENT.subarray(offset, offset + length);
  };
  const host = await nodeFor(t, {
    offered: id => {
      opened.push(id);
      return offer({ swarmId: Buffer.from(id, 'hex'), read });
    },
  });
  const { node } = await nodeFor(t);
  const joined = listen(node, [host.at]);
  await until('it is there', () => joined.swarm.have.has(0));
  const stranger = createSocket('udp4');
  t.teardown(() => stranger.close());
  const format = wireFormatOf(joined.swarm.metadata, ['rfc7574']);
  for (let song = 0; song < 200; song += 1) {
    const swarmId = Buffer.alloc(32, song);
    const options = ownOptions({ ...joined.swarm.metadata, swarmId }, 'rfc7574', 'initiator');
    const hello = encodeDatagram(0, [{ type: 'HANDSHAKE', channel: 1 + song, options }], format);
    stranger.send(hello, host.at.port, host.at.address);
  }
  await until('they are asked for', () => opened.length >= 100);
  goOn();
  await until('everything comes', () => joined.isComplete);
  t.same(joined.failed, []);
  t.equal(opened.filter(id => id === toHex(DIGEST.root)).length, 1, 'its song stayed open');
});

t.test('one slot for two listeners: the second has its turn', async t => {
  const slots = new UploadSlots(1);
  const host = await nodeFor(t, { offered: giving(offer()), slots });
  const [a, b] = [await nodeFor(t), await nodeFor(t)];
  const first = listen(a.node, [host.at], { serves: false });
  await until('the first is served', () => first.isComplete);
  t.equal(slots.used, 1);
  const second = listen(b.node, [host.at]);
  await until('the second waits', () => second.peers > 0);
  t.ok(second.swarm.have.isEmpty);
  a.node.leave(first);
  await until('the second is served', () => second.isComplete);
});

t.test('who leaves a swarm has its slots back', async t => {
  const slots = new UploadSlots(1);
  const [host, { node }] = [await nodeFor(t), await nodeFor(t)];
  const source = listen(host.node, [], { slots });
  source.swarm.have.add({ start: 0, end: 5 });
  listen(node, [host.at]);
  await until('somebody is served', () => slots.used === 1);
  host.node.leave(source);
  t.equal(slots.used, 0);
});

t.test('who asks and falls silent gives its slot to others, until it is heard again', async t => {
  const slots = new UploadSlots(1);
  const served = new ServedNeighbours(slots);
  const [gone, here] = [scripted(['rfc7574']), scripted(['rfc7574'])];
  const request = { type: 'REQUEST', range: { start: 0, end: 9 } } as const;
  for (const { channel, answer, say } of [gone, here]) {
    answer('rfc7574', 0);
    say([request], 0);
    served.asked(channel, { address: '192.0.2.1', port: channel.channel }, 0);
  }
  const isChoked = () => [gone.channel.isChoking, here.channel.isChoking];
  const goOn = (fromMs: number, toMs: number, talking: readonly (typeof gone)[]) => {
    for (let now = fromMs; now <= toMs; now += 500) {
      for (const { say } of talking) say([request], now);
      served.look(now);
    }
  };
  goOn(500, 9_500, [here]);
  t.same(isChoked(), [false, true]);
  goOn(10_000, 20_000, [here]);
  t.same(isChoked(), [true, false]);
  served.left(here.channel);
  goOn(20_500, 21_000, []);
  t.equal(slots.used, 0);
  goOn(21_500, 22_000, [gone]);
  t.same([isChoked()[0], slots.used], [false, 1]);
});

t.test('whoever is sent the song over a connection needs no second slot', async t => {
  const slots = new UploadSlots(1);
  const song = toHex(DIGEST.root) as ContentHash;
  t.ok(slots.take(0, { to: '127.0.0.1', song, way: 'connection' }));
  const host = await nodeFor(t, { offered: giving(offer()), slots });
  const { node } = await nodeFor(t);
  const joined = listen(node, [host.at]);
  await until('it is served', () => joined.isComplete);
  t.equal(slots.used, 1);
});

t.test('two that dial each other over TCP keep one channel', async t => {
  let farewells = 0;
  class WatchedWire extends TcpWire {
    override send(outgoing: Outgoing): void {
      const [message] = decodeDatagram(outgoing.datagram, FORMAT).messages;
      if (message?.type === 'HANDSHAKE' && message.channel === NO_CHANNEL) farewells += 1;
      super.send(outgoing);
    }
  }
  const over = () => nodeFor(t, { wire: new WatchedWire(patientClock) });
  const [a, b] = [await over(), await over()];
  const both = [listen(a.node, [b.at]), listen(b.node, [a.at])];
  await until('one hangs up', () => farewells === 1 && both.every(({ peers }) => peers === 1));
});

t.test('frames over TCP lie in memory that is used again, and not before they have left', async t => {
  const [from, to] = [new TcpWire(patientClock), new TcpWire(patientClock)];
  const heard: Buffer[] = [];
  const at = await to.start(
    { host: '127.0.0.1', port: 0 },
    datagram => heard.push(Buffer.from(datagram)),
    () => {},
  );
  await from.start(
    { host: '127.0.0.1', port: 0 },
    () => {},
    () => {},
  );
  t.teardown(() => Promise.all([from.stop(), to.stop()]));
  const memory = new Set<ArrayBufferLike>();
  for (let sent = 0; sent < 300; ) {
    // More than the kernel takes at once, so that some of it waits while the rest is packed.
    for (const end = sent + 100; sent < end; sent += 1) {
      const datagram = from.allocate(60_000).fill(sent % 251);
      datagram.writeUInt32BE(NO_CHANNEL);
      memory.add(datagram.buffer);
      from.send({ to: at, datagram });
    }
    await until('they are there', () => heard.length === sent);
  }
  t.ok(heard.every((frame, i) => frame.subarray(4).equals(Buffer.alloc(60_000 - 4, i % 251))));
  t.ok(memory.size < 300);
});

t.test('one address has some of the connections over TCP, and not all', async t => {
  const { at } = await nodeFor(t, { wire: new TcpWire(patientClock) });
  const crowd = Array.from({ length: 2 * MAX_INCOMING_PER_ADDRESS }, () => {
    const socket = connect(at.port, at.address);
    socket.on('error', () => {}).write(Buffer.of(0, 0, 0, 4, 0, 0, 0, 0));
    return socket;
  });
  t.teardown(() => {
    for (const socket of crowd) socket.destroy();
  });
  const left = () => crowd.filter(({ closed }) => closed).length;
  for (const socket of crowd) socket.resume();
  await until('the others are turned away', () => left() >= MAX_INCOMING_PER_ADDRESS);
  t.ok(left() < crowd.length);
});

t.test('a node that stops while it dials over TCP stops', async t => {
  const { node, at } = await nodeFor(t, { wire: new TcpWire(patientClock) });
  await node.stop();
  const { node: dialling } = await nodeFor(t, { wire: new TcpWire(patientClock) });
  const joined = listen(dialling, [at]);
  await joined.changed();
  await t.resolves(dialling.stop());
});

t.test(
  'whom we dialled and who came in over a connection are one, and dialled when that is over',
  async t => {
    const there = { address: '192.0.2.1', port: 6_778 };
    const { swarm, channel: call } = scripted(['rfc7574']);
    const { channel: came } = scripted(['rfc7574']);
    const home = { now: () => 0, stir: () => {}, turned: async () => {} };
    const joined = new JoinedSwarm({ swarm, peers: [there] }, home);
    const dialled = (now: number): PeerAddress[] => {
      const all: PeerAddress[] = [];
      joined.drive(now, to => all.push(to) > 0);
      return all;
    };
    const heed = (channel: Channel, isIncoming: boolean, from: PeerAddress, event: EndpointEvent['event']) =>
      joined.heed({ channel, isIncoming, from, event }, 0);
    t.same(dialled(0), [there]);
    const open = { kind: 'open', dialect: 'rfc7574' } as const;
    const ended = { kind: 'ended', why: 'closed' } as const;
    heed(came, true, { ...there, port: 50_000 }, open);
    heed(call, false, there, open);
    t.equal(joined.peers, 2);
    heed(came, true, there, { kind: 'located' });
    heed(call, false, there, ended);
    t.equal(joined.peers, 1);
    t.same(dialled(1e6), []);
    heed(came, true, there, ended);
    t.same(dialled(1e6), [there]);
  },
);

t.test('another way to the content takes part, and is checked piece by piece', async t => {
  const host = await nodeFor(t, { offered: giving(offer()) });
  const { node } = await nodeFor(t);
  const joined = listen(node, []);
  const last = CONTENT.subarray(4 * PIECE_BYTES);
  t.notOk(joined.proveLevel(DIGEST.nodes(PIECE_LEVEL), last.subarray(1)));
  t.ok(joined.proveLevel(DIGEST.nodes(PIECE_LEVEL), last));
  const asked: { start: number; end: number }[] = [];
  const peerHas = new ChunkSet();
  peerHas.add({ start: 0, end: 127 });
  const wanted = new ChunkSet();
  const ranged: Asked = {
    peerHas,
    get wanted() {
      return wanted.ranges;
    },
    mayRequest: true,
    request: range => {
      asked.push(range);
      return wanted.add(range);
    },
    cancel: range => wanted.delete(range),
  };
  joined.addHost(ranged, 'other:7461');
  await until('it is asked', () => asked.length > 0);
  t.equal(asked[0]!.start, 0);
  t.notOk(joined.deliver(ranged, 0, CONTENT.subarray(1, PIECE_BYTES + 1)), 'a lie');
  t.ok(joined.deliver(ranged, 0, CONTENT.subarray(0, PIECE_BYTES)));
  wanted.delete({ start: 0, end: 63 });
  joined.addPeers([host.at]);
  joined.removeHost(ranged, 'went away');
  await until('the rest comes from the swarm', () => joined.isComplete);
  t.ok((await all(joined.read())).equals(CONTENT));
  t.match(joined.sources, [
    { bytes: CONTENT.length - PIECE_BYTES },
    { host: 'other:7461', bytes: PIECE_BYTES },
  ]);
  t.same(joined.failed, [{ host: 'other:7461', why: 'went away' }]);
});

t.test('of those who came and failed so many are remembered, the latest', async t => {
  const tally = new Tally();
  for (let port = 1; port <= 5_000; port += 1) tally.gone(`192.0.2.1:${port}`, 'has fallen silent', false);
  t.equal(tally.failed.length, 1_000);
  t.equal(tally.failed.at(-1)?.host, '192.0.2.1:5000');
});

t.test('who gave something, and left, is not one who never answered', async t => {
  const tally = new Tally();
  t.equal(tally.nobody(), 'no peer answers');
  tally.came('192.0.2.1:6778', 1_024);
  t.equal(tally.nobody(), 'no peer is left');
  tally.gone('192.0.2.1:6778', 'has fallen silent', false);
  t.equal(tally.nobody(), 'no peer is left: 192.0.2.1:6778 has fallen silent');
});
