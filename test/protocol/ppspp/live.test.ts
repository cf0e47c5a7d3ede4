/** Live swarms: signed subtrees, tuning in, forgetting, relaying; and each chunk signed for itself. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import t from 'tap';
import { LocalProtocolError } from '../../../protocol/errors.js';
import { HASH_LENGTH, type HashName } from '../../../protocol/merkle.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import type { SignatureAlgorithm } from '../../../protocol/ppspp/constants.js';
import { type SwarmMetadata, wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import type { Reader } from '../../../protocol/ppspp/integrity.js';
import { LiveIntegrity } from '../../../protocol/ppspp/live-integrity.js';
import { STALE_MS, signedBytes, timestampOf, unixMsOf } from '../../../protocol/ppspp/live-signing.js';
import { LiveSource } from '../../../protocol/ppspp/live-source.js';
import type { Claim } from '../../../protocol/ppspp/messages.js';
import { liveSwarmId, parseLiveSwarmId } from '../../../protocol/ppspp/signatures.js';
import { Chance } from '../../simulation/chance.js';
import { VirtualSwarm } from '../../support/virtual-swarm.js';

const KEYS: Readonly<Record<SignatureAlgorithm, KeyObject>> = {
  5: generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey,
  8: generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey,
  13: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  14: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
};
const NOW = 1_700_000_000_000;
const STRANGER: Reader = { knows: () => false, knowsAny: false };

function live(
  options: {
    signature?: SignatureAlgorithm;
    hash?: HashName;
    discardWindow?: number;
    addressing?: SwarmMetadata['addressing'];
  } = {},
) {
  const { signature = 13, hash = 'sha256', discardWindow = Number.POSITIVE_INFINITY } = options;
  const swarmId = liveSwarmId(signature, KEYS[signature]);
  const key = parseLiveSwarmId(swarmId);
  const metadata: SwarmMetadata = {
    swarmId,
    integrity: 'unified-merkle',
    hash,
    addressing: options.addressing ?? 'chunk32',
    chunkBytes: 1_024,
    live: { signature, signatureBytes: key.signatureBytes, discardWindow },
  };
  return { metadata, key, privateKey: KEYS[signature] };
}

/** A source that made so many chunks of its own, four under a signature. */
function sourceOf(made: ReturnType<typeof live>, chunks: number, dialect: 'rfc7574' | 'draft10' = 'rfc7574') {
  const { metadata, key, privateKey } = made;
  const have = new ChunkSet();
  const integrity = new LiveIntegrity({ metadata, key, have, dialect, chunksPerSignature: 4 });
  const source = new LiveSource({ integrity, key: privateKey, have, chunksPerSignature: 4 });
  const content = new Chance(9).bytes(chunks * 1_024);
  const chunk = (n: number): Uint8Array => content.subarray(n * 1_024, (n + 1) * 1_024);
  for (let n = 0; n < chunks; n += 1) source.add(chunk(n), NOW);
  return { have, integrity, source, chunk };
}
const readerOf = ({ metadata, key }: ReturnType<typeof live>, dialect: 'rfc7574' | 'draft10' = 'rfc7574') =>
  new LiveIntegrity({ metadata, key, have: new ChunkSet(), dialect });

t.test('time on the wire', async t => {
  t.equal(timestampOf(0, 'rfc7574'), 0x83aa_7e80_0000_0000n);
  t.equal(timestampOf(500, 'rfc7574'), 0x83aa_7e80_8000_0000n);
  t.equal(timestampOf(NOW, 'draft10'), 1_700_000_000_000_000n);
  for (const dialect of ['rfc7574', 'draft10'] as const)
    t.ok(Math.abs(unixMsOf(timestampOf(NOW + 123, dialect), dialect) - NOW - 123) < 0.01);
});

t.test('any chunk is proven up to its munro, with every algorithm, and none with a flipped bit', async t => {
  for (const signature of [5, 8, 13, 14] as const)
    for (const [hash, dialect] of [
      ['sha1', 'draft10'],
      ['sha256', 'rfc7574'],
    ] as const) {
      const made = live({ signature, hash });
      const { integrity, chunk } = sourceOf(made, 12, dialect);
      const reader = readerOf(made, dialect);
      for (const n of [9, 2, 8, 3, 0, 11]) {
        const judge = reader.judge();
        for (const claim of integrity.proofOf(n, STRANGER)) t.ok(judge.hear(claim, NOW));
        const flipped = Uint8Array.from(chunk(n));
        flipped[n]! ^= 1;
        t.equal(judge.judge(n, flipped), 'wrong');
        const again = reader.judge();
        for (const claim of integrity.proofOf(n, STRANGER)) again.hear(claim, NOW);
        t.equal(again.judge(n, chunk(n)), 'verified');
        t.same(reader.proofOf(n, STRANGER), integrity.proofOf(n, STRANGER), 'and can be passed on');
      }
    }
});

