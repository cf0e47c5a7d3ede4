/** Hashes in lanes are those of OpenSSL, rows are those of the plain tree, and a builder's tree is the content's. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { toHex } from '../../protocol/bytes.js';
import { HASH_LENGTH, type HashName, heightOf, MerkleTree, nodesAbove } from '../../protocol/merkle.js';
import { NodeStore } from '../../protocol/ppspp/node-store.js';
import { TreeBuilder } from '../../protocol/ppspp/tree-builder.js';
import { Sha256Lanes } from '../../protocol/sha256-lanes.js';
import { rowsAbove, rowsOf } from '../../protocol/tree-rows.js';
import { Chance } from '../simulation/chance.js';

const cut = (bytes: Uint8Array, length: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) =>
    bytes.subarray(i * length, (i + 1) * length),
  );

const lanes = Sha256Lanes.create();
const skip = lanes === undefined && 'this machine has no vectors';

t.test('four at a time, each is what it is alone', { skip }, async t => {
  const chance = new Chance(3);
  for (const length of [64, 128, 1_024, 4_096]) {
    for (const count of [1, 3, 4, 5, 16]) {
      const messages = cut(chance.bytes(length * count), length);
      const [leaves] = lanes!.rows(messages, length, 0);
      const expected = messages.map(message => createHash('sha256').update(message).digest('hex')).join('');
      t.equal(toHex(leaves!), expected, `${count} of ${length} bytes`);
    }
  }
});

t.test('rows of any chunks are rows of the plain tree', async t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 * 1_024 }),
      fc.constantFrom<HashName>('sha1', 'sha256', 'sha512'),
      fc.integer({ min: 0, max: 6 }),
      (size, hash, most) => {
        const content = new Chance(size).bytes(size);
        const levels = Math.min(most, heightOf(Math.ceil(size / 1_024)));
        const nodes = new MerkleTree({ hash, keep: 0 }).update(content).digest().nodes(0);
        const rows = rowsOf(cut(content, 1_024), levels, hash);
        const plain = rowsAbove(nodes, levels, hash);
        const above = nodesAbove(nodes, 0, levels, hash);
        return (
          rows.every((row, i) => toHex(row) === toHex(plain[i]!)) &&
          toHex(above).startsWith(toHex(rows.at(-1)!))
        );
      },
    ),
    { numRuns: 60 },
  );
  t.pass();
});

t.test('a tree from pieces has the root and all nodes of the content', async t => {
  for (const [size, chunkBytes] of [
    [1, 1_024],
    [65_536, 1_024],
    [65_537, 1_024],
    [300_001, 1_024],
    [70_000, 512],
    [70_001, 1_000],
  ] as const) {
    const content = new Chance(size).bytes(size);
    const chunks = cut(content, chunkBytes);
    const hash: HashName = 'sha256';
    const [one, other] = [new NodeStore(HASH_LENGTH[hash]), new NodeStore(HASH_LENGTH[hash])];
    const [pieces, leaves] = [new TreeBuilder(hash, one), new TreeBuilder(hash, other)];
    for (const piece of cut(content, 64 * chunkBytes)) pieces.addPiece(cut(piece, chunkBytes));
    for (const chunk of chunks) leaves.add(createHash(hash).update(chunk).digest());
    t.equal(toHex(pieces.finish()), toHex(leaves.finish()), `${size} bytes in chunks of ${chunkBytes}`);
    const listed = (store: NodeStore): string[] =>
      [...store].map(([bin, node]) => `${bin} ${toHex(node)}`).sort();
    t.same(listed(one), listed(other));
  }
  t.equal(toHex(new TreeBuilder('sha1').finish()), '00'.repeat(20), 'no content');
});
