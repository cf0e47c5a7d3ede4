/**
 * Asking the tracker who else has a song: one question at a time, not too often, and not waited for too long.
 *
 *     ask ─▶ awaited ─ an answer, or 2 s ─▶ may be asked again, 2 s after the question
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { MORE_HOSTS_MS } from './fetch-effects.js';

export class MoreHosts {
  readonly #canBeAsked: boolean;
  #askedAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #isAwaited = false;

  constructor(canBeAsked: boolean) {
    this.#canBeAsked = canBeAsked;
  }

  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  /** True: the question is to be asked now. */
  ask(now: Milliseconds): boolean {
    if (!this.#canBeAsked || this.#isAwaited || now < this.#askedAt + MORE_HOSTS_MS) return false;
    this.#askedAt = now;
    this.#isAwaited = true;
    return true;
  }

  answered(): void {
    this.#isAwaited = false;
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#isAwaited ? this.#askedAt + MORE_HOSTS_MS : undefined;
  }

  expire(now: Milliseconds): void {
    if (now >= (this.nextDeadline() ?? Number.POSITIVE_INFINITY)) this.#isAwaited = false;
  }
}
