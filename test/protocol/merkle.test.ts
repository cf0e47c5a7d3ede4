/** Hash trees against published roots, against the plainest possible tree, and against single flipped bits. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { toHex } from '../../protocol/bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../../protocol/errors.js';
import {
  foldNodes,
  HASH_LENGTH,
  type HashName,
  hashPiece,
  MerkleTree,
  nodesAbove,
  ROOT_LEVEL,
} from '../../protocol/merkle.js';
import { content } from '../support/content.js';

const CHUNK = 1024;
const PIECE = 64 * CHUNK;
const HASHES: readonly HashName[] = ['sha1', 'sha256'];

/** Content byte i is i mod 251. Roots agree with two independent implementations of RFC 7574. */
const VECTORS = [
  [
    1,
    '5ba93c9db0cff93f52b521d7420e43f6eda2784f',
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  ],
  [
    1024,
    '0ac28084ff74933d05123496dafd3791684d9b53',
    '2bce1ba628720664be4b9fdd77aae0678e5f0f3f02fc6ff641ec879094f6a404',
  ],
  [
    1025,
    '466c328c3979ca230e1a85266f704293690f20d9',
    'bdaf4f16f2106d5807886f560e865c02b811213b765c3398b19b149468124b46',
  ],
  [
    5000,
    'e1a07d2a0d84a12272b181f66573dfe2711f3f24',
    '182697bb2f2871eb7f4ec6ae69a97200f57c0157fd4bd4d419336b5e890d5de5',
  ],
  [
    7162,
    '771baa14ad60d82025d037c350f26942bd5b7f5a',
    '1140e810b61f13f887a6626b32b07d4cd44731481b8ac911dd1ba12f75bd9d2d',
  ],
  [
    65536,
    '3e20de16b80428648110ef3e705cff9b65ddd6c9',
    '483c860344a4df14f407135b7604f60e614b92caad3622c0675e611c798c3101',
  ],
  [
    1048577,
    '96fbe6ed44f3aaee580ebc5412ac577481cd4ccb',
    '8becd36fe28186d7c172834ab1ee48c8b8ca88122d594670b84b1804ba5f34be',
  ],
] as const;

/** RFC 7574 §5.1 written down as slowly and plainly as it can be, to compare with. */
function plainLevels(bytes: Uint8Array, hash: HashName): Buffer[][] {
  const digest = (data: Uint8Array) => createHash(hash).update(data).digest();
  const zero = Buffer.alloc(HASH_LENGTH[hash]);
  let level: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) level.push(digest(bytes.subarray(at, at + CHUNK)));
  const levels = [level];
  while (level.length > 1) {
    const above: Buffer[] = [];
    for (let i = 0; i < level.length; i += 2)
      above.push(digest(Buffer.concat([level[i]!, level[i + 1] ?? zero])));
    levels.push(above);
    level = above;
  }
  return levels;
}

t.test('roots are those of the published vectors', async t => {
  for (const [size, sha1, sha256] of VECTORS) {
    for (const [hash, root] of [
      ['sha1', sha1],
      ['sha256', sha256],
    ] as const) {
      for (const keep of [0, 3, 6, 16]) {
        const digest = new MerkleTree({ hash, keep }).update(content(size)).digest();
        t.equal(toHex(digest.root), root, `${hash}, ${size} bytes, keeping level ${keep}`);
        t.equal(digest.size, size);
        t.equal(toHex(digest.nodes(ROOT_LEVEL)), root);
      }
    }
  }
});

t.test('every level is that of the definition, in any cuts', async t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 * CHUNK }),
      fc.array(fc.integer({ min: 0, max: 3 * CHUNK }), { maxLength: 30 }),
      fc.constantFrom(...HASHES),
      fc.integer({ min: 0, max: 6 }),
      (size, cuts, hash, keep) => {
        const bytes = content(size);
        const tree = new MerkleTree({ hash, keep });
        let at = 0;
        for (const cut of cuts) {
          tree.update(bytes.subarray(at, at + cut));
          at = Math.min(at + cut, size);
          tree.digest();
        }
        const digest = tree.update(bytes.subarray(at)).digest();
        const levels = plainLevels(bytes, hash);
        const root = levels.at(-1)![0]!;
        t.ok(root.equals(digest.root));
        for (let level = keep; level < levels.length + 2; level += 1) {
          t.ok(Buffer.concat(levels[level] ?? [root]).equals(digest.nodes(level)));
        }
        return true;
      },
    ),
    { numRuns: 150 },
  );
});

t.test('a piece hashes to its node, folding the nodes gives the root', async t => {
  for (const size of [1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 7 * PIECE + 1500]) {
    for (const hash of HASHES) {
      const bytes = content(size);
      const { root, nodes } = new MerkleTree({ hash }).update(bytes).digest();
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < size; at += PIECE) {
        pieces.push(hashPiece(bytes.subarray(at, at + PIECE), { hash, whole: size <= PIECE }));
      }
      t.equal(toHex(Buffer.concat(pieces)), toHex(nodes(6)), `${hash}, ${size} bytes`);
      t.equal(toHex(foldNodes(nodes(6), 6, hash)), toHex(root));
      t.equal(toHex(nodesAbove(nodes(6), 6, 8, hash)), toHex(nodes(8)));
    }
  }
  t.equal(
    toHex(hashPiece(content(7 * PIECE + 1500).subarray(7 * PIECE))),
    toHex(
      new MerkleTree()
        .update(content(7 * PIECE + 1500))
        .digest()
        .nodes(6)
        .subarray(-32),
    ),
    'SHA-256 and level 6 are the defaults',
  );
});

t.test('the tree of nothing has a root of zeros and no nodes', async t => {
  const digest = new MerkleTree({ hash: 'sha1' }).digest();
  t.same(digest.root, new Uint8Array(20));
  t.equal(digest.size, 0);
  t.equal(digest.nodes(6).length, 0);
});

t.test('a digest stands when the tree grows on', async t => {
  const tree = new MerkleTree();
  const first = tree.update(content(PIECE + 1)).digest();
  const root = toHex(first.root);
  tree.update(content(40 * PIECE));
  t.equal(toHex(first.root), root);
  t.equal(toHex(foldNodes(first.nodes(6), 6)), root);
});

t.test('what a sender got wrong and what a caller got wrong are told apart', async t => {
  t.throws(() => foldNodes(new Uint8Array(33), 6), RemoteProtocolError);
  t.throws(() => foldNodes(new Uint8Array(0), 6), RemoteProtocolError);
  t.throws(() => new MerkleTree({ keep: 17 }), LocalProtocolError);
  t.throws(() => new MerkleTree({ keep: 1.5 }), LocalProtocolError);
  t.throws(() => new MerkleTree().update(content(10)).digest().nodes(5), LocalProtocolError);
  t.throws(() => hashPiece(new Uint8Array(0)), LocalProtocolError);
  t.throws(() => hashPiece(new Uint8Array(PIECE + 1)), LocalProtocolError);
});
