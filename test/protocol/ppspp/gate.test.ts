/** First datagrams: who is answered, with how much, and what is kept of those who never come back. */
import fc from 'fast-check';
import t from 'tap';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import {
  Gate,
  HALF_OPEN_MS,
  MAX_HALF_OPEN,
  MAX_HALF_OPEN_PER_ADDRESS,
} from '../../../protocol/ppspp/gate.js';
import { ownOptions, type SwarmMetadata, wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import type { Options } from '../../../protocol/ppspp/messages.js';

const metadata: SwarmMetadata = {
  swarmId: new Uint8Array(32).fill(7),
  integrity: 'merkle',
  hash: 'sha256',
  addressing: 'chunk32',
  chunkBytes: 1_024,
};
const format = wireFormatOf(metadata, ['rfc7574']);
const have = new ChunkSet();
for (let i = 0; i < 9; i += 1) have.add({ start: 10 * i, end: 10 * i + 4 });
const swarm = { metadata, dialects: ['rfc7574'] as const, have };
const here = { address: '192.0.2.1', port: 6_778 };

function gate(): Gate {
  let count = 0;
  // Zero, a number twice, and one that is taken come up too.
  const random = (): Uint8Array => Uint8Array.of(0, 0, (count >> 9) & 0xff, (count++ >> 1) & 0xff);
  return new Gate({
    random,
    swarmOf: id => (Buffer.compare(id, metadata.swarmId) === 0 ? swarm : undefined),
    isTaken: channel => channel === 1,
  });
}
const hello = (channel: number): Buffer =>
  encodeDatagram(
    0,
    [{ type: 'HANDSHAKE', channel, options: ownOptions(metadata, 'rfc7574', 'initiator') }],
    format,
  );

t.test('a HANDSHAKE is answered with no more than it brought, and its sender let in once', async t => {
  const door = gate();
  const answer = door.greet(hello(9), here, 0)!;
  t.ok(answer.length <= hello(9).length);
  const { channel, messages } = decodeDatagram(answer, format);
  t.equal(channel, 9);
  const [first, ...haves] = messages;
  t.equal(first!.type, 'HANDSHAKE');
  t.ok(haves.length > 0 && haves.every(({ type }) => type === 'HAVE'));
  t.same(door.greet(hello(9), here, 1), answer, 'again, the same');
  t.equal(door.halfOpen, 1);
  const ours = (first as { channel: number }).channel;
  t.ok(ours > 1);
  t.equal(door.claim(ours, { ...here, port: 1 }, 2), undefined, 'from elsewhere');
  t.match(door.claim(ours, here, 2), { channel: ours, peerChannel: 9, dialect: 'rfc7574' });
  t.equal(door.claim(ours, here, 2), undefined);
  const late = decodeDatagram(door.greet(hello(9), here, 0)!, format).messages[0] as { channel: number };
  const again = decodeDatagram(door.greet(hello(9), here, HALF_OPEN_MS)!, format).messages[0];
  t.not((again as { channel: number }).channel, late.channel, 'another, after so long');
  const { channel: old } = decodeDatagram(door.greet(hello(8), here, 0)!, format).messages[0] as {
    channel: number;
  };
  t.equal(door.claim(old, here, HALF_OPEN_MS), undefined, 'too late');
});

t.test('whose answer would be longer than the question gets none', async t => {
  const live = { signature: 13, signatureBytes: 64, discardWindow: 9 } as const;
  const feed = { ...metadata, integrity: 'unified-merkle', live } as const;
  const dialects = ['pyppspp'] as const;
  let count = 0;
  const door = new Gate({
    random: () => Uint8Array.of(0, 0, 1, ++count),
    swarmOf: () => ({ metadata: feed, dialects, have: new ChunkSet() }),
    isTaken: () => false,
  });
  const { discardWindow, ...short } = ownOptions(feed, 'pyppspp', 'initiator');
  const ask = (options: Options) =>
    door.greet(encodeDatagram(0, [{ type: 'HANDSHAKE', channel: 9, options }], format), here, 0);
  t.equal(ask(short), undefined);
  t.ok(ask({ ...short, discardWindow: discardWindow! }));
});

t.test('anything else is met with silence', async t => {
  const door = gate();
  const options = ownOptions(metadata, 'rfc7574', 'initiator');
  for (const other of [
    { ...options, swarmId: new Uint8Array(32) },
    { ...options, chunkBytes: 512 },
    ownOptions(metadata, 'draft10', 'initiator'),
    ownOptions(metadata, 'rfc7574', 'responder'),
  ]) {
    const datagram = encodeDatagram(0, [{ type: 'HANDSHAKE', channel: 9, options: other }], format);
    t.equal(door.greet(datagram, here, 0), undefined);
  }
  t.equal(door.greet(hello(0), here, 0), undefined, 'a closing one');
  t.equal(
    door.greet(Buffer.concat([hello(9), Uint8Array.of(0x77)]), here, 0),
    undefined,
    'with nonsense after it',
  );
  t.equal(door.greet(new Uint8Array(5).fill(1), here, 0), undefined, 'to another channel');
  fc.assert(
    fc.property(fc.nat(), fc.nat(255), fc.nat(), (at, value, length) => {
      const bytes = hello(9);
      bytes[at % bytes.length] = value;
      const cut = bytes.subarray(0, length % (bytes.length + 1));
      return (door.greet(cut, here, 0)?.length ?? 0) <= cut.length;
    }),
  );
  const broken = new Gate({
    random: () => new Uint8Array(4),
    swarmOf: () => undefined,
    isTaken: () => false,
  });
  t.throws(() => broken.greet(undefined as never, here, 0), TypeError, 'a bug is not the sender’s');
});

t.test('those who never come back leave little behind', async t => {
  const door = gate();
  for (let i = 1; i < 100; i += 1) door.greet(hello(i), here, 0);
  t.equal(door.halfOpen, MAX_HALF_OPEN_PER_ADDRESS);
  for (let i = 1; i < 100; i += 1) door.greet(hello(i), { address: `2001:db8::${i}`, port: 9 }, 0);
  t.equal(door.halfOpen, 2 * MAX_HALF_OPEN_PER_ADDRESS, 'a /64 is one');
  for (let i = 0; i < 2_000; i += 1)
    door.greet(hello(5), { address: `2001:db8:0:${i.toString(16)}::1`, port: 9 }, 0);
  t.equal(door.halfOpen, MAX_HALF_OPEN);
});
