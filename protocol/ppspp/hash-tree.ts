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
import { LocalProtocolError } from '../errors.js';
import { HASH_LENGTH, type HashName, hashChunk, hashPair, heightOf } from '../merkle.js';
import { binAt, binOf, layerOf, peaksOf, rangeOf, unclesOf } from './bins.js';
import { type Claims, climb, MAX_LAYER, type Verdict, type Way } from './claims.js';
import type { ChunkRange, Claim } from './messages.js';
import { NodeStore } from './node-store.js';

export class HashTree {
  readonly hash: HashName;
  readonly chunkBytes: number;
  readonly #root: Uint8Array;
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
  }) {
    this.hash = options.hash ?? 'sha256';
    this.chunkBytes = options.chunkBytes ?? 1_024;
    this.#root = options.root;
    if (options.root.length !== HASH_LENGTH[this.hash])
      throw new LocalProtocolError(`${options.root.length} bytes are no root of ${this.hash}`);
    this.#nodes = new NodeStore(HASH_LENGTH[this.hash]);
    if (options.size === undefined) return;
    this.#size = options.size;
    this.#settle(Math.ceil(options.size / this.chunkBytes));
  }

  /** A whole content's tree from its leaves end to end (`MerkleTree` with `keep: 0`). */
  static fromLeaves(
    leaves: Uint8Array,
    options: { readonly size: number; readonly hash?: HashName; readonly chunkBytes?: number },
  ): HashTree {
    const hash = options.hash ?? 'sha256';
    const length = HASH_LENGTH[hash];
    const zeros = new Uint8Array(length);
    const layers: Uint8Array[][] = [[]];
    for (let at = 0; at < leaves.length; at += length) layers[0]!.push(leaves.subarray(at, at + length));
    for (let below = layers[0]!; below.length > 1; below = layers.at(-1)!) {
      const above: Uint8Array[] = [];
      for (let i = 0; i < below.length; i += 2) above.push(hashPair(below[i]!, below[i + 1] ?? zeros, hash));
      layers.push(above);
    }
    const tree = new HashTree({ ...options, root: layers.at(-1)![0] ?? zeros });
    for (const [layer, nodes] of layers.entries())
      for (const [offset, node] of nodes.entries()) tree.#nodes.set(binAt(layer, offset), node);
    return tree;
  }

  /** Undefined until it is known. */
  get chunks(): number | undefined {
    return this.#chunks;
  }

  /** In bytes; known from the metadata, or with the last chunk (RFC 7574 §5.6). */
  get size(): number | undefined {
    return this.#size;
  }

  /** A proven node. */
  node(bin: number): Uint8Array | undefined {
    return this.#nodes.get(bin);
  }

  /** Judges a chunk with the claims of the peer that sent it. What is proven leaves the claims. */
  verify(chunk: number, bytes: Uint8Array, claims: Claims): Verdict {
    const chunks = this.#chunks ?? this.#claimedChunks(claims, chunk, bytes.length);
    if (chunks === undefined) return 'unproven';
    if (chunk >= chunks || !this.#hasRightLength(chunk, bytes.length, chunks)) return 'wrong';
    const top = chunks === this.#chunks ? this.#top : binAt(heightOf(chunks), 0);
    const { verdict, way } = climb(binAt(0, chunk), hashChunk(bytes, this.hash), this.hash, {
      proven: bin => (bin === top ? this.#root : this.#nodes.get(bin)),
      believed: (bin, way) => this.#believed(bin, chunks, claims, way),
    });
    if (verdict === 'wrong') claims.clear();
    if (verdict !== 'verified') return verdict;
    if (this.#chunks === undefined) this.#settle(chunks);
    for (const [bin, hash] of way) {
      this.#nodes.set(bin, hash);
      claims.delete(bin);
    }
    if (chunk === chunks - 1) this.#size ??= (chunks - 1) * this.chunkBytes + bytes.length;
    return 'verified';
  }

  /**
   * The INTEGRITY messages that go before a chunk (RFC 7574 §5.3): peaks while `withPeaks`, then the uncles by descending
   * height, without those that a peer with the chunks of `known` can do without. LocalProtocolError for a node not proven.
   */
  proofOf(chunk: number, withPeaks: boolean, known: (range: ChunkRange) => boolean): Claim[] {
    const peaks = this.#peaks;
    const top = peaks.find(peak => rangeOf(peak).end >= chunk);
    if (top === undefined) throw new LocalProtocolError(`chunk ${chunk} is past the content`);
    return [...(withPeaks ? peaks : []), ...unclesOf(chunk, top, known)].map(bin => {
      const hash = this.#nodes.get(bin);
      if (hash === undefined) throw new LocalProtocolError(`node ${bin} is not proven`);
      return { type: 'INTEGRITY', range: rangeOf(bin), hash };
    });
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
    if (root === undefined || Buffer.compare(root, this.#root) !== 0) return undefined;
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
    if (chunks > 0) this.#nodes.set(this.#top, this.#root);
  }
}