t.test('what is signed is the range, the time and the hash', async t => {
  const made = live();
  const { integrity } = sourceOf(made, 4);
  const [munro, signed] = integrity.proofOf(0, STRANGER) as [Claim, Claim & { type: 'SIGNED_INTEGRITY' }];
  const range = { start: 0, end: 3 };
  t.same([munro.range, signed.range, signed.timestamp], [range, range, timestampOf(NOW, 'rfc7574')]);
  const bytes = signedBytes(
    range,
    signed.timestamp,
    (munro as { hash: Uint8Array }).hash,
    integrity.format,
    'rfc7574',
  );
  t.equal(bytes.length, 8 + 8 + HASH_LENGTH.sha256);
  t.ok(made.key.verify(bytes, signed.signature));
  for (const change of [
    { timestamp: signed.timestamp + 1n },
    { signature: new Uint8Array(64) },
    { range: { start: 4, end: 7 } },
  ]) {
    const reader = readerOf(made);
    const judge = reader.judge();
    judge.hear({ ...munro, ...('range' in change ? change : {}) } as Claim, NOW);
    t.notOk(judge.hear({ ...signed, ...change }, NOW));
    t.equal(reader.newest, undefined);
  }
  const judge = readerOf(made).judge();
  t.ok(judge.hear(signed, NOW), 'without its hash a signature says nothing');
  t.notOk(judge.hear({ ...signed, range: { start: 0, end: 2 } }, NOW), 'no node');
  t.notOk(judge.hear({ ...signed, range: { start: 0, end: 0 } }, NOW), 'no subtree');
  t.notOk(judge.hear({ ...signed, range: { start: 0, end: 2 ** 20 - 1 } }, NOW), 'too high');
});

t.test('a newcomer is shown where the swarm is, and only fresh news counts', async t => {
  const made = live();
  const { integrity } = sourceOf(made, 12);
  const shown = integrity.tuneIn(STRANGER);
  t.same(
    shown.map(({ type, range }) => [type, range.start]),
    [
      ['INTEGRITY', 8],
      ['SIGNED_INTEGRITY', 8],
    ],
  );
  t.same(integrity.tuneIn(has(8)), []);
  t.equal(integrity.tuneIn(has(7)).length, 2);
  t.same(readerOf(made).tuneIn(STRANGER), []);
  for (const [at, isFresh] of [
    [NOW, true],
    [NOW + STALE_MS, false],
  ] as const) {
    const reader = readerOf(made);
    const judge = reader.judge();
    for (const claim of [...shown, ...shown]) t.ok(judge.hear(claim, at));
    t.equal(reader.newest?.range.start, isFresh ? 8 : undefined);
  }
});

/** Who has verified this chunk. */
const has = (chunk: number): Reader => ({
  knows: ({ start, end }) => start <= chunk && chunk <= end,
  knowsAny: true,
});

t.test('what the reader has proven goes not again, neither signature nor uncle', async t => {
  const { integrity } = sourceOf(live(), 4);
  const said = (chunk: number, reader: Reader) =>
    integrity.proofOf(chunk, reader).map(({ type, range }) => `${type} ${range.start}-${range.end}`);
  t.same(said(2, STRANGER), ['INTEGRITY 0-3', 'SIGNED_INTEGRITY 0-3', 'INTEGRITY 0-1', 'INTEGRITY 3-3']);
  t.same(said(2, has(0)), ['INTEGRITY 3-3']);
  t.same(said(1, has(0)), []);
});

