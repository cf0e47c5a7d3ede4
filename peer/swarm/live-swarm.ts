/**
 * A live swarm as an engine needs it: its metadata from its ID, its integrity, and memory for the chunks of its window.
 *
 *     swarm ID = algorithm · public key ─▶ liveSwarm ─▶ { swarm, integrity, store }
 *
 * The ID says nothing of the size of chunks; both ends must take the same.
 */
import type { HashName } from '../../protocol/merkle.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { Dialect, SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import { LiveIntegrity } from '../../protocol/ppspp/live-integrity.js';
import { CHUNKS_PER_SIGNATURE } from '../../protocol/ppspp/live-source.js';
import { parseLiveSwarmId } from '../../protocol/ppspp/signatures.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import type { ChunkStore } from './joined-swarm.js';

/** What is kept for those who are late: 8 MiB at 1,024 bytes, three and a half minutes of music at 320 kbit/s. */
export const LIVE_WINDOW_CHUNKS = 8_192;

export interface LiveSwarm {
  readonly swarm: Swarm;
  readonly integrity: LiveIntegrity;
  readonly store: LiveStore;
}

/** RemoteProtocolError when the ID is none. */
export function liveSwarm(
  swarmId: Uint8Array,
  { chunkBytes, dialects }: { readonly chunkBytes: number; readonly dialects: readonly Dialect[] },
): LiveSwarm {
  const key = parseLiveSwarmId(swarmId);
  // libswift knows SHA-1 alone there, and signs otherwise; nobody can do both at once.
  const isDraft = dialects[0] === 'draft10';
  const hash: HashName = isDraft ? 'sha1' : 'sha256';
  const metadata: SwarmMetadata = {
    swarmId,
    integrity: 'unified-merkle',
    hash,
    addressing: 'chunk32',
    chunkBytes,
    live: {
      signature: key.algorithm,
      signatureBytes: key.signatureBytes,
      discardWindow: LIVE_WINDOW_CHUNKS,
    },
  };
  const have = new ChunkSet();
  const integrity = new LiveIntegrity({
    metadata,
    key,
    have,
    ...(isDraft ? { dialect: 'draft10' } : {}),
  });
  const store = new LiveStore();
  return { swarm: { metadata, dialects, have, integrity, source: store }, integrity, store };
}

/** The newest chunks, in memory. */
export class LiveStore implements ChunkStore {
  readonly isFull = false;
  readonly #chunks = new Map<number, Uint8Array>();
  #newest = 0;

  read(chunk: number): Uint8Array | undefined {
    return this.#chunks.get(chunk);
  }

  write(first: number, chunks: readonly Uint8Array[]): void {
    for (const [i, bytes] of chunks.entries()) this.#chunks.set(first + i, Uint8Array.from(bytes));
    this.#newest = Math.max(this.#newest, first + chunks.length - 1);
    // The integrity keeps whole subtrees: one more than the window.
    const kept = LIVE_WINDOW_CHUNKS + 2 * CHUNKS_PER_SIGNATURE;
    if (this.#chunks.size <= kept) return;
    for (const old of this.#chunks.keys()) if (old <= this.#newest - kept) this.#chunks.delete(old);
  }
}
