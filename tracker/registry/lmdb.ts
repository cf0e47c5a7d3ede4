/**
 * The registry on disk: an LMDB store in a folder of its own.
 *
 *     meta   name of a number or text ─▶ JSON          hosts   key (u32)               ─▶ JSON {addresses, instance}
 *     ids    block (u32) ─▶ the hashes of 32 IDs       songs   key (u32) · block (u32) ─▶ JSON [[ID, row] …]
 *                                                      told    number (u32)            ─▶ a block of tracker/journal.ts
 *
 * Writes queue up and go out in transactions of at most 1,000, each made durable by one fsync on LMDB's own thread, so
 * many registrations share one; what belongs together is in one. IDs are in stored-ids.ts. A host's rows lie in blocks of
 * 32 IDs, too: what is new of a library has IDs in a row, and so it is few writes; a row that changes is a small one.
 */
import { createRequire } from 'node:module';
import { setTimeout as passed } from 'node:timers/promises';
import type { Database, RootDatabase } from 'lmdb';
import { RequestError } from '../../protocol/errors.js';
import type { Disk, OpenDisk, Stores } from '../../protocol/ports.js';
import { FIRST_SONG_ID } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { nextRevision } from '../../protocol/tsp/revision.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import {
  makeTrackerName,
  nextSongId,
  RESERVED_REVISIONS,
  type Registry,
  type RegistryOptions,
  type Run,
  type StoredHost,
  type Told,
} from './registry.js';
import { blockKey, blockOf, blocksOf, json, rowsIn, u32 } from './stored.js';
import { StoredIds } from './stored-ids.js';

// Its CommonJS form is a single file, and loads in two thirds of the time; a tracker does little else before it is ready.
const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');

/**
 * After a round that several waited for, the next begins no sooner. Each costs this thread and the disk the same however many
 * share it, and what waits for it is answered together.
 */
const GATHER_MS = 50;
/** Making and handing over one costs this thread about 5 µs. */
const WRITES_A_TRANSACTION = 1_000;
/**
 * A disk that is full is seldom emptied sooner; what was refused is said again after this. A peer that then registers anew
 * is dialled anew, four times a minute at most (TSP §5.2): sooner, it would be told `unreachable`, which is not true.
 */
export const WRITE_RETRY_MS = 20_000;
/**
 * With less free nothing is begun. A transaction copies a page of 4 KiB for each of its writes at most, and their parents;
 * the store is not all there is.
 */
const MIN_FREE_BYTES = 16 * 1024 * 1024;

type Store = Database<Buffer, Buffer>;

export interface LmdbOptions extends RegistryOptions {
  readonly openDisk: OpenDisk;
  /** Default: 16 MiB. */
  readonly minFreeBytes?: number;
}

/** Puts or removes something, all of it in one transaction. Bytes are made here, so that what waits costs little. */
type Write = () => Promise<unknown>;

/** Rows that wait to be written: by host, block and ID; undefined: to be removed. */
type RowChanges = Map<number, Map<number, Map<SongId, OfferRow | undefined>>>;

interface Waiter {
  resolve(): void;
  reject(error: RequestError): void;
}

interface RegistryStores extends Stores {
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly metas: Store;
  readonly ids: Store;
  readonly hosts: Store;
  readonly songs: Store;
  readonly told: Store;
}

export class LmdbRegistry implements Registry {
  readonly tracker: string;
  readonly revision: number;
  readonly #disk: Disk<RegistryStores>;
  readonly #ids: StoredIds;
  #lastSongId: number;
  #lastHostKey: number;
  #writes: Write[] = [];
  #changes: RowChanges = new Map();
  /** Hosts that leave with the coming round: what is on disk of them counts no more. */
  #leaving = new Set<number>();
  #waiters: Waiter[] = [];
  #isWriting = false;
  /** When the next round may begin. */
  #nextRoundAt = Number.NEGATIVE_INFINITY;
  #written: Promise<void> = Promise.resolve();
  #lastRevision: number;
  #closed: Promise<void> | undefined;

