/** Partial hash trees, bins and live signatures: from vectors, in any order, and with a flipped bit. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { toHex } from '../../../protocol/bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../../../protocol/errors.js';
import { HASH_LENGTH, type HashName, hashChunk, hashPair, MerkleTree } from '../../../protocol/merkle.js';
import {
  binAt,
  binOf,
  binsOf,
  parentOf,
  peaksOf,
  rangeOf,
  siblingOf,
  unclesOf,
} from '../../../protocol/ppspp/bins.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { Claims } from '../../../protocol/ppspp/claims.js';
import { HashTree } from '../../../protocol/ppspp/hash-tree.js';
import { MerkleIntegrity } from '../../../protocol/ppspp/integrity.js';
import { cutOf, nodesFrom } from '../../../protocol/ppspp/kept-tree.js';
import type { ChunkRange, Message } from '../../../protocol/ppspp/messages.js';
import { liveSwarmId, parseLiveSwarmId, signLive } from '../../../protocol/ppspp/signatures.js';
import { content } from '../../support/content.js';
import { wholeTree } from '../../support/whole-tree.js';

const vectors: { progressive: number[][]; roots: [number, string, string][] } = JSON.parse(
  readFileSync(new URL('../../../../test/vectors/ppspp.json', import.meta.url), 'utf8'),
);
const chunkOf = (bytes: Uint8Array, chunk: number): Uint8Array =>
  bytes.subarray(chunk * 1_024, (chunk + 1) * 1_024);

function treeOf(bytes: Uint8Array, hash: HashName = 'sha256'): { tree: HashTree; root: Uint8Array } {
  const { root } = new MerkleTree({ hash }).update(bytes).digest();
  return { tree: wholeTree(bytes, hash), root };
}

function claim(claims: Claims, messages: readonly Message[]): void {
  for (const message of messages) if (message.type === 'INTEGRITY') claims.add(message.range, message.hash);
}

t.test('bins are numbered as they stand', async t => {
  t.same([binAt(0, 3), binAt(1, 1), binAt(2, 0)], [6, 5, 3]);
  t.same([parentOf(4), parentOf(5), siblingOf(1), siblingOf(5)], [5, 3, 5, 1]);
  t.same(rangeOf(11), { start: 4, end: 7 });
  t.equal(binOf({ start: 1, end: 2 }), undefined);
  t.same(peaksOf(7), [3, 9, 12]);
  t.same(peaksOf(0), []);
  t.same(binsOf({ start: 1, end: 6 }), [2, 5, 9, 12]);
});

t.test('a reader in order needs the hash sets of the RFC', async t => {
  const have = new ChunkSet();
  for (const [chunk, bins] of vectors.progressive.entries()) {
    t.same(unclesOf(chunk, 7, range => have.touches(range)).reverse(), bins, `chunk ${chunk}`);
    have.add({ start: chunk, end: chunk });
  }
});

for (const [size, sha1, sha256] of vectors.roots) {
  t.test(`${size} bytes`, async t => {
    const bytes = content(size);
    for (const [hash, root] of [
      ['sha1', sha1],
      ['sha256', sha256],
    ] as const) {
      const source = treeOf(bytes, hash);
      t.equal(toHex(source.root), root);
      const reader = new HashTree({ root: source.root, hash });
      const claims = new Claims();
      const chunks = Math.ceil(size / 1_024);
      const have = new ChunkSet();
      for (let chunk = 0; chunk < chunks; chunk += 1) {
        claim(
          claims,
          source.tree.proofOf(chunk, chunk === 0, range => have.touches(range)),
        );
        t.equal(reader.verify(chunk, chunkOf(bytes, chunk), claims), 'verified');
        have.add({ start: chunk, end: chunk });
      }
      t.equal(reader.chunks, chunks);
      t.equal(reader.size, size);
    }
  });
}

t.test('any subset in any order gives the same tree, for every hash, and no flipped bit passes', async t => {
  const hashes = Object.keys(HASH_LENGTH) as HashName[];
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40_000 }),
      fc.constantFrom(...hashes),
      fc.boolean(),
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 30 }),
      (size, hash, sizeKnown, picks) => {
        const bytes = content(size);
        const source = treeOf(bytes, hash);
        const chunks = Math.ceil(size / 1_024);
        const reader = new HashTree({ root: source.root, hash, ...(sizeKnown ? { size } : {}) });
        const have = new ChunkSet();
        if (!sizeKnown) picks.unshift([0, 0, false]);
        for (const [pick, bit, flip] of picks) {
          const chunk = pick % chunks;
          const known = (range: ChunkRange): boolean => have.touches(range);
          const data = Buffer.from(chunkOf(bytes, chunk));
          const claims = new Claims();
          claim(claims, source.tree.proofOf(chunk, true, known));
          if (flip) {
            data[bit % data.length]! ^= 1 << (bit % 8);
            t.equal(reader.verify(chunk, data, claims), 'wrong');
            continue;
          }
          // Alone in a tree of unknown size, a chunk of two hashes' length could be a node.
          if (reader.chunks === undefined && size === 2 * HASH_LENGTH[hash]) continue;
          t.equal(reader.verify(chunk, data, claims), 'verified');
          have.add({ start: chunk, end: chunk });
        }
        for (const { start, end } of have.ranges) {
          for (let chunk = start; chunk <= end; chunk += 1)
            t.same(
              reader.proofOf(chunk, true, () => false),
              source.tree.proofOf(chunk, true, () => false),
            );
        }
      },
    ),
    { numRuns: 60 },
  );
});

t.test('a flipped bit in any hash proves nothing, and nothing of it stays', async t => {
  const size = 21_000;
  const bytes = content(size);
  const source = treeOf(bytes);
  const nobody = (): boolean => false;
  for (const isSized of [true, false])
    for (let chunk = 0; chunk < 21; chunk += 1)
      for (const [place, proof] of source.tree.proofOf(chunk, true, nobody).entries()) {
        const reader = new HashTree({ root: source.root, ...(isSized ? { size } : {}) });
        const claims = new Claims();
        claim(claims, source.tree.proofOf(chunk, true, nobody));
        if (proof.type !== 'INTEGRITY') continue;
        const spoilt = Uint8Array.from(proof.hash);
        spoilt[(chunk + place) % 32]! ^= 1 << (place % 8);
        claims.add(proof.range, spoilt);
        const verdict = reader.verify(chunk, chunkOf(bytes, chunk), claims);
        // The peak above the chunk is not asked for: the climb itself comes to it.
        const isAbove = proof.range.start <= chunk && chunk <= proof.range.end;
        if (verdict === 'verified') t.ok(isAbove, `chunk ${chunk}, hash ${place}`);
        for (const [bin, hash] of reader.nodes)
          if (toHex(hash) !== toHex(source.tree.node(bin)!)) t.fail(`node ${bin}`);
      }
});

t.test('what is claimed is not believed', async t => {
  const bytes = content(7_162);
  const source = treeOf(bytes);
  const proof = source.tree.proofOf(0, true, () => false);
  const fresh = (): HashTree => new HashTree({ root: source.root });
  t.equal(fresh().verify(0, chunkOf(bytes, 0), new Claims()), 'unproven', 'without any hash');
  const peaksOnly = new Claims();
  claim(peaksOnly, proof.slice(0, 3));
  t.equal(fresh().verify(0, chunkOf(bytes, 0), peaksOnly), 'unproven', 'without uncles');
  const forged = new Claims();
  claim(forged, proof);
  forged.add({ start: 4, end: 5 }, new Uint8Array(32));
  t.equal(fresh().verify(0, chunkOf(bytes, 0), forged), 'unproven', 'with peaks that fold to another root');

  const reader = fresh();
  const claims = new Claims();
  claim(claims, proof);
  reader.verify(0, chunkOf(bytes, 0), claims);
  const before = toHex(reader.node(2)!);
  claims.add({ start: 1, end: 1 }, new Uint8Array(32).fill(7));
  t.equal(
    reader.verify(1, chunkOf(bytes, 1), claims),
    'verified',
    'a claim against a proven node is nothing',
  );
  t.equal(toHex(reader.node(2)!), before);
  t.equal(reader.verify(7, chunkOf(bytes, 6), new Claims()), 'wrong', 'past the content');
  t.equal(reader.verify(2, bytes.subarray(0, 1_000), new Claims()), 'wrong', 'too short');
  t.throws(() => reader.proofOf(4, false, () => false), LocalProtocolError);
  t.throws(() => fresh().proofOf(0, false, () => false), LocalProtocolError);
  t.throws(() => new HashTree({ root: new Uint8Array(20) }), LocalProtocolError);
});

t.test('pieces that came with all nodes of their level serve as proven chunks do', async t => {
  for (const size of [1, 1_024, 65_536, 65_537, 200_000]) {
    const bytes = content(size);
    const { root, tree } = treeOf(bytes);
    const reader = new HashTree({ root, size });
    const nodes = new MerkleTree().update(bytes).digest().nodes(6);
    const last = bytes.subarray(Math.floor((size - 1) / 65_536) * 65_536);
    const forged = Uint8Array.from(nodes);
    forged[0]! ^= 1;
    t.equal(
      reader.proveLevel(forged, 6, last),
      size < 65_536,
      'where the root stands so low it is not looked at',
    );
    t.notOk(reader.proveLevel(nodes.subarray(1), 6, last));
    t.notOk(reader.proveLevel(nodes, 6, last.subarray(1)));
    t.ok(reader.proveLevel(nodes, 6, last), `${size} bytes`);
    for (let first = 0; first * 1_024 < size; first += 64) {
      const piece = bytes.subarray(first * 1_024, (first + 64) * 1_024);
      const other = Uint8Array.from(piece);
      other[0]! ^= 1;
      t.notOk(reader.verifyPiece(first, other, 6));
      t.notOk(reader.verifyPiece(first, piece.subarray(1), 6));
      t.ok(reader.verifyPiece(first, piece, 6));
      const proof = (from: HashTree) => from.proofOf(first, true, () => false);
      t.same(proof(reader), proof(tree));
    }
    t.notOk(reader.verifyPiece(1_024, bytes, 6), 'past the content');
    t.notOk(
      new HashTree({ root, size }).verifyPiece(64, bytes.subarray(65_536, 131_072), 6),
      'without its node',
    );
  }
});

t.test(
  'what is kept with some chunks proves them to others after a new start, and a flipped bit shows',
  async t => {
    const downloads = fc.integer({ min: 1, max: 40_000 }).chain(size =>
      fc.record({
        size: fc.constant(size),
        chunks: fc.subarray([...Array(Math.ceil(size / 1_024)).keys()]),
      }),
    );
    fc.assert(
      fc.property(downloads, fc.nat(), ({ size, chunks }, spoilt) => {
        const bytes = content(size);
        const { root, tree } = treeOf(bytes);
        const reader = new HashTree({ root, size });
        const have = new ChunkSet();
        const fetch = (into: HashTree, chunk: number) => {
          const claims = new Claims();
          claim(
            claims,
            tree.proofOf(chunk, true, () => false),
          );
          t.equal(into.verify(chunk, chunkOf(bytes, chunk), claims), 'verified');
        };
        for (const chunk of chunks) {
          fetch(reader, chunk);
          have.add({ start: chunk, end: chunk });
        }
        if (chunks.length === 0) return;
        const cut = new Map(cutOf(reader, have));
        const kept = { root, hash: 'sha256' as const, chunks: reader.chunks! };
        const again = new HashTree({ root });
        again.rebuild(reader.chunks!, nodesFrom({ ...kept, cut })!);
        for (const chunk of chunks)
          t.ok(again.verifyPiece(chunk, chunkOf(bytes, chunk), 0), `chunk ${chunk}`);
        for (const chunk of chunks)
          t.same(
            again.proofOf(chunk, true, () => false),
            tree.proofOf(chunk, true, () => false),
          );
        for (let chunk = 0; chunk < reader.chunks!; chunk += 1) fetch(again, chunk);
        for (let fewer = 1; fewer < reader.chunks!; fewer += 1)
          t.equal(nodesFrom({ ...kept, chunks: fewer, cut }), undefined, `${fewer} chunks`);
        const wrong = chunks[spoilt % chunks.length]!;
        const flipped = chunkOf(bytes, wrong).map(byte => byte ^ 1);
        t.notOk(again.verifyPiece(wrong, flipped, 0));
        const [bin, hash] = [...cut][spoilt % cut.size]!;
        cut.set(
          bin,
          hash.map(byte => byte ^ 1),
        );
        t.equal(nodesFrom({ ...kept, cut }), undefined);
        cut.delete(bin);
        t.equal(nodesFrom({ ...kept, cut }), undefined);
      }),
      { numRuns: 60 },
    );
    t.same(cutOf(new HashTree({ root: treeOf(content(3_000)).root }), new ChunkSet()), [], 'no size yet');
  },
);

t.test('two hashes end to end are no content of a swarm whose size is unknown', async t => {
  const { root, tree } = treeOf(content(2_048));
  const [left, right] = [tree.node(0)!, tree.node(2)!];
  const claims = new Claims();
  claims.add({ start: 0, end: 0 }, root);
  t.equal(new HashTree({ root }).verify(0, Buffer.concat([left, right]), claims), 'unproven');
});

t.test('a size is believed with another chunk than the last', async t => {
  const bytes = content(1_500);
  const { root, tree } = treeOf(bytes);
  const reader = new HashTree({ root });
  const claims = new Claims();
  const say = (chunk: number) =>
    claim(
      claims,
      tree.proofOf(chunk, true, () => false),
    );
  say(1);
  t.equal(reader.verify(1, chunkOf(bytes, 1), claims), 'unproven');
  say(0);
  t.equal(reader.verify(0, chunkOf(bytes, 0), claims), 'verified');
  say(1);
  t.equal(reader.verify(1, chunkOf(bytes, 1), claims), 'verified');
  t.equal(reader.size, 1_500);
});

t.test('with a false chunk all goes that its sender claimed', async t => {
  const bytes = content(7_162);
  const { root, tree } = treeOf(bytes);
  const claims = new Claims();
  claim(
    claims,
    tree.proofOf(0, true, () => false),
  );
  t.equal(new HashTree({ root, size: 7_162 }).verify(0, chunkOf(bytes, 1), claims), 'wrong');
  t.same([...claims.bins], []);
});

t.test('hashes that went with the chunks just before do not go again', async t => {
  const merkle = new MerkleIntegrity(treeOf(content(40_000)).tree);
  const reader = { knows: () => false, knowsAny: true };
  const hashes = (chunk: number, told: (range: ChunkRange) => boolean) =>
    merkle.proofOf(chunk, { ...reader, isTold: told }).map(({ range }) => `${range.start}-${range.end}`);
  t.same(
    hashes(9, () => false),
    ['16-31', '0-7', '12-15', '10-11', '8-8'],
  );
  t.same(
    hashes(9, ({ start }) => start <= 1),
    ['12-15', '10-11', '8-8'],
  );
});

t.test('claims are few, and about nodes', async t => {
  const claims = new Claims();
  for (let chunk = 0; chunk < 10_000; chunk += 1)
    claims.add({ start: chunk, end: chunk }, new Uint8Array(32));
  t.equal([...claims.bins].length, 256);
  t.notOk(claims.add({ start: 1, end: 2 }, new Uint8Array(32)));
  t.notOk(claims.add({ start: 0, end: 2 ** 50 - 1 }, new Uint8Array(32)));
  t.same(
    hashPair(new Uint8Array(20), new Uint8Array(20), 'sha1'),
    new Uint8Array(20),
    'nothing is not hashed',
  );
  t.equal(toHex(hashChunk(content(1), 'sha1')), vectors.roots[0]![1]);
  t.equal(wholeTree(new Uint8Array(0)).chunks, 0);
});

t.test('live keys and signatures are those of DNSSEC', async t => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey;
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  const signed = Buffer.from('a munro');
  for (const [algorithm, key, idBytes, signatureBytes] of [
    [5, rsa, 133, 128],
    [8, rsa, 133, 128],
    [13, p256, 65, 64],
    [14, p384, 97, 96],
  ] as const) {
    const id = liveSwarmId(algorithm, key);
    t.equal(id.length, idBytes);
    const live = parseLiveSwarmId(id);
    t.match(live, { algorithm, signatureBytes });
    const signature = signLive(algorithm, key, signed);
    t.ok(live.verify(signed, signature));
    t.notOk(live.verify(Buffer.from('another'), signature));
    t.notOk(live.verify(signed, signature.subarray(1)));
  }
  t.throws(() => liveSwarmId(13, p384), LocalProtocolError);
  t.throws(() => liveSwarmId(8, p256), LocalProtocolError);
  const long = Buffer.concat([Uint8Array.of(8, 0, 0, 3, 1, 0, 1), new Uint8Array(64).fill(0xab)]);
  t.equal(parseLiveSwarmId(long).signatureBytes, 64, 'the long form of an exponent');
  for (const bytes of [
    [],
    [6],
    [13, 1],
    [13, ...new Uint8Array(64)],
    [8, 1, 3, 1],
    [13, ...new Uint8Array(65)],
  ])
    t.throws(() => parseLiveSwarmId(Uint8Array.from(bytes)), RemoteProtocolError);
});
