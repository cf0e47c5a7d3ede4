/**
 * Hash trees of RFC 7574 §5: TSP's content hash (TSP §4) and PPSPP's integrity.
 *
 *                 root                 level 3
 *          ┌───────┴───────┐
 *          □               □           a level-6 node covers 64 KiB, the piece in which a listener verifies
 *      ┌───┴───┐       ┌───┴───┐
 *      □       □       □       0       a node without content is all zeros and is never hashed
 *    ┌─┴─┐   ┌─┴─┐   ┌─┴─┐
 *    c0  c1  c2  c3  c4  0             level 0: the hash of each chunk; the last chunk at its own length
 *
 * A list of nodes is one byte array: the hashes of a whole level end to end, left to right, those past the content
 * left out. Nothing here holds the content, or more of the tree than the level that was asked for.
 */
import { hash as digestOnce } from 'node:crypto';
import { LocalProtocolError, RemoteProtocolError } from './errors.js';

/** What a leaf covers; the last one may be shorter. */
export const CHUNK_BYTES = 1_024;
/** The level whose nodes cover one piece, the unit in which a listener verifies. */
export const PIECE_LEVEL = 6;
export const PIECE_BYTES = CHUNK_BYTES << PIECE_LEVEL;

/** RFC 7574 §7.6. */
export type HashName = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';

