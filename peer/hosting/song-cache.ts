/**
 * The songs that are being sent, or were a moment ago: at most one descriptor and one set of slices a song.
 *
 *     open(song) ─▶ SongReader ─▶ read … read ─▶ close()          the last to close leaves the descriptor idle
 *
 * Idle descriptors are closed after ten seconds, sooner when there are many or when the process runs out of them; what
 * their slices take beside memory goes with them.
 * Slices stay until the memory budget wants them (slice-memory.ts).
 */
import { RequestError } from '../../protocol/errors.js';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { HostedSong } from '../library/catalogue.js';
import { isSameFile } from '../library/file-facts.js';
import { type Piece, ServedSong } from './served-song.js';
import { SliceMemory, type SliceRoom } from './slice-memory.js';
import type { SongFile, SongFiles } from './song-files.js';

/** A listener asks for the next part of a song well within this. */
const IDLE_DESCRIPTOR_MS = 10_000;
/** A file that is not what was hashed is not opened again for this long, unless the library has looked at it meanwhile. */
const SPOILED_MS = 1_000;
/** Well below the 64 descriptors that connections leave over. */
const MAX_IDLE_DESCRIPTORS = 16;

export interface SongCacheWorld {
  readonly files: SongFiles;
  /** What all slices together may hold. */
  readonly budgetBytes: number;
  readonly clock: Clock;
  /** Told when a file was seen to differ from what was hashed. */
  readonly recheck: (hash: ContentHash) => void;
}

export class SongCache {
  readonly #world: SongCacheWorld;
  readonly #memory: SliceMemory;
  readonly #songs = new Map<ContentHash, ServedSong>();
  /** Files that were seen to differ, and until when that is believed. */
  readonly #spoiled = new Map<ContentHash, { readonly song: HostedSong; readonly until: Milliseconds }>();
  /** Descriptors that nobody uses, and since when, oldest first. */
  readonly #idle = new Map<ServedSong, Milliseconds>();
  #disarm: (() => void) | undefined;

  constructor(world: SongCacheWorld) {
    this.#world = world;
    this.#memory = new SliceMemory(world.budgetBytes);
  }

  /** Where songs lie; to be called before any is opened. */
  useRoom(room: SliceRoom): void {
    this.#memory.useRoom(room);
  }

