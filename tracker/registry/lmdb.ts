/**
 * The registry on disk: an LMDB store in a folder of its own.
 *
 *     meta   name of a number or text ─▶ JSON          hosts   key (u32)          ─▶ JSON {addresses, instance}
 *     ids    hash (32 bytes) ─▶ ID (u32)               rows    key (u32) · hash   ─▶ JSON of the row, less its hash
 *                                                      told    number (u32)       ─▶ a block of tracker/journal.ts
 *
 * Writes queue up and go out in transactions of at most 1,000, each made durable by one fsync on LMDB's own thread, so
 * many registrations share one; what belongs together is in one. IDs that are not on disk yet are held in memory; they
 * are looked up in the mapped file otherwise, so that ten million of them cost no memory of ours.
 */
import { statfs } from 'node:fs/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import { toHex, writeU32 } from '../../protocol/bytes.js';
import { RequestError } from '../../protocol/errors.js';
import { FIRST_SONG_ID, HASH_BYTES } from '../../protocol/tsp/constants.js';
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

/** Making and handing over one costs this thread about 5 µs. */
const WRITES_A_TRANSACTION = 1_000;
/**
 * A disk that is full is seldom emptied sooner; what was refused is said again after this. A peer that then registers anew
 * is dialled anew, four times a minute at most (TSP §5.2): sooner, it would be told `unreachable`, which is not true.
 */
export const WRITE_RETRY_MS = 20_000;
/**
 * With less free nothing is begun: LMDB prints to standard error, in among the log, what the system refuses it. A
 * transaction copies a page of 4 KiB for each of its writes at most, and their parents; the journal is not all there is.
 */
const MIN_FREE_BYTES = 16 * 1024 * 1024;

type Store = Database<Buffer, Buffer>;

export interface LmdbOptions extends RegistryOptions {
  /** Default: 16 MiB. */
  readonly minFreeBytes?: number;
}

/** Puts or removes something, all of it in one transaction. Bytes are made here, so that what waits costs little. */
type Write = () => Promise<unknown>;

interface Waiter {
  resolve(): void;
  reject(error: RequestError): void;
}

export class LmdbRegistry implements Registry {
  readonly tracker: string;
  readonly revision: number;
  readonly #folder: string;
  readonly #minFreeBytes: number;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #metas: Store;
  readonly #ids: Store;
  readonly #hosts: Store;
  readonly #rows: Store;
  readonly #blocks: Store;
  /** IDs that wait to be written … */
  #unsaved = new Map<ContentHash, SongId>();
  /** … and those that are being written. */
  #saving: ReadonlyMap<ContentHash, SongId> = new Map();
  #idCount: number;
  #lastSongId: number;
  #lastHostKey: number;
  #writes: Write[] = [];
  #waiters: Waiter[] = [];
  #isWriting = false;
  #written: Promise<void> = Promise.resolve();
  #lastRevision: number;

  /** Opens the store in `folder`, or makes it. Resolves when the tracker's name is durable. */
  static async open(folder: string, options: LmdbOptions): Promise<LmdbRegistry> {
    const registry = new LmdbRegistry(folder, options);
    await registry.flushed();
    return registry;
  }

