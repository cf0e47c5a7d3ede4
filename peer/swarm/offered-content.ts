/**
 * A whole content that lies elsewhere, as a swarm that only gives: a song of the library, or one in the disk cache. Of its
 * hash tree only the nodes of whole pieces are known beforehand; what is below one is made when a chunk of it is asked for.
 *
 *     REQUEST ─▶ piece (64 KiB) read ─▶ hashed: leads to its node? ─▶ tree, memory ─▶ proofs, DATA
 *                                            └ no: it is not what it was, and is given no more
 *
 * So a library of 100,000 songs costs nothing until somebody comes, and what changed on disk is never passed on.
 */
import { CHUNK_BYTES, PIECE_BYTES, PIECE_LEVEL } from '../../protocol/merkle.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import { staticMetadata, staticSwarm } from './static-swarm.js';

/** Pieces in memory, of one content: 2 MiB, and 128 of all that a node offers at once. */
const MAX_PIECES = 32;
const PIECE_CHUNKS = 2 ** PIECE_LEVEL;

export interface OfferedContent {
  /** Its content hash: SHA-256 over chunks of 1,024 bytes. */
  readonly swarmId: Uint8Array;
  readonly size: number;
  /** The nodes of level 6, left to right; of a content of one piece, its root. */
  readonly nodes: Uint8Array;
  /** A piece of 64 KiB, or what is left at the end. Rejects when it is not what it was. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Nobody wants it now; it may be read again later. */
  idle?(): void;
}

export class OfferedSwarm {
  readonly swarm: Swarm;
  readonly #content: OfferedContent;
  readonly #tree: HashTree;
  readonly #onLoaded: () => void;
  readonly #onBroken: (error: unknown) => void;
  /** Least recently used first. */
  readonly #pieces = new Map<number, Uint8Array>();
  readonly #loading = new Set<number>();
  #begun: Promise<void> | undefined;
  #isBroken = false;

  /** `onLoaded`: a chunk that was not at hand now is. `onBroken`: told once, and nothing more is given. */
  constructor(
    content: OfferedContent,
    told: { readonly onLoaded: () => void; readonly onBroken: (error: unknown) => void },
  ) {
    const { swarmId, size } = content;
    this.#content = content;
    this.#onLoaded = told.onLoaded;
    this.#onBroken = told.onBroken;
    this.#tree = new HashTree({ root: swarmId, size });
    const have = new ChunkSet();
    have.add({ start: 0, end: Math.max(0, this.#tree.chunks! - 1) });
    this.swarm = staticSwarm({
      metadata: staticMetadata(swarmId, 'sha256', CHUNK_BYTES),
      tree: this.#tree,
      have,
      source: { read: chunk => this.#read(chunk) },
    });
  }

  idle(): void {
    this.#content.idle?.();
  }

  #read(chunk: number): Uint8Array | undefined {
    const piece = Math.floor(chunk / PIECE_CHUNKS);
    const place = chunk % PIECE_CHUNKS;
    const bytes = this.#pieces.get(piece);
    // The next one is on its way before it is asked for.
    if (bytes === undefined || place === PIECE_CHUNKS / 2)
      this.#load(bytes === undefined ? piece : piece + 1);
    return bytes?.subarray(place * CHUNK_BYTES, (place + 1) * CHUNK_BYTES);
  }

  #load(piece: number): void {
    const isThere = piece * PIECE_BYTES < this.#content.size;
    if (this.#isBroken || !isThere || this.#pieces.has(piece) || this.#loading.has(piece)) return;
    this.#loading.add(piece);
    void this.#take(piece)
      .catch((error: unknown) => {
        if (this.#isBroken) return;
        this.#isBroken = true;
        this.#pieces.clear();
        this.#onBroken(error);
      })
      .finally(() => {
        this.#loading.delete(piece);
        this.#onLoaded();
      });
  }

  async #take(piece: number): Promise<void> {
    this.#begun ??= this.#begin();
    await this.#begun;
    const bytes = await this.#piece(piece);
    if (!this.#tree.verifyPiece(piece * PIECE_CHUNKS, bytes, PIECE_LEVEL)) throw new Error(CHANGED);
    this.#pieces.set(piece, bytes);
    if (this.#pieces.size > MAX_PIECES) this.#pieces.delete(this.#pieces.keys().next().value!);
  }

  /** The nodes of pieces, up to the root. */
  async #begin(): Promise<void> {
    const last = await this.#piece(Math.ceil(this.#content.size / PIECE_BYTES) - 1);
    if (!this.#tree.proveLevel(this.#content.nodes, PIECE_LEVEL, last)) throw new Error(CHANGED);
  }

  #piece(piece: number): Promise<Uint8Array> {
    const offset = piece * PIECE_BYTES;
    return this.#content.read(offset, Math.min(PIECE_BYTES, this.#content.size - offset));
  }
}

const CHANGED = 'it is not what its hash says';
