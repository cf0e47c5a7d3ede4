/**
 * The real clock for a test whose both ends are in this process: time in which it had no processor does not count, or a
 * pause would look like a silence of the other end.
 *
 *     real      ├─────┼─────────── another process runs ───────────┼─────┤
 *     patient   ├─────┼──┼─────┤
 */
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import { systemClock } from '../../src/clock.js';

/** How often it looks, as long as this process runs. */
const LOOK_MS = 5;
/** More between two looks was a pause. */
const MOST_MS = 100;

class PatientClock implements Clock {
  #lookedAt = systemClock.now();
  #uncountedMs = 0;

  constructor() {
    setInterval(() => this.now(), LOOK_MS).unref();
  }

  now(): Milliseconds {
    const now = systemClock.now();
    this.#uncountedMs += Math.max(0, now - this.#lookedAt - MOST_MS);
    this.#lookedAt = now;
    return now - this.#uncountedMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const due = this.now() + delayMs;
    let cancel = (): void => {};
    const wait = (ms: number): void => {
      cancel = systemClock.after(ms, () => {
        const leftMs = due - this.now();
        if (leftMs > 0) wait(leftMs);
        else callback();
      });
    };
    wait(delayMs);
    return () => cancel();
  }
}

export const patientClock: Clock = new PatientClock();
