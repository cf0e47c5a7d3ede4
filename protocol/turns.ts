/**
 * Long work, a slice at a time: whoever has more to do than a moment's work waits here for each next moment.
 *
 *     slice, pause ─▶ [ first · second · … ] ─▶ as many slices as 2 ms hold ─▶ everybody's sockets and timers ─▶ …
 *
 * The rule: however many have something long to do, whoever asks something short is answered a few milliseconds later.
 * They take turns, so a thousand that are greedy hold up each other and nobody else. Time and the event loop are lent.
 */
import type { Clock, Milliseconds } from './ports.js';

/** What one of them may do before it pauses. */
export const SLICE_MS: Milliseconds = 1;
/** Of each turn of the event loop. What comes in meanwhile waits for it, and for a slice that began late. */
export const TURN_MS: Milliseconds = 2;
/** As long as newcomers come they have so many times as long as long work: a good client may be among them. */
const NEWCOMERS_SHARE = 3;

/** The slice that somebody has now, who asks between two steps of the work whether it is over. */
export class Slice {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #turns: Pick<Turns, 'pause'>;
  #endsAt: Milliseconds = 0;

  constructor(clock: Pick<Clock, 'now'>, turns: Pick<Turns, 'pause'>) {
    this.#clock = clock;
    this.#turns = turns;
  }

  begin(): void {
    this.#endsAt = this.#clock.now() + SLICE_MS;
  }

  /** Undefined: not yet. Else resolves when everybody else has had a turn, and the next has begun. */
  over(): Promise<void> | undefined {
    return this.#clock.now() < this.#endsAt ? undefined : this.#next();
  }

  async #next(): Promise<void> {
    await this.#turns.pause();
    this.begin();
  }
}

export class Turns {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #nextTurn: () => Promise<unknown>;
  readonly #waiting: (() => void)[] = [];
  #isRunning = false;
  #hasNewcomer = false;
  /** On what was done at once in this turn of the event loop; undefined: nothing was. */
  #spentMs: Milliseconds | undefined;

  /** `nextTurn` resolves when the event loop has been round: Node's `setImmediate`. */
  constructor(clock: Pick<Clock, 'now'>, nextTurn: () => Promise<unknown>) {
    this.#clock = clock;
    this.#nextTurn = nextTurn;
  }

  /** Resolves when everybody else has had a turn; what the caller then does before it next awaits is its slice. */
  pause(): Promise<void> {
    if (!this.#isRunning) void this.#run();
    return new Promise(resolve => this.#waiting.push(resolve));
  }

  /**
   * Somebody new came in, and more may wait outside: Node 20 lets in one a turn. So turns are short for some times as long
   * as the last long one was, or a crowd at the door and a long list would make everybody wait for seconds.
   */
  newcomer(): void {
    this.#hasNewcomer = true;
  }

  /** Does it at once; when a whole turn has been spent on such work already, one turn or some later. */
  soon(work: () => void): void {
    if (this.#spentMs !== undefined && this.#spentMs >= TURN_MS) {
      void this.pause().then(work);
      return;
    }
    if (this.#spentMs === undefined) void this.#forgetNextTurn();
    const began = this.#clock.now();
    work();
    this.#spentMs = (this.#spentMs ?? 0) + this.#clock.now() - began;
  }

  async #forgetNextTurn(): Promise<void> {
    await this.#nextTurn();
    this.#spentMs = undefined;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    let shortUntil: Milliseconds = 0;
    do {
      do {
        this.#hasNewcomer = false;
        await this.#nextTurn();
      } while (this.#hasNewcomer && this.#clock.now() < shortUntil);
      const began = this.#clock.now();
      const until = began + TURN_MS;
      // Whoever pauses again stands behind these, and has the next turn.
      for (let left = this.#waiting.length; left > 0; left -= 1) {
        this.#waiting.shift()!();
        // Meanwhile the slice is done.
        await undefined;
        if (this.#clock.now() >= until) break;
      }
      const now = this.#clock.now();
      shortUntil = now + NEWCOMERS_SHARE * (now - began);
    } while (this.#waiting.length > 0);
    this.#isRunning = false;
  }
}
