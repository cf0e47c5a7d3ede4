/**
 * What a simulated swarm is about, and the disks that it lies on: each takes only what is true, or the run is over.
 */
import type { ChunkStore } from '../../../peer/swarm/joining.js';
import { staticMetadata, staticSwarm } from '../../../peer/swarm/static-swarm.js';
import { type HashName, MerkleTree } from '../../../protocol/merkle.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import type { SwarmMetadata } from '../../../protocol/ppspp/handshake.js';
import { HashTree } from '../../../protocol/ppspp/hash-tree.js';
import type { ChunkRange } from '../../../protocol/ppspp/messages.js';
import type { Swarm } from '../../../protocol/ppspp/swarm.js';
import { wholeTree } from '../../support/whole-tree.js';
import type { Chance } from '../chance.js';
import { BrokenRule } from '../invariants.js';

const CHUNK_BYTES = 1_024;

export class SwarmContent {
  readonly bytes: Uint8Array;
  readonly chunks: number;
  readonly metadata: SwarmMetadata;

  constructor(chance: Chance, chunks: number, hash: HashName = chance.pick(['sha1', 'sha256'])) {
    this.chunks = chunks;
    this.bytes = chance.bytes(chunks * CHUNK_BYTES - chance.int(0, CHUNK_BYTES - 1));
    const { root } = new MerkleTree({ hash }).update(this.bytes).digest();
    this.metadata = staticMetadata(root, hash, CHUNK_BYTES);
  }

  /** One chunk, or what there is of it. */
  chunk(chunk: number): Uint8Array {
    return this.bytes.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
  }

  /** With every node. */
  tree(): HashTree {
    const { hash, chunkBytes } = this.metadata;
    return wholeTree(this.bytes, hash, chunkBytes);
  }

  /** Of which only the root is known, and the size if that is told. */
  emptyTree(isSizeKnown: boolean): HashTree {
    const { hash, chunkBytes, swarmId: root } = this.metadata;
    return new HashTree({ root, hash, chunkBytes, ...(isSizeKnown && { size: this.bytes.length }) });
  }
}

/** Outlives the process that wrote it. */
export class SwarmDisk implements ChunkStore {
  readonly have = new ChunkSet();
  readonly isFull = false;
  readonly #content: SwarmContent;
  readonly #tree: HashTree;
  readonly #chunks = new Map<number, Uint8Array>();

  /** Whole, or empty. */
  constructor(content: SwarmContent, options: { readonly isWhole: boolean; readonly isSizeKnown: boolean }) {
    this.#content = content;
    this.#tree = options.isWhole ? content.tree() : content.emptyTree(options.isSizeKnown);
    if (!options.isWhole) return;
    this.have.add({ start: 0, end: content.chunks - 1 });
    for (let chunk = 0; chunk < content.chunks; chunk += 1) this.#chunks.set(chunk, content.chunk(chunk));
  }

  get swarm(): Swarm {
    const { metadata } = this.#content;
    return staticSwarm({ metadata, tree: this.#tree, have: this.have, source: this });
  }

  read(chunk: number): Uint8Array | undefined {
    return this.#chunks.get(chunk);
  }

  write(first: number, chunks: readonly Uint8Array[]): void {
    for (const [i, bytes] of chunks.entries()) {
      if (Buffer.compare(bytes, this.#content.chunk(first + i)) !== 0)
        throw new BrokenRule(`chunk ${first + i} is kept and is not what it should be`);
      this.#chunks.set(first + i, Uint8Array.from(bytes));
    }
  }

  /** Whether all these chunks were written. */
  holds({ start, end }: ChunkRange): boolean {
    for (let chunk = start; chunk <= end; chunk += 1) if (!this.#chunks.has(chunk)) return false;
    return true;
  }

  /** All of it, as it would be played. */
  get bytes(): Uint8Array {
    return Buffer.concat(
      Array.from({ length: this.#content.chunks }, (_, i) => this.#chunks.get(i) ?? new Uint8Array(0)),
    );
  }
}
