/** Peers that follow the scripts of libswift and PyPPSPP, byte for byte as they were seen, quirks included. */
import t from 'tap';
import { toHex } from '../../../protocol/bytes.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { Endpoint } from '../../../protocol/ppspp/endpoint.js';
import { type Dialect, wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { MAX_SENDS } from '../../../protocol/ppspp/in-flight.js';
import type { Message } from '../../../protocol/ppspp/messages.js';
import { DatagramFramer, frameHeader } from '../../../protocol/ppspp/stream-framing.js';
import { Chance } from '../../simulation/chance.js';
import { metadataOf, VirtualSwarm } from '../../support/virtual-swarm.js';

const CONTENT = new Chance(2).bytes(40_000);
const METADATA = metadataOf(CONTENT, { hash: 'sha1' });
const ID = toHex(METADATA.swarmId);
const THERE = { address: '192.0.2.9', port: 6_778 };
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** A source that takes this dialect too, and what goes over to the script. */
function sourceFor(dialect: Dialect, isReliable = false) {
  const net = new VirtualSwarm(1);
  const dialects = ['rfc7574', dialect] as const;
  const { endpoint, chunks } = net.peer({ metadata: METADATA, content: CONTENT, dialects, isReliable });
  const format = wireFormatOf(METADATA, dialects);
  const say = (bytes: Uint8Array, now: number) => endpoint.receive(bytes, THERE, now);
  const heard = (now: number): Uint8Array[] => {
    endpoint.expire(now);
    return endpoint.transmit(now).map(({ datagram }) => datagram);
  };
  const channelIn = (answer: Uint8Array): number => Buffer.from(answer).readUInt32BE(5);
  return { endpoint, chunks, format, say, heard, channelIn };
}

t.test(
  'libswift asks: its answer has no chunk size, its chunks come with peaks until one is acknowledged',
  async t => {
    const { format, say, heard, channelIn } = sourceFor('draft10');
    const hello = hex(`00000000 00 82ed44a1 0001 0101 020014 ${ID} 0301 0400 0602 ff`);
    say(hello, 0);
    const [answer] = heard(0);
    t.match(toHex(answer!), /^82ed44a100.{8}00010101030104000602ff030000000000000027$/);
    t.ok(answer!.length <= hello.length);
    const channel = channelIn(answer!);
    say(hex(`${channel.toString(16).padStart(8, '0')} 08 00000000 00000000 06`), 10);
    const fourth = heard(10);
    const messages = fourth.flatMap(datagram => [...decodeDatagram(datagram, format).messages]);
    t.same(
      messages.map(message =>
        'range' in message ? `${message.type} ${message.range.start}-${message.range.end}` : message.type,
      ),
      [
        'HAVE 0-39',
        'INTEGRITY 0-31',
        'INTEGRITY 32-39',
        'INTEGRITY 16-31',
        'INTEGRITY 8-15',
        'INTEGRITY 4-7',
        'INTEGRITY 2-3',
        'INTEGRITY 1-1',
        'DATA',
      ],
    );
    const ack: Message = { type: 'ACK', range: { start: 0, end: 0 }, delayUs: -5 };
    say(encodeDatagram(channel, [ack, { type: 'REQUEST', range: { start: 1, end: 1 } }], format), 20);
    t.same(
      heard(20).flatMap(datagram => decodeDatagram(datagram, format).messages.map(({ type }) => type)),
      ['DATA'],
      'chunk 1 needs nothing more',
    );
  },
);

t.test(
  'PyPPSPP asks: it is served without proofs, again until it has everything, and not for ever',
  async t => {
    const { endpoint, format, say, heard, channelIn } = sourceFor('pyppspp');
    const uuid = '00112233445566778899aabbccddeeff';
    const hello = hex(
      `00000000 00 0000beef 0001 0101 020014 ${ID} 0300 0602 07000003e8 0802ff00 0900000400 0a${uuid} ff`,
    );
    say(hello, 0);
    const [answer] = heard(0);
    t.match(toHex(answer!), new RegExp(`^0000beef00.{8}00010101020014${ID}030006020900000400ff`));
    const channel = channelIn(answer!);
    const got = new Set<number>();
    let now = 10;
    let last: readonly number[] = [];
    const listen = (): void => {
      last = heard(now).flatMap(datagram => {
        const { messages } = decodeDatagram(datagram, format);
        t.ok(messages.every(({ type }) => type === 'HAVE' || type === 'DATA')) ||
          t.bailout('unreadable there');
        return messages.flatMap(message => (message.type === 'DATA' ? [message.chunk] : []));
      });
      for (const chunk of last) got.add(chunk);
    };
    say(encodeDatagram(channel, [{ type: 'REQUEST', range: { start: 0, end: 39 } }], format), now);
    for (let acked = -1; got.size < 40 && now < 60_000; now += 20) {
      listen();
      // It acknowledges eleven together, in a datagram of their own, and the last ones never.
      if (got.size - acked > 11) {
        acked += 11;
        say(
          encodeDatagram(channel, [{ type: 'ACK', range: { start: 0, end: acked }, delayUs: 1_000 }], format),
          now,
        );
      }
    }
    t.equal(got.size, 40);
    let sent = 0;
    for (const from = now; now < from + 300_000 && endpoint.channels > 0; now += 100) {
      listen();
      sent += last.length;
      if (now % 10_000 === 0) say(encodeDatagram(channel, [], format), now);
    }
    t.ok(sent > 0 && sent < 20 * MAX_SENDS, `${sent} more, each so often`);
    t.same(last, [], 'and then no more');
    say(encodeDatagram(channel, [{ type: 'HAVE', range: { start: 0, end: 39 } }], format), now);
    now += 100;
    listen();
    t.same(last, []);
    say(hex(`${channel.toString(16).padStart(8, '0')} 00 00000000 0001 0101 ff`), now);
    heard(now);
    t.equal(endpoint.channels, 0, 'and it closed');
  },
);

t.test('PyPPSPP over TCP: a frame a datagram, a chunk a frame', async t => {
  const { format, say, heard, channelIn } = sourceFor('pyppspp', true);
  const framer = new DatagramFramer();
  const uuid = '00'.repeat(16);
  const hello = hex(`00000000 00 00000007 0001 0101 020014 ${ID} 0300 0602 0900000400 0a${uuid} ff`);
  framer.push(Buffer.concat([frameHeader(hello), hello]));
  say(framer.next()!, 0);
  const channel = channelIn(heard(0)[0]!);
  say(encodeDatagram(channel, [{ type: 'REQUEST', range: { start: 0, end: 39 } }], format), 1);
  const frames = heard(1).map(datagram =>
    decodeDatagram(datagram, format).messages.filter(({ type }) => type === 'DATA'),
  );
  t.equal(
    frames.reduce((sum, { length }) => sum + length, 0),
    40,
  );
  t.ok(frames.every(({ length }) => length <= 1));
});

t.test('who allows neither is silent to both, and to itself in other words', async t => {
  const net = new VirtualSwarm(1);
  const { endpoint } = net.peer({ metadata: METADATA, content: CONTENT });
  for (const options of [
    '0301 0400 0602',
    '0300 0602 0900000400',
    `0300 0602 0900000400 0a${'00'.repeat(16)}`,
  ])
    endpoint.receive(hex(`00000000 00 00000007 0001 0101 020014 ${ID} ${options} ff`), THERE, 0);
  t.same(endpoint.transmit(0), []);
});

t.test('an initiator that is not understood tries what else it may', async t => {
  const net = new VirtualSwarm(1, { delayMs: 10 });
  const source = net.peer({ metadata: METADATA, content: CONTENT, dialects: ['draft10'] });
  const reader = net.peer({ metadata: METADATA, dialects: ['rfc7574', 'draft10'] });
  reader.dial(source);
  t.ok(net.run(60_000, () => reader.isComplete));
  t.match(
    reader.events.find(({ kind }) => kind === 'open'),
    { dialect: 'draft10' },
  );
  const strict = net.peer({ metadata: METADATA });
  strict.dial(source);
  net.run(net.now + 60_000);
  t.same(strict.events, [{ kind: 'ended', why: 'unanswered' }]);
});

t.test('chunks that PyPPSPP sent are nobody’s until they are proven as a whole', async t => {
  const net = new VirtualSwarm(1, { delayMs: 10 });
  const source = net.peer({ metadata: METADATA, content: CONTENT, dialects: ['pyppspp'] });
  const have = new ChunkSet();
  const reader = net.peer({
    metadata: METADATA,
    size: CONTENT.length,
    dialects: ['pyppspp'],
    have,
    isIdle: true,
  });
  const channel = reader.dial(source);
  net.run(1_000, () => channel.mayRequest);
  channel.request({ start: 0, end: 39 });
  net.run(20_000, () => reader.chunks.size === 40);
  t.ok(Buffer.compare(reader.content, CONTENT) === 0);
  t.ok(have.isEmpty);
  t.ok(reader.swarm.integrity.chunks === 40);
});

t.test('an endpoint with nobody has nothing to do', async t => {
  const endpoint = new Endpoint({ random: () => new Uint8Array(4), unixOffsetMs: 0 });
  t.same([endpoint.isReady, endpoint.transmit(0), endpoint.expire(0)], [false, [], []]);
});
