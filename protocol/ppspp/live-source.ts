/**
 * The making of a live swarm (RFC 7574 §6.1): chunk by chunk, signed as each subtree is full, announced when it is signed.
 *
 *     add(chunk) … add(chunk) ─▶ a munro, signed ─▶ these chunks may be announced
 *     end() ─▶ the last subtree, with what there is of it: the leaves that are missing are zeros
 */
import type { KeyObject } from 'node:crypto';
import { LocalProtocolError } from '../errors.js';
import { hashChunk } from '../merkle.js';
import { binAt } from './bins.js';
import type { ChunkSet } from './chunk-set.js';
import type { LiveIntegrity } from './live-integrity.js';
import { signedBytes, timestampOf } from './live-signing.js';
import type { ChunkRange } from './messages.js';
import { signLive } from './signatures.js';
import { subtree } from './subtree.js';

/** A signature a second or so of music, and 32 times less to verify than one a chunk. */
export const CHUNKS_PER_SIGNATURE = 32;

export class LiveSource {
  readonly #integrity: LiveIntegrity;
  readonly #key: KeyObject;
  readonly #have: ChunkSet;
  readonly #width: number;
  #first = 0;
  #leaves: Uint8Array[] = [];

  /** `integrity` and `have`: of the swarm. `chunksPerSignature`: a power of two, as in `integrity`. */
  constructor(options: {
    readonly integrity: LiveIntegrity;
    readonly key: KeyObject;
    readonly have: ChunkSet;
    readonly chunksPerSignature?: number;
  }) {
    this.#integrity = options.integrity;
    this.#key = options.key;
    this.#have = options.have;
    this.#width = options.chunksPerSignature ?? CHUNKS_PER_SIGNATURE;
    if (this.#width < 2 || !Number.isInteger(Math.log2(this.#width)))
      throw new LocalProtocolError(`${this.#width} chunks make no subtree`);
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
    const count = this.#leaves.length;
    if (count === 0) return undefined;
    const { metadata, format, dialect } = this.#integrity;
    const nodes = this.#nodes();
    const layer = Math.log2(this.#width);
    const hash = nodes.get(binAt(layer, this.#first / this.#width))!;
    const range = { start: this.#first, end: this.#first + this.#width - 1 };
    const timestamp = timestampOf(unixMs, dialect);
    const bytes = signedBytes(range, timestamp, hash, format, dialect);
    const signature = signLive(metadata.live!.signature, this.#key, bytes);
    this.#integrity.add({ range, hash, timestamp, signature }, nodes, unixMs);
    const made = { start: this.#first, end: this.#first + count - 1 };
    this.#have.add(made);
    this.#first += this.#width;
    this.#leaves = [];
    return made;
  }

  /** All nodes of the subtree, those without content too: a reader can't know that there is none. */
  #nodes(): Map<number, Uint8Array> {
    const { metadata, format } = this.#integrity;
    const zeros = new Uint8Array(format.hashBytes);
    const row = Array.from({ length: this.#width }, (_, i) => this.#leaves[i] ?? zeros);
    const levels = Math.log2(this.#width);
    return subtree(row, { layer: 0, offset: this.#first, levels, hash: metadata.hash });
  }
}
