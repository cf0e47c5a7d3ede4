/**
 * Rows of a hash tree over neighbouring chunks: what a piece of content is judged by, and what a whole tree is made of.
 *
 *     chunks ─▶ leaves, end to end ─▶ the row above ─▶ …          a missing right node is zeros
 *
 * SHA-256 goes in lanes where the machine has them, four chunks at a time; anything else one by one.
 */
import { HASH_LENGTH, type HashName, hashChunk, hashPair } from './merkle.js';
import { INPUT_BYTES, LANES, Sha256Lanes } from './sha256-lanes.js';

const BLOCK_BYTES = 64;

/**
 * The leaves of chunks, all of one length but the last, and `levels` rows above them. The rows are good until the next call.
 */
export function rowsOf(chunks: readonly Uint8Array[], levels: number, hash: HashName): Uint8Array[] {
  const length = chunks[0]?.length ?? 0;
  const last = chunks.at(-1);
  const fits = length % BLOCK_BYTES === 0 && length > 0 && chunks.length * length <= INPUT_BYTES;
  const lanes = hash === 'sha256' && chunks.length >= LANES && fits ? lanesOfThisMachine() : undefined;
  if (lanes === undefined)
    return rowsAbove(joined(chunks.map(chunk => hashChunk(chunk, hash))), levels, hash);
  return lanes.rows(chunks, length, levels, last!.length === length ? undefined : hashChunk(last!, hash));
}

/** A row of nodes, end to end, and `levels` rows above it. */
export function rowsAbove(row: Uint8Array, levels: number, hash: HashName): Uint8Array[] {
  const hashBytes = HASH_LENGTH[hash];
  const zeros = new Uint8Array(hashBytes);
  const rows = [row];
  for (let level = 0; level < levels; level += 1) {
    const below = rows.at(-1)!;
    const nodes: Uint8Array[] = [];
    for (let at = 0; at < below.length; at += 2 * hashBytes) {
      const left = below.subarray(at, at + hashBytes);
      const right = below.subarray(at + hashBytes, at + 2 * hashBytes);
      nodes.push(hashPair(left, right.length === 0 ? zeros : right, hash));
    }
    rows.push(joined(nodes));
  }
  return rows;
}

/** Put together when somebody first needs them, for that takes some milliseconds; they keep nothing between calls. */
const lanesOfThisMachine = once(() => Sha256Lanes.create());

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const joined = (nodes: readonly Uint8Array[]): Uint8Array => Buffer.concat(nodes);
