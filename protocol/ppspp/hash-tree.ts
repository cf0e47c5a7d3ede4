/**
 * The tree of one content as far as it is proven (RFC 7574 §5): it verifies chunks, learns the size, and says what to send.
 *
 *     INTEGRITY ─▶ Claims (one peer's, not believed)        DATA ─▶ verify ─▶ all on the way to a proven node is proven
 *
 * Siblings past the content are zeros and need no claim.
 *
 * A root says nothing of its height, so peaks that fold to it may belong to a lower tree, whose last «chunk» is two hashes
 * end to end. A size is therefore believed only with a chunk that this cannot be.
 */
import { cutInto } from '../bytes.js';
import { LocalProtocolError } from '../errors.js';
import { HASH_LENGTH, type HashName, hashChunk, hashPair, heightOf, PIECE_LEVEL } from '../merkle.js';
import { LANES } from '../sha256-lanes.js';
import { rowsAbove, rowsOf } from '../tree-rows.js';
import { binAt, binOf, layerOf, layerOfRun, peaksOf, rangeOf, unclesOf } from './bins.js';
import {
  type Claims,
  climb,
  MAX_LAYER,
  ONE_BY_ONE,
  type RunVerdict,
  type Verdict,
  type Way,
} from './claims.js';
import type { ChunkRange, Claim } from './messages.js';
import { NodeStore } from './node-store.js';

export class HashTree {
  readonly hash: HashName;
  readonly chunkBytes: number;
  readonly root: Uint8Array;
  readonly #nodes: NodeStore;
  #chunks: number | undefined;
  /** Both once `#chunks` is known. */
  #peaks: readonly number[] = [];
  #top = 0;
  #size: number | undefined;

  /** `size`: bytes of content, where trusted metadata say it; otherwise it is learnt from peaks. */
  constructor(options: {
    readonly root: Uint8Array;
    readonly hash?: HashName;
    readonly chunkBytes?: number;
    readonly size?: number;
    /** All of them, of a content that is here (`TreeBuilder`). */
    readonly nodes?: NodeStore;
  }) {
    this.hash = options.hash ?? 'sha256';
    this.chunkBytes = options.chunkBytes ?? 1_024;
    this.root = options.root;
    if (options.root.length !== HASH_LENGTH[this.hash])
      throw new LocalProtocolError(`${options.root.length} bytes are no root of ${this.hash}`);
    this.#nodes = options.nodes ?? new NodeStore(HASH_LENGTH[this.hash]);
    if (options.size === undefined) return;
    this.#size = options.size;
    this.#settle(Math.ceil(options.size / this.chunkBytes));
  }

  /** Takes over nodes that are known to lead to the root (`kept-tree.ts`). They say nothing of the size: the last chunk does. */
  rebuild(chunks: number, nodes: Iterable<readonly [number, Uint8Array]>): void {
    this.#settle(chunks);
    for (const [bin, hash] of nodes) this.#nodes.set(bin, hash);
  }

  /** Undefined until it is known. */
  get chunks(): number | undefined {
    return this.#chunks;
  }

  /** In bytes; known from the metadata, or with the last chunk (RFC 7574 §5.6). */
  get size(): number | undefined {
    return this.#size;
  }

  /** All that is proven. */
  get nodes(): Iterable<readonly [bin: number, hash: Uint8Array]> {
    return this.#nodes;
  }

  /** A proven node. */
  node(bin: number): Uint8Array | undefined {
    return this.#nodes.get(bin);
  }

  /** Whether the node above these is proven: nobody need say more of it. */
  proves(range: ChunkRange): boolean {
    const bin = binOf(range);
    return bin !== undefined && this.#nodes.has(bin);
  }

