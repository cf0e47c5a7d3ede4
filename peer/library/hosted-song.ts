/** A known file as a song on offer. */
import { basename, extname } from 'node:path';
import { type ContentHash, cleanText, type OfferRow, type SongFields } from '../../protocol/tsp/rows.js';
import type { Catalogue, HostedSong } from './catalogue.js';
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
  readonly #nodes: SongNodes;

  /** `namedAfter` is the path whose name serves as the title when the tags name none. */
  constructor(
    path: string,
    file: { readonly fingerprint: Fingerprint; readonly content: SongContent },
    options: { readonly namedAfter: string; readonly nodes: SongNodes },
  ) {
    this.path = path;
    this.#fingerprint = file.fingerprint;
    this.#content = file.content;
    this.#namedAfter = options.namedAfter;
    this.#nodes = options.nodes;
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
    return this.#nodes.of(this.path, this.hash);
  }
}

/** Where songs get their nodes from. */
export class SongNodes {
  readonly #store: Pick<LibraryStore, 'nodes'>;
  readonly #catalogue: Pick<Catalogue, 'get'>;

  constructor(store: Pick<LibraryStore, 'nodes'>, catalogue: Pick<Catalogue, 'get'>) {
    this.#store = store;
    this.#catalogue = catalogue;
  }

  /** A song that somebody still serves may have been renamed since; none when it has gone. */
  of(path: string, hash: ContentHash): Uint8Array {
    const nodes = this.#store.nodes(path);
    if (nodes !== undefined) return nodes;
    const now = this.#catalogue.get(hash)?.path;
    return (now === undefined ? undefined : this.#store.nodes(now)) ?? new Uint8Array(0);
  }
}

/** The file's name without its extension. */
const titleOf = (path: string): string => cleanText(basename(path, extname(path)));
