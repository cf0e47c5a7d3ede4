/**
 * The library's memory in lmdb, in a folder of its own under the data folder.
 *
 *     files   SHA-256 of the path ──▶ [path, size, mtimeNs, ctimeNs, inode, reason | hash, fields]
 *     nodes   SHA-256 of the path ──▶ bytes
 *
 * Keys are digests because lmdb's are short and paths may be 4,096 bytes. Nothing here is precious: an entry that cannot
 * be written (disk full) costs a reading at the next start, so it is said once and the library goes on.
 */
import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { Database, RootDatabase } from 'lmdb';
import { asBuffer } from '../../protocol/bytes.js';
import type { Clock, Disk, Logger, Milliseconds, Stores } from '../../protocol/ports.js';
import type { ContentHash, SongFields } from '../../protocol/tsp/rows.js';
import type { SkipReason } from './file-facts.js';
import type { KnownFile, LibraryStore, StoreOptions } from './store.js';

// As a tracker loads it (tracker/registry/lmdb.ts), which may be in the same process: it is loaded once.
const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');

/** Raised when the same file is read otherwise. Entries of another are forgotten: reading the files again gives better ones. */
const FORMAT = 3;
/** With less free nothing is written: what is gathered may be a few hundred files, each with some pages of 4 KiB. */
const MIN_FREE_BYTES = 4 * 1024 * 1024;
/** What is put within this goes in one transaction: one for each of fifty thousand files would be a sixth of reading them. */
const GATHER_MS: Milliseconds = 50;

type Row = readonly [
  path: string,
  size: number,
  mtimeNs: string,
  ctimeNs: string,
  inode: string,
  outcome: SkipReason | ContentHash,
  fields: SongFields | null,
];

interface Write {
  readonly path: string;
  readonly nodes: Uint8Array | undefined;
  readonly perform: () => readonly Promise<unknown>[];
}

interface LibraryStores extends Stores {
  readonly root: RootDatabase;
  readonly files: Database<Row, Buffer>;
  readonly nodes: Database<Buffer, Buffer>;
}

export class LmdbLibraryStore implements LibraryStore {
  readonly #disk: Disk<LibraryStores>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** What was put and is not committed yet: lmdb shows it only afterwards. */
  readonly #uncommitted = new Map<string, Write>();
  #queue: Write[] = [];
  #writing: Promise<void> | undefined;
  /** Ends what is being gathered. */
  #hurry = (): void => {};
  #saidFailure = false;
  #closed: Promise<void> | undefined;

  constructor({ folder, openDisk, clock, logger }: StoreOptions) {
    this.#clock = clock;
    this.#logger = logger;
    this.#disk = openDisk(folder, MIN_FREE_BYTES, openStores);
  }

  *entries(): IterableIterator<readonly [string, KnownFile]> {
    for (const { value } of this.#disk.stores.files.getRange({ snapshot: false })) {
      const [path, size, mtimeNs, ctimeNs, inode, outcome, fields] = value;
      const fingerprint = { size, mtimeNs: BigInt(mtimeNs), ctimeNs: BigInt(ctimeNs), inode: BigInt(inode) };
      if (fields === null) {
        yield [path, { fingerprint, content: { kind: 'skipped', reason: outcome as SkipReason } }];
      } else {
        yield [path, { fingerprint, content: { kind: 'song', hash: outcome as ContentHash, fields } }];
      }
    }
  }

  nodes(path: string): Uint8Array | undefined {
    const uncommitted = this.#uncommitted.get(path);
    return uncommitted === undefined ? this.#disk.stores.nodes.get(keyOf(path)) : uncommitted.nodes;
  }

  put(path: string, { fingerprint, content }: KnownFile, nodes?: Uint8Array): void {
    const { size, mtimeNs, ctimeNs, inode } = fingerprint;
    const isSong = content.kind === 'song';
    const row: Row = [
      path,
      size,
      String(mtimeNs),
      String(ctimeNs),
      String(inode),
      isSong ? content.hash : content.reason,
      isSong ? content.fields : null,
    ];
    const key = keyOf(path);
    this.#write(path, nodes, () => [
      this.#disk.stores.files.put(key, row),
      nodes === undefined
        ? this.#disk.stores.nodes.remove(key)
        : this.#disk.stores.nodes.put(key, asBuffer(nodes)),
    ]);
  }

  remove(path: string): void {
    const key = keyOf(path);
    this.#write(path, undefined, () => [
      this.#disk.stores.files.remove(key),
      this.#disk.stores.nodes.remove(key),
    ]);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    this.#hurry();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#writing;
    await this.#disk.close();
  }

  #write(path: string, nodes: Uint8Array | undefined, perform: Write['perform']): void {
    const write = { path, nodes, perform };
    this.#uncommitted.set(path, write);
    this.#queue.push(write);
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      await this.#gathered();
      const writes = this.#queue;
      this.#queue = [];
      try {
        // Both databases in one transaction, so that no song is found without its nodes.
        await this.#disk.commit(() => writes.flatMap(({ perform }) => perform()));
      } catch (err) {
        // The nodes stay in memory: the songs are offered all the same.
        if (!this.#saidFailure)
          this.#logger.warn({ err }, 'the library cannot be remembered for the next start');
        this.#saidFailure = true;
        continue;
      }
      for (const write of writes) {
        if (this.#uncommitted.get(write.path) === write) this.#uncommitted.delete(write.path);
      }
    }
  }

  #gathered(): Promise<void> {
    if (this.#closed !== undefined) return Promise.resolve();
    return new Promise(resolve => {
      const cancel = this.#clock.after(GATHER_MS, resolve);
      this.#hurry = () => {
        cancel();
        resolve();
      };
    });
  }
}

function openStores(path: string): LibraryStores {
  // One transaction at a time, durable when its promise resolves: the only way in which a full disk is survived.
  const safe = { eventTurnBatching: false, overlappingSync: false };
  const root = open({ path, maxDbs: 4, keyEncoding: 'binary', ...safe });
  return {
    root,
    files: root.openDB({ name: `files-${FORMAT}`, keyEncoding: 'binary' }),
    nodes: root.openDB({ name: `nodes-${FORMAT}`, keyEncoding: 'binary', encoding: 'binary' }),
  };
}

const keyOf = (path: string): Buffer => hash('sha256', path, 'buffer');