  /** Judges a chunk with the claims of the peer that sent it. What is proven leaves the claims. */
  verify(chunk: number, bytes: Uint8Array, claims: Claims): Verdict {
    const chunks = this.#chunks ?? this.#claimedChunks(claims, chunk, bytes.length);
    if (chunks === undefined) return 'unproven';
    if (chunk >= chunks || !this.#hasRightLength(chunk, bytes.length, chunks)) return 'wrong';
    const top = chunks === this.#chunks ? this.#top : binAt(heightOf(chunks), 0);
    const { verdict, way } = climb(binAt(0, chunk), hashChunk(bytes, this.hash), this.hash, {
      proven: bin => (bin === top ? this.root : this.#nodes.get(bin)),
      believed: (bin, way) => this.#believed(bin, chunks, claims, way),
    });
    if (verdict === 'wrong') claims.clear();
    if (verdict !== 'verified') return verdict;
    if (this.#chunks === undefined) this.#settle(chunks);
    this.#prove(way, claims);
    if (chunk === chunks - 1) this.#size ??= (chunks - 1) * this.chunkBytes + bytes.length;
    return 'verified';
  }

  /**
   * Judges the chunks of the largest subtree that begins a run of them, at once. Unproven are also those that are better
   * judged one by one; of wrong ones `verify` may say which it is.
   */
  verifyRun(first: number, chunks: readonly Uint8Array[], claims: Claims): RunVerdict {
    const total = this.#chunks;
    // Only whole chunks: the last of the content has its length to be judged too.
    if (total === undefined || first + chunks.length >= total) return ONE_BY_ONE;
    const layer = Math.min(layerOfRun(first, chunks.length), PIECE_LEVEL);
    const count = 2 ** layer;
    if (count < LANES || chunks.some(({ length }) => length !== this.chunkBytes)) return ONE_BY_ONE;
    const rows = rowsOf(chunks.slice(0, count), layer, this.hash);
    const { verdict, way } = climb(binAt(layer, first / count), rows[layer]!, this.hash, {
      proven: bin => (bin === this.#top ? this.root : this.#nodes.get(bin)),
      believed: (bin, way) => this.#believed(bin, total, claims, way),
    });
    if (verdict !== 'verified') return { verdict, count };
    for (const [up, row] of rows.entries()) this.#nodes.setRow(up, first / 2 ** up, row);
    this.#prove(way, claims);
    return { verdict, count };
  }

  /**
   * The INTEGRITY messages that go before a chunk (RFC 7574 §5.3): peaks while `withPeaks`, then the uncles by descending
   * height, without those that a peer with the chunks of `known` can do without. LocalProtocolError for a node not proven.
   * `layer`: of the subtree that begins with the chunk and goes as a whole.
   */
  proofOf(chunk: number, withPeaks: boolean, known: (range: ChunkRange) => boolean, layer = 0): Claim[] {
    const peaks = this.#peaks;
    const top = peaks.find(peak => rangeOf(peak).end >= chunk);
    if (top === undefined) throw new LocalProtocolError(`chunk ${chunk} is past the content`);
    return [...(withPeaks ? peaks : []), ...unclesOf(chunk, top, known, layer)].map(bin => {
      const hash = this.#nodes.get(bin);
      if (hash === undefined) throw new LocalProtocolError(`node ${bin} is not proven`);
      return { type: 'INTEGRITY', range: rangeOf(bin), hash };
    });
  }

  /**
   * Takes over all nodes of a level, end to end, as TSP's HASHES has them, with the last piece of the content, under whose
   * node the peaks below that level stand: who has no peaks could prove nothing to others, nor be helped. The size is known.
   * True if both lead to the root; a level that does not is not kept.
   */
  proveLevel(nodes: Uint8Array, layer: number, lastPiece: Uint8Array): boolean {
    const count = Math.ceil((this.#chunks ?? 0) / 2 ** layer);
    if (count === 0 || nodes.length !== count * HASH_LENGTH[this.hash]) return false;
    const levels = layerOf(this.#top) - layer;
    if (levels >= 0) {
      if (!this.#keepIfProven(rowsAbove(nodes, levels, this.hash), layer, 0)) return false;
    }
    return this.verifyPiece((count - 1) * 2 ** layer, lastPiece, layer);
  }

  /**
   * Judges all chunks of a subtree at once, without claims: `first` and those after it, 2 ** `layer` or up to the end. True if
   * they are the content. The node above them is proven by then (`proveLevel`).
   */
  verifyPiece(first: number, bytes: Uint8Array, layer: number): boolean {
    const chunks = this.#chunks ?? 0;
    const levels = Math.min(layer, layerOf(this.#top));
    const count = Math.min(2 ** levels, chunks - first);
    if (first % 2 ** levels !== 0 || count <= 0) return false;
    const last = first + count - 1;
    if (!this.#hasRightLength(last, bytes.length - (count - 1) * this.chunkBytes, chunks)) return false;
    if (!this.#keepIfProven(rowsOf(cutInto(this.chunkBytes, bytes), levels, this.hash), 0, first))
      return false;
    if (last === chunks - 1) this.#size ??= first * this.chunkBytes + bytes.length;
    return true;
  }

  #prove(way: Way, claims: Claims): void {
    for (const [bin, hash] of way) {
      this.#nodes.set(bin, hash);
      claims.delete(bin);
    }
  }

  /** Rows of a subtree, the lowest first, whose first node is `offset` in `layer`. */
  #keepIfProven(rows: readonly Uint8Array[], layer: number, offset: number): boolean {
    const levels = rows.length - 1;
    const proven = this.#nodes.get(binAt(layer + levels, offset / 2 ** levels));
    if (proven === undefined || Buffer.compare(proven, rows[levels]!) !== 0) return false;
    for (const [up, row] of rows.entries()) this.#nodes.setRow(layer + up, offset / 2 ** up, row);
    return true;
  }

  /** A node's hash by proof, by being past the content, by a claim, or from those of its children: peaks need folding. */
  #believed(bin: number, chunks: number, claims: Claims, way: Way): Uint8Array | undefined {
    const { start, end } = rangeOf(bin);
    if (start >= chunks) return new Uint8Array(HASH_LENGTH[this.hash]);
    let hash = this.#nodes.get(bin) ?? claims.get(bin);
    if (hash === undefined && end >= chunks) {
      const middle = (start + end + 1) / 2;
      const left = this.#believed(binOf({ start, end: middle - 1 })!, chunks, claims, way);
      const right = left && this.#believed(binOf({ start: middle, end })!, chunks, claims, way);
      hash = right && hashPair(left, right, this.hash);
    }
    if (hash !== undefined) way.set(bin, hash);
    return hash;
  }

  /** How many chunks the claimed peaks say there are, if they fold to the root and this chunk can bear witness to it. */
  #claimedChunks(claims: Claims, chunk: number, length: number): number | undefined {
    const byStart = new Map<number, number>();
    for (const bin of claims.bins) {
      const { start } = rangeOf(bin);
      if (layerOf(bin) >= layerOf(byStart.get(start) ?? 0)) byStart.set(start, bin);
    }
    let chunks = 0;
    for (let layer = MAX_LAYER + 1; ; ) {
      const bin = byStart.get(chunks);
      if (bin === undefined || layerOf(bin) >= layer) break;
      layer = layerOf(bin);
      chunks = rangeOf(bin).end + 1;
    }
    if (chunks === 0) return undefined;
    const root = this.#believed(binAt(heightOf(chunks), 0), chunks, claims, new Map());
    if (root === undefined || Buffer.compare(root, this.root) !== 0) return undefined;
    const witness = chunks === 1 ? length !== 2 * HASH_LENGTH[this.hash] : chunk < chunks - 1;
    return witness ? chunks : undefined;
  }

  #hasRightLength(chunk: number, length: number, chunks: number): boolean {
    if (chunk < chunks - 1) return length === this.chunkBytes;
    if (this.#size !== undefined) return length === this.#size - chunk * this.chunkBytes;
    return length > 0 && length <= this.chunkBytes;
  }

  #settle(chunks: number): void {
    this.#chunks = chunks;
    this.#peaks = peaksOf(chunks);
    this.#top = binAt(heightOf(chunks), 0);
    if (chunks > 0) this.#nodes.set(this.#top, this.root);
  }
}
