/**
 * The few things that hosting does with files, as an interface, and the real ones.
 *
 * A file is opened without following a link at its end and without waiting for a FIFO's writer; whether it is the file
 * that was hashed is then judged by its fingerprint, so no path, however it was bent meanwhile, leads to foreign bytes.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Fingerprint } from '../library/file-facts.js';
import { fingerprintOf, SAFELY } from '../library/open-file.js';

export interface SongFile {
  fingerprint(): Promise<Fingerprint>;
  /** Fills `bytes` from `position` on, or as far as the file goes; answers how many there were. */
  read(bytes: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

export interface SongFiles {
  /** Rejects with Node's error. */
  open(path: string): Promise<SongFile>;
}

export const songFiles: SongFiles = {
  async open(path) {
    return new OpenSongFile(await open(path, SAFELY));
  },
};

class OpenSongFile implements SongFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async fingerprint(): Promise<Fingerprint> {
    return fingerprintOf(await this.#handle.stat({ bigint: true }));
  }

  async read(bytes: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
