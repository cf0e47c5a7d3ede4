/**
 * `--max-upload`: one token bucket for all listeners together, shared out in turn.
 *
 *     refill at bytesPerSecond ─▶ [ bucket: at most 250 ms' worth ] ─▶ lane 1 ─▶ lane 2 ─▶ … ─▶ lane 1
 *
 * The rule: over any span of time no more leaves than the rate times (span + 250 ms). Every waiting lane gets a share of
 * at most 50 ms' worth and goes to the end of the queue, so a listener with a fast line takes nothing from the others.
 */
import type { Clock } from '../../protocol/ports.js';
import { TokenBucket } from '../../protocol/token-bucket.js';

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
  readonly #share: number;
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  #queue: Waiting[] = [];
  #cancelTimer: (() => void) | undefined;

  /** `bytesPerSecond` Infinity: no limit. */
  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    // A byte at least, or a rate below 20 B/s would never send one.
    const burst = Math.max(1, (bytesPerSecond * BURST_MS) / 1_000);
    this.#share = Math.max(1, Math.floor((bytesPerSecond * SHARE_MS) / 1_000));
    this.#clock = clock;
    this.#bucket = new TokenBucket({ burst, perSecond: bytesPerSecond }, clock.now());
  }

  /**
   * How many bytes this lane may send now, 1 … `wanted`: at once when nobody waits and there are enough, else when its
   * turn comes. A lane asks again only after it has been answered. 0: the lane was cancelled meanwhile.
   */
  take(lane: object, wanted: number): number | Promise<number> {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return wanted;
    const bytes = Math.min(wanted, this.#share);
    if (this.#queue.length === 0 && this.#bucket.take(bytes, this.#clock.now())) return bytes;
    return new Promise(grant => {
      this.#queue.push({ lane, wanted: bytes, grant });
      this.#wakeForFirst();
    });
  }

  /** All of them, in as many turns as it takes; undefined: at once. Resolves with false when the lane was cancelled. */
  takeAll(lane: object, bytes: number): Promise<boolean> | undefined {
    return this.#bytesPerSecond === Number.POSITIVE_INFINITY ? undefined : this.#takeInTurns(lane, bytes);
  }

  /** What was granted and could not be used. */
  giveBack(bytes: number): void {
    this.#bucket.giveBack(bytes);
  }

  /** The listener is gone: what it waits for is answered 0. */
  cancel(lane: object): void {
    const index = this.#queue.findIndex(waiting => waiting.lane === lane);
    if (index === -1) return;
    const [waiting] = this.#queue.splice(index, 1);
    waiting?.grant(0);
    if (index === 0) this.#wakeForFirst();
  }

  async #takeInTurns(lane: object, bytes: number): Promise<boolean> {
    for (let granted = 0; granted < bytes; ) {
      const more = await this.take(lane, bytes - granted);
      if (more === 0) return false;
      granted += more;
    }
    return true;
  }

  #serve(): void {
    this.#cancelTimer = undefined;
    const now = this.#clock.now();
    let first = this.#queue[0];
    while (first !== undefined && this.#bucket.take(first.wanted, now)) {
      this.#queue.shift();
      first.grant(first.wanted);
      first = this.#queue[0];
    }
    this.#wakeForFirst();
  }

  #wakeForFirst(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const first = this.#queue[0];
    if (first === undefined) return;
    const waitMs = this.#bucket.waitFor(first.wanted, this.#clock.now());
    this.#cancelTimer = this.#clock.after(Math.ceil(waitMs), () => this.#serve());
  }
}
