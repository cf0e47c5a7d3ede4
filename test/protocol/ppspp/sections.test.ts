/**
 * What `protocol/ppspp/README.md` says of the RFC's sections and shows only when it is looked for: what a peer does not say,
 * does not do, or does so often and no more.
 */
import t from 'tap';
import { readU32 } from '../../../protocol/bytes.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { VARIABLE_CHUNK_BYTES } from '../../../protocol/ppspp/constants.js';
import { Endpoint, MAX_CHANNELS, MAX_INCOMING_PER_ADDRESS } from '../../../protocol/ppspp/endpoint.js';
import { ownOptions } from '../../../protocol/ppspp/handshake.js';
import { DEAD_AFTER_MS, Liveness } from '../../../protocol/ppspp/liveness.js';
import type { Message } from '../../../protocol/ppspp/messages.js';
import { RequestQueue } from '../../../protocol/ppspp/request-queue.js';
import { Wanted } from '../../../protocol/ppspp/wanted.js';
import { Chance } from '../../simulation/chance.js';
import { CONTENT, EVERYTHING, FORMAT, METADATA, one, pair, scripted } from '../../support/swarm-pair.js';
import { VirtualSwarm } from '../../support/virtual-swarm.js';

/** One of our channels that has everything, open; and the chunks that it sends. */
function giver() {
  const script = scripted(['rfc7574']);
  script.swarm.have.add(EVERYTHING);
  script.answer('rfc7574', 0);
  const given = (now: number): number[] =>
    script.heard(now).flatMap(messages => messages.flatMap(m => (m.type === 'DATA' ? [m.chunk] : [])));
  return { ...script, given };
}
const request = (start: number, end: number): Message => ({ type: 'REQUEST', range: { start, end } });

t.test('§3.1.2: who closes says its version, and nothing else', async t => {
  const { channel, heard, answer } = scripted(['rfc7574']);
  answer('rfc7574', 0);
  heard(0);
  channel.close();
  t.same(heard(1), [[{ type: 'HANDSHAKE', channel: 0, options: { version: 1 } }]]);
  t.same(heard(2), [], 'once');
});

t.test('§3.2: a HAVE takes back the wish for what it names', async t => {
  const { say, given } = giver();
  say([request(0, 1), { type: 'HAVE', range: one(0) }], 0);
  t.same(given(0), [1]);
});

t.test('§3.4, §4.3: an ACK names the biggest range around its chunk', async t => {
  const { net, reader, channel, said } = pair({ size: CONTENT.length });
  channel.request({ start: 3, end: 12 });
  net.run(5_000, () => reader.chunks.size === 10);
  net.run(net.now + 100);
  const acked = said.flatMap(({ message }) => (message.type === 'ACK' ? [message.range] : []));
  t.same(acked.at(-1), { start: 3, end: 12 });
});

t.test('§3.7: what does not come is asked again after 1, 2, 4, 8 and again 8 seconds', async t => {
  const wanted = new Wanted(false);
  wanted.add(one(5));
  const asked: number[] = [];
  for (let now = 0; now < 30_000; now += 500) {
    wanted.expire(now);
    if (wanted.due(now, EVERYTHING).length > 0) asked.push(now);
  }
  t.same(asked, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 24_000]);
  const overStream = new Wanted(true);
  overStream.add(one(5));
  overStream.due(0, EVERYTHING);
  t.equal(overStream.nextDeadline(), undefined, 'over a stream never');
});

t.test('§3.7: who asks for ever more pieces is served the first of them', async t => {
  const queue = new RequestQueue();
  const have = new ChunkSet();
  have.add({ start: 0, end: 99_999 });
  for (let piece = 0; piece < 1_000; piece += 1) queue.add(one(2 * piece));
  const taken: number[] = [];
  for (let chunk = queue.take(have); chunk !== undefined; chunk = queue.take(have)) taken.push(chunk);
  t.same([taken.length, taken.at(-1)], [256, 510]);
});

