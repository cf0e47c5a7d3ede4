/**
 * Wakes a state machine at its next deadline.
 *
 *     something happened ─▶ arm ─▶ … ─▶ due(now)        deadlines go back all the time, as bytes come
 *
 * So one timer is set at a time, and moved only to be earlier: one that fires too early is set again, which is cheaper than
 * moving it with every chunk.
 */
import type { Clock, Milliseconds } from '../protocol/ports.js';

export class DeadlineTimer {
  readonly #clock: Clock;
  readonly #nextDeadline: () => Milliseconds | undefined;
  readonly #due: (now: Milliseconds) => void;
  #at = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | undefined;

  /** `due` is called when the deadline that `nextDeadline` names has come. */
  constructor(clock: Clock, nextDeadline: () => Milliseconds | undefined, due: (now: Milliseconds) => void) {
    this.#clock = clock;
    this.#nextDeadline = nextDeadline;
    this.#due = due;
  }

  /** To be called whenever there may be a deadline, or a nearer one. */
  arm(): void {
    const at = this.#nextDeadline() ?? Number.POSITIVE_INFINITY;
    if (at >= this.#at) return;
    this.#disarm?.();
    this.#at = at;
    this.#disarm = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#fire());
  }

  cancel(): void {
    this.#disarm?.();
    this.#at = Number.POSITIVE_INFINITY;
  }

  #fire(): void {
    this.#at = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    if (now >= (this.#nextDeadline() ?? Number.POSITIVE_INFINITY)) this.#due(now);
    this.arm();
  }
}
