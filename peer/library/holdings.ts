/**
 * What is believed of every path, kept the same in the three places that believe it: known files, store, catalogue.
 *
 *     offer     it has this content: list it, if that is a song; leave it to encoding, if that is WAV or AIFF
 *     withdraw  it is out of reach: not listed, but not forgotten
 *     miss      it was not found: not listed, and forgotten soon, unless it turns up here or under another name
 *     forget    nothing is there
 *     skip      something is there that is not looked into
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { Catalogue } from './catalogue.js';
import type { EncodedSongs } from './encoded-songs.js';
import type { Fingerprint, SkipReason } from './file-facts.js';
import { KnownSong, SongNodes } from './hosted-song.js';
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

/** A rename may come as two events, and a look may fall between them. */
const MISSED_MS = 10_000;

export class Holdings {
  readonly #options: HoldingsOptions;
  readonly #nodes: SongNodes;
  readonly #missedAt = new Map<string, Milliseconds>();

  constructor(options: HoldingsOptions) {
    this.#options = options;
    this.#nodes = new SongNodes(options.store, options.catalogue);
  }

  /** A file was met. `unknown`: it has to be read. */
  meet(path: string, fingerprint: Fingerprint): 'known' | 'unknown' {
    this.#missedAt.delete(path);
    const { known, store, catalogue } = this.#options;
    const judgement = known.judge(path, fingerprint);
    if (judgement.kind === 'unknown') return 'unknown';
    if (judgement.kind === 'renamed') this.settle(path, judgement.file, store.nodes(judgement.from));
    else if (!catalogue.has(path)) this.#offer(path, judgement.file);
    return 'known';
  }

  /** A file was read. */
  settle(path: string, file: KnownFile, nodes: Uint8Array | undefined): void {
    this.#missedAt.delete(path);
    this.#options.store.put(path, file, nodes);
    this.#options.known.set(path, file);
    this.#offer(path, file);
  }

  withdraw(path: string): void {
    this.#options.catalogue.delete(path);
    this.#options.encoded?.withdraw(path);
    this.#options.changed();
  }

  /** After a look: forgets also what was missed long ago. */
  miss(paths: readonly string[], now: Milliseconds): void {
    for (const path of paths) {
      if (this.#options.known.get(path)?.content.kind !== 'song') this.forget(path);
      else if (!this.#missedAt.has(path)) {
        this.#missedAt.set(path, now);
        this.withdraw(path);
      }
    }
    for (const [path, at] of this.#missedAt) if (at + MISSED_MS <= now) this.forget(path);
  }

  forgetMissed(): void {
    for (const path of this.#missedAt.keys()) this.forget(path);
  }

  forget(path: string): void {
    this.#missedAt.delete(path);
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
    const { catalogue, encoded, changed } = this.#options;
    if (content.kind === 'song')
      catalogue.set(new KnownSong(path, { fingerprint, content }, { namedAfter: path, nodes: this.#nodes }));
    else catalogue.delete(path);
    if (content.kind === 'skipped' && content.reason === 'pcm') encoded?.offer(path, fingerprint);
    else encoded?.withdraw(path);
    changed();
  }
}
