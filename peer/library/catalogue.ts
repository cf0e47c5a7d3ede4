/**
 * The songs that this peer offers now: one entry a content, however many files hold it.
 *
 *     path ─┐
 *     path ─┴─▶ hash ──▶ HostedSong of the first of its paths
 *
 * A song goes when its last path went. Changes are gathered until `publish`, so that a rename, which is a removal and an
 * addition, is told as one change, and a first scan as a few batches. Pure.
 */
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { type Fingerprint, isSameFile } from './file-facts.js';

/** With the fingerprint of the file as it was hashed: when it has another now, its bytes are not this song. */
export interface HostedSong extends Fingerprint {
  readonly hash: ContentHash;
  /** A real path: whoever opens it may insist that no link is on the way. */
  readonly path: string;
  /** What the tracker and listeners are told of it; always with a title. */
  readonly offer: OfferRow;
  /**
   * Level-6 nodes (TSP §4), 32 bytes each, left to right; none once the song has left the catalogue. May be read from
   * disk (5 µs) each time.
   */
  readonly nodes: Uint8Array;
}

export interface CatalogueChange {
  /** New, or with another offer or path than before. */
  readonly changed: readonly HostedSong[];
  readonly removed: readonly ContentHash[];
}

export type CatalogueListener = (change: CatalogueChange) => void;

export class Catalogue {
  /** By hash, the files that hold it; the first one is shown. */
  readonly #songs = new Map<ContentHash, HostedSong[]>();
  readonly #hashes = new Map<string, ContentHash>();
  readonly #listeners = new Set<CatalogueListener>();
  /** What listeners were last told of each song that changed since: undefined for none. */
  readonly #told = new Map<ContentHash, HostedSong | undefined>();

  get size(): number {
    return this.#songs.size;
  }

  get(hash: ContentHash): HostedSong | undefined {
    return this.#songs.get(hash)?.[0];
  }

  *songs(): IterableIterator<HostedSong> {
    for (const [song] of this.#songs.values()) yield song!;
  }

  /** Called at each `publish` with what changed. The returned function ends it. */
  onChange(listener: CatalogueListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether something changed that listeners were not told of. */
  get isDirty(): boolean {
    return this.#told.size > 0;
  }

  /** Whether the file at `path` is listed. */
  has(path: string): boolean {
    return this.#hashes.has(path);
  }

  /** The paths that hold this content. */
  pathsOf(hash: ContentHash): readonly string[] {
    return (this.#songs.get(hash) ?? []).map(song => song.path);
  }

  /** Puts `song` at its path, in place of what was there. */
  set(song: HostedSong): void {
    const before = this.#hashes.get(song.path);
    if (before !== undefined && before !== song.hash) this.delete(song.path);
    this.#remember(song.hash);
    const files = this.#songs.get(song.hash) ?? [];
    const at = files.findIndex(file => file.path === song.path);
    if (at === -1) files.push(song);
    else files[at] = song;
    this.#songs.set(song.hash, files);
    this.#hashes.set(song.path, song.hash);
  }

  /** Takes away the file at `path`, if one is listed there. */
  delete(path: string): void {
    const hash = this.#hashes.get(path);
    if (hash === undefined) return;
    this.#remember(hash);
    this.#hashes.delete(path);
    const left = (this.#songs.get(hash) ?? []).filter(file => file.path !== path);
    if (left.length > 0) this.#songs.set(hash, left);
    else this.#songs.delete(hash);
  }

  /** Tells the listeners what changed since the last time; nothing if that comes to nothing. */
  publish(): void {
    const changed: HostedSong[] = [];
    const removed: ContentHash[] = [];
    for (const [hash, before] of this.#told) {
      const now = this.get(hash);
      if (now === undefined) {
        if (before !== undefined) removed.push(hash);
      } else if (before === undefined || !isSameSong(before, now)) {
        changed.push(now);
      }
    }
    this.#told.clear();
    if (changed.length + removed.length === 0) return;
    for (const listener of [...this.#listeners]) listener({ changed, removed });
  }

  #remember(hash: ContentHash): void {
    if (!this.#told.has(hash)) this.#told.set(hash, this.get(hash));
  }
}

/** The content is equal, since the hash is; what else a listener may have kept is where it is and what it is called. */
const isSameSong = (a: HostedSong, b: HostedSong): boolean =>
  a.path === b.path && isSameFile(a, b) && JSON.stringify(a.offer) === JSON.stringify(b.offer);
