/**
 * A hash tree from its leaves, one after the other (RFC 7574 §5.1): a node is made as soon as both below it are there, so
 * that no step takes long, whatever the size of the content.
 *
 *     leaf ─▶ a left one: waits for its neighbour          a right one ─▶ parent ─▶ the same, one level up
 *     finish: who still waits is joined with zeros
 */
import { HASH_LENGTH, type HashName, hashPair } from '../merkle.js';
import { binAt } from './bins.js';
import type { NodeStore } from './node-store.js';

export class TreeBuilder {
  readonly #hash: HashName;
  readonly #nodes: NodeStore | undefined;
  /** By layer: the node whose right neighbour is not there. */
  readonly #waiting: Uint8Array[] = [];
  #leaves = 0;

  /** `nodes`: keeps them all; absent: only the root matters. */
  constructor(hash: HashName, nodes?: NodeStore) {
    this.#hash = hash;
    this.#nodes = nodes;
  }

  get leaves(): number {
    return this.#leaves;
  }

  /** The hash of the next chunk; it is kept. */
  add(leaf: Uint8Array): void {
    this.#put(0, this.#leaves, leaf);
    this.#leaves += 1;
  }

  /** The root; zeros for no content. */
  finish(): Uint8Array {
    const zeros = new Uint8Array(HASH_LENGTH[this.#hash]);
    let layer = 0;
    for (let count = this.#leaves; count > 1; count = Math.ceil(count / 2), layer += 1)
      if (count % 2 === 1)
        this.#put(layer + 1, (count - 1) / 2, hashPair(this.#waiting[layer]!, zeros, this.#hash));
    return this.#waiting[layer] ?? zeros;
  }

  #put(firstLayer: number, firstOffset: number, first: Uint8Array): void {
    let node = first;
    let offset = firstOffset;
    for (let layer = firstLayer; ; layer += 1) {
      this.#nodes?.set(binAt(layer, offset), node);
      if (offset % 2 === 0) {
        this.#waiting[layer] = node;
        return;
      }
      node = hashPair(this.#waiting[layer]!, node, this.#hash);
      offset = (offset - 1) / 2;
    }
  }
}
