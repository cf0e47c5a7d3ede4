/**
 * A hash tree from its leaves, one after the other (RFC 7574 §5.1): a node is made as soon as both below it are there, so
 * that no step takes long, whatever the size of the content.
 *
 *     leaf ─▶ a left one: waits for its neighbour          a right one ─▶ parent ─▶ the same, one level up
 *     finish: who still waits is joined with zeros
 */
import { HASH_LENGTH, type HashName, hashPair, PIECE_LEVEL } from '../merkle.js';
import { rowsOf } from '../tree-rows.js';
import { binAt } from './bins.js';
import type { NodeStore } from './node-store.js';

const PIECE_CHUNKS = 2 ** PIECE_LEVEL;

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

  /** The hash of the next chunk; it is kept. */
  add(leaf: Uint8Array): void {
    this.#put(0, this.#leaves, leaf);
    this.#leaves += 1;
  }

  /** The next chunks at once, all of one length but the last of the content: those of a piece, or fewer at the end. */
  addPiece(chunks: readonly Uint8Array[]): void {
    const isPiece = chunks.length === PIECE_CHUNKS && this.#leaves % PIECE_CHUNKS === 0;
    const rows = rowsOf(chunks, isPiece ? PIECE_LEVEL : 0, this.#hash);
    if (!isPiece) {
      for (const leaf of nodesOf(rows[0]!, this.#hash)) this.add(leaf);
      return;
    }
    for (const [layer, row] of rows.slice(0, -1).entries())
      this.#nodes?.setRow(layer, this.#leaves / 2 ** layer, row);
    this.#put(PIECE_LEVEL, this.#leaves / PIECE_CHUNKS, Uint8Array.from(rows.at(-1)!));
    this.#leaves += PIECE_CHUNKS;
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
    let [layer, offset, node] = [firstLayer, firstOffset, first];
    this.#nodes?.set(binAt(layer, offset), node);
    while (offset % 2 === 1) {
      node = hashPair(this.#waiting[layer]!, node, this.#hash);
      layer += 1;
      offset = (offset - 1) / 2;
      this.#nodes?.set(binAt(layer, offset), node);
    }
    this.#waiting[layer] = node;
  }
}

/** Nodes that stand end to end, one by one, each in memory of its own. */
export function* nodesOf(row: Uint8Array, hash: HashName): Generator<Uint8Array> {
  const length = HASH_LENGTH[hash];
  for (let at = 0; at < row.length; at += length) yield row.slice(at, at + length);
}
