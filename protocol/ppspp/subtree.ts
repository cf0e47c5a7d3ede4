/**
 * A row of neighbouring nodes and all that stand above it, level by level: for those who have the content itself.
 *
 *     row ─▶ row, then the level above it …, the top last        a missing right one is zeros
 */
import { HASH_LENGTH, type HashName, hashPair } from '../merkle.js';
import { binAt } from './bins.js';

/** By bin, from left to right and upwards. `offset`: of the first of `row` in its `layer`, a multiple of 2 ** `levels`. */
export function subtree(
  row: readonly Uint8Array[],
  place: {
    readonly layer: number;
    readonly offset: number;
    readonly levels: number;
    readonly hash: HashName;
  },
): Map<number, Uint8Array> {
  const zeros = new Uint8Array(HASH_LENGTH[place.hash]);
  const nodes = new Map<number, Uint8Array>();
  let current = row;
  for (let up = 0; up <= place.levels; up += 1) {
    const first = place.offset / 2 ** up;
    const above: Uint8Array[] = [];
    for (const [i, node] of current.entries()) {
      nodes.set(binAt(place.layer + up, first + i), node);
      if (i % 2 === 0) above.push(hashPair(node, current[i + 1] ?? zeros, place.hash));
    }
    current = above;
  }
  return nodes;
}
