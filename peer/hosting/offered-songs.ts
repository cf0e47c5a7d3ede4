/**
 * What this peer offers to others: its library and, with `--share-cache`, songs that it fetched from others.
 *
 *     library ─┐
 *     cache  ──┴─▶ OfferedSongs ─▶ song server, tracker link
 *
 * A song that is in both counts once, as the library's. Its leaving one of them is no leaving while the other has it.
 */
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { CatalogueChange, CatalogueListener, HostedSong } from '../library/catalogue.js';
import type { HostedSongs } from './neighbours.js';

/** The library's catalogue, the disk cache, or several of those. */
export interface SongSource extends HostedSongs {
  onChange(listener: CatalogueListener): () => void;
}

export class OfferedSongs implements SongSource {
  readonly #sources: readonly SongSource[];

  /** The first of them that has a song is where it is read. */
  constructor(sources: readonly SongSource[]) {
    this.#sources = sources;
  }

  get(hash: ContentHash): HostedSong | undefined {
    for (const source of this.#sources) {
      const song = source.get(hash);
      if (song !== undefined) return song;
    }
    return undefined;
  }

  *songs(): Iterable<HostedSong> {
    for (const [index, source] of this.#sources.entries()) {
      const better = this.#sources.slice(0, index);
      for (const song of source.songs())
        if (!better.some(other => other.get(song.hash) !== undefined)) yield song;
    }
  }

  get size(): number {
    let count = 0;
    for (const _ of this.songs()) count += 1;
    return count;
  }

  onChange(listener: CatalogueListener): () => void {
    const stops = this.#sources.map((source, index) =>
      source.onChange(change => {
        const told = this.#asOffered(change, this.#sources.slice(0, index));
        if (told.changed.length + told.removed.length > 0) listener(told);
      }),
    );
    return () => {
      for (const stop of stops) stop();
    };
  }

  #asOffered({ changed, removed }: CatalogueChange, better: readonly SongSource[]): CatalogueChange {
    const still = removed.flatMap(hash => this.get(hash) ?? []);
    return {
      changed: [
        ...changed.filter(song => !better.some(source => source.get(song.hash) !== undefined)),
        ...still,
      ],
      removed: removed.filter(hash => this.get(hash) === undefined),
    };
  }
}
