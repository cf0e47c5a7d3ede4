/**
 * One song that is being sent, to however many listeners: a descriptor opened once, and slices read once.
 *
 *     read(offset) ─▶ slice in memory ──────────────────────────────▶ bytes
 *                └─▶ read 1 MiB ─▶ fstat: the file that was hashed? ─▶ bytes, kept for the others
 *                                   └─ no: `song-changed`, for this listener and all others
 *
 * The rule (TSP §5.3): no other bytes than those that were hashed ever leave. Bytes are judged by an fstat that comes
 * after they were read and before they are sent, so truncation, appending, overwriting and replacing are all seen. When
 * only the ctime differs (renamed, linked, or rewritten by a tag editor that puts the mtime back), each slice is hashed
 * against the song's own tree instead: the right bytes may still be sent.
 */
import { RequestError } from '../../protocol/errors.js';
import { hashPiece } from '../../protocol/merkle.js';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import { HASH_BYTES, PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { HostedSong } from '../library/catalogue.js';
import type { Fingerprint } from '../library/file-facts.js';
import type { Slice, SliceMemory } from './slice-memory.js';
import type { SongFile } from './song-files.js';

/** Large: one write and one check for each MiB, and the cost of both disappears beside the kernel's copying. */
export const SLICE_BYTES = 1024 * 1024;
/** Without room for a slice a listener holds this much. */
export const UNSHARED_BYTES = PIECE_BYTES;
/** Bytes from memory are sent on an fstat that is at most this old, so a thousand listeners cost ten fstats a second. */
const CHECK_FRESH_MS = 100;

/** Part of a song, valid until `release`; never written to. */
export interface Piece {
  readonly bytes: Uint8Array;
  release(): void;
}

export interface ServedSongWorld {
  readonly memory: SliceMemory;
  readonly clock: Clock;
  readonly openFile: (path: string) => Promise<SongFile>;
  /** The file is not what was hashed, or may not be: the library looks at it again. Called once for each verdict. */
  readonly suspected: (served: ServedSong) => void;
  /** The last slice was forgotten, and there is no descriptor: nothing is left to be kept. */
  readonly emptied: (served: ServedSong) => void;
}

export class ServedSong {
  /** Listeners that have it open. */
  readers = 0;
  readonly #world: ServedSongWorld;
  readonly #slices = new Map<number, SongSlice>();
  #file: Promise<SongFile> | undefined;
  #checkedAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | undefined;
  #verdict: 'same' | 'touched' | 'changed' = 'same';

  constructor(
    readonly song: HostedSong,
    world: ServedSongWorld,
  ) {
    this.#world = world;
  }

  get changed(): boolean {
    return this.#verdict === 'changed';
  }

  /** Holds neither a descriptor nor memory. */
  get isEmpty(): boolean {
    return this.#file === undefined && this.#slices.size === 0;
  }

  /** The file is open, and was the one that was hashed a moment ago. */
  get isReady(): boolean {
    return this.#isFresh();
  }

  /** Opens the file if it is not, and makes sure that it is the one that was hashed. Rejects with RequestError. */
  async ready(): Promise<void> {
    this.#file ??= this.#open();
    await this.#file;
    await this.#check();
  }

  /**
   * Up to `most` bytes from `offset` on, at least one; it must lie inside the song. Answers at once when they are in
   * memory. Rejects with RequestError `song-changed`, or with Node's error when the disk fails.
   */
  read(offset: number, most: number): Piece | Promise<Piece> {
    const slice = this.#slices.get(Math.floor(offset / SLICE_BYTES));
    if (slice?.isLoaded && this.#isFresh()) return this.#pieceOf(slice, offset, most);
    return this.#readSlowly(offset, most);
  }

  /** Closes the descriptor; slices stay, at rest, and `ready` opens it again. */
  async close(): Promise<void> {
    for (const { slice } of this.#slices.values()) this.#world.memory.rest(slice);
    const file = this.#file;
    this.#file = undefined;
    this.#checkedAt = Number.NEGATIVE_INFINITY;
    // A file that could not be opened was reported to whoever wanted it.
    await file?.then(opened => opened.close()).catch(() => {});
  }

  forgetSlices(): void {
    for (const { slice } of this.#slices.values()) this.#world.memory.forget(slice);
  }

  async #open(): Promise<SongFile> {
    try {
      return await this.#world.openFile(this.song.path);
    } catch (error) {
      this.#file = undefined;
      if (isGone(error)) throw this.#becomeChanged('the file is gone');
      throw new RequestError('unavailable', 'the file cannot be opened now', {
        retryAfterMs: UNAVAILABLE_RETRY_MS,
        cause: error,
      });
    }
  }

  async #readSlowly(offset: number, most: number): Promise<Piece> {
    await this.#check();
    const index = Math.floor(offset / SLICE_BYTES);
    const slice = this.#slices.get(index) ?? this.#startSlice(index);
    if (slice === undefined) return await this.#readUnshared(offset, most);
    const { memory } = this.#world;
    // Pinned while it is read, so that room for another is not made from this one.
    memory.pin(slice.slice);
    try {
      slice.loading ??= this.#load(slice);
      await slice.loading;
      return this.#pieceOf(slice, offset, most);
    } finally {
      memory.release(slice.slice);
    }
  }

  #pieceOf({ start, slice }: SongSlice, offset: number, most: number): Piece {
    const { memory } = this.#world;
    memory.pin(slice);
    return {
      bytes: slice.bytes.subarray(offset - start, offset - start + most),
      release: () => memory.release(slice),
    };
  }

  #startSlice(index: number): SongSlice | undefined {
    const start = index * SLICE_BYTES;
    const length = Math.min(SLICE_BYTES, this.song.size - start);
    const slice = this.#world.memory.reserve(length, () => this.#forget(index));
    if (slice === undefined) return undefined;
    const songSlice: SongSlice = { start, slice, isLoaded: false, loading: undefined };
    this.#slices.set(index, songSlice);
    return songSlice;
  }

  #forget(index: number): void {
    this.#slices.delete(index);
    if (this.isEmpty) this.#world.emptied(this);
  }

  async #load(songSlice: SongSlice): Promise<void> {
    try {
      await this.#readProven(songSlice.slice.bytes, songSlice.start);
      songSlice.isLoaded = true;
    } catch (error) {
      this.#world.memory.forget(songSlice.slice);
      throw error;
    }
  }

  /** Whole pieces of the hash tree, so that also these can be verified. */
  async #readUnshared(offset: number, most: number): Promise<Piece> {
    const start = offset - (offset % PIECE_BYTES);
    const bytes = Buffer.allocUnsafeSlow(Math.min(UNSHARED_BYTES, this.song.size - start));
    await this.#readProven(bytes, start);
    return { bytes: bytes.subarray(offset - start, offset - start + most), release: () => {} };
  }

  async #readProven(bytes: Uint8Array, start: number): Promise<void> {
    const file = await this.#file;
    if (file === undefined) throw new RequestError('unavailable', 'the file was closed');
    const filled = await file.read(bytes, start);
    this.#judge(await file.fingerprint());
    if (filled < bytes.length) throw this.#becomeChanged('the file is shorter than it was');
    if (this.#verdict === 'touched' && !this.#isProven(bytes, start))
      throw this.#becomeChanged('its content changed');
  }

  #isFresh(): boolean {
    return this.#world.clock.now() - this.#checkedAt <= CHECK_FRESH_MS && !this.changed;
  }

  /** One fstat for all who ask meanwhile. */
  async #check(): Promise<void> {
    if (this.#isFresh()) return;
    this.#checking ??= this.#checkNow().finally(() => {
      this.#checking = undefined;
    });
    await this.#checking;
  }

  async #checkNow(): Promise<void> {
    const file = await this.#file;
    if (file !== undefined) this.#judge(await file.fingerprint());
  }

  #judge(found: Fingerprint): void {
    if (this.changed) throw changedError('the file changed');
    const { size, mtimeNs, ctimeNs, inode } = this.song;
    if (found.size !== size || found.mtimeNs !== mtimeNs || found.inode !== inode)
      throw this.#becomeChanged('the file changed');
    if (found.ctimeNs !== ctimeNs && this.#verdict === 'same') {
      this.#verdict = 'touched';
      this.#world.suspected(this);
    }
    this.#checkedAt = this.#world.clock.now();
  }

  #becomeChanged(why: string): RequestError {
    if (!this.changed) {
      this.#verdict = 'changed';
      this.#world.suspected(this);
      this.forgetSlices();
    }
    return changedError(why);
  }

  #isProven(bytes: Uint8Array, start: number): boolean {
    const whole = this.song.size <= PIECE_BYTES;
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const node = hashPiece(bytes.subarray(at, at + PIECE_BYTES), { whole });
      const index = (start + at) / PIECE_BYTES;
      if (Buffer.compare(node, this.song.nodes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)) !== 0)
        return false;
    }
    return true;
  }
}

const UNAVAILABLE_RETRY_MS = 1_000;

interface SongSlice {
  readonly start: number;
  readonly slice: Slice;
  isLoaded: boolean;
  loading: Promise<void> | undefined;
}

const changedError = (why: string): RequestError =>
  new RequestError('song-changed', `${why} since it was hashed`);

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP';
}
