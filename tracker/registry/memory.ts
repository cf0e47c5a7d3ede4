/**
 * A registry that lasts as long as its process: for tests, and for a tracker without a folder.
 *
 * `MemoryStore` stands for the disk: opening a registry on the same one again is a restart.
 */
import { FIRST_SONG_ID } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { nextRevision } from '../../protocol/tsp/revision.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import {
  makeTrackerName,
  nextSongId,
  RESERVED_REVISIONS,
  type Registry,
  type RegistryOptions,
  type Run,
  type StoredHost,
  type Told,
} from './registry.js';

export class MemoryStore {
  readonly ids: Map<ContentHash, SongId>;
  readonly hosts: Map<number, StoredHost>;
  readonly rows: Map<number, Map<SongId, OfferRow>>;
  readonly blocks: Map<number, Buffer>;
  runs: readonly Run[];
  tracker: string | undefined;
  lastSongId: number | undefined;
  lastHostKey: number;
  revision: number;

  /** Empty, or as another is now. */
  constructor(from?: MemoryStore) {
    this.ids = new Map(from?.ids);
    this.hosts = new Map(from?.hosts);
    this.rows = new Map([...(from?.rows ?? [])].map(([key, rows]) => [key, new Map(rows)]));
    this.blocks = new Map(from?.blocks);
    this.runs = from?.runs ?? [];
    this.tracker = from?.tracker;
    this.lastSongId = from?.lastSongId;
    this.lastHostKey = from?.lastHostKey ?? 0;
    this.revision = from?.revision ?? 0;
  }
}

export class MemoryRegistry implements Registry {
  readonly tracker: string;
  readonly revision: number;
  readonly #store: MemoryStore;

  constructor({ randomBytes, firstSongId = FIRST_SONG_ID }: RegistryOptions, store = new MemoryStore()) {
    this.#store = store;
    store.tracker ??= makeTrackerName(randomBytes);
    store.lastSongId ??= firstSongId - 1;
    this.tracker = store.tracker;
    this.revision = nextRevision(store.revision);
    this.#reserveAfter(this.revision);
  }

  get idCount(): number {
    return this.#store.ids.size;
  }

  idOf(hash: ContentHash): SongId | undefined {
    return this.#store.ids.get(hash);
  }

  assignId(hash: ContentHash): SongId {
    const id = nextSongId(this.#store.lastSongId!);
    this.#store.lastSongId = id;
    this.#store.ids.set(hash, id);
    return id;
  }

  nextHostKey(): number {
    this.#store.lastHostKey += 1;
    return this.#store.lastHostKey;
  }

  hosts(): Iterable<StoredHost> {
    return this.#store.hosts.values();
  }

  rows(hostKey: number): Iterable<readonly [SongId, OfferRow]> {
    return [...(this.#store.rows.get(hostKey) ?? [])].sort(([a], [b]) => a - b);
  }

  putHost(host: StoredHost): void {
    this.#store.hosts.set(host.key, host);
  }

  removeHost(hostKey: number): void {
    this.#store.hosts.delete(hostKey);
    this.#store.rows.delete(hostKey);
  }

  putRow(hostKey: number, id: SongId, row: OfferRow): void {
    const rows = this.#store.rows.get(hostKey) ?? new Map<SongId, OfferRow>();
    this.#store.rows.set(hostKey, rows.set(id, row));
  }

  removeRow(hostKey: number, id: SongId): void {
    this.#store.rows.get(hostKey)?.delete(id);
  }

  told(): Told {
    const { runs, blocks } = this.#store;
    return { runs, blocks };
  }

  saveTold({ runs, blocks }: Told): void {
    this.#store.runs = runs;
    for (const [index, block] of blocks) {
      if (block === undefined) this.#store.blocks.delete(index);
      else this.#store.blocks.set(index, block);
    }
    this.#reserveAfter(runs.at(-1)!.last);
  }

  #reserveAfter(revision: number): void {
    this.#store.revision = (revision + RESERVED_REVISIONS) >>> 0;
  }

  async flushed(): Promise<void> {}

  async close(): Promise<void> {}
}
