/**
 * A live swarm as an engine needs it: its metadata from its ID, its integrity, and memory for the chunks of its window.
 *
 *     swarm ID = algorithm · public key ─▶ liveSwarm ─▶ { swarm, integrity, store }
 *
 * The ID says nothing of the size of chunks; both ends must take the same.
 */
import { TransportError } from '../../protocol/errors.js';
import type { HashName } from '../../protocol/merkle.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { Dialect, SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import { LiveIntegrity } from '../../protocol/ppspp/live-integrity.js';
import { CHUNKS_PER_SIGNATURE } from '../../protocol/ppspp/live-source.js';
import { parseLiveSwarmId } from '../../protocol/ppspp/signatures.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import type { JoinedSwarm } from './joined-swarm.js';
import type { ChunkStore } from './joining.js';
import { unlessAborted } from './unless-aborted.js';

/** What is kept for those who are late: 8 MiB at 1,024 bytes, three and a half minutes of music at 320 kbit/s. */
export const LIVE_WINDOW_CHUNKS = 8_192;

export interface LiveSwarmOptions {
  readonly chunkBytes: number;
  readonly dialects: readonly Dialect[];
  /** What is kept; LIVE_WINDOW_CHUNKS. */
  readonly windowChunks?: number;
  /** A power of two, where it is known; else it is learnt from the first signature. */
  readonly chunksPerSignature?: number;
}

export interface LiveSwarm {
  readonly swarm: Swarm;
  readonly integrity: LiveIntegrity;
  readonly store: LiveStore;
}

/** RemoteProtocolError when the ID is none. */
export function liveSwarm(
  swarmId: Uint8Array,
  { chunkBytes, dialects, windowChunks = LIVE_WINDOW_CHUNKS, chunksPerSignature }: LiveSwarmOptions,
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
      discardWindow: windowChunks,
    },
  };
  const have = new ChunkSet();
  const integrity = new LiveIntegrity({
    metadata,
    key,
    have,
    ...(chunksPerSignature === undefined ? {} : { chunksPerSignature }),
    ...(isDraft ? { dialect: 'draft10' } : {}),
  });
  const store = new LiveStore(windowChunks);
  return { swarm: { metadata, dialects, have, integrity, source: store }, integrity, store };
}

/** The first chunk of the newest signed subtree, once somebody shows it. TransportError when nobody can be expected to. */
export async function tuneIn(
  joined: JoinedSwarm,
  { integrity }: LiveSwarm,
  signal: AbortSignal,
): Promise<number> {
  // Nothing is fetched before it is known where the stream is.
  joined.playFrom({ byte: Number.MAX_SAFE_INTEGER, aheadBytes: 0 });
  while (integrity.newest === undefined) {
    signal.throwIfAborted();
    if (joined.problem !== undefined) throw new TransportError(joined.problem);
    await unlessAborted(joined.changed(), signal);
  }
  return Math.min(integrity.newest.range.start, integrity.chunks);
}

interface Kept {
  readonly bytes: Uint8Array;
  readonly from: string | undefined;
}

/** The newest chunks, in memory. */
class LiveStore implements ChunkStore {
  readonly isFull = false;
  readonly #keptChunks: number;
  readonly #chunks = new Map<number, Kept>();
  #newest = 0;

  constructor(windowChunks: number) {
    // The integrity keeps whole subtrees: one more than the window.
    this.#keptChunks = windowChunks + 2 * CHUNKS_PER_SIGNATURE;
  }

  read(chunk: number): Uint8Array | undefined {
    return this.#chunks.get(chunk)?.bytes;
  }

  /** Who gave it, `host:port`; undefined: it was made here, or is not here. */
  giverOf(chunk: number): string | undefined {
    return this.#chunks.get(chunk)?.from;
  }

  write(first: number, chunks: readonly Uint8Array[], from?: string): void {
    for (const [i, bytes] of chunks.entries())
      this.#chunks.set(first + i, { bytes: Uint8Array.from(bytes), from });
    this.#newest = Math.max(this.#newest, first + chunks.length - 1);
    if (this.#chunks.size <= this.#keptChunks) return;
    for (const old of this.#chunks.keys())
      if (old <= this.#newest - this.#keptChunks) this.#chunks.delete(old);
  }
}