  /**
   * Opens the store in `folder`, or makes it. Resolves when the tracker's name is durable; rejects with Node's error, or the
   * store's, when it can't be made so.
   */
  static async open(folder: string, options: LmdbOptions): Promise<LmdbRegistry> {
    const registry = new LmdbRegistry(folder, options);
    for (const write of registry.#ids.rewrite()) registry.#enqueue(write);
    try {
      await registry.flushed();
    } catch (error) {
      await registry.close();
      throw (error as RequestError).cause;
    }
    return registry;
  }

  private constructor(folder: string, options: LmdbOptions) {
    const { randomBytes, firstSongId = FIRST_SONG_ID, openDisk, minFreeBytes = MIN_FREE_BYTES } = options;
    this.#disk = openDisk(folder, minFreeBytes, openStores);
    this.#ids = new StoredIds(() => this.#disk.stores.ids, randomBytes);
    this.tracker = this.#read<string>('tracker') ?? makeTrackerName(randomBytes);
    this.#lastSongId = this.#read<number>('lastSongId') ?? firstSongId - 1;
    this.#lastHostKey = this.#read<number>('lastHostKey') ?? 0;
    this.revision = nextRevision(this.#read<number>('revision') ?? 0);
    this.#lastRevision = (this.revision + RESERVED_REVISIONS) >>> 0;
  }

  get idCount(): number {
    return this.#ids.count;
  }

  idOf(hash: ContentHash): SongId | undefined {
    return this.#ids.of(hash);
  }

  assignId(hash: ContentHash): SongId {
    const id = nextSongId(this.#lastSongId);
    this.#lastSongId = id;
    this.#ids.give(hash, id);
    this.#write();
    return id;
  }

  nextHostKey(): number {
    this.#lastHostKey += 1;
    return this.#lastHostKey;
  }

  *hosts(): Iterable<StoredHost> {
    for (const { key, value } of this.#disk.stores.hosts.getRange()) {
      yield { key: key.readUInt32BE(), ...(JSON.parse(value.toString()) as Omit<StoredHost, 'key'>) };
    }
  }

  *rows(hostKey: number): Iterable<readonly [SongId, OfferRow]> {
    for (const { value } of this.#disk.stores.songs.getRange(blocksOf(hostKey))) yield* rowsIn(value);
  }

  putHost({ key, ...host }: StoredHost): void {
    this.#enqueue(() => this.#disk.stores.hosts.put(u32(key), json(host)));
  }

  removeHost(hostKey: number): void {
    this.#changes.delete(hostKey);
    this.#leaving.add(hostKey);
    this.#enqueue(() => {
      const blocks = [...this.#disk.stores.songs.getKeys(blocksOf(hostKey))];
      return Promise.all([
        this.#disk.stores.hosts.remove(u32(hostKey)),
        ...blocks.map(key => this.#disk.stores.songs.remove(key)),
      ]);
    });
  }

  putRow(hostKey: number, id: SongId, row: OfferRow): void {
    this.#change(hostKey, id, row);
  }

  removeRow(hostKey: number, id: SongId): void {
    this.#change(hostKey, id, undefined);
  }

  told(): Told {
    const blocks = this.#disk.stores.told
      .getRange()
      .map(({ key, value }) => [key.readUInt32BE(), value] as const);
    return { runs: this.#read<readonly Run[]>('runs') ?? [], blocks };
  }

  saveTold({ runs, blocks }: Told): void {
    this.#lastRevision = (runs.at(-1)!.last + RESERVED_REVISIONS) >>> 0;
    const told = [...blocks];
    this.#enqueue(() =>
      Promise.all([
        this.#putMeta('runs', runs),
        ...told.map(([number, block]) =>
          block === undefined
            ? this.#disk.stores.told.remove(u32(number))
            : this.#disk.stores.told.put(u32(number), block),
        ),
      ]),
    );
  }

  flushed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#write();
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.flushed().catch(() => undefined);
    await this.#written;
    await this.#disk.close();
  }

  #change(hostKey: number, id: SongId, row: OfferRow | undefined): void {
    const number = blockOf(id);
    const blocks = this.#changes.get(hostKey) ?? new Map<number, Map<SongId, OfferRow | undefined>>();
    const rows = blocks.get(number) ?? new Map<SongId, OfferRow | undefined>();
    this.#changes.set(hostKey, blocks.set(number, rows.set(id, row)));
    this.#write();
  }

  #enqueue(write: Write): void {
    this.#writes.push(write);
    this.#write();
  }

  #write(): void {
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#written = this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // A moment later, so that what is said together is written together.
    await Promise.resolve();
    while (this.#waiters.length > 0 || this.#hasChanged) {
      const wait = this.#nextRoundAt - performance.now();
      if (wait > 0) await passed(wait);
      const waiters = this.#waiters;
      this.#waiters = [];
      if (waiters.length > 1) this.#nextRoundAt = performance.now() + GATHER_MS;
      const error = await this.#writeRound();
      for (const waiter of waiters) error === undefined ? waiter.resolve() : waiter.reject(error);
    }
    this.#isWriting = false;
  }

