/**
 * What one peer said of hashes and nobody has proven, and how a chunk proves it (RFC 7574 §5.2).
 *
 *     chunk ─▶ leaf ─ with its sibling, proven or claimed ─▶ parent ─ … ─▶ a proven node: equal, or not
 *
 * A proven node is never replaced, and a claim is proven only by a chunk of the peer that made it.
 */
import { type HashName, hashPair } from '../merkle.js';
import { binOf, layerOf, offsetOf, parentOf, siblingOf } from './bins.js';
import type { ChunkRange } from './messages.js';

/** Peaks and uncles of the largest content that there can be, twice over. */
const MAX_CLAIMS = 256;
/** Higher than any content is: 2^43 chunks of 1,024 bytes have a size in 53 bits. */
export const MAX_LAYER = 43;

/** What one peer said and nobody has proven. The oldest is forgotten first. */
export class Claims {
  readonly #hashes = new Map<number, Uint8Array>();

  /** False when the range is no node. */
  add(range: ChunkRange, hash: Uint8Array): boolean {
    const bin = binOf(range);
    if (bin === undefined || layerOf(bin) > MAX_LAYER) return false;
    this.#hashes.delete(bin);
    this.#hashes.set(bin, new Uint8Array(hash));
    if (this.#hashes.size > MAX_CLAIMS) this.#hashes.delete(this.#hashes.keys().next().value!);
    return true;
  }

  get(bin: number): Uint8Array | undefined {
    return this.#hashes.get(bin);
  }

  delete(bin: number): void {
    this.#hashes.delete(bin);
  }

  clear(): void {
    this.#hashes.clear();
  }

  get bins(): Iterable<number> {
    return this.#hashes.keys();
  }
}

/**
 * - verified: this is the chunk
 * - unproven: hashes are missing; nobody is to blame
 * - wrong: the chunk, or a claim of the same peer, is false
 */
export type Verdict = 'verified' | 'unproven' | 'wrong';

/** Of the first `count` chunks of a run, which are judged together. */
export interface RunVerdict {
  readonly verdict: Verdict;
  readonly count: number;
}

/** They are better judged one by one. */
export const ONE_BY_ONE: RunVerdict = { verdict: 'unproven', count: 0 };

/** By bin, the hashes on the way from a chunk to a proven node, with the siblings that were taken for it. */
export type Way = Map<number, Uint8Array>;

/** Climbs from a leaf. `way` is true if the verdict is `verified`, and means nothing otherwise. */
export function climb(
  leaf: number,
  leafHash: Uint8Array,
  hashName: HashName,
  tree: {
    proven(bin: number): Uint8Array | undefined;
    /** A sibling, proven or only claimed, put into `way` too if it is to be proven; undefined: nobody knows it. */
    believed(bin: number, way: Way): Uint8Array | undefined;
  },
): { readonly verdict: Verdict; readonly way: Way } {
  const way: Way = new Map();
  let bin = leaf;
  let hash = leafHash;
  while (true) {
    const proven = tree.proven(bin);
    if (proven !== undefined && Buffer.compare(proven, hash) !== 0) return { verdict: 'wrong', way };
    way.set(bin, hash);
    if (proven !== undefined) return { verdict: 'verified', way };
    const other = tree.believed(siblingOf(bin), way);
    if (other === undefined) return { verdict: 'unproven', way };
    hash = offsetOf(bin) % 2 === 0 ? hashPair(hash, other, hashName) : hashPair(other, hash, hashName);
    bin = parentOf(bin);
  }
}