t.test('§3.8: who cuts what it asked for into ever more pieces is served the first of them', async t => {
  const queue = new RequestQueue();
  const have = new ChunkSet();
  have.add({ start: 0, end: 99_999 });
  queue.add({ start: 0, end: 99_999 });
  for (let piece = 0; piece < 10_000; piece += 1) queue.delete(one(2 * piece + 1));
  const taken: number[] = [];
  for (let chunk = queue.take(have); chunk !== undefined; chunk = queue.take(have)) taken.push(chunk);
  t.same([taken.length, taken.at(-1)], [256, 510]);
  queue.add({ start: 600, end: 600 });
  t.equal(queue.take(have), 600, 'and may ask again for what was cut off');
});

t.test('§3.8: what is cancelled while it is on its way is not sent again', async t => {
  for (const cancels of [false, true]) {
    const { channel, say, given } = giver();
    say([request(4, 4)], 0);
    t.same(given(0), [4]);
    if (cancels) say([{ type: 'CANCEL', range: one(4) }], 1);
    channel.expire(1_500);
    t.same(given(1_500), cancels ? [] : [4]);
  }
});

t.test('§3.9: what was asked before and while one is choked is not given after it', async t => {
  const { channel, say, given } = giver();
  say([request(1, 9)], 0);
  const sent = given(0);
  t.ok(sent.length > 0 && sent.length < 9);
  channel.choke();
  say([request(20, 20)], 1);
  channel.unchoke();
  channel.expire(1_500);
  t.same(given(1_500), []);
  say([request(30, 30)], 1_600);
  t.same(given(1_600), [30]);
});

t.test('§3.9: who is choked may ask again after UNCHOKE, and a HAVE is none', async t => {
  const { channel, say, answer } = scripted(['rfc7574']);
  answer('rfc7574', 0);
  say([{ type: 'CHOKE' }, { type: 'HAVE', range: EVERYTHING }], 0);
  t.same([channel.mayRequest, channel.request(one(0)), channel.wanted], [false, false, []]);
  say([{ type: 'UNCHOKE' }], 1);
  t.ok(channel.request(one(0)));
});

t.test('§3.10: told is of those that answer and can be dialled', async t => {
  for (const { more, told } of [
    { more: {}, told: 1 },
    { more: { isReliable: true }, told: 0 },
  ]) {
    const { net, source, reader, channel } = pair(more);
    const third = net.peer({ metadata: METADATA, isIdle: true, ...more });
    third.dial(source);
    source.endpoint.dial(source.swarm, { address: '10.0.0.99', port: 6_778 }, net.now);
    net.run(300);
    channel.askForPeers();
    net.run(500);
    const met = reader.events.flatMap(event => (event.kind === 'peer' ? [event.peer] : []));
    t.same(met, [third.address].slice(0, told), JSON.stringify(more));
  }
});

t.test('§3.10: over public addresses nobody is told of anybody', async t => {
  for (const address of ['8.8.8.8', '10.0.0.9']) {
    const { endpoint } = open();
    knock(endpoint, { address: '8.8.4.4', port: 1 });
    const channel = knock(endpoint, { address, port: 2 })!;
    const ask = encodeDatagram(channel, [{ type: 'PEX_REQ' }], FORMAT);
    endpoint.receive(ask, { address, port: 2 }, 10);
    const types = endpoint
      .transmit(10)
      .flatMap(({ datagram }) => decodeDatagram(datagram, FORMAT).messages.map(({ type }) => type));
    t.equal(types.includes('PEX_RESv4'), address === '10.0.0.9', address);
  }
});

