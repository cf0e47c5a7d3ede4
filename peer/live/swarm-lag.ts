/**
 * How late a live swarm is, by what its source signed and when (RFC 7574 §6.1.2): pure.
 *
 *     age = now − signed at          lag = age − the least age of late          whatever the two clocks show
 *
 * Timely for two seconds: a host that sends the same is not needed. Late: what a listener has before it runs out.
 */
import type { Milliseconds } from '../../protocol/ports.js';

/** Beside this a listener that began three seconds behind the source has time to find a host again. */
const TIMELY_MS = 1_000;
const LATE_MS = 1_700;
const SETTLED_MS = 2_000;
/** Clocks run differently: an age is compared with those of this while and the one before. */
const WHILE_MS = 60_000;

export class SwarmLag {
  readonly #startedAt: Milliseconds;
  #signedAt: number | undefined;
  #timelySince: Milliseconds | undefined;
  #leastAge = Number.POSITIVE_INFINITY;
  #leastAgeBefore = Number.POSITIVE_INFINITY;
  #whileUntil: Milliseconds;

  constructor(now: Milliseconds) {
    this.#startedAt = now;
    this.#whileUntil = now + WHILE_MS;
  }

  /** What was signed then is here, and everything before it. */
  reached(signedAt: number, now: Milliseconds): void {
    if (now >= this.#whileUntil) {
      this.#whileUntil = now + WHILE_MS;
      this.#leastAgeBefore = this.#leastAge;
      this.#leastAge = Number.POSITIVE_INFINITY;
    }
    this.#signedAt = signedAt;
    this.#leastAge = Math.min(this.#leastAge, now - signedAt);
    if (this.lagMs(now) > TIMELY_MS) this.#timelySince = undefined;
    else this.#timelySince ??= now;
  }

  /** Of what is here; before anything is, since it began. */
  lagMs(now: Milliseconds): number {
    if (this.#signedAt === undefined) return now - this.#startedAt;
    return now - this.#signedAt - Math.min(this.#leastAge, this.#leastAgeBefore);
  }

  isTimely(now: Milliseconds): boolean {
    return (
      this.#timelySince !== undefined && now - this.#timelySince >= SETTLED_MS && this.lagMs(now) <= TIMELY_MS
    );
  }

  isLate(now: Milliseconds): boolean {
    return this.lagMs(now) > LATE_MS;
  }
}
