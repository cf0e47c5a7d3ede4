/** Many channels behind one socket: who is let in, who is told of whom, over datagrams and over a stream. */
import t from 'tap';
import { encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { Endpoint, MAX_CHANNELS, MAX_INCOMING_PER_ADDRESS } from '../../../protocol/ppspp/endpoint.js';
import { addressText } from '../../../protocol/ppspp/gate.js';
import { ownOptions } from '../../../protocol/ppspp/handshake.js';
import {
  decodePeer,
  EXCHANGED_WITHIN_MS,
  encodePeer,
  MAX_PEERS_TOLD,
  maySpeakOf,
  peersToTell,
} from '../../../protocol/ppspp/peer-exchange.js';
import { Chance } from '../../simulation/chance.js';
import { CONTENT, EVERYTHING, FORMAT, METADATA, pair } from '../../support/swarm-pair.js';
import type { Link } from '../../support/virtual-link.js';
import { type VirtualPeer, VirtualSwarm } from '../../support/virtual-swarm.js';

t.test('closing is said, and heard', async t => {
  const { net, source, reader, channel } = pair();
  channel.close();
  channel.close();
  t.equal(channel.state, 'ended');
  net.run(200);
  t.same(source.events.at(-1), { kind: 'ended', why: 'closed' });
  t.same([source.endpoint.channels, reader.endpoint.channels], [0, 0]);
  channel.unchoke();
  reader.flush();
  t.same([source.endpoint.channels, reader.endpoint.channels], [0, 0]);
  const again = pair();
  again.source.endpoint.leave(again.source.swarm);
  again.net.run(300);
  t.same(again.reader.events.at(-1), { kind: 'ended', why: 'closed' });
  t.equal(again.source.endpoint.channels, 0);
});

t.test('peers are told of when they are asked for', async t => {
  const { net, source, reader, channel, back, types } = pair();
  const third = net.peer({ metadata: METADATA, isIdle: true });
  third.dial(source);
  net.run(200);
  const peers = [
    { address: '10.0.0.9', port: 6_778 },
    { address: '127.0.0.1', port: 6_778 },
    { address: '2001:db8::9', port: 6_779 },
  ];
  back.tell(peers);
  net.run(300);
  const met = () => reader.events.flatMap(event => (event.kind === 'peer' ? [event.peer] : []));
  t.same(met(), [], 'not when not');
  channel.askForPeers();
  channel.askForPeers();
  net.run(400);
  t.same(met(), [third.address]);
  t.equal(types('source').filter(type => type === 'PEX_RESv4').length, 2 + 1, 'once a second at most');
  back.tell(peers);
  net.run(500);
  t.same(met(), [third.address, peers[0], peers[2]], 'nobody far tells us of ourselves');
  t.same(source.endpoint.addressOf(back), reader.address);
});

t.test('who is told of itself finds out, once', async t => {
  const { net, source, reader } = pair();
  const self = reader.dial(reader);
  net.run(300);
  t.equal(self.state, 'ended');
  t.same(reader.events.at(-1), { kind: 'ended', why: 'closed' });
  t.equal(reader.endpoint.channels, 1, 'the other stays');
  t.equal(reader.endpoint.dial(reader.swarm, reader.address, net.now), undefined, 'and not again');
  source.channels[0]!.tell([reader.address]);
  reader.channels[0]!.askForPeers();
  net.run(400);
  t.notOk(
    reader.events.some(event => event.kind === 'peer'),
    'nor is it heard',
  );
});

/** Each has what the other lacks, and they dial each other with less than a round trip between. */
function callEachOther(seed: number, link: Link, isReliable: boolean) {
  const net = new VirtualSwarm(seed, { delayMs: 20, ...link });
  const [a, b] = [0, 20].map(first => {
    const peer = net.peer({ metadata: METADATA, content: CONTENT, isReliable });
    peer.swarm.have.delete({ start: first, end: first + 19 });
    for (let chunk = first; chunk < first + 20; chunk += 1) peer.chunks.delete(chunk);
    return peer;
  }) as [VirtualPeer, VirtualPeer];
  const calls = [a.dial(b)];
  net.run(net.chance.int(0, 50));
  calls.push(b.dial(a));
  const isDone = net.run(60_000, () => a.isComplete && b.isComplete);
  net.run(net.now + 1_000);
  const kept = calls.reduce((x, y) => (x.channel > y.channel ? x : y));
  const isExact = [a, b].every(({ content }) => Buffer.compare(content, CONTENT) === 0);
  return { net, a, b, kept, isDone: isDone && isExact };
}

t.test('two that call each other at once keep one channel, the same, and nothing asked is lost', async t => {
  for (let seed = 1; seed <= 24; seed += 1) {
    const loss = seed % 2 === 0 ? 0.2 : 0;
    const { a, b, kept, isDone } = callEachOther(seed, { reorderMs: 20, loss }, false);
    t.ok(isDone, `seed ${seed}: both have everything`);
    t.equal(kept.state, 'open', `seed ${seed}: the call under the greater number`);
    if (loss > 0) continue;
    t.same([a.endpoint.channels, b.endpoint.channels], [1, 1], `seed ${seed}: and it alone`);
    t.same([a.channels.length, b.channels.length], [1, 1], `seed ${seed}: as their engines know`);
  }
});

t.test('over streams too, and who was called learns where to find the other', async t => {
  for (let seed = 1; seed <= 24; seed += 1) {
    const { net, a, b, kept, isDone } = callEachOther(seed, {}, true);
    t.ok(isDone, `seed ${seed}: both have everything`);
    t.same([a.endpoint.channels, b.endpoint.channels], [1, 1], `seed ${seed}: one channel`);
    const [caller, called] = a.channels[0] === kept ? [a, b] : [b, a];
    t.same(
      [kept.state, caller.channels],
      ['open', [kept]],
      `seed ${seed}: the call under the greater number`,
    );
    const located = [caller, called].map(
      ({ events }) => events.filter(({ kind }) => kind === 'located').length,
    );
    t.same(located, [0, 1], `seed ${seed}: as their engines know`);
    const third = net.peer({ metadata: METADATA, isIdle: true, isReliable: true });
    const asks = third.dial(called);
    net.run(net.now + 200);
    asks.askForPeers();
    net.run(net.now + 200);
    t.match(third.events.at(-1), { kind: 'peer', peer: caller.address }, 'and others of it');
  }
});

t.test('over streams two peers at one address stay two', async t => {
  const chance = new Chance(1);
  const { swarm } = new VirtualSwarm(1).peer({ metadata: METADATA, content: CONTENT });
  const [a, b, c] = [1, 2, 3].map(() => {
    const random = (length: number) => chance.bytes(length);
    const endpoint = new Endpoint({ random, unixOffsetMs: 0, isReliable: true });
    endpoint.join(swarm);
    return endpoint;
  }) as [Endpoint, Endpoint, Endpoint];
  const at = (address: string, port: number) => ({ address, port });
  // Who sends where, who gets it, and from where: a is at 10.0.0.1, the two others at 10.0.0.2.
  const ways = [
    [a, at('10.0.0.2', 6_778), b, at('10.0.0.1', 50_001)],
    [b, at('10.0.0.1', 50_001), a, at('10.0.0.2', 6_778)],
    [c, at('10.0.0.1', 6_778), a, at('10.0.0.2', 40_000)],
    [a, at('10.0.0.2', 40_000), c, at('10.0.0.1', 6_778)],
    [b, at('10.0.0.1', 6_778), a, at('10.0.0.2', 40_001)],
    [a, at('10.0.0.2', 40_001), b, at('10.0.0.1', 6_778)],
  ] as const;
  const carry = (): void => {
    for (let round = 0; round < 8; round += 1)
      for (const end of [a, b, c])
        for (const { to, datagram } of end.transmit(0)) {
          const way = ways.find(([from, there]) => from === end && addressText(there) === addressText(to))!;
          way[2].receive(datagram, way[3], 0);
        }
  };
  a.dial(swarm, at('10.0.0.2', 6_778), 0);
  c.dial(swarm, at('10.0.0.1', 6_778), 0);
  carry();
  t.same([a.channels, b.channels, c.channels], [2, 1, 1]);
  b.dial(swarm, at('10.0.0.1', 6_778), 0);
  carry();
  t.same([a.channels, b.channels, c.channels], [2, 1, 1], 'and each has one channel');
});

t.test('who is refused by now is left on all its channels, without a word', async t => {
  const { net, source, reader, back } = pair();
  const opening = source.dial(reader);
  source.banned.add(reader.address.address);
  t.match(source.endpoint.shun(), [
    { channel: back, event: { kind: 'ended', why: 'closed' } },
    { channel: opening, event: { kind: 'ended', why: 'unanswered' } },
  ]);
  t.same(source.endpoint.shun(), []);
  t.same([source.endpoint.transmit(net.now), source.endpoint.channels], [[], 0]);
});

t.test('who may be told of whom', async t => {
  const at = (address: string, port = 1) => ({ address, port });
  const [here, home, public4, public6] = ['127.0.0.1', '192.168.1.2', '8.8.4.4', '2a00::1'] as const;
  for (const [of, peer, may] of [
    [here, here, true],
    [here, home, true],
    [home, here, false],
    [home, '10.1.1.1', true],
    [home, 'fd00::1', true],
    [home, public6, true],
    [public4, public6, false],
    [public4, home, false],
    [public4, 'fe80::1', false],
    ['fe80::1', home, false],
    [home, '224.0.0.1', false],
    [home, '0.0.0.0', false],
  ] as const)
    t.equal(maySpeakOf(at(of), at(peer)), may, `${of} of ${peer}`);
  t.notOk(maySpeakOf(at(home), at(home, 0)), 'nobody is at port 0');
  const known = Array.from({ length: 99 }, (_, i) => ({ ...at('10.0.0.1', i + 1), exchangedAt: 10 * i }));
  const told = peersToTell(at('10.0.0.1', 40), known, EXCHANGED_WITHIN_MS + 300);
  t.equal(told.length, MAX_PEERS_TOLD);
  t.equal(told[0]!.port, 32, 'none from longer ago');
  t.notOk(
    told.some(({ port }) => port === 40),
    'not of itself',
  );
  for (const peer of [at('192.0.2.1', 9), at('2001:db8::1', 9)]) t.same(decodePeer(encodePeer(peer)), peer);
});

t.test(
  'over a stream: nothing twice, no ACK, many chunks a frame, no more than there is room for',
  async t => {
    const { net, source, reader, channel, back, said, types } = pair({
      size: CONTENT.length,
      isReliable: true,
    });
    channel.request(EVERYTHING);
    net.run(5_000, () => reader.isComplete);
    t.ok(Buffer.compare(reader.content, CONTENT) === 0);
    const runs = reader.events.flatMap(event => (event.kind === 'chunks' ? [event.chunks.length] : []));
    t.equal(runs[0], 32, 'a frame is a whole subtree, and judged at once');
    t.notOk(types('reader').includes('ACK'));
    t.equal(types('source').filter(type => type === 'DATA').length, 40);
    const hashes = said.flatMap(({ message }) => (message.type === 'INTEGRITY' ? [message.range] : []));
    t.equal(new Set(hashes.map(({ start, end }) => `${start}-${end}`)).size, hashes.length, 'each hash once');
    const other = pair({ size: CONTENT.length, isReliable: true });
    other.source.endpoint.receive(
      encodeDatagram(other.back.channel, [{ type: 'REQUEST', range: EVERYTHING }], FORMAT),
      other.source.endpoint.addressOf(other.back)!,
      100,
    );
    t.ok(other.back.isReady && other.source.endpoint.isReady);
    const first = other.source.endpoint.transmit(100, 4_000);
    t.equal(first.length, 1);
    t.ok(first[0]!.datagram.length > 4_000 && first[0]!.datagram.length < 6_000);
    t.ok(other.source.endpoint.isReady, 'the rest waits');
    t.equal(back.state, 'open');
    t.same(source.endpoint.disconnected({ address: '10.0.0.77', port: 1 }), []);
    const from = source.endpoint.addressOf(back)!;
    t.match(source.endpoint.disconnected(from), [
      { channel: back, from, event: { kind: 'ended', why: 'closed' } },
    ]);
    back.choke();
    t.same(source.endpoint.transmit(net.now), [], 'nothing is said into a stream that is over');
    t.equal(source.endpoint.channels, 0);
  },
);

t.test('over a stream, who does not read what it is told is not answered', async t => {
  const { source } = pair({ isReliable: true });
  let room = 0;
  const chance = new Chance(1);
  const random = (length: number) => chance.bytes(length);
  const endpoint = new Endpoint({ random, unixOffsetMs: 0, isReliable: true, roomFor: () => room });
  endpoint.join(source.swarm);
  const options = ownOptions(METADATA, 'rfc7574', 'initiator');
  const hello = encodeDatagram(0, [{ type: 'HANDSHAKE', channel: 7, options }], FORMAT);
  endpoint.receive(hello, source.address, 0);
  t.same(endpoint.transmit(0), []);
  room = 1_000;
  endpoint.receive(hello, source.address, 0);
  t.equal(endpoint.transmit(0).length, 1, 'until there is room again');
});

t.test('an endpoint lets in so many, and dials so many', async t => {
  const net = new VirtualSwarm(1, { delayMs: 1 });
  const source = net.peer({ metadata: METADATA, content: CONTENT });
  const crowd = net.peer({ metadata: METADATA, isIdle: true });
  for (let i = 0; i < 40; i += 1) crowd.dial(source);
  for (let i = 1; i < 6; i += 1)
    net.run(i * 10_000, () => source.endpoint.channels >= MAX_INCOMING_PER_ADDRESS);
  t.ok(source.endpoint.channels <= MAX_INCOMING_PER_ADDRESS);
  t.same(source.endpoint.receive(Uint8Array.of(1, 2), crowd.address, net.now), []);
  t.same(source.endpoint.receive(new Uint8Array(4).fill(1), crowd.address, net.now), [], 'nobody’s channel');
  const elsewhere = { address: '10.9.9.9', port: 1 };
  const [theirs] = crowd.channels;
  t.same(crowd.endpoint.receive(encodeDatagram(theirs!.channel, [], FORMAT), elsewhere, net.now), []);
  const endpoint = new Endpoint({ random: length => net.chance.bytes(length), unixOffsetMs: 0 });
  t.equal(endpoint.nextDeadline(), undefined);
  for (let i = 0; i < MAX_CHANNELS; i += 1) endpoint.dial(source.swarm, elsewhere, 0);
  t.equal(endpoint.dial(source.swarm, elsewhere, 0), undefined);
  t.equal(endpoint.channels, MAX_CHANNELS);
});
