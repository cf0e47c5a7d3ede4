/**
 * What the tracker calls this peer's songs (TSP §2.3): hash ↔ ID.
 *
 * The rule: IDs belong to one tracker. Those of this connection are its own in any case; the older ones count only
 * once WELCOME has said that it is still the same tracker.
 */
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';

export class OwnSongIds {
  /** Whose IDs these are. */
  #tracker: string | undefined;
  #known = new Table();
  #ofThisConnection = new Table();

  hashOf(id: SongId): ContentHash | undefined {
    return this.#ofThisConnection.hashes.get(id) ?? this.#known.hashes.get(id);
  }

  idOf(hash: ContentHash): SongId | undefined {
    return this.#ofThisConnection.ids.get(hash) ?? this.#known.ids.get(hash);
  }

  connected(): void {
    this.#ofThisConnection = new Table();
  }

  add(hash: ContentHash, id: SongId): void {
    this.#ofThisConnection.add(hash, id);
  }

  /** The tracker said its name. Returns false when it is not the one before; one without a name is always another. */
  welcomed(tracker: string | undefined): boolean {
    const isSame = tracker !== undefined && tracker === this.#tracker;
    if (!isSame) this.#known = new Table();
    for (const [hash, id] of this.#ofThisConnection.ids) this.#known.add(hash, id);
    this.#ofThisConnection = this.#known;
    this.#tracker = tracker;
    return isSame;
  }
}

class Table {
  readonly ids = new Map<ContentHash, SongId>();
  readonly hashes = new Map<SongId, ContentHash>();

  add(hash: ContentHash, id: SongId): void {
    this.ids.set(hash, id);
    this.hashes.set(id, hash);
  }
}
