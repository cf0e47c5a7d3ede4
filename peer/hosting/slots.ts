/**
 * Upload slots: how many connections may be sent songs at a time (`--slots`; TSP §5.3).
 *
 *     take() ─▶ true: the connection has a slot until release()      false: `busy`, and somebody waits
 *
 * Who was turned away is expected back within the time that `busy` named; until then slots count as contended, and a
 * listener that takes nothing loses its slot sooner.
 */
import type { Milliseconds } from '../../protocol/ports.js';

/** Soon enough for a song to be wanted still, late enough that a hundred waiting listeners cost nothing. */
export const BUSY_RETRY_MS = 2_000;
/** Twice the pause that we asked for, since a listener may add jitter. */
const CONTENDED_MS = 2 * BUSY_RETRY_MS;

export class UploadSlots {
  #used = 0;
  #lastRefusal = Number.NEGATIVE_INFINITY;

  /** Infinity: no limit. */
  constructor(readonly limit: number) {}

  get used(): number {
    return this.#used;
  }

  take(now: Milliseconds): boolean {
    if (this.#used >= this.limit) {
      this.#lastRefusal = now;
      return false;
    }
    this.#used += 1;
    return true;
  }

  /** For who was turned away. */
  get whyFull(): string {
    return this.limit === 1 ? 'its one upload slot is taken' : `all ${this.limit} upload slots are taken`;
  }

  release(): void {
    this.#used -= 1;
  }

  contended(now: Milliseconds): boolean {
    return now - this.#lastRefusal < CONTENDED_MS;
  }
}
