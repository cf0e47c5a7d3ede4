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
/** IDs that follow each other, whose hashes lie together, and a host's rows of them. */
const BLOCK_IDS = 32;

export const blockOf = (id: SongId): number => Math.floor(id / BLOCK_IDS);

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(U32_BYTES);
  writeU32(bytes, value, 0);
  return bytes;
}

/** In `bytes`, which hold a hash and are the caller's to use again. */
export function hashKey(hash: ContentHash, bytes: Buffer): Buffer {
  bytes.write(hash, 'hex');
  return bytes;
}

export function blockKey(hostKey: number, block: number): Buffer {
  const bytes = Buffer.allocUnsafe(2 * U32_BYTES);
  writeU32(bytes, hostKey, 0);
  writeU32(bytes, block, U32_BYTES);
  return bytes;
}

/** Hashes of a block of IDs: which of them are there (u32, a bit each), and then all, 32 bytes each. */
export const newHashBlock = (): Buffer => Buffer.alloc(U32_BYTES + BLOCK_IDS * HASH_BYTES);

/** Where its hash begins in its block. */
export const hashAt = (id: SongId): number => U32_BYTES + (id % BLOCK_IDS) * HASH_BYTES;

export function putHash(block: Buffer, id: SongId, hash: ContentHash): void {
  writeU32(block, (readU32(block, 0) | bitOf(id)) >>> 0, 0);
  block.write(hash, hashAt(id), 'hex');
}

export const isHashOf = (block: Buffer, id: SongId, hash: Uint8Array): boolean =>
  (readU32(block, 0) & bitOf(id)) !== 0 &&
  block.compare(hash, 0, HASH_BYTES, hashAt(id), hashAt(id) + HASH_BYTES) === 0;

export function* idsIn(number: number, block: Buffer): Iterable<SongId> {
  const there = readU32(block, 0);
  for (let n = 0; n < BLOCK_IDS; n += 1) {
    const id = (number * BLOCK_IDS + n) as SongId;
    if ((there & bitOf(id)) !== 0) yield id;
  }
}

const bitOf = (id: SongId): number => 1 << (id % BLOCK_IDS);

/** All of a host's. */
export const blocksOf = (hostKey: number): { start: Buffer; end: Buffer } => ({
  start: blockKey(hostKey, 0),
  end: blockKey(hostKey + 1, 0),
});
