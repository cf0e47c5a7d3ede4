/** What one end of a channel does with each message, at each time: by pairs of peers, and by peers that follow a script. */
import t from 'tap';
import { fromHex, toHex } from '../../../protocol/bytes.js';
import { type ChannelEvent, MAX_NONSENSE } from '../../../protocol/ppspp/channel.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { GIVE_UP_MS } from '../../../protocol/ppspp/dialling.js';
import { HALF_OPEN_MS } from '../../../protocol/ppspp/gate.js';
import { wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { DEAD_AFTER_MS } from '../../../protocol/ppspp/liveness.js';
import type { Message } from '../../../protocol/ppspp/messages.js';
import { CONTENT, EVERYTHING, FORMAT, METADATA, one, pair, scripted } from '../../support/swarm-pair.js';
import { metadataOf, VirtualSwarm } from '../../support/virtual-swarm.js';

t.test('nobody there: HANDSHAKEs at growing distances, then the end', async t => {
  const { channel, heard } = scripted(['rfc7574', 'draft10']);
  const dialects: string[] = [];
  let ended: ChannelEvent[] = [];
  for (let now = 0; ended.length === 0; now = channel.nextDeadline()!) {
    ended = channel.expire(now);
    for (const [hello] of heard(now))
      if (hello?.type === 'HANDSHAKE') dialects.push(`${now} ${hello.options.chunkBytes ?? 'none'}`);
    if (ended.length > 0) t.equal(now, GIVE_UP_MS);
  }
  t.same(ended, [{ kind: 'ended', why: 'unanswered' }]);
  t.same(dialects.slice(0, 6), ['0 1024', '1000 1024', '2000 none', '3000 none', '4000 1024', '6000 1024']);
  t.equal(channel.state, 'ended');
  t.equal(channel.nextDeadline(), undefined);
  t.same([channel.expire(1e9), heard(1e9), channel.request(one(0))], [[], [], false]);
});

t.test('an answer that does not fit opens nothing', async t => {
  const { channel, say, answer, heard } = scripted(['rfc7574']);
  heard(0);
  t.same(answer('draft10', 1), []);
  t.same(answer('rfc7574', 1, { hash: 'sha1' }), []);
  t.same(say([{ type: 'HAVE', range: EVERYTHING }], 1), [], 'nor does anything else');
  t.equal(channel.state, 'opening');
  t.same(
    [channel.peerHas, channel.wanted, channel.isChoking, channel.isReady, channel.roundTripMs],
    [undefined, [], false, false, undefined],
  );
  t.same(answer('rfc7574', 2), [{ kind: 'open', dialect: 'rfc7574' }]);
  t.same(answer('rfc7574', 2), [], 'once more is nothing');
  t.equal(heard(2).length, 1, 'the third datagram goes, with or without anything in it');
  t.same(channel.expire(2 + HALF_OPEN_MS), [{ kind: 'ended', why: 'unanswered' }], 'and nothing came after');
});

t.test('the third datagram asks, the fourth gives: peaks, uncles, the chunk', async t => {
  const { net, reader, channel, back, said } = pair();
  t.equal(channel.state, 'open');
  t.ok(channel.request({ start: 0, end: 1 }));
  said.length = 0;
  net.run(2_000, () => reader.chunks.size === 2);
  const ranges = said.flatMap(({ message }) =>
    message.type === 'INTEGRITY' ? [`${message.range.start}-${message.range.end}`] : [message.type],
  );
  t.same(ranges.slice(0, 9), ['REQUEST', '0-31', '32-39', '16-31', '8-15', '4-7', '2-3', '1-1', 'DATA']);
  t.equal(reader.swarm.integrity.chunks, 40);
  net.run(3_000);
  t.ok(back.roundTripMs! >= 10 && back.roundTripMs! < 20);
});

t.test('while the size is unknown chunk 0 alone is asked for', async t => {
  const { net, reader, channel, said } = pair();
  t.ok(channel.request({ start: 3, end: 5 }));
  t.ok(channel.request(one(0)));
  net.run(3_000, () => reader.chunks.size === 4);
  const asked = said.flatMap(({ message }) => (message.type === 'REQUEST' ? [message.range] : []));
  t.same(asked, [one(0), { start: 3, end: 5 }]);
  t.same(channel.wanted, []);
});

t.test('a range of 2^32 chunks is two numbers', async t => {
  const { net, reader, channel, back, source } = pair();
  const all = { start: 0, end: 0xffff_ffff };
  t.ok(channel.request(all));
  net.run(20_000, () => reader.isComplete);
  t.ok(reader.isComplete);
  channel.cancel(all);
  channel.cancel(all);
  net.run(21_000);
  t.equal(back.isReady, false);
  const { messages } = decodeDatagram(
    encodeDatagram(back.channel, [{ type: 'HAVE', range: all }], FORMAT),
    FORMAT,
  );
  source.take(encodeDatagram(back.channel, messages, FORMAT), reader.address);
  t.same(back.peerHas!.ranges, [all]);
});

t.test('choked is not served, and asks again once it may', async t => {
  const { net, source, reader, channel, back, types } = pair({ size: CONTENT.length });
  back.choke();
  t.ok(back.isChoking);
  net.run(200);
  t.notOk(channel.mayRequest);
  t.notOk(channel.request(one(3)));
  t.match(reader.events.at(-1), { kind: 'choked', dead: [] });
  net.run(8_000);
  t.ok(types('source').filter(type => type === 'CHOKE').length > 1, 'said again, as it might be lost');
  back.unchoke();
  net.run(8_200);
  t.ok(reader.events.some(({ kind }) => kind === 'unchoked'));
  t.ok(channel.request({ start: 3, end: 30 }));
  net.run(8_205);
  source.take(Buffer.from('00000000', 'hex'), reader.address);
  back.choke();
  net.run(8_400);
  const dead = reader.events.findLast(({ kind }) => kind === 'choked');
  t.ok(dead?.kind === 'choked' && dead.dead.length > 0, 'what was asked is dead');
  t.same(channel.wanted, []);
});

t.test('what is cancelled does not come', async t => {
  const { net, reader, channel, types } = pair({ size: CONTENT.length });
  channel.request({ start: 0, end: 39 });
  net.run(107);
  channel.cancel({ start: 10, end: 39 });
  net.run(5_000);
  t.equal(types('reader').filter(type => type === 'CANCEL').length, 1);
  t.same(channel.wanted, []);
  t.ok(reader.chunks.size < 20, `${reader.chunks.size} chunks`);
});

t.test('who has a chunk says so to all but those who have everything', async t => {
  const { net, reader, source, channel, said } = pair({ size: CONTENT.length });
  const other = net.peer({ metadata: METADATA, isIdle: true, size: CONTENT.length });
  const between = reader.dial(other);
  net.run(200);
  channel.request({ start: 4, end: 9 });
  channel.request({ start: 20, end: 20 });
  net.run(1_000);
  t.same(other.channels[0]!.peerHas!.ranges, [{ start: 4, end: 9 }, one(20)]);
  t.ok(other.events.some(event => event.kind === 'have' && event.range.end === 9));
  t.notOk(
    said.some(({ to, message }) => to === source.address && message.type === 'HAVE'),
    'nothing to who has all',
  );
  t.same(source.channels[0]!.peerHas!.ranges, [{ start: 4, end: 9 }, one(20)], 'the source knows by ACK');
  between.close();
  channel.request(EVERYTHING);
  net.run(20_000, () => reader.isComplete);
  net.run(net.now + 1_000);
  said.length = 0;
  net.run(net.now + 100_000);
  t.same(said, [], 'two that have everything have nothing to say');
});

t.test('what was told is told again ever more rarely', async t => {
  const { net, said } = pair();
  const told = (): number => said.filter(m => m.who === 'source' && m.message.type === 'HAVE').length;
  net.run(60_000);
  t.ok(told() >= 4 && told() <= 8, `${told()} times in a minute`);
  const before = told();
  net.run(170_000);
  t.ok(told() - before <= 3, 'then each 55 s');
});

t.test('who is silent for three minutes, in spite of signs of life, is dead', async t => {
  const { net, source, reader, channel } = pair();
  reader.take = () => {};
  source.take = () => {};
  net.run(DEAD_AFTER_MS + 60_000, () => channel.state === 'ended');
  t.same(reader.events.at(-1), { kind: 'ended', why: 'dead' });
  t.ok(net.now >= DEAD_AFTER_MS && net.now < DEAD_AFTER_MS + 60_000);
});

t.test('who talks nonsense is left alone, without a word', async t => {
  const { channel, answer, say } = scripted(['rfc7574']);
  answer('rfc7574', 0);
  channel.transmit(0);
  let events: ChannelEvent[] = [];
  for (let i = 0; i < 99; i += 1) {
    channel.receive(Buffer.from('00000007ee', 'hex'), 0);
    for (let good = 0; good < 64; good += 1) say([], 0);
  }
  t.equal(channel.state, 'open', 'who makes sense otherwise is borne with');
  for (let i = 0; i < MAX_NONSENSE; i += 1) events = channel.receive(Buffer.from('00000007ee', 'hex'), i);
  t.same(events, [{ kind: 'ended', why: 'nonsense' }]);
  t.same(channel.transmit(9), []);
  const other = scripted(['rfc7574']);
  other.answer('rfc7574', 0);
  const hash = new Uint8Array(32);
  for (let i = 0; i < MAX_NONSENSE; i += 1)
    events = other.say([{ type: 'INTEGRITY', range: one(1), hash }, { type: 'CHOKE' }], i);
  t.same(
    events,
    [{ kind: 'ended', why: 'nonsense' }],
    'claims where nothing is proven; what follows is not read',
  );
});

t.test('a chunk that is not at hand is sent when it is', async t => {
  const { channel, swarm, say, answer } = scripted(['rfc7574'], {
    source: { read: () => (isAtHand ? CONTENT.subarray(0, 1_024) : undefined) },
  });
  let isAtHand = false;
  swarm.have.add(EVERYTHING);
  answer('rfc7574', 0);
  say([{ type: 'REQUEST', range: one(0) }], 0);
  const size = (): number => channel.transmit(1).reduce((sum, { length }) => sum + length, 0);
  t.ok(size() < 100);
  t.ok(channel.isReady);
  isAtHand = true;
  t.ok(size() > 1_024);
  t.notOk(channel.isReady);
});

t.test('who is asked and cannot give shows each second that it lives', async t => {
  const { net, source, channel } = pair();
  source.chunks.clear();
  channel.request(one(0));
  let signs = 0;
  net.onSent = from => {
    if (from === source.address) signs += 1;
  };
  net.run(net.now + 10_000);
  t.ok(signs >= 9 && signs <= 20, `${signs} signs of life in ten seconds`);
});

t.test('what is not proven is taken if it was asked for, and not had', async t => {
  const { channel, swarm, say, answer, heard } = scripted(['pyppspp'], {
    metadata: { ...METADATA, hash: 'sha1', swarmId: METADATA.swarmId.subarray(0, 20) },
  });
  heard(0);
  t.same(answer('pyppspp', 0, { peerUuid: new Uint8Array(16) }), [{ kind: 'open', dialect: 'pyppspp' }]);
  const data = (chunk: number): Message => ({ type: 'DATA', chunk, timestampUs: 5, bytes: Uint8Array.of(1) });
  t.same(say([data(2)], 0), [], 'unasked');
  channel.request({ start: 0, end: 3 });
  channel.cancel(one(3));
  channel.askForPeers();
  const [asked] = heard(1);
  t.same(
    asked,
    [{ type: 'REQUEST', range: { start: 0, end: 2 } }],
    'no CANCEL and no PEX_REQ, which it cannot read',
  );
  t.match(say([data(2)], 1), [{ kind: 'chunks', first: 2, isProven: false }]);
  t.match(say([data(1)], 1), [{ kind: 'chunks', first: 1, isProven: false }]);
  t.same(say([data(1)], 1), [], 'twice is once');
  t.same(
    heard(2).map(messages => messages.map(({ type }) => type)),
    [['ACK'], ['ACK']],
    'an ACK has a datagram of its own',
  );
  t.ok(swarm.have.isEmpty);
  channel.cancel({ start: 0, end: 3 });
  channel.request(one(0));
  t.same(heard(3)[0], [{ type: 'REQUEST', range: { start: 0, end: 1 } }], 'chunk 0 alone is not heard there');
});

t.test('what the other side cannot read is not said', async t => {
  const { channel, answer, heard } = scripted(['rfc7574']);
  answer('rfc7574', 0, { supportedMessages: fromHex('d970')! });
  channel.askForPeers();
  channel.choke();
  t.same(heard(0), [[{ type: 'CHOKE' }]]);
});

t.test('libswift is answered in its own words, and acknowledged chunk by chunk', async t => {
  const metadata = { ...metadataOf(CONTENT, { hash: 'sha1' }), addressing: 'chunk32' as const };
  const net = new VirtualSwarm(3, { delayMs: 5 });
  const source = net.peer({ metadata, content: CONTENT, dialects: ['rfc7574', 'draft10'] });
  const reader = net.peer({ metadata, dialects: ['draft10'] });
  const sent: string[] = [];
  const acks: number[] = [];
  const format = wireFormatOf(metadata, ['draft10']);
  net.onSent = (from, { datagram }) => {
    sent.push(toHex(datagram.subarray(0, 60)));
    if (from !== reader.address) return;
    for (const message of decodeDatagram(datagram, format).messages)
      if (message.type === 'ACK') acks.push(message.range.end - message.range.start);
  };
  reader.dial(source);
  t.ok(net.run(20_000, () => reader.isComplete));
  t.match(sent[1], /^.{8}00.{8}00010101030104000602ff030000000000000027/, 'no chunk size, then a HAVE');
  t.ok(acks.length >= 40 && acks.every(width => width === 0));
});
