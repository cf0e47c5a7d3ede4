/**
 * The tracker's registry on a disk that takes its time, and that after a crash has only what was flushed.
 *
 *     put … ─▶ memory ──flushed()──▶ disk        crash ─▶ the next run begins from the disk, or from what got there by luck
 */
import { RequestError } from '../../protocol/errors.js';
import type { Clock } from '../../protocol/ports.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import type { RegistryOptions } from '../../tracker/registry/registry.js';
import type { Chance } from './chance.js';

const USUAL_FLUSH_MS = 60;
const SLOWEST_FLUSH_MS = 3_000;
const FULL_RETRY_MS = 10_000;

/** What is there when a tracker starts. */
export class Disk {
  durable = new MemoryStore();
  /** For so long every flush fails: the disk is full. */
  isFull = false;
}

export class CrashingRegistry extends MemoryRegistry {
  readonly #memory: MemoryStore;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #chance: Chance;
  #lastFlush = 0;

  constructor(options: RegistryOptions, disk: Disk, clock: Clock, chance: Chance) {
    const memory = copyOf(disk.durable);
    super(options, memory);
    this.#memory = memory;
    this.#disk = disk;
    this.#clock = clock;
    this.#chance = chance;
    // Opening a real one waits for its name to be written.
    disk.durable = copyOf(memory);
  }

  override flushed(): Promise<void> {
    const written = copyOf(this.#memory);
    const now = this.#clock.now();
    // One transaction after the other.
    this.#lastFlush = Math.max(
      this.#lastFlush,
      now + this.#chance.unit() * (this.#chance.is(0.2) ? SLOWEST_FLUSH_MS : USUAL_FLUSH_MS),
    );
    return new Promise((resolve, reject) => {
      this.#clock.after(this.#lastFlush - now, () => {
        if (this.#disk.isFull) {
          reject(new RequestError('unavailable', 'the disk is full', { retryAfterMs: FULL_RETRY_MS }));
          return;
        }
        this.#disk.durable = written;
        resolve();
      });
    });
  }

  /** Power is lost: what was not flushed may be there all the same. */
  crash(): void {
    if (this.#chance.is(0.3) && !this.#disk.isFull) this.#disk.durable = copyOf(this.#memory);
  }
}

function copyOf(store: MemoryStore): MemoryStore {
  const copy = new MemoryStore();
  for (const [hash, id] of store.ids) copy.ids.set(hash, id);
  for (const [key, host] of store.hosts) copy.hosts.set(key, host);
  for (const [key, rows] of store.rows) copy.rows.set(key, new Map(rows));
  copy.tracker = store.tracker;
  copy.lastSongId = store.lastSongId;
  copy.lastHostKey = store.lastHostKey;
  copy.revision = store.revision;
  return copy;
}
