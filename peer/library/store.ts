/**
 * What the library remembers of files between two starts, so that the second one reads none of them.
 *
 *     path ──▶ fingerprint and content      all of it is loaded at the start
 *     path ──▶ level-6 nodes                2 KiB for a 4 MB song: fetched when a listener asks
 *
 * Two stores, one contract: in memory for tests and peers without a data folder, lmdb (store-lmdb.ts) for the rest.
 */
import type { Clock, Logger, OpenDisk } from '../../protocol/ports.js';
import { isMissingStore, MEND_STORE } from '../failures/missing-store.js';
import type { FileContent, Fingerprint } from './file-facts.js';
import { damagedStoreFile, makeRoom, moveAside } from './store-file.js';

export interface KnownFile {
  readonly fingerprint: Fingerprint;
  readonly content: FileContent;
}

export interface LibraryStore {
  /** Everything, in no order. */
  entries(): Iterable<readonly [path: string, file: KnownFile]>;
  /** Of the song at `path`. */
  nodes(path: string): Uint8Array | undefined;
  /** `nodes` with every song. Seen by `nodes` at once; kept for the next start soon after. */
  put(path: string, file: KnownFile, nodes?: Uint8Array): void;
  remove(path: string): void;
  /** Resolves when everything is kept. */
  close(): Promise<void>;
}

export class MemoryLibraryStore implements LibraryStore {
  readonly #files = new Map<string, { readonly file: KnownFile; readonly nodes: Uint8Array | undefined }>();

  *entries(): IterableIterator<readonly [string, KnownFile]> {
    for (const [path, { file }] of this.#files) yield [path, file];
  }

  nodes(path: string): Uint8Array | undefined {
    return this.#files.get(path)?.nodes;
  }

  put(path: string, file: KnownFile, nodes?: Uint8Array): void {
    this.#files.set(path, { file, nodes });
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  async close(): Promise<void> {}
}

export interface StoreOptions {
  readonly folder: string;
  readonly openDisk: OpenDisk;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The store in `folder`; where lmdb cannot open it (no room, no right, no binary), one in memory, and it is said. */
export async function openLibraryStore(options: StoreOptions): Promise<LibraryStore> {
  const { folder, logger } = options;
  try {
    const damaged = await damagedStoreFile(folder);
    if (damaged !== undefined) {
      const aside = await moveAside(damaged);
      logger.warn({ aside }, 'what was known of the library is damaged: every file is read again');
    }
    await makeRoom(folder);
    const { LmdbLibraryStore } = await import('./store-lmdb.js');
    return new LmdbLibraryStore(options);
  } catch (error) {
    const why = isMissingStore(error)
      ? { why: `lmdb or its native part is missing; ${MEND_STORE}` }
      : { err: error };
    logger.warn({ folder, ...why }, 'the library cannot be remembered for the next start');
    return new MemoryLibraryStore();
  }
}
