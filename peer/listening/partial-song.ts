/**
 * A song on its way into the disk cache: one `.part` file into which pieces are written as they are proven.
 *
 * The rule: writes follow one another, and what waits to be written is bounded; on a disk that is slower than the
 * network the song is simply not kept.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { PieceHashes } from './pieces.js';

/** Twice what a fetch holds ahead of its reader. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

export class PartialSong {
  readonly #path: string;
  readonly #have = new Set<number>();
  #size: number;
  #waitingBytes = 0;
  #file: FileHandle | undefined;
  /** The last write; the next one follows it. */
  #last: Promise<void> = Promise.resolve();
  #discarded = false;

  constructor(
    path: string,
    readonly hashes: PieceHashes,
  ) {
    this.#path = path;
    this.#size = hashes.longestSize;
  }

  /** Resolves when the piece is written, with true when it was the last one that was missing. */
  async add(index: number, piece: Uint8Array): Promise<boolean> {
    if (this.#discarded || this.#have.has(index)) return false;
    if (this.#waitingBytes + piece.length > MAX_WAITING_BYTES) {
      await this.discard();
      return false;
    }
    this.#have.add(index);
    if (index === this.hashes.count - 1) this.#size = index * PIECE_BYTES + piece.length;
    const isLast = this.#have.size === this.hashes.count;
    this.#waitingBytes += piece.length;
    this.#last = this.#last.then(() => this.#write(index * PIECE_BYTES, piece));
    await this.#last;
    return isLast && !this.#discarded;
  }

  /** Closes the file, which is whole, and says how long it is. */
  async close(): Promise<number> {
    await this.#last;
    await this.#file?.close();
    this.#file = undefined;
    return this.#size;
  }

  /** Removes what is there. */
  async discard(): Promise<void> {
    this.#discarded = true;
    await this.#last.catch(() => undefined);
    await this.#file?.close();
    this.#file = undefined;
    await rm(this.#path, { force: true });
  }

  async #write(offset: number, piece: Uint8Array): Promise<void> {
    this.#waitingBytes -= piece.length;
    if (this.#discarded) return;
    this.#file ??= await open(this.#path, 'w');
    for (let written = 0; written < piece.length; ) {
      const { bytesWritten } = await this.#file.write(
        piece,
        written,
        piece.length - written,
        offset + written,
      );
      written += bytesWritten;
    }
  }
}
