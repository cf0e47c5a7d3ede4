/**
 * Places in the list for songs on their way into it: libraries that come at once do not all get the last one, and a song
 * that leaves when another host was just promised to be listed with it keeps its own.
 *
 *     take ─▶ its ID goes to disk, its host is told, it is listed ─▶ release       releaseAll: what is left, however it ends
 */
import type { ContentHash } from '../protocol/tsp/rows.js';

export class Reservations {
  readonly #isListed: (hash: ContentHash) => boolean;
  /** By how many libraries each song is taken. */
  readonly #taken = new Map<ContentHash, number>();
  readonly #unlisted = new Set<ContentHash>();

  constructor(isListed: (hash: ContentHash) => boolean) {
    this.#isListed = isListed;
  }

  /** How many songs more the list may have once what is under way is listed. */
  get places(): number {
    return this.#unlisted.size;
  }

  has(hash: ContentHash): boolean {
    return this.#taken.has(hash);
  }

  /** For one library; nothing is taken yet. */
  open(): Reservation {
    return new Reservation((hash, by) => {
      const count = (this.#taken.get(hash) ?? 0) + by;
      if (count > 0) this.#taken.set(hash, count);
      else this.#taken.delete(hash);
      this.moved(hash);
    });
  }

  /** To be called when a song has entered the list, or left it. */
  moved(hash: ContentHash): void {
    if (this.#taken.has(hash) && !this.#isListed(hash)) this.#unlisted.add(hash);
    else this.#unlisted.delete(hash);
  }
}

export class Reservation {
  readonly #change: (hash: ContentHash, by: 1 | -1) => void;
  readonly #taken = new Set<ContentHash>();

  constructor(change: (hash: ContentHash, by: 1 | -1) => void) {
    this.#change = change;
  }

  /** Once for a song; also for one that is listed, which may leave. */
  take(hash: ContentHash): void {
    this.#taken.add(hash);
    this.#change(hash, 1);
  }

  release(hash: ContentHash): void {
    if (this.#taken.delete(hash)) this.#change(hash, -1);
  }

  releaseAll(): void {
    for (const hash of this.#taken) this.release(hash);
  }
}