/** Length of one node. */
export const HASH_LENGTH: Readonly<Record<HashName, number>> = {
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/** No content that has a length in 53 bits is higher; as a target level it means the root. */
export const ROOT_LEVEL = 43;
/** A tree gathers 2^keep chunk hashes before it joins them: 2 MiB at this level, and no piece is larger than 64 MiB. */
const HIGHEST_KEPT_LEVEL = 16;

export interface MerkleDigest {
  /** The content hash. Of empty content: all zeros, for RFC 7574 §5.1 gives no other value. */
  readonly root: Uint8Array;
  /** Bytes of content. */
  readonly size: number;
  /** All nodes of `level`, which is at least the kept one (LocalProtocolError otherwise); above the root, the root. */
  nodes(level: number): Uint8Array;
}

/**
 * Hashes content as it comes, in any cuts. Keeps the nodes of level `keep` (default 6: 32 bytes for each 64 KiB, 1 MiB
 * for 2 GiB) and forgets the chunks. The bytes given to `update` are not kept.
 */
export class MerkleTree {
  readonly #hash: HashName;
  readonly #keep: number;
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #chunkFilled = 0;
  /** The chunk hashes below the kept node that is being made. */
  readonly #group: Buffer;
  #grouped = 0;
  #kept: Buffer;
  #keptBytes = 0;
  #size = 0;

  constructor(options: { readonly hash?: HashName; readonly keep?: number } = {}) {
    this.#hash = options.hash ?? 'sha256';
    this.#keep = options.keep ?? PIECE_LEVEL;
    if (!Number.isInteger(this.#keep) || this.#keep < 0 || this.#keep > HIGHEST_KEPT_LEVEL) {
      throw new LocalProtocolError(`a tree keeps a level from 0 to ${HIGHEST_KEPT_LEVEL}, not ${this.#keep}`);
    }
    this.#group = Buffer.allocUnsafe(HASH_LENGTH[this.#hash] << this.#keep);
    this.#kept = Buffer.allocUnsafe(HASH_LENGTH[this.#hash] * 64);
  }

  update(bytes: Uint8Array): this {
    this.#size += bytes.length;
    let at = 0;
    if (this.#chunkFilled > 0) {
      at = Math.min(bytes.length, CHUNK_BYTES - this.#chunkFilled);
      this.#chunk.set(bytes.subarray(0, at), this.#chunkFilled);
      this.#chunkFilled += at;
      if (this.#chunkFilled < CHUNK_BYTES) return this;
      this.#add(this.#chunk);
      this.#chunkFilled = 0;
    }
    for (; at + CHUNK_BYTES <= bytes.length; at += CHUNK_BYTES)
      this.#add(bytes.subarray(at, at + CHUNK_BYTES));
    this.#chunk.set(bytes.subarray(at));
    this.#chunkFilled = bytes.length - at;
    return this;
  }

  /** The tree over what came so far. More may follow. */
  digest(): MerkleDigest {
    const kept = this.#nodes();
    const size = this.#size;
    if (size === 0)
      return { root: new Uint8Array(HASH_LENGTH[this.#hash]), size, nodes: () => new Uint8Array(0) };
    return {
      root: foldNodes(kept, this.#keep, this.#hash),
      size,
      nodes: level => nodesAbove(kept, this.#keep, level, this.#hash),
    };
  }

  #add(chunk: Uint8Array): void {
    const hashBytes = HASH_LENGTH[this.#hash];
    writeHash(this.#hash, chunk, this.#group, this.#grouped * hashBytes);
    this.#grouped += 1;
    if (this.#grouped < 1 << this.#keep) return;
    join(this.#group, this.#grouped, this.#keep, this.#hash);
    this.#grouped = 0;
    if (this.#keptBytes === this.#kept.length)
      this.#kept = Buffer.concat([this.#kept], this.#kept.length * 2);
    this.#group.copy(this.#kept, this.#keptBytes, 0, hashBytes);
    this.#keptBytes += hashBytes;
  }

  /** The kept level with its last node, which may cover less than the others, in memory of its own. */
  #nodes(): Buffer {
    const kept = this.#kept.subarray(0, this.#keptBytes);
    if (this.#grouped === 0 && this.#chunkFilled === 0) return Buffer.from(kept);
    const hashBytes = HASH_LENGTH[this.#hash];
    const group = Buffer.from(this.#group);
    let count = this.#grouped;
    if (this.#chunkFilled > 0) {
      writeHash(this.#hash, this.#chunk.subarray(0, this.#chunkFilled), group, count * hashBytes);
      count += 1;
    }
    join(group, count, this.#keptBytes === 0 ? heightOf(count) : this.#keep, this.#hash);
    return Buffer.concat([kept, group.subarray(0, hashBytes)]);
  }
}

/** The root from all nodes of `level`: what a listener compares with the content hash before it trusts the nodes. */
export function foldNodes(nodes: Uint8Array, level: number, hash: HashName = 'sha256'): Uint8Array {
  return nodesAbove(nodes, level, ROOT_LEVEL, hash);
}

/**
 * All nodes of level `to` from all nodes of level `from`; above the root, the root. Nodes that are no whole number of
 * hashes, or none, are RemoteProtocolError `bad-message`; a level below `from` is LocalProtocolError.
 */
export function nodesAbove(
  nodes: Uint8Array,
  from: number,
  to: number,
  hash: HashName = 'sha256',
): Uint8Array {
  if (!Number.isInteger(to) || to < from)
    throw new LocalProtocolError(`level ${to} is not above level ${from}`);
  const hashBytes = HASH_LENGTH[hash];
  const count = countNodes(nodes, hash);
  const room = Buffer.alloc((count + 1) * hashBytes);
  room.set(nodes);
  const left = join(room, count, Math.min(to - from, heightOf(count)), hash);
  return room.subarray(0, left * hashBytes);
}

/**
 * The node of `level` over one piece: at most 1,024 << level bytes, of which only the last piece of a content may
 * have fewer. With `whole` the piece is the whole content and the node is its root.
 */
export function hashPiece(
  bytes: Uint8Array,
  options: { readonly level?: number; readonly whole?: boolean; readonly hash?: HashName } = {},
): Uint8Array {
  const { level = PIECE_LEVEL, whole = false, hash = 'sha256' } = options;
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  if (count === 0 || count > 2 ** level) {
    throw new LocalProtocolError(`${bytes.length} bytes are no piece of level ${level}`);
  }
  const hashBytes = HASH_LENGTH[hash];
  const room = Buffer.allocUnsafe((count + 1) * hashBytes);
  for (let chunk = 0; chunk < count; chunk += 1) {
    const start = chunk * CHUNK_BYTES;
    writeHash(hash, bytes.subarray(start, start + CHUNK_BYTES), room, chunk * hashBytes);
  }
  join(room, count, whole ? heightOf(count) : level, hash);
  return room.subarray(0, hashBytes);
}

/** Levels between `count` nodes of one level and their root: ⌈log2 count⌉. */
export function heightOf(count: number): number {
  let height = 0;
  while (2 ** height < count) height += 1;
  return height;
}

function countNodes(nodes: Uint8Array, hash: HashName): number {
  const count = nodes.length / HASH_LENGTH[hash];
  if (count === 0 || !Number.isInteger(count)) {
    throw new RemoteProtocolError('bad-message', `${nodes.length} bytes are no list of ${hash} nodes`);
  }
  return count;
}

/**
 * Replaces the first `count` nodes in `room` by their ancestors `levels` above and returns how many these are. A missing
 * right node is zeros, for which `room` has place.
 */
function join(room: Buffer, count: number, levels: number, hash: HashName): number {
  const hashBytes = HASH_LENGTH[hash];
  let nodes = count;
  for (let level = 0; level < levels; level += 1) {
    if (nodes % 2 === 1) room.fill(0, nodes * hashBytes, (nodes + 1) * hashBytes);
    nodes = Math.ceil(nodes / 2);
    for (let node = 0; node < nodes; node += 1) {
      const pair = node * 2 * hashBytes;
      writeHash(hash, room.subarray(pair, pair + 2 * hashBytes), room, node * hashBytes);
    }
  }
  return nodes;
}

/** A leaf: the hash of a chunk at its own length. */
export function hashChunk(bytes: Uint8Array, hash: HashName): Uint8Array {
  const node = Buffer.allocUnsafe(HASH_LENGTH[hash]);
  writeHash(hash, bytes, node, 0);
  return node;
}

/** The node above two; of two without content it is zeros as they are, and not hashed (RFC 7574 §5.1). */
export function hashPair(left: Uint8Array, right: Uint8Array, hash: HashName): Uint8Array {
  const pair = Buffer.concat([left, right]);
  return pair.every(byte => byte === 0) ? new Uint8Array(HASH_LENGTH[hash]) : hashChunk(pair, hash);
}

/** A Latin-1 string out of OpenSSL and into place costs half of a Buffer a hash: 1.2 instead of 2 µs for a pair. */
function writeHash(hash: HashName, bytes: Uint8Array, room: Buffer, at: number): void {
  room.write(digestOnce(hash, bytes, 'binary'), at, 'latin1');
}