  get #hasChanged(): boolean {
    return this.#ids.hasUnsaved || this.#writes.length > 0 || this.#changes.size > 0;
  }

  /** Everything queued until now. On an error the rest of it is given up: its waiters refuse what they wanted kept. */
  async #writeRound(): Promise<RequestError | undefined> {
    // The counters first, so that no ID or key can be on disk beyond them; and rows behind their hosts and IDs.
    const writes = [
      () => this.#putCounters(),
      ...this.#ids.writes(),
      ...this.#writes,
      ...this.#blockWrites(),
    ];
    this.#writes = [];
    this.#changes = new Map();
    this.#leaving = new Set();
    try {
      for (let start = 0; start < writes.length; start += WRITES_A_TRANSACTION)
        await this.#disk.commit(() =>
          writes.slice(start, start + WRITES_A_TRANSACTION).map(perform => perform()),
        );
      this.#ids.saved();
      return undefined;
    } catch (cause) {
      this.#ids.failed();
      return new RequestError('unavailable', 'the registry cannot be written', {
        cause,
        retryAfterMs: WRITE_RETRY_MS,
      });
    }
  }

  *#blockWrites(): Iterable<Write> {
    for (const [hostKey, blocks] of this.#changes) {
      const isKnown = !this.#leaving.has(hostKey);
      for (const [number, changes] of blocks) {
        const key = blockKey(hostKey, number);
        yield () =>
          this.#putBlock(key, changes, isKnown ? this.#disk.stores.songs.getBinaryFast(key) : undefined);
      }
    }
  }

  #putBlock(
    key: Buffer,
    changes: ReadonlyMap<SongId, OfferRow | undefined>,
    stored: Buffer | undefined,
  ): Promise<unknown> {
    const rows = [...(stored === undefined ? changes : new Map([...rowsIn(stored), ...changes]))];
    const left = rows.filter(([, row]) => row !== undefined).sort(([a], [b]) => a - b);
    return left.length === 0
      ? this.#disk.stores.songs.remove(key)
      : this.#disk.stores.songs.put(key, json(left));
  }

  #putCounters(): Promise<unknown> {
    return Promise.all([
      this.#putMeta('tracker', this.tracker),
      this.#putMeta('lastSongId', this.#lastSongId),
      this.#putMeta('lastHostKey', this.#lastHostKey),
      this.#putMeta('revision', this.#lastRevision),
    ]);
  }

  #read<T>(name: string): T | undefined {
    const value = this.#disk.stores.metas.get(Buffer.from(name));
    return value === undefined ? undefined : (JSON.parse(value.toString()) as T);
  }

  #putMeta(name: string, value: string | number | readonly Run[]): Promise<unknown> {
    return this.#disk.stores.metas.put(Buffer.from(name), json(value));
  }
}

function openStores(path: string): RegistryStores {
  const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
  // One transaction at a time, durable when its promise resolves: the only way in which a full disk is survived.
  const safe = { eventTurnBatching: false, overlappingSync: false };
  const root = open<Buffer, Buffer>({ path, maxDbs: 5, ...binary, ...safe });
  const store = (name: string): Store => root.openDB<Buffer, Buffer>({ name, ...binary });
  return {
    root,
    metas: store('meta'),
    ids: store('ids'),
    hosts: store('hosts'),
    songs: store('songs'),
    told: store('told'),
  };
}
