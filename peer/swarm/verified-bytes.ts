/**
 * The content of a swarm in order, as it becomes whole: what is read is fetched first.
 *
 *     ▓▓▓▓▓▓▓▓▓▓▓▓░░░▓▓░░░░          ▓ had: handed out     ░ waited for, or jumped over
 *     └ read ──┘▲ the reader stands here: playFrom
 */
import { TransportError } from '../../protocol/errors.js';
import type { Milliseconds } from '../../protocol/ports.js';
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
  /** How far beyond the reader it is fetched, if that is not less than what it waits for; absent: everything. */
  readonly aheadBytes?: number;
  /** Nothing is handed out before so much of the beginning is here. */
  readonly bufferBytes?: number;
  /** What is missing for longer than this is jumped over, if anything is here behind it. */
  readonly skip?: { readonly afterMs: Milliseconds; told(fromByte: number, toByte: number): void };
  /** Ends it: throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** See `JoinedSwarm.read`. */
export async function* verifiedBytes(
  joined: JoinedSwarm,
  source: ChunkSource,
  {
    fromByte = 0,
    bufferBytes = 0,
    aheadBytes = Number.POSITIVE_INFINITY,
    skip,
    signal,
    ...pace
  }: ReadOptions,
): AsyncGenerator<Uint8Array, void> {
  const { have, integrity, metadata } = joined.swarm;
  const { chunkBytes } = metadata;
  const start = Math.floor(fromByte / chunkBytes);
  /** Chunks that must be here before the next are handed out. */
  let wanted = Math.max(1, Math.ceil(bufferBytes / chunkBytes));
  let before = fromByte % chunkBytes;
  let playedFrom: number | undefined;
  let cameAt = joined.now();
  for (let chunk = start; chunk < (integrity.chunks ?? Number.POSITIVE_INFINITY); ) {
    signal?.throwIfAborted();
    // Said once: it stirs the swarm, and who waits for the swarm to stir would never rest.
    if (chunk !== playedFrom) {
      const fetched = Math.max(aheadBytes, wanted * chunkBytes);
      joined.playFrom({ byte: chunk * chunkBytes, aheadBytes: fetched, ...pace });
    }
    playedFrom = chunk;
    const end = Math.min(chunk + wanted, integrity.chunks ?? Number.POSITIVE_INFINITY) - 1;
    const isHere = have.covers({ start: chunk, end });
    const bytes = isHere ? readable(source, chunk, have.rangeAround(chunk)!.end) : [];
    if (bytes.length > 0) {
      wanted = 1;
      cameAt = joined.now();
      chunk += bytes.length;
      yield (bytes.length === 1 ? Uint8Array.from(bytes[0]!) : Buffer.concat(bytes)).subarray(before);
      before = 0;
      continue;
    }
    const next = have.firstFrom(chunk);
    const isLate = !isHere && skip !== undefined && joined.now() - cameAt > skip.afterMs;
    if (isLate && next !== undefined && next > chunk) {
      skip.told(chunk * chunkBytes, next * chunkBytes);
      chunk = next;
      before = 0;
      continue;
    }
    if (!isHere && joined.problem !== undefined) throw new TransportError(joined.problem);
    await unlessAborted(joined.changed(), signal);
  }
}

/** Chunks from this one on, as many as are at hand. */
function readable(source: ChunkSource, first: number, last: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let chunk = first, left = READ_BYTES; chunk <= last && left > 0; chunk += 1) {
    const bytes = source.read(chunk);
    if (bytes === undefined) break;
    chunks.push(bytes);
    left -= bytes.length;
  }
  return chunks;
}
