/**
 * Songs that were fetched, on disk, so that one played yesterday needs no network, and one that was broken off only what is
 * missing of it; the least recently played go first.
 *
 *     keep(song, piece) ─▶ HASH.part (pieces in any order), HASH.map ──complete──▶ HASH.mp3          with HASH.json beside it
 *     start(): what belongs together is a song, or a part of one; all else of ours is removed
 *
 * The rule: only proven pieces are written, and a song appears whole, by rename, or not at all. When the disk will
 * not take it, caching ends, which is said once, and playing goes on. Who reads a song checks it again.
 */
import { readdir, realpath, stat, utimes } from 'node:fs/promises';
import type { Logger } from '../../protocol/ports.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import type { CatalogueChange, CatalogueListener, HostedSong } from '../library/catalogue.js';
import { fingerprintOf } from '../library/open-file.js';
import { makeFolder } from '../make-folder.js';
import { CacheFiles, type FileKind } from './cache-files.js';
import type { LocalSong } from './local-song.js';
import { type KeptPieces, PartialSong } from './partial-song.js';
import type { PieceHashes } from './pieces.js';
import type { SongToFetch } from './song-stream.js';

export interface DiskCacheOptions {
  /** Its own folder; made if it is not there. */
  readonly folder: string;
  /** Of songs and parts of songs; 0: nothing is kept. */
  readonly maxBytes: number;
  readonly logger: Logger;
  /** Told once, for a person, when caching ends because the disk would not take more. */
  readonly onFull?: (why: string) => void;
}

/** Songs that are partly here: the current one, the next one, and those that were broken off. */
const MAX_PARTIAL_SONGS = 64;

/** What a fetcher asks of a cache. */
export interface SongCache {
  get(hash: ContentHash): LocalSong | undefined;
  /** What is here of a song that is not whole. */
  partly(hash: ContentHash): KeptPieces | undefined;
  /** It is being played: others go before it. */
  played(hash: ContentHash): void;
  /** Takes a proven piece. The bytes must not change afterwards. */
  keep(song: SongToFetch, index: number, piece: Uint8Array, hashes: PieceHashes): void;
  /** It turned out not to be what it should be. */
  drop(hash: ContentHash): void;
}

export class DiskCache implements SongCache {
  readonly #options: DiskCacheOptions;
  /** Without links in it, as hosting wants its paths. */
  #folder: string;
  readonly #songs = new Map<ContentHash, HostedSong>();
  readonly #partial = new Map<ContentHash, PartialSong>();
  /** Both; least recently played first. */
  readonly #recent = new Set<ContentHash>();
  readonly #listeners = new Set<CatalogueListener>();
  readonly #busy = new Set<Promise<void>>();
  /** A song that comes back must not lose its new files to the removal of the old ones. */
  readonly #removals = new Map<ContentHash, Promise<unknown>>();
  #bytes = 0;
  #closed = false;

  constructor(options: DiskCacheOptions) {
    this.#options = options;
    this.#folder = options.folder;
  }

  /** Takes stock. A folder that cannot be used ends caching, not the peer. */
  async start(): Promise<void> {
    const { folder, maxBytes } = this.#options;
    if (maxBytes === 0) {
      this.#closed = true;
      return;
    }
    try {
      await makeFolder(folder);
      this.#folder = await realpath(folder);
      await this.#takeStock();
    } catch (error) {
      this.#give(error);
    }
  }

