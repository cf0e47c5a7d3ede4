/**
 * What is believed of every path, kept the same in the three places that believe it: known files, store, catalogue.
 *
 *     offer     it has this content: list it, if that is a song; leave it to encoding, if that is WAV or AIFF
 *     withdraw  it is out of reach: not listed, but not forgotten
 *     forget    nothing is there
 *     skip      something is there that is not looked into
 */
import type { Catalogue } from './catalogue.js';
import type { EncodedSongs } from './encoded-songs.js';
import type { Fingerprint, SkipReason } from './file-facts.js';
import { KnownSong } from './hosted-song.js';
import type { KnownFiles } from './known-files.js';
import type { KnownFile, LibraryStore } from './store.js';

export interface HoldingsOptions {
  readonly known: KnownFiles;
  readonly store: LibraryStore;
  readonly catalogue: Catalogue;
  readonly encoded: EncodedSongs | undefined;
  /** The catalogue may have changed. */
  readonly changed: () => void;
}

export class Holdings {
  readonly #options: HoldingsOptions;

  constructor(options: HoldingsOptions) {
    this.#options = options;
  }

  /** A file was met. `unknown`: it has to be read. */
  meet(path: string, fingerprint: Fingerprint): 'known' | 'unknown' {
    const { known, store, catalogue } = this.#options;
    const judgement = known.judge(path, fingerprint);
    if (judgement.kind === 'unknown') return 'unknown';
    if (judgement.kind === 'renamed') this.settle(path, judgement.file, store.nodes(judgement.from));
    else if (!catalogue.has(path)) this.#offer(path, judgement.file);
    return 'known';
  }

  /** A file was read. */
  settle(path: string, file: KnownFile, nodes: Uint8Array | undefined): void {
    this.#options.store.put(path, file, nodes);
    this.#options.known.set(path, file);
    this.#offer(path, file);
  }

  withdraw(path: string): void {
    this.#options.catalogue.delete(path);
    this.#options.encoded?.withdraw(path);
    this.#options.changed();
  }

  forget(path: string): void {
    const { known, store } = this.#options;
    if (known.get(path) !== undefined) store.remove(path);
    known.forget(path);
    this.withdraw(path);
  }

  skip(path: string, reason: SkipReason): void {
    this.forget(path);
    this.#options.known.skip(path, reason);
  }

  #offer(path: string, file: KnownFile): void {
    const { content, fingerprint } = file;
    const { catalogue, encoded, store, changed } = this.#options;
    if (content.kind === 'song')
      catalogue.set(new KnownSong(path, { fingerprint, content }, { namedAfter: path, store }));
    else catalogue.delete(path);
    if (content.kind === 'skipped' && content.reason === 'pcm') encoded?.offer(path, fingerprint);
    else encoded?.withdraw(path);
    changed();
  }
}