  private constructor(folder: string, options: LmdbOptions) {
    const { randomBytes, firstSongId = FIRST_SONG_ID, minFreeBytes = MIN_FREE_BYTES } = options;
    this.#folder = folder;
    this.#minFreeBytes = minFreeBytes;
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
    // One transaction at a time, durable when its promise resolves: the only way in which a full disk is survived.
    const safe = { eventTurnBatching: false, overlappingSync: false };
    this.#root = open<Buffer, Buffer>({ path: folder, maxDbs: 5, ...binary, ...safe });
    const store = (name: string): Store => this.#root.openDB<Buffer, Buffer>({ name, ...binary });
    this.#metas = store('meta');
    this.#ids = store('ids');
    this.#hosts = store('hosts');
    this.#rows = store('rows');
    this.#blocks = store('told');
    this.tracker = this.#read<string>('tracker') ?? makeTrackerName(randomBytes);
    this.#lastSongId = this.#read<number>('lastSongId') ?? firstSongId - 1;
    this.#lastHostKey = this.#read<number>('lastHostKey') ?? 0;
    this.#idCount = this.#savedIds;
    this.revision = nextRevision(this.#read<number>('revision') ?? 0);
    this.#lastRevision = (this.revision + RESERVED_REVISIONS) >>> 0;
  }

  get idCount(): number {
    return this.#idCount;
  }

  idOf(hash: ContentHash): SongId | undefined {
    return (
      this.#unsaved.get(hash) ??
      this.#saving.get(hash) ??
      (this.#ids.getBinaryFast(hashKey(hash))?.readUInt32BE() as SongId | undefined)
    );
  }

  assignId(hash: ContentHash): SongId {
    const id = nextSongId(this.#lastSongId);
    this.#lastSongId = id;
    this.#idCount += 1;
    this.#unsaved.set(hash, id);
    this.#enqueue(() => this.#ids.put(hashKey(hash), u32(id)));
    return id;
  }

  nextHostKey(): number {
    this.#lastHostKey += 1;
    return this.#lastHostKey;
  }

  *hosts(): Iterable<StoredHost> {
    for (const { key, value } of this.#hosts.getRange()) {
      yield { key: key.readUInt32BE(), ...(JSON.parse(value.toString()) as Omit<StoredHost, 'key'>) };
    }
  }

  *rows(hostKey: number): Iterable<OfferRow> {
    for (const { key, value } of this.#rows.getRange({ start: u32(hostKey), end: u32(hostKey + 1) })) {
      yield { hash: toHex(key.subarray(4)), ...JSON.parse(value.toString()) } as OfferRow;
    }
  }

  putHost({ key, ...host }: StoredHost): void {
    this.#enqueue(() => this.#hosts.put(u32(key), json(host)));
  }

  removeHost(hostKey: number): void {
    this.#enqueue(() => this.#hosts.remove(u32(hostKey)));
  }

  putRow(hostKey: number, row: OfferRow): void {
    this.#enqueue(() => this.#rows.put(rowKey(hostKey, row.hash), json({ ...row, hash: undefined })));
  }

  removeRow(hostKey: number, hash: ContentHash): void {
    this.#enqueue(() => this.#rows.remove(rowKey(hostKey, hash)));
  }

  told(): Told {
    const blocks = this.#blocks.getRange().map(({ key, value }) => [key.readUInt32BE(), value] as const);
    return { runs: this.#read<readonly Run[]>('runs') ?? [], blocks };
  }

  saveTold({ runs, blocks }: Told): void {
    this.#lastRevision = (runs.at(-1)!.last + RESERVED_REVISIONS) >>> 0;
    const told = [...blocks];
    this.#enqueue(() =>
      Promise.all([
        this.#putMeta('runs', runs),
        ...told.map(([number, block]) =>
          block === undefined ? this.#blocks.remove(u32(number)) : this.#blocks.put(u32(number), block),
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

  async close(): Promise<void> {
    await this.flushed().catch(() => undefined);
    await this.#written;
    await this.#root.close();
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
    while (this.#waiters.length > 0 || this.#writes.length > 0) {
      const waiters = this.#waiters;
      this.#waiters = [];
      const error = await this.#writeRound();
      for (const waiter of waiters) error === undefined ? waiter.resolve() : waiter.reject(error);
    }
    this.#isWriting = false;
  }

  /** Everything queued until now. On an error the rest of it is given up: its waiters refuse what they wanted kept. */
  async #writeRound(): Promise<RequestError | undefined> {
    // The counters first, so that no ID or key can be on disk beyond them.
    const writes = [(): Promise<unknown> => this.#putCounters()].concat(this.#writes);
    this.#writes = [];
    this.#saving = this.#unsaved;
    this.#unsaved = new Map();
    try {
      for (let start = 0; start < writes.length; start += WRITES_A_TRANSACTION)
        await this.#commit(writes.slice(start, start + WRITES_A_TRANSACTION));
      return undefined;
    } catch (cause) {
      this.#idCount = this.#savedIds + this.#unsaved.size;
      return new RequestError('unavailable', 'the registry cannot be written', {
        cause,
        retryAfterMs: WRITE_RETRY_MS,
      });
    } finally {
      this.#saving = new Map();
    }
  }

  #putCounters(): Promise<unknown> {
    return Promise.all([
      this.#putMeta('tracker', this.tracker),
      this.#putMeta('lastSongId', this.#lastSongId),
      this.#putMeta('lastHostKey', this.#lastHostKey),
      this.#putMeta('revision', this.#lastRevision),
    ]);
  }

  get #savedIds(): number {
    return (this.#ids.getStats() as { entryCount: number }).entryCount;
  }

  async #commit(writes: readonly Write[]): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder);
    if (bavail * bsize < this.#minFreeBytes)
      throw new Error(`of the disk ${bavail * bsize} bytes are free, and ${this.#minFreeBytes} are needed`);
    const done: Promise<unknown>[] = [];
    const batch = this.#root.batch(() => {
      for (const write of writes) done.push(write());
    });
    // A transaction gives its writes one promise between them, and names the reason of a failure in another.
    const results = await Promise.allSettled(new Set([batch, ...done]));
    const failure = results.find(result => result.status === 'rejected');
    if (failure === undefined) return;
    throw (
      (await (failure.reason as CommitFailure).commitError?.catch((reason: unknown) => reason)) ??
      failure.reason
    );
  }

  #read<T>(name: string): T | undefined {
    const value = this.#metas.get(Buffer.from(name));
    return value === undefined ? undefined : (JSON.parse(value.toString()) as T);
  }

  #putMeta(name: string, value: string | number | readonly Run[]): Promise<unknown> {
    return this.#metas.put(Buffer.from(name), json(value));
  }
}

interface CommitFailure {
  readonly commitError?: Promise<unknown>;
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** Of a host's key. */
const KEY_BYTES = 4;

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(KEY_BYTES);
  writeU32(bytes, value, 0);
  return bytes;
}

function hashKey(hash: ContentHash): Buffer {
  const bytes = Buffer.allocUnsafe(HASH_BYTES);
  bytes.write(hash, 'hex');
  return bytes;
}

function rowKey(hostKey: number, hash: ContentHash): Buffer {
  const bytes = Buffer.allocUnsafe(KEY_BYTES + HASH_BYTES);
  writeU32(bytes, hostKey, 0);
  bytes.write(hash, KEY_BYTES, 'hex');
  return bytes;
}
