/**
 * Keys and values of the registry on disk, as bytes (lmdb.ts). Numbers are big-endian: in the order of their bytes keys
 * then lie in the order of the numbers.
 */
import { writeU32 } from '../../protocol/bytes.js';
import { HASH_BYTES } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

export const rowsIn = (block: Buffer): [SongId, OfferRow][] =>
  JSON.parse(block.toString()) as [SongId, OfferRow][];

const U32_BYTES = 4;

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(U32_BYTES);
  writeU32(bytes, value, 0);
  return bytes;
}

export function hashKey(hash: ContentHash, bytes = Buffer.allocUnsafe(HASH_BYTES)): Buffer {
  bytes.write(hash, 'hex');
  return bytes;
}

export function blockKey(hostKey: number, block: number): Buffer {
  const bytes = Buffer.allocUnsafe(2 * U32_BYTES);
  writeU32(bytes, hostKey, 0);
  writeU32(bytes, block, U32_BYTES);
  return bytes;
}

/** All of a host's. */
export const blocksOf = (hostKey: number): { start: Buffer; end: Buffer } => ({
  start: blockKey(hostKey, 0),
  end: blockKey(hostKey + 1, 0),
});
