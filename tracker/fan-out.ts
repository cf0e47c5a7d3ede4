/**
 * Batches on their way to everybody who registered (TSP §3.1).
 *
 *     list changed ─▶ wait: ≥ 100 ms since the last batch ─▶ flush ─▶ on disk ─▶ 250 readers a tick, each from its revision
 *
 * The rule: a reader has a revision, and gets what brings it to the list's when it has room. So nothing is queued for a
 * slow one; when it is back, it gets the batches that it missed, or what has changed in all, or the whole list once.
 * A batch is on disk before it is told, that after a crash its readers need no more than what they missed.
 */
import type { Clock, Logger, Milliseconds } from '../protocol/ports.js';
import { encode } from '../protocol/tsp/codec.js';
import { HEADER_BYTES, LENGTH_BYTES } from '../protocol/tsp/constants.js';
import type { Hello, StreamHeader } from '../protocol/tsp/messages.js';
import { encodeBroadcastRow } from '../protocol/tsp/rows.js';
import type { Batch, Broadcast } from './broadcast.js';

/** At most ten batches a second … */
const BATCH_INTERVAL_MS = 100;
/** … two above 5,000 readers … */
const CROWDED_BATCH_INTERVAL_MS = 500;
const CROWD_READERS = 5_000;
/** … and never so many that writing them takes more than a third of the time: a write costs some 15 µs. */
const INTERVAL_PER_READER_MS = 0.05;
/** What all readers together are sent of changes: about what one core writes. Batches wait for it. */
const BROADCAST_BYTES_PER_SECOND = 128 * 1024 * 1024;
const READERS_A_TICK = 250;
/**
 * A disk that takes longer is not waited for: who leaves has to leave the list. What is told unwritten costs, after a
 * crash just then, the whole list.
 */
const MAX_SAVE_MS = 250;

export interface Reader {
  /** That of the list which it has, or is being sent; undefined: none that is any use. */
  revision: number | undefined;
  /** False: not now; it asks (`catchUp`) when it can. */
  readonly isReady: boolean;
  /** One or more whole messages, everybody's bytes. */
  deliver(headers: readonly StreamHeader[], bytes: readonly Uint8Array[]): void;
}

export interface FanOutOptions {
  readonly broadcast: Broadcast;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pause: () => Promise<void>;
}

export class FanOut {
  readonly #broadcast: Broadcast;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pause: () => Promise<void>;
  readonly #readers = new Set<Reader>();
  #disarm: (() => void) | undefined;
  #notBefore: Milliseconds = Number.NEGATIVE_INFINITY;
  #isTelling = false;
  /** The newest batch is on its way to the disk, and nobody's yet: not theirs, either, who come or have room meanwhile. */
  #isSaving = false;
  #isStopped = false;

  constructor({ broadcast, clock, logger, pause }: FanOutOptions) {
    this.#broadcast = broadcast;
    this.#clock = clock;
    this.#logger = logger;
    this.#pause = pause;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  /** The list has changed: a batch will say so, soon. */
  changed(): void {
    if (this.#disarm !== undefined || this.#isTelling || this.#isStopped) return;
    const wait = Math.max(0, this.#notBefore - this.#clock.now());
    this.#disarm = this.#clock.after(wait, () => {
      this.#disarm = undefined;
      this.#tell().catch((error: unknown) =>
        this.#logger.error({ err: error }, 'a batch could not be sent to everybody'),
      );
    });
  }

  /** The list first, whole or what changed `since`; then every batch. `since` must be of this tracker. */
  subscribe(reader: Reader, since: Hello['since']): void {
    this.#readers.add(reader);
    reader.revision = since?.revision;
    if (reader.revision === this.#broadcast.revision) this.#deliverNothing(reader);
    else this.catchUp(reader);
  }

  unsubscribe(reader: Reader): void {
    this.#readers.delete(reader);
  }

  /** To be called when a reader that was not ready is. */
  catchUp(reader: Reader): void {
    const { revision } = this.#broadcast;
    if (this.#isSaving || !reader.isReady || reader.revision === revision || !this.#readers.has(reader))
      return;
    const batches = this.#broadcast.since(reader.revision);
    if (batches === undefined) this.#deliverWhole(reader);
    else this.#deliver(reader, batches);
  }

  stop(): void {
    this.#isStopped = true;
    this.#disarm?.();
    this.#readers.clear();
  }

  async #tell(): Promise<void> {
    this.#isTelling = true;
    try {
      await this.#broadcast.prepare(this.#pause);
      if (this.#isStopped) return;
      const now = this.#clock.now();
      const batch = this.#broadcast.flush(now);
      this.#notBefore = now + this.#intervalAfter(batch?.length ?? 0);
      if (batch === undefined) return;
      this.#isSaving = true;
      await this.#saved();
      this.#isSaving = false;
      await this.#pass();
    } finally {
      this.#isTelling = false;
      if (this.#broadcast.pending) this.changed();
    }
  }

  #saved(): Promise<void> {
    return new Promise(resolve => {
      const disarm = this.#clock.after(MAX_SAVE_MS, resolve);
      void this.#broadcast.saved().then(() => {
        disarm();
        resolve();
      });
    });
  }

  #intervalAfter(batchBytes: number): number {
    const { size } = this.#readers;
    return Math.max(
      size > CROWD_READERS ? CROWDED_BATCH_INTERVAL_MS : BATCH_INTERVAL_MS,
      size * INTERVAL_PER_READER_MS,
      (size * batchBytes * 1_000) / BROADCAST_BYTES_PER_SECOND,
    );
  }

  /** Brings everybody to the newest batch. */
  async #pass(): Promise<void> {
    let count = 0;
    for (const reader of this.#readers) {
      this.catchUp(reader);
      count += 1;
      if (count % READERS_A_TICK === 0) await this.#pause();
    }
  }

  #deliver(reader: Reader, batches: readonly Batch[]): void {
    reader.revision = this.#broadcast.revision;
    reader.deliver(
      batches.map(({ revision, length }) => header(revision, length - HEADER_BYTES - LENGTH_BYTES)),
      batches.flatMap(({ pieces }) => pieces),
    );
  }

  #deliverWhole(reader: Reader): void {
    reader.revision = this.#broadcast.revision;
    const { segments, length } = this.#broadcast.list();
    const whole = header(this.#broadcast.revision, WHOLE_ROW.length + length);
    reader.deliver([whole], [encode(whole), WHOLE_ROW, ...segments]);
  }

  /** Nothing changed: said too, so that the reader knows that the list which it has is good. */
  #deliverNothing(reader: Reader): void {
    const nothing = header(this.#broadcast.revision, 0);
    reader.deliver([nothing], [encode(nothing)]);
  }
}

const WHOLE_ROW = encodeBroadcastRow({ kind: 'whole' });

const header = (revision: number, length: number): StreamHeader => ({
  type: 'BROADCAST_LIST',
  revision,
  length,
});
