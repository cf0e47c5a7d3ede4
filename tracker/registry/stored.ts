/**
 * Keys and values of the registry on disk, as bytes (lmdb.ts). Numbers are big-endian: in the order of their bytes keys
 * then lie in the order of the numbers.
 */
import { readU32, writeU32 } from '../../protocol/bytes.js';
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

/** Hashes with IDs that follow each other: which of them are there (u32, a bit each), and then all, 32 bytes each. */
const BLOCK_HASHES = 32;

export const numberOfHashBlock = (id: SongId): number => Math.floor(id / BLOCK_HASHES);

export const newHashBlock = (): Buffer => Buffer.alloc(U32_BYTES + BLOCK_HASHES * HASH_BYTES);

/** Where its hash begins in its block. */
export const hashAt = (id: SongId): number => U32_BYTES + (id % BLOCK_HASHES) * HASH_BYTES;

export function putHash(block: Buffer, id: SongId, hash: ContentHash): void {
  writeU32(block, (readU32(block, 0) | (1 << (id % BLOCK_HASHES))) >>> 0, 0);
  block.write(hash, hashAt(id), 'hex');
}

/** `id` must be one of those that are there. */
export const isHashOf = (block: Buffer, id: SongId, hash: Uint8Array): boolean =>
  block.compare(hash, 0, HASH_BYTES, hashAt(id), hashAt(id) + HASH_BYTES) === 0;

export function* idsIn(number: number, block: Buffer): Iterable<SongId> {
  const there = readU32(block, 0);
  for (let n = 0; n < BLOCK_HASHES; n += 1)
    if ((there & (1 << n)) !== 0) yield (number * BLOCK_HASHES + n) as SongId;
}

/** All of a host's. */
export const blocksOf = (hostKey: number): { start: Buffer; end: Buffer } => ({
  start: blockKey(hostKey, 0),
  end: blockKey(hostKey + 1, 0),
});
