/**
 * lmdb stores and the disk under them, which is asked before each transaction whether it takes anything.
 *
 *     commit ─▶ is there room? ─▶ is a byte of a file without a name taken? ─▶ given back ─▶ transaction ─ failed ─▶ opened anew
 *
 * lmdb 3.5.6 writes past a buffer of its own when the system refuses it a write, which may end the process, and prints to
 * standard error, in among the log. So a disk that takes nothing is to refuse us before it refuses lmdb: one that is full,
 * that fails, that was made read-only, or whose owner has used up what he may.
 */
import { closeSync, ftruncate, mkdirSync, openSync, rmSync, statfs, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Disk, OpenDisk, Stores } from '../protocol/ports.js';

const BYTE = Buffer.alloc(1);
const statfsOf = promisify(statfs);
const writeAt = promisify(write);
const truncate = promisify(ftruncate);

/** lmdb names the reason of a failed transaction in a promise of its own, which nobody else would catch. */
interface CommitFailure {
  readonly commitError?: Promise<unknown>;
}

export const openDisk: OpenDisk = (...place) => new AskedDisk(...place);

class AskedDisk<S extends Stores> implements Disk<S> {
  readonly #folder: string;
  readonly #minFreeBytes: number;
  readonly #openStores: (folder: string) => S;
  readonly #file: number;
  #stores: S;

  constructor(folder: string, minFreeBytes: number, openStores: (folder: string) => S) {
    this.#folder = folder;
    this.#minFreeBytes = minFreeBytes;
    this.#openStores = openStores;
    mkdirSync(folder, { recursive: true });
    const probe = join(folder, 'probe');
    this.#file = openSync(probe, 'w');
    rmSync(probe);
    this.#stores = openStores(folder);
  }

  get stores(): S {
    return this.#stores;
  }

  async commit(perform: () => readonly Promise<unknown>[]): Promise<void> {
    await this.#ask();
    let done: readonly Promise<unknown>[] = [];
    const batch = this.#stores.root.batch(() => {
      done = perform();
    });
    // A transaction gives its writes one promise between them.
    const results = await Promise.allSettled(new Set([batch, ...done]));
    const failure = results.find(result => result.status === 'rejected');
    if (failure === undefined) return;
    const { commitError } = failure.reason as CommitFailure;
    const reason = (await commitError?.catch((error: unknown) => error)) ?? failure.reason;
    // Once its meta page could not be written lmdb does nothing more, not even read, until it is opened anew.
    await this.#stores.root.close();
    this.#stores = this.#openStores(this.#folder);
    throw reason;
  }

  async close(): Promise<void> {
    await this.#stores.root.close();
    closeSync(this.#file);
  }

  /** Rejects when the disk takes nothing more just now. */
  async #ask(): Promise<void> {
    const { bavail, bsize } = await statfsOf(this.#folder);
    if (bavail * bsize < this.#minFreeBytes)
      throw Object.assign(
        new Error(
          `ENOSPC: ${bavail * bsize} bytes are free on the disk, and ${this.#minFreeBytes} are needed`,
        ),
        { code: 'ENOSPC', syscall: 'statfs', path: this.#folder },
      );
    await writeAt(this.#file, BYTE, 0, BYTE.length, 0);
    // So that the next one needs room again.
    await truncate(this.#file, 0);
  }
}
