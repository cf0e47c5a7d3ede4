/**
 * What is signed in a live swarm, and when (RFC 7574 §6.1, §8.8): the bytes under a SIGNED_INTEGRITY, in two dialects.
 *
 *     rfc7574   chunk specification · NTP time, 32.32 since 1900 · munro hash
 *     draft10   the munro hash alone; the time counts microseconds since 1970, and nobody signs it (libswift)
 */
import { ByteWriter } from '../bytes.js';
import { writeRange } from './chunk-spec.js';
import type { ChunkRange, WireFormat } from './messages.js';

export type LiveDialect = 'rfc7574' | 'draft10';

/** Chunks and munros signed longer ago say nothing of where a live swarm is now. libswift has the same. */
export const STALE_MS = 30_000;

/** From 1900, where NTP begins, to 1970. */
const NTP_EPOCH_SECONDS = 2_208_988_800;

/** As it stands in SIGNED_INTEGRITY. `unixMs`: milliseconds since 1970. */
export function timestampOf(unixMs: number, dialect: LiveDialect): bigint {
  if (dialect === 'draft10') return BigInt(Math.floor(unixMs * 1_000));
  const seconds = Math.floor(unixMs / 1_000);
  const fraction = Math.floor(((unixMs - seconds * 1_000) / 1_000) * 2 ** 32);
  return (BigInt(seconds + NTP_EPOCH_SECONDS) << 32n) | BigInt(fraction);
}

/** Milliseconds since 1970. */
export function unixMsOf(timestamp: bigint, dialect: LiveDialect): number {
  if (dialect === 'draft10') return Number(timestamp) / 1_000;
  const seconds = Number(timestamp >> 32n) - NTP_EPOCH_SECONDS;
  return seconds * 1_000 + (Number(timestamp & 0xffff_ffffn) / 2 ** 32) * 1_000;
}

/** `hash`: the munro's. */
export function signedBytes(
  range: ChunkRange,
  timestamp: bigint,
  hash: Uint8Array,
  format: WireFormat,
  dialect: LiveDialect,
): Uint8Array {
  if (dialect === 'draft10') return hash;
  const writer = new ByteWriter();
  writeRange(writer, range, format);
  writer.bits64(timestamp);
  writer.bytes(hash);
  return writer.written;
}
