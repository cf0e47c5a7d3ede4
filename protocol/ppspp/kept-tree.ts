/**
 * What of a tree is to be kept with some chunks of a content, so that after a new start they can be told from what was damaged
 * meanwhile, and proven to others.
 *
 *              ○                ● is kept: side by side they lead to the root, so that they prove themselves
 *          ○       ●            below one either all chunks are here, or none is
 *        ●   ●                  a dozen or two for each gap, and as many as GRAIN_LEVELS tells apart, whatever the size
 *      [c0][c1]
 */
import { HASH_LENGTH, type HashName, hashPair, heightOf } from '../merkle.js';
import { binAt, layerOf, rangeOf } from './bins.js';
import type { ChunkSet } from './chunk-set.js';
import type { HashTree } from './hash-tree.js';

export type TreeNode = readonly [bin: number, hash: Uint8Array];

/** A thousandth of the content is lost with a damaged byte; more of them would make a note that is long to write each second. */
const GRAIN_LEVELS = 10;

/** Proven nodes, from left to right, each above chunks of which all are in `have` or none. Empty while the size is not known. */
export function cutOf(tree: HashTree, have: ChunkSet): TreeNode[] {
  const { chunks } = tree;
  if (chunks === undefined) return [];
  const grain = Math.max(0, heightOf(chunks) - GRAIN_LEVELS);
  const cut: TreeNode[] = [];
  const visit = (bin: number): void => {
    const { start, end } = rangeOf(bin);
    if (start >= chunks) return;
    const isHere = layerOf(bin) <= grain && have.covers({ start, end });
    // Of what reaches past the content its peaks are kept, for others prove chunks up to these only (RFC 7574 §5.6.1).
    if (end < chunks && (isHere || !have.touches({ start, end }))) {
      const hash = tree.node(bin);
      if (hash !== undefined) cut.push([bin, hash]);
      return;
    }
    for (const child of childrenOf(bin)) visit(child);
  };
  visit(binAt(heightOf(chunks), 0));
  return cut;
}

/** The nodes of a cut and all above them; undefined if they do not lead to the root. */
export function nodesFrom(kept: {
  readonly root: Uint8Array;
  readonly hash: HashName;
  readonly chunks: number;
  readonly cut: ReadonlyMap<number, Uint8Array>;
}): TreeNode[] | undefined {
  const { chunks, cut, hash: hashName } = kept;
  const nodes: TreeNode[] = [];
  const visit = (bin: number): Uint8Array | undefined => {
    const { start, end } = rangeOf(bin);
    if (start >= chunks) return new Uint8Array(HASH_LENGTH[hashName]);
    // A node that reaches past the content would hide that there are more chunks than that.
    let hash = end < chunks ? cut.get(bin) : undefined;
    if (hash === undefined && layerOf(bin) > 0) {
      const [left, right] = childrenOf(bin);
      const leftHash = visit(left);
      const rightHash = leftHash && visit(right);
      hash = rightHash && hashPair(leftHash, rightHash, hashName);
    }
    if (hash !== undefined) nodes.push([bin, hash]);
    return hash;
  };
  const top = visit(binAt(heightOf(chunks), 0));
  return top !== undefined && Buffer.compare(top, kept.root) === 0 ? nodes : undefined;
}

function childrenOf(bin: number): [number, number] {
  const half = 2 ** (layerOf(bin) - 1);
  return [bin - half, bin + half];
}
