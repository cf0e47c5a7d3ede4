/**
 * Which content has which ID, on disk: the hashes of 32 IDs that follow each other in a block. Those that are new lie at
 * the end, so that many are few writes; id-index.ts says where a hash may stand, and the mapped file whether it does.
 *
 *     give ─▶ unsaved ── writes ─▶ saving ─┬─ saved ──▶ index
 *                                          └─ failed ─▶ forgotten, but for what is on disk all the same
 */
import type { Database } from 'lmdb';
import type { RandomBytes } from '../../protocol/ports.js';
import { HASH_BYTES } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { IdIndex } from './id-index.js';
import { blockOf, hashAt, hashKey, idsIn, isHashOf, newHashBlock, putHash, u32 } from './stored.js';

export class StoredIds {
  /** The one that is open: after a failure of its own lmdb is opened anew. */
  readonly #store: () => Database<Buffer, Buffer>;
  /** Of those that are on disk. */
  readonly #index: IdIndex;
  #unsaved = new Map<ContentHash, SongId>();
  #saving: ReadonlyMap<ContentHash, SongId> = new Map();
  /** What is looked up just now. */
  readonly #asked = Buffer.alloc(HASH_BYTES);

  constructor(store: () => Database<Buffer, Buffer>, randomBytes: RandomBytes) {
    this.#store = store;
    this.#index = new IdIndex(randomBytes);
    this.#readIndex();
  }

  /** How many there are, on disk or not. */
  get count(): number {
    return this.#index.size + this.#saving.size + this.#unsaved.size;
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  of(hash: ContentHash): SongId | undefined {
    return (
      this.#unsaved.get(hash) ??
      this.#saving.get(hash) ??
      this.#index.find(hashKey(hash, this.#asked), this.#isAsked)
    );
  }

  /** To a hash that has none. */
  give(hash: ContentHash, id: SongId): void {
    this.#unsaved.set(hash, id);
  }

  /** What brings all that is unsaved to disk; `saved` or `failed` is to follow. */
  *writes(): Iterable<() => Promise<unknown>> {
    this.#saving = this.#unsaved;
    this.#unsaved = new Map();
    const blocks = new Map<number, [SongId, ContentHash][]>();
    for (const [hash, id] of this.#saving) {
      const number = blockOf(id);
      const given = blocks.get(number);
      if (given === undefined) blocks.set(number, [[id, hash]]);
      else given.push([id, hash]);
    }
    for (const [number, given] of blocks) yield () => this.#putBlock(number, given);
  }

  saved(): void {
    for (const [hash, id] of this.#saving) this.#index.add(id, hashKey(hash, this.#asked));
    this.#saving = new Map();
  }

  /** Not all of it was written. */
  failed(): void {
    for (const [hash, id] of this.#saving) {
      const asked = hashKey(hash, this.#asked);
      if (this.#isAsked(id)) this.#index.add(id, asked);
    }
    this.#saving = new Map();
  }

  /** Takes IDs over from a store of before, which had a key for each hash: what removes these. */
  *rewrite(): Iterable<() => Promise<unknown>> {
    for (const { key, value } of this.#store().getRange()) {
      if (key.length !== HASH_BYTES) continue;
      const hash = key.toString('hex') as ContentHash;
      if (this.of(hash) === undefined) this.give(hash, value.readUInt32BE() as SongId);
      yield () => this.#store().remove(key);
    }
  }

  readonly #isAsked = (id: SongId): boolean => {
    const block = this.#store().getBinaryFast(u32(blockOf(id)));
    return block !== undefined && isHashOf(block, id, this.#asked);
  };

  #putBlock(number: number, given: readonly (readonly [SongId, ContentHash])[]): Promise<unknown> {
    const key = u32(number);
    const block = this.#store().getBinary(key) ?? newHashBlock();
    for (const [id, hash] of given) putHash(block, id, hash);
    return this.#store().put(key, block);
  }

  #readIndex(): void {
    for (const { key, value } of this.#store().getRange()) {
      if (key.length === HASH_BYTES) continue;
      for (const id of idsIn(key.readUInt32BE(), value)) this.#index.add(id, value, hashAt(id));
    }
  }
}
