/**
 * When to try again: full jitter between 0.25 and 30 s (TSP §5.1), so that a thousand peers that lost one tracker at
 * one moment don't come back at one moment.
 */
import type { Milliseconds, RandomUnit } from '../../protocol/ports.js';
import { RECONNECT_FIRST_MS, RECONNECT_MAX_MS, RECONNECT_MIN_MS } from '../../protocol/tsp/constants.js';

/** A connection that held for so long was no part of the trouble: the next attempt is quick again. */
export const RESET_AFTER_MS = 60_000;

export class Backoff {
  readonly #random: RandomUnit;
  #attempts = 0;

  constructor(random: RandomUnit) {
    this.#random = random;
  }

  /** How long to wait now. `upForMs`: how long the connection had held that was lost; 0 when there was none. */
  next(upForMs: Milliseconds): Milliseconds {
    if (upForMs >= RESET_AFTER_MS) this.#attempts = 0;
    const longest = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return RECONNECT_MIN_MS + this.#random() * (longest - RECONNECT_MIN_MS);
  }
}
