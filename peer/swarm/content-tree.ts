/**
 * A file's whole hash tree (RFC 7574 §5.1), for its swarm ID and for serving it: chunks of any size, any hash function.
 *
 *     file ─▶ chunks ─▶ leaves ─▶ HashTree          a piece at a time: a signal ends it soon, others have their turn
 */
import { type FileHandle, open } from 'node:fs/promises';
import { cutInto } from '../../protocol/bytes.js';
import { HASH_LENGTH, type HashName, PIECE_LEVEL } from '../../protocol/merkle.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { NodeStore } from '../../protocol/ppspp/node-store.js';
import { TreeBuilder } from '../../protocol/ppspp/tree-builder.js';

/** Large enough that reading costs little; hashed in two milliseconds, so that others have their turn. */
const READ_BYTES = 256 * 1_024;

export interface TreeOptions {
  readonly hash: HashName;
  readonly chunkBytes: number;
  /** Ends it: rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Hashes the content from its beginning. */
export async function contentTree(
  content: AsyncIterable<Uint8Array>,
  options: TreeOptions,
): Promise<HashTree> {
  const { hash, chunkBytes, signal } = options;
  const nodes = new NodeStore(HASH_LENGTH[hash]);
  const builder = new TreeBuilder(hash, nodes);
  const pieceBytes = chunkBytes << PIECE_LEVEL;
  let rest = Buffer.alloc(0);
  let size = 0;
  for await (const bytes of content) {
    signal?.throwIfAborted();
    size += bytes.length;
    const whole = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    for (; at + pieceBytes <= whole.length; at += pieceBytes)
      builder.addPiece(cutInto(chunkBytes, whole.subarray(at, at + pieceBytes)));
    rest = Buffer.from(whole.subarray(at));
  }
  if (rest.length > 0) builder.addPiece(cutInto(chunkBytes, rest));
  return new HashTree({ root: builder.finish(), hash, chunkBytes, size, nodes });
}

/** The tree of a file, which must be an ordinary one. */
export async function fileTree(file: FileHandle, options: TreeOptions): Promise<HashTree> {
  return await contentTree(bytesOf(file), options);
}

/** The tree of the file at a path. */
export async function pathTree(path: string, options: TreeOptions): Promise<HashTree> {
  const file = await open(path);
  try {
    return await fileTree(file, options);
  } finally {
    await file.close();
  }
}

async function* bytesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.allocUnsafe(READ_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
    if (bytesRead === 0) return;
    yield bytes.subarray(0, bytesRead);
    at += bytesRead;
  }
}
