/**
 * How often something may be done: token buckets, one or one for each address.
 *
 *     bucket: `burst` at once, then `perSecond` more; what is not used fills it up again
 *
 * Pure: told the time. What is back to its first state is forgotten, so memory follows who is here, not who was.
 */
import type { Milliseconds } from './ports.js';

export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #at: Milliseconds;

  constructor(rate: Rate, now: Milliseconds) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#at = now;
  }

  /** Takes `count` if they are there. */
  take(count: number, now: Milliseconds): boolean {
    this.#fill(now);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Takes `count` on credit; what the taker should wait until the debt is paid. */
  takeAnyway(count: number, now: Milliseconds): number {
    this.#fill(now);
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1_000) / this.#rate.perSecond;
  }

  /** What was taken and not used. */
  giveBack(count: number): void {
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + count);
  }

  /** How long until `count` can be taken, if nobody else takes any. */
  waitFor(count: number, now: Milliseconds): Milliseconds {
    this.#fill(now);
    return (Math.max(0, count - this.#tokens) * 1_000) / this.#rate.perSecond;
  }

  isFull(now: Milliseconds): boolean {
    this.#fill(now);
    return this.#tokens === this.#rate.burst;
  }

  #fill(now: Milliseconds): void {
    this.#tokens = Math.min(
      this.#rate.burst,
      this.#tokens + ((now - this.#at) * this.#rate.perSecond) / 1_000,
    );
    this.#at = now;
  }
}

/** With more, those that are full again are looked for: about 1 MB. */
const SWEEP_BUCKETS = 4_096;

/** A bucket for each key; full ones are dropped when there are many. */
export class BucketTable {
  readonly #rate: Rate;
  readonly #buckets = new Map<string, TokenBucket>();
  #sweepAt = SWEEP_BUCKETS;

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  of(key: string, now: Milliseconds): TokenBucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    if (this.#buckets.size >= this.#sweepAt) this.#sweep(now);
    const bucket = new TokenBucket(this.#rate, now);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #sweep(now: Milliseconds): void {
    for (const [key, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(key);
    this.#sweepAt = Math.max(SWEEP_BUCKETS, 2 * this.#buckets.size);
  }
}