t.test('subtrees are as wide as the first, and one that comes late leads nobody back', async t => {
  const made = live();
  const { integrity } = sourceOf(made, 12);
  const reader = readerOf(made);
  const judge = reader.judge();
  for (const n of [8, 4]) for (const claim of integrity.proofOf(n, STRANGER)) t.ok(judge.hear(claim, NOW));
  t.equal(reader.newest?.range.start, 8);
  const other = new LiveIntegrity({ ...made, have: new ChunkSet(), chunksPerSignature: 2 });
  const source = new LiveSource({
    integrity: other,
    key: made.privateKey,
    have: new ChunkSet(),
    chunksPerSignature: 2,
    first: 20,
  });
  for (let n = 0; n < 2; n += 1) source.add(Uint8Array.of(n), NOW);
  const [hash, signed] = other.tuneIn(STRANGER) as [Claim, Claim];
  t.ok(judge.hear(hash, NOW));
  t.notOk(judge.hear(signed, NOW), 'though its key signed it');
});

t.test('where the stream is goes with the third datagram or the fourth, and on until it is had', async t => {
  for (const isCaller of [false, true]) {
    const made = live();
    const net = new VirtualSwarm(7, { delayMs: 10 });
    const ends = [sourceOf(made, 8), sourceOf(made, 0)] as const;
    const [source, listener] = ends.map(({ have, integrity }) =>
      net.peer({ metadata: made.metadata, integrity, have, isIdle: true }),
    ) as [Peer, Peer];
    const format = wireFormatOf(made.metadata, ['rfc7574']);
    const said: string[] = [];
    net.onSent = (from, { datagram }) => {
      const { messages } = decodeDatagram(datagram, format);
      const shows = messages.some(({ type }) => type === 'SIGNED_INTEGRITY');
      if (from === source.address) said.push(`${messages[0]?.type === 'HANDSHAKE'} ${shows}`);
    };
    const [from, to] = isCaller ? [source, listener] : [listener, source];
    from.dial(to);
    net.run(1_500);
    // News between two signs of life.
    for (let n = 0; n < 4; n += 1) ends[0].source.add(Uint8Array.of(n), net.now + source.unixOffsetMs);
    net.run(3_000);
    t.equal(said[0], 'true false', 'not with the HANDSHAKE');
    t.ok(said.length > 2 && said.slice(1).every(each => each === 'false true'), said.join());
    source.store(new Uint8Array(8 * 1_024), 0);
    t.ok(listener.swarm.integrity instanceof LiveIntegrity && listener.swarm.integrity.newest);
    source.channels[0]!.receive(
      encodeDatagram(source.channels[0]!.channel, [{ type: 'HAVE', range: { start: 8, end: 8 } }], format),
      net.now,
    );
    said.length = 0;
    net.run(net.now + 3_000);
    t.ok(said.length > 0 && said.every(each => each === 'false false'), said.join());
  }
});

t.test('what leaves the window is forgotten', async t => {
  const made = live({ discardWindow: 8, addressing: 'byte64' });
  const { have, integrity, chunk } = sourceOf(made, 40);
  t.same(have.ranges, [{ start: 32, end: 39 }]);
  t.same([integrity.signedAt(31), integrity.signedAt(32)], [undefined, NOW]);
  t.equal(integrity.proofOf(33, STRANGER).length, 4);
  const reader = readerOf(made);
  const judge = reader.judge();
  for (const claim of integrity.tuneIn(STRANGER)) judge.hear(claim, NOW);
  const old = sourceOf(live(), 4).integrity.proofOf(0, STRANGER);
  for (const claim of old) t.ok(judge.hear(claim, NOW), 'too old to be looked at');
  t.equal(judge.judge(0, chunk(0)), 'unproven');
});

t.test('the source takes chunks, and ends in the middle of a subtree', async t => {
  const made = live();
  const { source, have, integrity, chunk } = sourceOf(made, 4);
  t.equal(source.next, 4);
  t.equal(source.end(NOW), undefined, 'nothing to sign');
  t.throws(() => source.add(new Uint8Array(0), NOW), LocalProtocolError);
  t.throws(
    () => new LiveSource({ integrity, key: made.privateKey, have, chunksPerSignature: 6 }),
    LocalProtocolError,
  );
  const last = new Uint8Array(100).fill(3);
  t.equal(source.add(last, NOW), undefined);
  t.same(have.ranges, [{ start: 0, end: 3 }], 'not announced before it is signed');
  t.same(source.end(NOW), { start: 4, end: 4 });
  t.equal(source.next, 8);
  const reader = readerOf(made);
  const judge = reader.judge();
  for (const claim of integrity.proofOf(4, STRANGER)) judge.hear(claim, NOW);
  t.equal(judge.judge(4, last), 'verified');
  t.equal(judge.judge(5, chunk(0)), 'wrong', 'there is nothing, and that is proven');
});

