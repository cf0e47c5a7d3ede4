/**
 * How fast a host delivers, in chunks a second: what it may be asked at once follows this.
 *
 *     asked ─▶ chunks of at least 100 ms, counted ─▶ a mean in which half a second ago weighs a third
 *
 * Time in which nothing was asked of it says nothing of it and does not count.
 */
import type { Milliseconds } from '../../protocol/ports.js';

const STEP_MS = 100;
const MEMORY_MS = 500;

export class ArrivalRate {
  #perSecond: number | undefined;
  #count = 0;
  #since: Milliseconds | undefined;

  /** Something is owed from now on. */
  asked(now: Milliseconds): void {
    this.#since ??= now;
  }

  came(chunks: number, now: Milliseconds): void {
    this.#count += chunks;
    this.#fold(now);
  }

  /** Nothing is owed any more. */
  rests(now: Milliseconds): void {
    this.#fold(now);
    this.#since = undefined;
    this.#count = 0;
  }

  /** Undefined while nothing was measured. */
  perSecond(now: Milliseconds): number | undefined {
    this.#fold(now);
    return this.#perSecond;
  }

  #fold(now: Milliseconds): void {
    const elapsedMs = now - (this.#since ?? now);
    if (elapsedMs < STEP_MS) return;
    const sample = (this.#count * 1_000) / elapsedMs;
    const kept = this.#perSecond === undefined ? 0 : Math.exp(-elapsedMs / MEMORY_MS);
    this.#perSecond = kept * (this.#perSecond ?? 0) + (1 - kept) * sample;
    this.#since = now;
    this.#count = 0;
  }
}
