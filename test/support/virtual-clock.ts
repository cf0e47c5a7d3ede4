/**
 * A clock that stands still until a test moves it. Timers fire in the order of their time, then of their setting, and
 * each sees `now()` at exactly its own moment.
 *
 *     clock.after(50, tick)     clock.advance(49) → nothing     clock.advance(1) → tick, with now() = 50
 */
import type { Clock, Milliseconds } from '../../protocol/ports.js';

interface Timer {
  readonly at: Milliseconds;
  readonly order: number;
  readonly callback: () => void;
}

/** Against a timer that always sets itself again at once. */
const MAX_TIMERS_AN_ADVANCE = 100_000;

export class VirtualClock implements Clock {
  #now: Milliseconds;
  #order = 0;
  readonly #timers = new Set<Timer>();

  constructor(startAt: Milliseconds = 0) {
    this.#now = startAt;
  }

  now(): Milliseconds {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** When the next timer fires; undefined when none is set. */
  get nextAt(): Milliseconds | undefined {
    return this.#first()?.at;
  }

  /** Runs every timer due within `ms`, also those that these set. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let fired = 0; this.#fireNext(end); fired += 1) {
      if (fired === MAX_TIMERS_AN_ADVANCE) throw new Error(`more than ${fired} timers fired within ${ms} ms`);
    }
    this.#now = end;
  }

  /** As `advance`, but lets promises and I/O that a timer set off go on before the next timer fires. */
  async advanceSlowly(ms: number): Promise<void> {
    const end = this.#now + ms;
    await turn();
    while (this.#fireNext(end)) await turn();
    this.#now = end;
  }

  #fireNext(end: Milliseconds): boolean {
    const timer = this.#first();
    if (timer === undefined || timer.at > end) return false;
    this.#timers.delete(timer);
    this.#now = timer.at;
    timer.callback();
    return true;
  }

  #first(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer;
    }
    return first;
  }
}

/** Two turns of the event loop: promises settle, and I/O that is ready is delivered. */
async function turn(): Promise<void> {
  for (let turns = 0; turns < 2; turns += 1) await new Promise(resolve => setImmediate(resolve));
}
