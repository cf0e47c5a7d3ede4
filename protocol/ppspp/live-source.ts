/**
 * The making of a live swarm (RFC 7574 §6.1): chunk by chunk, signed as each subtree is full, announced when it is signed.
 *
 *     add(chunk) … add(chunk) ─▶ a munro, signed ─▶ these chunks may be announced
 *     end() ─▶ the last subtree, with what there is of it: the leaves that are missing are zeros
 *     finish() ─▶ the same, or, where that is full, one of zeros behind it: so the end is signed too
 */
import type { KeyObject } from 'node:crypto';
import { LocalProtocolError } from '../errors.js';
import { hashChunk } from '../merkle.js';
import { rowsAbove } from '../tree-rows.js';
import type { ChunkSet } from './chunk-set.js';
import type { LiveIntegrity } from './live-integrity.js';
import { signedBytes, timestampOf } from './live-signing.js';
import type { ChunkRange } from './messages.js';
import { signLive } from './signatures.js';

/** A signature a second or so of music, and 32 times less to verify than one a chunk. */
export const CHUNKS_PER_SIGNATURE = 32;

export class LiveSource {
  readonly #integrity: LiveIntegrity;
  readonly #key: KeyObject;
  readonly #have: ChunkSet;
  readonly #width: number;
  #first: number;
  #leaves: Uint8Array[] = [];

  /**
   * `integrity` and `have`: of the swarm. `chunksPerSignature`: a power of two, as in `integrity`. `first`: the number of the
   * first chunk, a multiple of it, for a source that goes on where it was.
   */
  constructor(options: {
    readonly integrity: LiveIntegrity;
    readonly key: KeyObject;
    readonly have: ChunkSet;
    readonly chunksPerSignature?: number;
    readonly first?: number;
  }) {
    this.#integrity = options.integrity;
    this.#key = options.key;
    this.#have = options.have;
    this.#width = options.chunksPerSignature ?? CHUNKS_PER_SIGNATURE;
    if (this.#width < 2 || !Number.isInteger(Math.log2(this.#width)))
      throw new LocalProtocolError(`${this.#width} chunks make no subtree`);
    this.#first = options.first ?? 0;
    if (this.#first % this.#width !== 0)
      throw new LocalProtocolError(`no subtree begins at chunk ${this.#first}`);
  }

  /** The number of the next chunk. */
  get next(): number {
    return this.#first + this.#leaves.length;
  }

  /** Takes the next chunk, which should be stored by then. The range that is now signed and announced, if one is full. */
  add(bytes: Uint8Array, unixMs: number): ChunkRange | undefined {
    const { chunkBytes, hash } = this.#integrity.metadata;
    if (bytes.length === 0 || bytes.length > chunkBytes)
      throw new LocalProtocolError(`${bytes.length} bytes are no chunk`);
    this.#leaves.push(hashChunk(bytes, hash));
    return this.#leaves.length === this.#width ? this.end(unixMs) : undefined;
  }

  /** Signs what there is; nothing can be added to a subtree that was not full. */
  end(unixMs: number): ChunkRange | undefined {
    return this.#leaves.length === 0 ? undefined : this.#sign(unixMs);
  }

  /** Signs the end: nothing is to come. */
  finish(unixMs: number): void {
    this.#sign(unixMs);
  }

  #sign(unixMs: number): ChunkRange {
    const count = this.#leaves.length;
    const { metadata, format, dialect } = this.#integrity;
    const rows = this.#rows();
    const hash = rows.at(-1)!;
    const range = { start: this.#first, end: this.#first + this.#width - 1 };
    const timestamp = timestampOf(unixMs, dialect);
    const bytes = signedBytes(range, timestamp, hash, format, dialect);
    const signature = signLive(metadata.live!.signature, this.#key, bytes);
    this.#integrity.add({ range, hash, timestamp, signature }, rows, unixMs);
    const made = { start: this.#first, end: this.#first + count - 1 };
    if (count > 0) this.#have.add(made);
    this.#first += this.#width;
    this.#leaves = [];
    return made;
  }

  /** All nodes of the subtree, from the leaves up, those without content too: a reader can't know that there is none. */
  #rows(): Uint8Array[] {
    const { metadata, format } = this.#integrity;
    const leaves = Buffer.alloc(this.#width * format.hashBytes);
    for (const [i, leaf] of this.#leaves.entries()) leaves.set(leaf, i * format.hashBytes);
    return rowsAbove(leaves, Math.log2(this.#width), metadata.hash);
  }
}
