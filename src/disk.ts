/**
 * The disk under a store, asked before each transaction whether it takes anything.
 *
 *     ask ─▶ is there room? ─▶ is a byte of a file without a name taken? ─▶ given back
 *
 * lmdb 3.5.6 writes past a buffer of its own when the system refuses it a write, which may end the process, and prints to
 * standard error, in among the log. So a disk that takes nothing is to refuse us before it refuses lmdb: one that is full,
 * that fails, that was made read-only, or whose owner has used up what he may.
 */
import { closeSync, ftruncate, openSync, rmSync, statfs, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RequestError } from '../protocol/errors.js';
import type { Disk, OpenDisk } from '../protocol/ports.js';

const BYTE = Buffer.alloc(1);
const statfsOf = promisify(statfs);
const writeAt = promisify(write);
const truncate = promisify(ftruncate);

export const openDisk: OpenDisk = (folder, minFreeBytes) => new AskedDisk(folder, minFreeBytes);

class AskedDisk implements Disk {
  readonly #folder: string;
  readonly #minFreeBytes: number;
  readonly #file: number;

  constructor(folder: string, minFreeBytes: number) {
    this.#folder = folder;
    this.#minFreeBytes = minFreeBytes;
    const probe = join(folder, 'probe');
    this.#file = openSync(probe, 'w');
    rmSync(probe);
  }

  async ask(): Promise<void> {
    const { bavail, bsize } = await statfsOf(this.#folder);
    if (bavail * bsize < this.#minFreeBytes)
      throw new RequestError(
        'unavailable',
        `${bavail * bsize} bytes are free on the disk, and ${this.#minFreeBytes} are needed`,
      );
    await writeAt(this.#file, BYTE, 0, BYTE.length, 0);
    // So that the next one needs room again.
    await truncate(this.#file, 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}
