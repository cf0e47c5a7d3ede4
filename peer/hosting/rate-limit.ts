/**
 * `--max-upload`: one token bucket for all listeners together, shared out in turn.
 *
 *     refill at bytesPerSecond ─▶ [ bucket: at most 250 ms' worth ] ─▶ lane 1 ─▶ lane 2 ─▶ … ─▶ lane 1
 *
 * The rule: over any span of time no more leaves than the rate times (span + 250 ms). Every waiting lane gets a share of
 * at most 50 ms' worth and goes to the end of the queue, so a listener with a fast line takes nothing from the others.
 */
import type { Clock, Milliseconds } from '../../protocol/ports.js';

export const BURST_MS = 250;
/** A fifth of the bucket: five listeners can be served from one burst, and no wait is longer than it must be. */
const SHARE_MS = 50;

interface Waiting {
  readonly lane: object;
  readonly wanted: number;
  readonly grant: (bytes: number) => void;
}

export class RateLimit {
  readonly #bytesPerSecond: number;
  readonly #capacity: number;
  readonly #share: number;
  readonly #clock: Clock;
  #tokens: number;
  #refilledAt: Milliseconds;
  #queue: Waiting[] = [];
  #cancelTimer: (() => void) | undefined;

  /** `bytesPerSecond` Infinity: no limit. */
  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    // A byte at least, or a rate below 20 B/s would never send one.
    this.#capacity = Math.max(1, (bytesPerSecond * BURST_MS) / 1_000);
    this.#share = Math.max(1, Math.floor((bytesPerSecond * SHARE_MS) / 1_000));
    this.#clock = clock;
    this.#tokens = this.#capacity;
    this.#refilledAt = clock.now();
  }

  /**
   * How many bytes this lane may send now, 1 … `wanted`: at once when nobody waits and there are enough, else when its
   * turn comes. A lane asks again only after it has been answered. 0: the lane was cancelled meanwhile.
   */
  take(lane: object, wanted: number): number | Promise<number> {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return wanted;
    this.#refill();
    const bytes = Math.min(wanted, this.#share);
    if (this.#queue.length === 0 && this.#tokens >= bytes) {
      this.#tokens -= bytes;
      return bytes;
    }
    return new Promise(grant => {
      this.#queue.push({ lane, wanted: bytes, grant });
      this.#wakeForFirst();
    });
  }

  /** What was granted and could not be used. */
  giveBack(bytes: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + bytes);
  }

  /** The listener is gone: what it waits for is answered 0. */
  cancel(lane: object): void {
    const index = this.#queue.findIndex(waiting => waiting.lane === lane);
    if (index === -1) return;
    const [waiting] = this.#queue.splice(index, 1);
    waiting?.grant(0);
    if (index === 0) this.#wakeForFirst();
  }

  #refill(): void {
    const now = this.#clock.now();
    this.#tokens = Math.min(
      this.#capacity,
      this.#tokens + ((now - this.#refilledAt) * this.#bytesPerSecond) / 1_000,
    );
    this.#refilledAt = now;
  }

  #serve(): void {
    this.#cancelTimer = undefined;
    this.#refill();
    for (
      let first = this.#queue[0];
      first !== undefined && this.#tokens >= first.wanted;
      first = this.#queue[0]
    ) {
      this.#tokens -= first.wanted;
      this.#queue.shift();
      first.grant(first.wanted);
    }
    this.#wakeForFirst();
  }

  #wakeForFirst(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const first = this.#queue[0];
    if (first === undefined) return;
    const missing = Math.max(0, first.wanted - this.#tokens);
    this.#cancelTimer = this.#clock.after(Math.ceil((missing * 1_000) / this.#bytesPerSecond), () =>
      this.#serve(),
    );
  }
}