t.test('the end is signed, also behind a full subtree, and a source may go on behind it', async t => {
  const made = live();
  const { source, have, integrity, chunk } = sourceOf(made, 8);
  const reader = readerOf(made);
  const judge = reader.judge();
  const show = (n: number): void => {
    for (const claim of integrity.proofOf(n, STRANGER)) judge.hear(claim, NOW);
  };
  const tuneIn = (): void => {
    for (const claim of integrity.tuneIn(STRANGER)) t.ok(judge.hear(claim, NOW));
  };
  t.equal(reader.chunks, Number.POSITIVE_INFINITY);
  source.finish(NOW);
  t.same(have.ranges, [{ start: 0, end: 7 }], 'which is no chunk');
  tuneIn();
  t.same([integrity.chunks, reader.chunks], [8, 8]);
  source.add(chunk(5), NOW);
  source.finish(NOW);
  tuneIn();
  t.equal(reader.chunks, Number.POSITIVE_INFINITY, 'it went on');
  show(12);
  t.equal(judge.judge(12, chunk(5)), 'verified');
  t.same([integrity.chunks, reader.chunks], [13, 13], 'with the last chunk comes the end');
  show(7);
  t.equal(judge.judge(7, chunk(7)), 'verified');
  t.equal(reader.chunks, 13, 'what is old says nothing of it');
  t.throws(
    () => new LiveSource({ ...made, key: made.privateKey, integrity, have, first: 3 }),
    LocalProtocolError,
  );
});

t.test('while the source has nothing new, both sides show each second that they live', async t => {
  const made = live();
  const net = new VirtualSwarm(5);
  const [source, listener] = [sourceOf(made, 8), sourceOf(made, 0)].map(({ have, integrity }) =>
    net.peer({ metadata: made.metadata, integrity, have }),
  ) as [Peer, Peer];
  const channel = listener.dial(source);
  for (let seconds = 1; seconds <= 60; seconds += 1) {
    net.run(seconds * 1_000);
    const silentMs = Math.max(...[channel, source.channels[0]!].map(({ heardAt }) => net.now - heardAt));
    t.ok(silentMs <= 1_500, `${silentMs} ms of silence`);
  }
});

t.test('from a source over a relay to a late listener, through loss', async t => {
  const made = live({ discardWindow: 64 });
  const net = new VirtualSwarm(4, { loss: 0.1, reorderMs: 30, doubles: 0.05 });
  const peers = ['source', 'relay', 'listener'].map(() => {
    const have = new ChunkSet();
    const integrity = new LiveIntegrity({ ...made, have });
    return { integrity, peer: net.peer({ metadata: made.metadata, integrity, have }) };
  });
  const [source, relay, listener] = peers.map(({ peer }) => peer) as [Peer, Peer, Peer];
  relay.dial(source);
  net.run(500);
  const { integrity } = peers[0]!;
  const maker = new LiveSource({ integrity, key: made.privateKey, have: source.swarm.have });
  const content = new Chance(4).bytes(256 * 1_024);
  const epoch = source.unixOffsetMs;
  for (let n = 0; n < 256; n += 1) {
    const bytes = content.subarray(n * 1_024, (n + 1) * 1_024);
    source.chunks.set(n, bytes);
    maker.add(bytes, net.now + epoch);
    net.run(net.now + 30);
    if (n === 127) listener.dial(relay);
  }
  net.run(net.now + 20_000, () => listener.swarm.have.has(255));
  t.ok(net.run(net.now + 20_000, () => listener.swarm.have.covers({ start: 192, end: 255 })));
  for (const peer of [relay, listener])
    for (let n = 192; n < 256; n += 1)
      t.ok(
        Buffer.compare(peer.chunks.get(n)!, content.subarray(n * 1_024, (n + 1) * 1_024)) === 0,
        `chunk ${n}`,
      );
  t.ok(source.channels[0]!.peerHas!.ranges[0]!.start >= 192, 'what it no longer keeps it no longer has');
  t.ok(listener.chunks.size < 224, `it tuned in late: ${listener.chunks.size} chunks`);
  t.equal(peers[2]!.integrity.newest!.range.end, 255);
});

type Peer = ReturnType<VirtualSwarm['peer']>;
