/**
 * Songs that were fetched, on disk, so that one played yesterday needs no network; the least recently played go first.
 *
 *     keep(song, piece) ─▶ HASH.part (pieces in any order) ──complete──▶ HASH.json, then HASH.mp3
 *     start(): every HASH.mp3 with its HASH.json is a song; leftovers are removed
 *
 * The rule: only proven pieces are written, and a song appears whole, by rename, or not at all. When the disk will
 * not take it, caching ends, which is said once, and playing goes on. Who reads a song checks it again.
 */

import { readdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../protocol/ports.js';
import { asContentHash, type ContentHash, type OfferRow, parseOffer } from '../../protocol/tsp/rows.js';
import type { CatalogueChange, CatalogueListener, HostedSong } from '../library/catalogue.js';
import { makeFolder } from '../make-folder.js';
import type { LocalSong } from './local-song.js';
import { PartialSong } from './partial-song.js';
import type { PieceHashes } from './pieces.js';
import type { SongToFetch } from './song-stream.js';

export interface DiskCacheOptions {
  /** Its own folder; made if it is not there. */
  readonly folder: string;
  /** Of songs; 0: nothing is kept. */
  readonly maxBytes: number;
  readonly logger: Logger;
  /** Told once, for a person, when caching ends because the disk would not take more. */
  readonly onFull?: (why: string) => void;
}

/** Songs that are partly here: the current one, the next one, and some that were broken off. */
const MAX_PARTIAL_SONGS = 8;

/** What a fetcher asks of a cache. */
export interface SongCache {
  get(hash: ContentHash): LocalSong | undefined;
  /** It is being played: others go before it. */
  played(hash: ContentHash): void;
  /** Takes a proven piece. The bytes must not change afterwards. */
  keep(song: SongToFetch, index: number, piece: Uint8Array, hashes: PieceHashes): void;
  /** It turned out not to be what it should be. */
  drop(hash: ContentHash): void;
}

/** What HASH.json says. */
export interface Note {
  readonly offer: OfferRow;
  /** Base64 of the level-6 nodes. */
  readonly nodes: string;
}

export class DiskCache implements SongCache {
  readonly #options: DiskCacheOptions;
  /** Without links in it, as hosting wants its paths. */
  #folder: string;
  /** Least recently played first. */
  readonly #songs = new Map<ContentHash, HostedSong>();
  readonly #partial = new Map<ContentHash, PartialSong>();
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

  /** Resolves when nothing is being written any more. What is only partly here is removed. */
  async stop(): Promise<void> {
    this.#closed = true;
    for (const partial of this.#partial.values()) this.#track(partial.discard());
    this.#partial.clear();
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

  onChange(listener: CatalogueListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** It is being played: others go before it. */
  played(hash: ContentHash): void {
    const song = this.#songs.get(hash);
    if (song === undefined) return;
    this.#songs.delete(hash);
    this.#songs.set(hash, song);
    const now = new Date();
    this.#track(utimes(this.#path(hash, 'json'), now, now));
  }

  /** Takes a proven piece. The bytes must not change afterwards. */
  keep(song: SongToFetch, index: number, piece: Uint8Array, hashes: PieceHashes): void {
    if (this.#closed || this.#songs.has(song.hash) || hashes.lastPieceAt >= this.#options.maxBytes) return;
    const partial = this.#partial.get(song.hash) ?? this.#begin(song.hash, hashes);
    this.#track(
      partial.add(index, piece).then(
        complete => (complete ? this.#complete(song, partial) : undefined),
        (error: unknown) => this.#give(error),
      ),
    );
  }

  /** It turned out not to be what it should be. */
  drop(hash: ContentHash): void {
    const song = this.#songs.get(hash);
    if (song === undefined) return;
    this.#forget(song);
    this.#changed({ changed: [], removed: [hash] });
  }

  #begin(hash: ContentHash, hashes: PieceHashes): PartialSong {
    const partial = new PartialSong(this.#path(hash, 'part'), hashes);
    this.#partial.set(hash, partial);
    if (this.#partial.size > MAX_PARTIAL_SONGS) {
      const [oldest, unfinished] = this.#partial.entries().next().value!;
      this.#partial.delete(oldest);
      this.#track(unfinished.discard());
    }
    return partial;
  }

  async #complete(song: SongToFetch, partial: PartialSong): Promise<void> {
    const { hash } = song;
    if (this.#partial.get(hash) !== partial) return;
    this.#partial.delete(hash);
    try {
      const size = await partial.close();
      await this.#removals.get(hash);
      const removed = this.#makeRoom(size);
      const offer: OfferRow = { title: hash.slice(0, SHOWN_HASH_CHARS), ...song.fields, hash, size };
      const { nodes } = partial.hashes;
      const note: Note = { offer, nodes: Buffer.from(nodes).toString('base64') };
      await writeFile(this.#path(hash, 'json'), JSON.stringify(note));
      await rename(this.#path(hash, 'part'), this.#path(hash, 'mp3'));
      const cached = await this.#hosted(hash, offer, nodes);
      this.#songs.set(hash, cached);
      this.#bytes += size;
      this.#changed({ changed: [cached], removed });
    } catch (error) {
      await partial.discard();
      await rm(this.#path(hash, 'json'), { force: true }).catch(() => {});
      this.#give(error);
    }
  }

  /** Forgets songs until `bytes` more are within the limit. */
  #makeRoom(bytes: number): ContentHash[] {
    const removed: ContentHash[] = [];
    for (const song of this.#songs.values()) {
      if (this.#bytes + bytes <= this.#options.maxBytes) break;
      this.#forget(song);
      removed.push(song.hash);
    }
    return removed;
  }

  #forget(song: HostedSong): void {
    this.#songs.delete(song.hash);
    this.#bytes -= song.size;
    const files = [song.path, this.#path(song.hash, 'json')];
    const removal = Promise.all(files.map(file => rm(file, { force: true })));
    this.#removals.set(song.hash, removal);
    this.#track(removal.finally(() => this.#removals.delete(song.hash)));
  }

  async #takeStock(): Promise<void> {
    const names = new Set(await readdir(this.#folder));
    const found: { song: HostedSong; playedAt: number }[] = [];
    for (const name of names) {
      const hash = asContentHash(name.slice(0, name.lastIndexOf('.')));
      if (hash === undefined || !OUR_FILE.test(name)) continue;
      const song = names.has(`${hash}.mp3`) ? await this.#read(hash) : undefined;
      if (song === undefined) await rm(join(this.#folder, name), { force: true });
      else if (name.endsWith('.mp3')) found.push(song);
    }
    found.sort((a, b) => a.playedAt - b.playedAt);
    for (const { song } of found) {
      this.#songs.set(song.hash, song);
      this.#bytes += song.size;
    }
    const removed = this.#makeRoom(0);
    this.#options.logger.debug(
      { songs: this.#songs.size, bytes: this.#bytes, removed },
      'the disk cache is read',
    );
  }

  /** A song and when it was last played; undefined when its files don't belong together. */
  async #read(hash: ContentHash): Promise<{ song: HostedSong; playedAt: number } | undefined> {
    try {
      const note = JSON.parse(await readFile(this.#path(hash, 'json'), 'utf8')) as Note;
      const offer = parseOffer({ ...note.offer });
      const song = await this.#hosted(hash, offer, Buffer.from(note.nodes, 'base64'));
      if (song.size !== offer.size || offer.hash !== hash) return undefined;
      return { song, playedAt: (await stat(this.#path(hash, 'json'))).mtimeMs };
    } catch {
      return undefined;
    }
  }

  async #hosted(hash: ContentHash, offer: OfferRow, nodes: Uint8Array): Promise<HostedSong> {
    const path = this.#path(hash, 'mp3');
    const facts = await stat(path, { bigint: true });
    const { mtimeNs, ctimeNs, ino } = facts;
    return { hash, path, size: Number(facts.size), mtimeNs, ctimeNs, inode: ino, offer, nodes };
  }

  #path(hash: ContentHash, kind: 'mp3' | 'json' | 'part'): string {
    return join(this.#folder, `${hash}.${kind}`);
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

  /** No more caching: the songs that are here stay. */
  #give(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    const { code, message } = error as NodeJS.ErrnoException;
    const why = (code !== undefined && DISK_TROUBLES[code]) || message;
    this.#options.logger.warn({ folder: this.#folder, err: error }, `caching ends: ${why}`);
    this.#options.onFull?.(why);
    for (const partial of this.#partial.values()) this.#track(partial.discard());
    this.#partial.clear();
  }
}

const DISK_TROUBLES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EIO: 'the disk fails',
};
/** A song of which nobody told a title. */
const SHOWN_HASH_CHARS = 8;
const OUR_FILE = /\.(?:mp3|json|part)$/;
