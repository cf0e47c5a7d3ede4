/** A known file as a song on offer. */
import { basename, extname } from 'node:path';
import { type ContentHash, cleanText, type OfferRow, type SongFields } from '../../protocol/tsp/rows.js';
import type { HostedSong } from './catalogue.js';
import type { Fingerprint } from './file-facts.js';
import type { LibraryStore } from './store.js';

export type SongContent = { readonly hash: ContentHash; readonly fields: SongFields };

/**
 * Small, for there may be 100,000: the offer is put together, and the nodes (2 KiB for a 4 MB song) are fetched from the
 * store, each time somebody asks.
 */
export class KnownSong implements HostedSong {
  readonly path: string;
  readonly #fingerprint: Fingerprint;
  readonly #content: SongContent;
  readonly #namedAfter: string;
  readonly #store: Pick<LibraryStore, 'nodes'>;

  /** `namedAfter` is the path whose name serves as the title when the tags name none. */
  constructor(
    path: string,
    file: { readonly fingerprint: Fingerprint; readonly content: SongContent },
    options: { readonly namedAfter: string; readonly store: Pick<LibraryStore, 'nodes'> },
  ) {
    this.path = path;
    this.#fingerprint = file.fingerprint;
    this.#content = file.content;
    this.#namedAfter = options.namedAfter;
    this.#store = options.store;
  }

  get hash(): ContentHash {
    return this.#content.hash;
  }

  get size(): number {
    return this.#fingerprint.size;
  }

  get mtimeNs(): bigint {
    return this.#fingerprint.mtimeNs;
  }

  get ctimeNs(): bigint {
    return this.#fingerprint.ctimeNs;
  }

  get inode(): bigint {
    return this.#fingerprint.inode;
  }

  get offer(): OfferRow {
    return { hash: this.hash, title: titleOf(this.#namedAfter), ...this.#content.fields };
  }

  get nodes(): Uint8Array {
    const nodes = this.#store.nodes(this.path);
    if (nodes === undefined) throw new Error(`the nodes of ${this.path} are not in the store`);
    return nodes;
  }
}

/** The file's name without its extension. */
const titleOf = (path: string): string => cleanText(basename(path, extname(path)));