  /** Resolves when nothing is being written any more. What is only partly here stays, for the next start. */
  async stop(): Promise<void> {
    this.#closed = true;
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  get size(): number {
    return this.#songs.size;
  }

  /** Bytes of songs. */
  get bytes(): number {
    return this.#bytes;
  }

  songs(): Iterable<HostedSong> {
    return this.#songs.values();
  }

  get(hash: ContentHash): HostedSong | undefined {
    return this.#songs.get(hash);
  }

  partly(hash: ContentHash): KeptPieces | undefined {
    const partial = this.#partial.get(hash);
    if (partial !== undefined) this.#touch(hash);
    return partial;
  }

  onChange(listener: CatalogueListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  played(hash: ContentHash): void {
    if (!this.#songs.has(hash)) return;
    this.#touch(hash);
    const now = new Date();
    this.#track(utimes(this.#files(hash).path('json'), now, now));
  }

  keep(song: SongToFetch, index: number, piece: Uint8Array, hashes: PieceHashes): void {
    const { hash } = song;
    if (this.#closed || this.#songs.has(hash) || hashes.longestSize > this.#options.maxBytes) return;
    const partial = this.#partial.get(hash) ?? this.#begin(song, hashes);
    this.#touch(hash);
    if (!partial.wants(index)) return;
    const removed = this.#makeRoom(piece.length, hash);
    if (removed.length > 0) this.#changed({ changed: [], removed });
    this.#track(
      partial.add(index, piece).then(
        isWhole => (isWhole ? this.#complete(partial) : undefined),
        (error: unknown) => this.#failed(partial, error),
      ),
    );
  }

  drop(hash: ContentHash): void {
    if (!this.#songs.has(hash)) return;
    this.#forget(hash);
    this.#changed({ changed: [], removed: [hash] });
  }

  #begin({ hash, fields }: SongToFetch, hashes: PieceHashes): PartialSong {
    const offer: OfferRow = { title: hash.slice(0, SHOWN_HASH_CHARS), ...fields, hash };
    const partial = new PartialSong(this.#files(hash), offer, hashes, this.#removals.get(hash));
    this.#partial.set(hash, partial);
    this.#limitPartials(hash);
    return partial;
  }

  async #complete(partial: PartialSong): Promise<void> {
    const { hash, hashes } = partial;
    try {
      const offer = await partial.finish();
      if (offer === undefined) return;
      const cached = await this.#hosted(hash, offer, hashes.nodes);
      if (this.#partial.get(hash) !== partial) return;
      this.#partial.delete(hash);
      this.#songs.set(hash, cached);
      this.#bytes += cached.size;
      this.#changed({ changed: [cached], removed: [] });
    } catch (error) {
      this.#failed(partial, error);
    }
  }

  /** Forgets songs and parts of songs until `bytes` more are within the limit; which songs. */
  #makeRoom(bytes: number, except?: ContentHash): ContentHash[] {
    const removed: ContentHash[] = [];
    for (const hash of this.#recent) {
      if (this.#heldBytes + bytes <= this.#options.maxBytes) break;
      if (hash === except) continue;
      if (this.#songs.has(hash)) removed.push(hash);
      this.#forget(hash);
    }
    return removed;
  }

  #limitPartials(except?: ContentHash): void {
    for (const hash of this.#recent) {
      if (this.#partial.size <= MAX_PARTIAL_SONGS) break;
      if (hash !== except && this.#partial.has(hash)) this.#forget(hash);
    }
  }

  get #heldBytes(): number {
    let bytes = this.#bytes;
    for (const partial of this.#partial.values()) bytes += partial.bytes;
    return bytes;
  }

  #touch(hash: ContentHash): void {
    this.#recent.delete(hash);
    this.#recent.add(hash);
  }

  /** The song, or what there is of it. */
  #forget(hash: ContentHash): void {
    const song = this.#songs.get(hash);
    const partial = this.#partial.get(hash);
    this.#songs.delete(hash);
    this.#partial.delete(hash);
    this.#recent.delete(hash);
    this.#bytes -= song?.size ?? 0;
    const removal = partial?.discard() ?? this.#files(hash).remove();
    this.#removals.set(hash, removal);
    this.#track(
      removal.finally(() => {
        if (this.#removals.get(hash) === removal) this.#removals.delete(hash);
      }),
    );
  }

  async #takeStock(): Promise<void> {
    const found = new Map<ContentHash, Set<FileKind>>();
    for (const name of await readdir(this.#folder)) {
      const ours = CacheFiles.parse(name);
      if (ours !== undefined) found.set(ours.hash, (found.get(ours.hash) ?? new Set()).add(ours.kind));
    }
    const played: { readonly hash: ContentHash; readonly at: number }[] = [];
    for (const [hash, kinds] of found) {
      const at = await this.#takeIn(hash, kinds);
      if (at !== undefined) played.push({ hash, at });
    }
    for (const { hash } of played.sort((a, b) => a.at - b.at)) this.#touch(hash);
    this.#limitPartials();
    const removed = this.#makeRoom(0);
    for (const partial of this.#partial.values()) if (partial.isWhole) this.#track(this.#complete(partial));
    this.#options.logger.debug(
      { songs: this.#songs.size, partly: this.#partial.size, bytes: this.#heldBytes, removed },
      'the disk cache is read',
    );
  }

  /** What there is of a song; files that do not belong to that are removed. When it was last played, if there is any. */
  async #takeIn(hash: ContentHash, kinds: ReadonlySet<FileKind>): Promise<number | undefined> {
    const files = this.#files(hash);
    const song = kinds.has('mp3') ? await this.#read(files) : undefined;
    const partial = song === undefined ? await PartialSong.resume(files) : undefined;
    const ours: readonly FileKind[] =
      song !== undefined ? ['mp3', 'json'] : partial !== undefined ? ['part', 'map', 'json'] : [];
    await files.remove([...kinds].filter(kind => !ours.includes(kind)));
    if (song !== undefined) {
      this.#songs.set(hash, song);
      this.#bytes += song.size;
    } else if (partial !== undefined) this.#partial.set(hash, partial);
    return ours.length === 0 ? undefined : (await stat(files.path(partial ? 'map' : 'json'))).mtimeMs;
  }

  /** Undefined when its files don't belong together. */
  async #read(files: CacheFiles): Promise<HostedSong | undefined> {
    try {
      const { offer, nodes } = await files.readNote();
      const song = await this.#hosted(files.hash, offer, nodes);
      return song.size === offer.size && offer.hash === files.hash ? song : undefined;
    } catch {
      return undefined;
    }
  }

  async #hosted(hash: ContentHash, offer: OfferRow, nodes: Uint8Array): Promise<HostedSong> {
    const path = this.#files(hash).path('mp3');
    return { hash, path, ...fingerprintOf(await stat(path, { bigint: true })), offer, nodes };
  }

  #files(hash: ContentHash): CacheFiles {
    return new CacheFiles(this.#folder, hash);
  }

  #changed(change: CatalogueChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #track(work: Promise<unknown>): void {
    const settled: Promise<void> = work
      .then(
        () => undefined,
        (error: unknown) => this.#options.logger.debug({ err: error }, 'the disk cache could not tidy up'),
      )
      .finally(() => this.#busy.delete(settled));
    this.#busy.add(settled);
  }

  #failed(partial: PartialSong, error: unknown): void {
    if (this.#partial.get(partial.hash) !== partial) return;
    // Somebody cleared its files away: so be it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && partial.indexes.size > 0)
      this.#forget(partial.hash);
    else this.#give(error);
  }

  /** No more caching: the songs that are here stay. */
  #give(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    const { code, message } = error as NodeJS.ErrnoException;
    const why = (code !== undefined && DISK_TROUBLES[code]) || message;
    this.#options.logger.warn({ folder: this.#folder, err: error }, `caching ends: ${why}`);
    this.#options.onFull?.(why);
    for (const hash of [...this.#partial.keys()]) this.#forget(hash);
  }
}

const DISK_TROUBLES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EIO: 'the disk fails',
};
/** A song of which nobody told a title. */
const SHOWN_HASH_CHARS = 8;