t.test('§3.10: of many, others are told of others', async t => {
  const { endpoint } = open();
  const at = (port: number) => ({ address: '10.0.0.9', port });
  const channels = Array.from({ length: 60 }, (_, port) => knock(endpoint, at(port + 1))!);
  const told = channels.slice(50, 55).map((channel, i) => {
    endpoint.receive(encodeDatagram(channel, [{ type: 'PEX_REQ' }], FORMAT), at(i + 51), 10);
    const messages = endpoint
      .transmit(10)
      .flatMap(({ datagram }) => decodeDatagram(datagram, FORMAT).messages);
    return messages.flatMap(message => (message.type === 'PEX_RESv4' ? [message.port] : [])).join();
  });
  t.ok(new Set(told).size > 1, told.join(' · '));
});

t.test('§3.12: dead is who is silent for three minutes and was sent three datagrams', async t => {
  const liveness = new Liveness(0);
  liveness.sent(2);
  t.notOk(liveness.isDead(DEAD_AFTER_MS));
  liveness.sent(1);
  t.notOk(liveness.isDead(DEAD_AFTER_MS - 1));
  t.ok(liveness.isDead(DEAD_AFTER_MS));
});

t.test('§8.1: variable chunks have no numbers with byte addressing', async t => {
  const format = { ...FORMAT, addressing: 'byte64', chunkBytes: VARIABLE_CHUNK_BYTES } as const;
  const data = Buffer.concat([Uint8Array.of(0, 0, 0, 1, 1), new Uint8Array(24), Uint8Array.of(9)]);
  t.match(decodeDatagram(data, format).error, { code: 'bad-message' });
  t.same(decodeDatagram(data, { ...format, chunkBytes: 1_024 }).error, undefined);
});

t.test(
  '§12.1: so many come in from an address, so many in all; the rest is for those that are dialled',
  async t => {
    const { endpoint, swarm } = open();
    const from = (host: number, port: number) => ({ address: `10.0.${host}.1`, port });
    for (let port = 1; port <= MAX_INCOMING_PER_ADDRESS; port += 1) t.ok(knock(endpoint, from(0, port)));
    t.equal(knock(endpoint, from(0, 999)), undefined);
    let incoming = MAX_INCOMING_PER_ADDRESS;
    for (let host = 1; host < 99; host += 1)
      for (let port = 1; port <= 10; port += 1)
        if (knock(endpoint, from(host, port)) !== undefined) incoming += 1;
    t.equal(incoming, 600);
    t.equal(endpoint.channels, 600);
    while (endpoint.dial(swarm, from(200, 1), 0) !== undefined);
    t.equal(endpoint.channels, MAX_CHANNELS);
  },
);

t.test('§12.1: who was caught lying is met with silence', async t => {
  const { endpoint } = open({ admits: ({ address }) => address !== '10.0.0.6' });
  t.equal(knock(endpoint, { address: '10.0.0.6', port: 1 }), undefined);
  t.ok(knock(endpoint, { address: '10.0.0.7', port: 1 }));
});

/** An endpoint that is a source. */
function open(more: Partial<ConstructorParameters<typeof Endpoint>[0]> = {}) {
  const chance = new Chance(3);
  const random = (length: number) => chance.bytes(length);
  const { swarm } = new VirtualSwarm(1).peer({ metadata: METADATA, content: CONTENT });
  const endpoint = new Endpoint({ random, unixOffsetMs: 0, ...more });
  endpoint.join(swarm);
  return { endpoint, swarm };
}

/** Three datagrams from there: the channel to it; undefined: it was not let in. */
function knock(endpoint: Endpoint, from: { address: string; port: number }): number | undefined {
  const options = ownOptions(METADATA, 'rfc7574', 'initiator');
  endpoint.receive(encodeDatagram(0, [{ type: 'HANDSHAKE', channel: 7, options }], FORMAT), from, 0);
  const answer = endpoint.transmit(0).find(({ to }) => to.port === from.port && to.address === from.address);
  if (answer === undefined) return undefined;
  const channel = readU32(answer.datagram, 5);
  const before = endpoint.channels;
  endpoint.receive(encodeDatagram(channel, [], FORMAT), from, 0);
  endpoint.transmit(0);
  return endpoint.channels > before ? channel : undefined;
}
