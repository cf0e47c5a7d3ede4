/**
 * The tracker's registry on a disk that takes its time, and that after a crash has what was flushed and perhaps more.
 *
 *     put … ─▶ memory ──flushed()──▶ disk       crash ─▶ the next run begins from the disk, or from as much as got there by luck
 */
import { RequestError } from '../../protocol/errors.js';
import type { Clock } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import type { RegistryOptions, StoredHost, Told } from '../../tracker/registry/registry.js';
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
  /** After each write that is not known to be durable, in their order. */
  #states: MemoryStore[] = [];
  #lastFlush = 0;

  constructor(options: RegistryOptions, disk: Disk, clock: Clock, chance: Chance) {
    const memory = new MemoryStore(disk.durable);
    super(options, memory);
    this.#memory = memory;
    this.#disk = disk;
    this.#clock = clock;
    this.#chance = chance;
    // Opening a real one waits for its name to be written.
    disk.durable = new MemoryStore(memory);
  }

  override assignId(hash: ContentHash): SongId {
    const id = super.assignId(hash);
    this.#wrote();
    return id;
  }

  override putHost(host: StoredHost): void {
    super.putHost(host);
    this.#wrote();
  }

  override removeHost(hostKey: number): void {
    super.removeHost(hostKey);
    this.#wrote();
  }

  override putRow(hostKey: number, id: SongId, row: OfferRow): void {
    super.putRow(hostKey, id, row);
    this.#wrote();
  }

  override removeRow(hostKey: number, id: SongId): void {
    super.removeRow(hostKey, id);
    this.#wrote();
  }

  override saveTold(told: Told): void {
    super.saveTold(told);
    this.#wrote();
  }

  override flushed(): Promise<void> {
    const written = this.#wrote();
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
        this.#states.splice(0, this.#states.indexOf(written) + 1);
        resolve();
      });
    });
  }

  /** Power is lost: what was not flushed may be there all the same, up to any write. Now and then the journal is gone. */
  crash(): void {
    const disk = this.#disk;
    if (!disk.isFull && this.#states.length > 0 && this.#chance.is(0.6))
      disk.durable = this.#chance.pick(this.#states);
    if (this.#chance.is(0.95)) return;
    disk.durable = new MemoryStore(disk.durable);
    disk.durable.runs = [];
    disk.durable.blocks.clear();
  }

  #wrote(): MemoryStore {
    const state = new MemoryStore(this.#memory);
    this.#states.push(state);
    return state;
  }
}
