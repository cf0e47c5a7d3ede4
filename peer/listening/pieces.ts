/**
 * The pieces of a song, 64 KiB each but for the last, and how one is proven (TSP §4).
 *
 *     hash ◀──fold── nodes of level 6 ──▶ node i = tree over bytes i·65536 …
 *
 * The rule: a node is believed only once all of them fold to the song's hash, a piece only once it gives its node.
 */
import { toHex } from '../../protocol/bytes.js';
import { RemoteProtocolError } from '../../protocol/errors.js';
import { foldNodes, hashPiece, MerkleTree } from '../../protocol/merkle.js';
import { HASH_BYTES, NO_SONG_BYTES, PIECE_BYTES, PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';

/** Proven nodes of one song. */
export class PieceHashes {
  private constructor(
    /** 32 bytes each, left to right. */
    readonly nodes: Uint8Array,
    readonly count: number,
  ) {}

  /** Undefined when these are not the nodes of `hash`. */
  static prove(nodes: Uint8Array, hash: ContentHash): PieceHashes | undefined {
    try {
      if (toHex(foldNodes(nodes, PIECE_LEVEL)) !== hash) return undefined;
    } catch (error) {
      if (error instanceof RemoteProtocolError) return undefined;
      throw error;
    }
    return new PieceHashes(nodes, nodes.length / HASH_BYTES);
  }

  /** The song ends in this range: at `longestSize`, or less than a piece before. */
  get longestSize(): number {
    return this.count * PIECE_BYTES;
  }

  get lastPieceAt(): number {
    return this.longestSize - PIECE_BYTES;
  }

  /** Whether a song with these nodes can have `size` bytes. */
  allowsSize(size: number): boolean {
    return size > this.lastPieceAt && size <= this.longestSize;
  }

  /** Whether these are the bytes of piece `index`. */
  proves(index: number, bytes: Uint8Array): boolean {
    if (bytes.length === 0 || bytes.length > PIECE_BYTES) return false;
    if (this.count === 1 && bytes.length === NO_SONG_BYTES) return false;
    return this.isNode(index, hashPiece(bytes, { level: PIECE_LEVEL, whole: this.count === 1 }));
  }

  isNode(index: number, node: Uint8Array): boolean {
    const at = index * HASH_BYTES;
    return Buffer.compare(this.nodes.subarray(at, at + HASH_BYTES), node) === 0;
  }
}

/** One piece as it comes, hashed on the way, so that the last byte is soon followed by the verdict. */
export class PieceInProgress {
  readonly #bytes = Buffer.allocUnsafe(PIECE_BYTES);
  readonly #tree = new MerkleTree();
  #length = 0;

  constructor(readonly index: number) {}

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === PIECE_BYTES;
  }

  /** Takes as many bytes as fit and says how many. */
  add(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, PIECE_BYTES - this.#length);
    this.#bytes.set(taken, this.#length);
    this.#length += taken.length;
    this.#tree.update(taken);
    return taken.length;
  }

  /** The piece, if these are the bytes that `hashes` tells of. The caller owns it. */
  prove(hashes: PieceHashes): Uint8Array | undefined {
    const bytes = this.#bytes.subarray(0, this.#length);
    // The tree of a full piece is its node; a shorter last one has to be raised to the level of the others.
    const isProven = this.isFull
      ? hashes.isNode(this.index, this.#tree.digest().root)
      : hashes.proves(this.index, bytes);
    return isProven ? bytes : undefined;
  }
}
