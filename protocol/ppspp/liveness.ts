/**
 * Whether the other side of a channel lives, and when to show that we do (RFC 7574 §3.12).
 *
 *     beats after 1 s, 2 s, 4 s … 55 s, again from 1 s whenever there is news        dead: 3 min and 3 datagrams unheard
 *     each second while the other side waits for chunks, as it always does in a live swarm: slow is not gone
 *
 * No message but DATA is acknowledged, so each beat says again what the other side ought to know.
 */
import type { Milliseconds } from '../ports.js';

const FIRST_BEAT_MS = 1_000;
/** libswift forgets who is silent for longer than about a minute. */
const MAX_BEAT_MS = 55_000;
export const DEAD_AFTER_MS = 180_000;
const DEAD_AFTER_DATAGRAMS = 3;

export class Liveness {
  #heardAt: Milliseconds;
  #sentSince = 0;
  #beatAt: Milliseconds;
  #waitMs = FIRST_BEAT_MS;

  constructor(now: Milliseconds) {
    this.#heardAt = now;
    this.#beatAt = now + FIRST_BEAT_MS;
  }

  get heardAt(): Milliseconds {
    return this.#heardAt;
  }

  heard(now: Milliseconds): void {
    this.#heardAt = now;
    this.#sentSince = 0;
  }

  sent(datagrams: number): void {
    this.#sentSince += datagrams;
  }

  /** Something was said that may get lost: the next beat is soon. */
  news(now: Milliseconds): void {
    this.#waitMs = FIRST_BEAT_MS;
    this.#beatAt = Math.min(this.#beatAt, now + FIRST_BEAT_MS);
  }

  /** Whether a beat is due, which is then taken for done. `isAwaited`: the other side waits for something of ours. */
  beats(now: Milliseconds, isAwaited: boolean): boolean {
    if (now < this.#beatAt) return false;
    this.#waitMs = isAwaited ? FIRST_BEAT_MS : Math.min(MAX_BEAT_MS, this.#waitMs * 2);
    this.#beatAt = now + this.#waitMs;
    return true;
  }

  isDead(now: Milliseconds): boolean {
    return now - this.#heardAt >= DEAD_AFTER_MS && this.#sentSince >= DEAD_AFTER_DATAGRAMS;
  }

  nextDeadline(): Milliseconds {
    return this.#beatAt;
  }
}

/** The first of those that there are. */
export function earliest(...deadlines: readonly (Milliseconds | undefined)[]): Milliseconds | undefined {
  let first: Milliseconds | undefined;
  for (const deadline of deadlines)
    if (deadline !== undefined && (first === undefined || deadline < first)) first = deadline;
  return first;
}
