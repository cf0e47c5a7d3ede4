/** A catalogue without files. */
import type { SongSource } from '../../../peer/hosting/offered-songs.js';
import type { CatalogueListener, HostedSong } from '../../../peer/library/catalogue.js';
import type { ContentHash, OfferRow } from '../../../protocol/tsp/rows.js';

/** Own songs that a test changes by hand. */
export class Songs implements SongSource {
  readonly #songs = new Map<ContentHash, HostedSong>();
  readonly #listeners = new Set<CatalogueListener>();

  constructor(...offers: OfferRow[]) {
    for (const offer of offers) this.#songs.set(offer.hash, asSong(offer));
  }

  get(of: ContentHash): HostedSong | undefined {
    return this.#songs.get(of);
  }

  songs(): Iterable<HostedSong> {
    return this.#songs.values();
  }

  onChange(listener: CatalogueListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(changed: OfferRow[], removed: ContentHash[] = []): void {
    for (const offer of changed) this.#songs.set(offer.hash, asSong(offer));
    for (const gone of removed) this.#songs.delete(gone);
    for (const listener of this.#listeners) listener({ changed: changed.map(asSong), removed });
  }
}

const asSong = (offer: OfferRow): HostedSong => ({
  hash: offer.hash,
  path: '/nowhere',
  size: 1,
  mtimeNs: 0n,
  ctimeNs: 0n,
  inode: 0n,
  offer,
  nodes: new Uint8Array(32),
});
