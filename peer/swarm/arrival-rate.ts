/**
 * How fast a host delivers, in chunks a second: what it may be asked at once follows this.
 *
 *     asked ─▶ chunks of at least 100 ms, counted ─▶ a mean in which half a second ago weighs a third
 *
 * Time in which nothing was asked of it says nothing of it and does not count: what is measured is made of as many answers
 * as it takes. Until then it is thought to be good for twice what it gave, as TCP begins.
 */
import type { Milliseconds } from '../../protocol/ports.js';

/** A host of which nothing is known yet. */
const FIRST_CHUNKS = 64;
const STEP_MS = 100;
const MEMORY_MS = 500;

export class ArrivalRate {
  /** Undefined while nothing was measured. */
  #perSecond: number | undefined;
  /** What came, in how long, since it was last measured … */
  #count = 0;
  #elapsedMs = 0;
  /** … until here, if something is owed. */
  #owesSince: Milliseconds | undefined;

  /** Something is owed from now on. */
  asked(now: Milliseconds): void {
    this.#owesSince ??= now;
  }

  came(chunks: number, now: Milliseconds): void {
    this.#count += chunks;
    this.#fold(now);
  }

  /** Nothing is owed any more. */
  rests(now: Milliseconds): void {
    this.#fold(now);
    this.#owesSince = undefined;
  }

  perSecond(now: Milliseconds): number {
    this.#fold(now);
    return this.#perSecond ?? Math.max(FIRST_CHUNKS, 2 * this.#count);
  }

  #fold(now: Milliseconds): void {
    if (this.#owesSince === undefined) return;
    this.#elapsedMs += now - this.#owesSince;
    this.#owesSince = now;
    if (this.#elapsedMs < STEP_MS) return;
    const sample = (this.#count * 1_000) / this.#elapsedMs;
    const kept = this.#perSecond === undefined ? 0 : Math.exp(-this.#elapsedMs / MEMORY_MS);
    this.#perSecond = kept * (this.#perSecond ?? 0) + (1 - kept) * sample;
    this.#count = 0;
    this.#elapsedMs = 0;
  }
}
