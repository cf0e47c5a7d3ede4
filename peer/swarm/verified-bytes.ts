/**
 * The content of a swarm in order, as it becomes whole: what is read is fetched first.
 *
 *     ▓▓▓▓▓▓▓▓▓▓▓▓░░░▓▓░░░░          ▓ had: handed out     ░ waited for
 *     └ read ──┘▲ the reader stands here: playFrom
 */
import { TransportError } from '../../protocol/errors.js';
import type { ChunkSource } from '../../protocol/ppspp/swarm.js';
import type { JoinedSwarm } from './joined-swarm.js';
import { unlessAborted } from './unless-aborted.js';

/** What is handed out at once, at most. */
const READ_BYTES = 64 * 1_024;

export interface ReadOptions {
  /** Default 0. */
  readonly fromByte?: number;
  /** Where it is known how fast it is used. */
  readonly bytesPerSecond?: number;
  /** How far beyond the reader it is fetched; absent: everything. */
  readonly aheadBytes?: number;
  /** Ends it: throws the signal's reason. */
  readonly signal?: AbortSignal;
}

export async function* verifiedBytes(
  joined: JoinedSwarm,
  source: ChunkSource,
  { fromByte = 0, signal, ...pace }: ReadOptions,
): AsyncGenerator<Uint8Array, void> {
  const { have, integrity, metadata } = joined.swarm;
  const { chunkBytes } = metadata;
  let skip = fromByte % chunkBytes;
  for (let chunk = Math.floor(fromByte / chunkBytes); ; ) {
    signal?.throwIfAborted();
    if (integrity.chunks !== undefined && chunk >= integrity.chunks) return;
    joined.playFrom({ byte: chunk * chunkBytes, ...pace });
    const bytes = have.has(chunk)
      ? readable(source, chunk, (have.rangeAround(chunk)?.end ?? chunk) - chunk)
      : [];
    if (bytes.length === 0) {
      if (!have.has(chunk) && joined.problem !== undefined) throw new TransportError(joined.problem);
      await unlessAborted(joined.changed(), signal);
      continue;
    }
    chunk += bytes.length;
    const joinedBytes = bytes.length === 1 ? Uint8Array.from(bytes[0]!) : Buffer.concat(bytes);
    yield joinedBytes.subarray(skip);
    skip = 0;
  }
}

/** Chunks from this one on, as many as are at hand; `more`: how many there are after it. */
function readable(source: ChunkSource, first: number, more: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let chunk = first, left = READ_BYTES; chunk <= first + more && left > 0; chunk += 1) {
    const bytes = source.read(chunk);
    if (bytes === undefined) break;
    chunks.push(bytes);
    left -= bytes.length;
  }
  return chunks;
}
