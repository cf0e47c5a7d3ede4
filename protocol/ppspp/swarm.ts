/**
 * What the channels of one swarm share: what it is, what of it we have, how chunks are proven, where their bytes are.
 *
 *     gate ─ OpenSwarm ─┐
 *     channel ─ Swarm ──┴─▶ metadata · have · integrity (one tree for all) · source (the engine's store)
 */
import type { ChunkSet } from './chunk-set.js';
import type { Dialect, SwarmMetadata } from './handshake.js';
import type { Integrity } from './integrity.js';

/** What the gate knows of a swarm that takes newcomers. */
export interface OpenSwarm {
  readonly metadata: SwarmMetadata;
  /** Allowed ones, the one to be tried first in front. */
  readonly dialects: readonly Dialect[];
  /** Chunks that are verified and can be read: a channel adds what it verifies, an engine what it had before. */
  readonly have: ChunkSet;
}

export interface Swarm extends OpenSwarm {
  readonly integrity: Integrity;
  readonly source: ChunkSource;
}

export interface ChunkSource {
  /** A chunk of `have`; undefined: it is not at hand, so it will be asked for again once it is. The bytes are not kept. */
  read(chunk: number): Uint8Array | undefined;
}