  /**
   * At once when others have it open. Throws or rejects with RequestError: `song-changed`, or `unavailable` when the file
   * can't be opened now.
   */
  open(song: HostedSong): SongReader | Promise<SongReader> {
    if (this.#isSpoiled(song)) throw new RequestError('song-changed', 'the file changed since it was hashed');
    const served = this.#servedSong(song);
    served.readers += 1;
    this.#wake(served);
    return served.isReady ? this.#readerOf(served) : this.#readerOnceReady(served);
  }

  status(): { readonly songs: number; readonly slices: number; readonly heldBytes: number } {
    return { songs: this.#songs.size, slices: this.#memory.slices, heldBytes: this.#memory.heldBytes };
  }

  /** Closes what nobody uses. To be called when all readers have been closed. */
  async stop(): Promise<void> {
    this.#disarm?.();
    await this.#closeIdle(0);
    for (const served of this.#songs.values()) served.forgetSlices();
    this.#songs.clear();
  }

  #readerOf(served: ServedSong): SongReader {
    return new SongReader(served, () => this.#leave(served));
  }

  async #readerOnceReady(served: ServedSong): Promise<SongReader> {
    try {
      await served.ready();
      return this.#readerOf(served);
    } catch (error) {
      this.#leave(served);
      throw error;
    }
  }

  /** The entry of this content, unless it is about another file or about one that changed: then a new one. */
  #servedSong(song: HostedSong): ServedSong {
    const known = this.#songs.get(song.hash);
    if (known !== undefined && !known.changed && isSameSong(known.song, song)) return known;
    if (known !== undefined) this.#retire(known);
    const served = new ServedSong(song, {
      memory: this.#memory,
      clock: this.#world.clock,
      openFile: path => this.#openFile(path),
      suspected: suspect => this.#suspect(suspect),
      emptied: emptied => this.#dropEmpty(emptied),
    });
    this.#songs.set(song.hash, served);
    return served;
  }

  /** Out of descriptors: those that nobody uses are given back before the listener is told to come again. */
  async #openFile(path: string): Promise<SongFile> {
    try {
      return await this.#world.files.open(path);
    } catch (error) {
      if (!isOutOfDescriptors(error) || this.#idle.size === 0) throw error;
      await this.#closeIdle(0);
      return await this.#world.files.open(path);
    }
  }

  #leave(served: ServedSong): void {
    served.readers -= 1;
    if (served.readers > 0) return;
    if (this.#songs.get(served.song.hash) !== served || served.changed) {
      this.#retire(served);
      return;
    }
    this.#idle.set(served, this.#world.clock.now());
    this.#arm();
    if (this.#idle.size > MAX_IDLE_DESCRIPTORS) void this.#closeIdle(MAX_IDLE_DESCRIPTORS);
  }

  #isSpoiled(song: HostedSong): boolean {
    const spoiled = this.#spoiled.get(song.hash);
    if (spoiled === undefined) return false;
    if (isSameSong(spoiled.song, song) && this.#world.clock.now() < spoiled.until) return true;
    this.#spoiled.delete(song.hash);
    return false;
  }

  #suspect(served: ServedSong): void {
    const { song } = served;
    if (served.changed) this.#spoiled.set(song.hash, { song, until: this.#world.clock.now() + SPOILED_MS });
    this.#world.recheck(song.hash);
  }

  #wake(served: ServedSong): void {
    this.#idle.delete(served);
  }

  /** One timer for all; it finds out when it fires who was woken meanwhile, for that happens with every song. */
  #arm(): void {
    const [oldest] = this.#idle.values();
    if (oldest === undefined || this.#disarm !== undefined) return;
    const { clock } = this.#world;
    this.#disarm = clock.after(Math.max(0, oldest + IDLE_DESCRIPTOR_MS - clock.now()), () => {
      this.#disarm = undefined;
      for (const [served, since] of this.#idle)
        if (clock.now() - since >= IDLE_DESCRIPTOR_MS) void this.#closeOne(served);
      this.#arm();
    });
  }

  /** Readers that it has go on with what they opened; nobody new gets it. */
  #retire(served: ServedSong): void {
    if (this.#songs.get(served.song.hash) === served) this.#songs.delete(served.song.hash);
    served.forgetSlices();
    if (served.readers === 0) void this.#closeOne(served);
  }

  async #closeIdle(keep: number): Promise<void> {
    const surplus = [...this.#idle.keys()].slice(0, Math.max(0, this.#idle.size - keep));
    await Promise.all(surplus.map(served => this.#closeOne(served)));
  }

  async #closeOne(served: ServedSong): Promise<void> {
    this.#wake(served);
    await served.close();
    this.#dropEmpty(served);
  }

  #dropEmpty(served: ServedSong): void {
    if (served.isEmpty && served.readers === 0 && this.#songs.get(served.song.hash) === served)
      this.#songs.delete(served.song.hash);
  }
}

/** One listener's way to a song. */
export class SongReader {
  readonly #served: ServedSong;
  readonly #leave: () => void;
  #isOpen = true;

  constructor(served: ServedSong, leave: () => void) {
    this.#served = served;
    this.#leave = leave;
  }

  /** As ServedSong.read. */
  read(offset: number, most: number): Piece | Promise<Piece> {
    return this.#served.read(offset, most);
  }

  /** Calling it again does nothing. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#leave();
  }
}

const isSameSong = (a: HostedSong, b: HostedSong): boolean =>
  a === b || (a.path === b.path && isSameFile(a, b));

function isOutOfDescriptors(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE';
}
