/**
 * Batches on their way to everybody who registered (TSP §3.1).
 *
 *     list changed ─▶ wait: ≥ 100 ms since the last batch ─▶ flush ─▶ 250 readers a tick, each from where it stands
 *
 * The rule: a reader has a place in the row of kept batches, and gets what comes after it when it has room. So nothing
 * is queued for a slow one; when it is back, it gets the batches that it missed, or, where these are more than 1 MiB or
 * not kept any more, the whole list once.
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
/** A reader that missed more than this is better served with the list. */
export const MAX_CATCH_UP_BYTES = 1024 * 1024;

export interface Reader {
  /** Sequence number of the next batch that it is to get. */
  next: number;
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
  #isPassing = false;

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
    if (this.#disarm !== undefined) return;
    const wait = Math.max(0, this.#notBefore - this.#clock.now());
    this.#disarm = this.#clock.after(wait, () => this.#flush());
  }

  /** The list first, whole or what changed `since`; then every batch. `since` must be of this tracker. */
  subscribe(reader: Reader, since: Hello['since']): void {
    this.#readers.add(reader);
    const from = since === undefined ? undefined : this.#broadcast.after(since.revision);
    reader.next = from ?? NOWHERE;
    if (from === this.#broadcast.head) this.#deliverNothing(reader);
    else this.catchUp(reader);
  }

  unsubscribe(reader: Reader): void {
    this.#readers.delete(reader);
  }

  /** To be called when a reader that was not ready is. */
  catchUp(reader: Reader): void {
    const broadcast = this.#broadcast;
    if (!reader.isReady || reader.next === broadcast.head || !this.#readers.has(reader)) return;
    const batches = broadcast.batchesFrom(reader.next);
    const bytes = batches?.reduce((sum, batch) => sum + batch.bytes.length, 0) ?? Number.POSITIVE_INFINITY;
    if (batches === undefined || bytes > MAX_CATCH_UP_BYTES) this.#deliverWhole(reader);
    else this.#deliver(reader, batches);
  }

  stop(): void {
    this.#disarm?.();
    this.#readers.clear();
  }

  #flush(): void {
    this.#disarm = undefined;
    const now = this.#clock.now();
    const batch = this.#broadcast.flush(now);
    this.#notBefore = now + this.#intervalAfter(batch?.bytes.length ?? 0);
    if (this.#broadcast.pending) this.changed();
    if (batch === undefined || this.#isPassing) return;
    this.#isPassing = true;
    this.#pass()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'a batch could not be sent to everybody'))
      .finally(() => {
        this.#isPassing = false;
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

  /** Brings everybody to the newest batch, also to one that is made meanwhile. */
  async #pass(): Promise<void> {
    let head: number;
    do {
      head = this.#broadcast.head;
      let count = 0;
      for (const reader of this.#readers) {
        this.catchUp(reader);
        count += 1;
        if (count % READERS_A_TICK === 0) await this.#pause();
      }
    } while (head !== this.#broadcast.head);
  }

  #deliver(reader: Reader, batches: readonly Batch[]): void {
    reader.next = this.#broadcast.head;
    reader.deliver(
      batches.map(({ revision, bytes }) => header(revision, bytes.length - HEADER_BYTES - LENGTH_BYTES)),
      batches.map(({ bytes }) => bytes),
    );
  }

  #deliverWhole(reader: Reader): void {
    reader.next = this.#broadcast.head;
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

/** Before every batch that is kept. */
const NOWHERE = -1;

const WHOLE_ROW = encodeBroadcastRow({ kind: 'whole' });

const header = (revision: number, length: number): StreamHeader => ({
  type: 'BROADCAST_LIST',
  revision,
  length,
});
