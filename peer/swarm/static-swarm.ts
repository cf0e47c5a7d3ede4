/**
 * Swarms of whole files: what RFC 7574 calls static content, proven by its hash tree, whose root is the swarm's ID.
 */
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { HASH_LENGTH, type HashName } from '../../protocol/merkle.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { Dialect, SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import type { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { MerkleIntegrity } from '../../protocol/ppspp/integrity.js';
import type { ChunkSource, Swarm } from '../../protocol/ppspp/swarm.js';
import { ChunkFile, checkUnchanged } from './chunk-file.js';
import { fileTree } from './content-tree.js';

export function staticMetadata(swarmId: Uint8Array, hash: HashName, chunkBytes: number): SwarmMetadata {
  return { swarmId, integrity: 'merkle', hash, addressing: 'chunk32', chunkBytes };
}

/** The hash function whose root has so many bytes; undefined for none. */
export const hashOfLength = (bytes: number): HashName | undefined =>
  (Object.keys(HASH_LENGTH) as HashName[]).find(name => HASH_LENGTH[name] === bytes);

export function staticSwarm(options: {
  readonly metadata: SwarmMetadata;
  readonly tree: HashTree;
  readonly have: ChunkSet;
  readonly source: ChunkSource;
  /** Absent: the RFC's alone. */
  readonly dialects?: readonly Dialect[];
}): Swarm {
  const { metadata, tree, have, source, dialects = ['rfc7574'] } = options;
  return { metadata, dialects, have, integrity: new MerkleIntegrity(tree), source };
}

/** A file that is there, hashed and open, to be given to others. */
export interface SeededFile {
  readonly swarm: Swarm;
  readonly store: ChunkFile;
  readonly size: number;
  close(): Promise<void>;
}

export interface SeedOptions {
  readonly path: string;
  readonly hash: HashName;
  readonly chunkBytes: number;
  readonly dialects?: readonly Dialect[];
  readonly signal: AbortSignal;
  readonly onLoaded: () => void;
  /** It cannot be read any more, or has changed: nothing more of it is given. */
  readonly onBroken: (error: unknown) => void;
}

/** Rejects with the file system's error; resolves to undefined for an empty file, which has nothing to give. */
export async function seedFile(options: SeedOptions): Promise<SeededFile | undefined> {
  const file = await open(options.path);
  try {
    const before = await file.stat({ bigint: true });
    const tree = await fileTree(file, options);
    checkUnchanged(before, await file.stat({ bigint: true }));
    if (tree.size === 0) await file.close();
    return tree.size === 0 ? undefined : seeded(options, file, before, tree);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function seeded(options: SeedOptions, file: FileHandle, unchanged: BigIntStats, tree: HashTree): SeededFile {
  const { hash, chunkBytes, dialects = ['rfc7574'], onLoaded, onBroken } = options;
  const store = new ChunkFile({ file, chunkBytes, unchanged, onLoaded, onBroken });
  const have = new ChunkSet();
  have.add({ start: 0, end: tree.chunks! - 1 });
  const metadata = staticMetadata(tree.root, hash, chunkBytes);
  return {
    swarm: staticSwarm({ metadata, tree, have, source: store, dialects }),
    store,
    size: tree.size!,
    close: async () => {
      await store.settled();
      await file.close();
    },
  };
}
