/**
 * First HANDSHAKEs into silence: when the next one goes, and in which dialect (RFC 7574 §3.1.1).
 *
 *     rfc7574 · 1 s · rfc7574 · 1 s · draft10 · 1 s · draft10 · 1 s · rfc7574 · 2 s …        30 s, and nobody is there
 *
 * Who does not understand a HANDSHAKE says nothing, so only silence tells that another dialect may be better. Not more
 * often than each second: PyPPSPP takes every one for somebody new. Over a stream nothing is lost: each dialect once.
 */
import type { Milliseconds } from '../ports.js';
import type { Dialect } from './handshake.js';

const FIRST_WAIT_MS = 1_000;
export const GIVE_UP_MS = 30_000;
const TIMES_EACH = 2;

export class Dialling {
  readonly #dialects: readonly Dialect[];
  readonly #endsAt: Milliseconds;
  readonly #isReliable: boolean;
  readonly #timesEach: number;
  #tries = 0;
  #nextAt: Milliseconds;

  constructor(dialects: readonly Dialect[], isReliable: boolean, now: Milliseconds) {
    this.#timesEach = isReliable ? 1 : TIMES_EACH;
    this.#isReliable = isReliable;
    this.#dialects = dialects;
    this.#nextAt = now;
    this.#endsAt = now + GIVE_UP_MS;
  }

  /** The dialect to try now, which is then taken for tried; undefined: wait. */
  due(now: Milliseconds): Dialect | undefined {
    if (now < this.#nextAt || this.isOver(now)) return undefined;
    const turn = Math.floor(this.#tries / this.#timesEach);
    const round = Math.floor(turn / this.#dialects.length);
    this.#tries += 1;
    const isSaid = this.#isReliable && this.#tries >= this.#dialects.length;
    this.#nextAt = isSaid ? Number.POSITIVE_INFINITY : now + FIRST_WAIT_MS * 2 ** round;
    return this.#dialects[turn % this.#dialects.length];
  }

  isOver(now: Milliseconds): boolean {
    return now >= this.#endsAt;
  }

  nextDeadline(): Milliseconds {
    return Math.min(this.#nextAt, this.#endsAt);
  }
}
