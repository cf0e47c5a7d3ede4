/**
 * What of a tree is to be kept with some chunks of a content, so that they can be proven to others after a new start.
 *
 *              ●                ● is computed from the chunks that are here
 *          ●       ○            ○ is kept: nothing of what is below it is here, but the node beside it needs it
 *        ●   ●                  a dozen for each gap, whatever the size of the content
 *      [c0][c1]
 */
import { HASH_LENGTH, type HashName, hashPair, heightOf } from '../merkle.js';
import { binAt, layerOf, rangeOf } from './bins.js';
import type { ChunkSet } from './chunk-set.js';
import type { HashTree } from './hash-tree.js';

export type TreeNode = readonly [bin: number, hash: Uint8Array];

/** The proven nodes that the chunks of `have` do not give. Empty while the size is not known. */
export function frontierOf(tree: HashTree, have: ChunkSet): TreeNode[] {
  const { chunks } = tree;
  if (chunks === undefined) return [];
  const frontier: TreeNode[] = [];
  const visit = (bin: number): void => {
    const { start, end } = rangeOf(bin);
    if (start >= chunks || have.covers({ start, end: Math.min(end, chunks - 1) })) return;
    // Of what reaches past the content its peaks are kept, for others prove chunks up to these only (RFC 7574 §5.6.1).
    if (end < chunks && !have.touches({ start, end })) {
      const hash = tree.node(bin);
      if (hash !== undefined) frontier.push([bin, hash]);
      return;
    }
    for (const child of childrenOf(bin)) visit(child);
  };
  visit(binAt(heightOf(chunks), 0));
  return frontier;
}

/** All nodes above the chunks of `have`; undefined if with those of the frontier they do not lead to the root. */
export function rebuiltNodes(kept: {
  readonly root: Uint8Array;
  readonly hash: HashName;
  readonly chunks: number;
  readonly have: ChunkSet;
  readonly frontier: ReadonlyMap<number, Uint8Array>;
  /** The hash of a chunk of `have`. */
  leafOf(chunk: number): Uint8Array;
}): TreeNode[] | undefined {
  const { chunks, have, frontier, hash: hashName } = kept;
  const nodes: TreeNode[] = [];
  const visit = (bin: number): Uint8Array | undefined => {
    const range = rangeOf(bin);
    if (range.start >= chunks) return new Uint8Array(HASH_LENGTH[hashName]);
    let hash: Uint8Array | undefined;
    if (range.end < chunks && !have.touches(range)) hash = frontier.get(bin);
    else if (layerOf(bin) === 0) hash = kept.leafOf(range.start);
    else {
      const [left, right] = childrenOf(bin).map(visit);
      hash = left && right && hashPair(left, right, hashName);
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
