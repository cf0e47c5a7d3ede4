/**
 * Which neighbours are sent chunks: each takes an upload slot, of which TSP's listeners have theirs too (`--slots`).
 *
 *     asks ─▶ a slot ─▶ served ─ 10 s without a question ─▶ slot free
 *               └ none: CHOKE, and it waits ─ a slot is free ─▶ UNCHOKE, and it may ask
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { Channel } from '../../protocol/ppspp/channel.js';
import type { UploadSlots } from '../hosting/slots.js';

/** As for a TSP listener (TSP §5.3). */
const HOLD_MS = 10_000;
/** A free slot is found after so long: those of TSP are given back without a word. */
const LOOK_EVERY_MS = 500;

/** The part of hosting's slots that is used here. */
export type Slots = Pick<UploadSlots, 'take' | 'release'>;

export class ServedNeighbours {
  readonly #slots: Slots;
  /** When each was last asking. */
  readonly #served = new Map<Channel, Milliseconds>();
  /** The first has waited longest. */
  readonly #waiting = new Set<Channel>();
  #lookAt: Milliseconds = Number.POSITIVE_INFINITY;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  asked(channel: Channel, now: Milliseconds): void {
    this.#lookAt = Math.min(this.#lookAt, now + LOOK_EVERY_MS);
    if (this.#served.has(channel)) return;
    if (this.#slots.take(now)) {
      this.#served.set(channel, now);
      return;
    }
    this.#waiting.add(channel);
    channel.choke();
  }

  left(channel: Channel): void {
    this.#waiting.delete(channel);
    if (this.#served.delete(channel)) this.#slots.release();
  }

  /** Takes slots back, and gives free ones to who waits. */
  look(now: Milliseconds): void {
    if (now < this.#lookAt) return;
    for (const channel of [...this.#served.keys(), ...this.#waiting])
      if (channel.state === 'ended') this.left(channel);
    for (const [channel, askedAt] of this.#served) {
      if (channel.isAsked) this.#served.set(channel, now);
      else if (now - askedAt >= HOLD_MS) this.left(channel);
    }
    for (const channel of this.#waiting) {
      if (!this.#slots.take(now)) break;
      this.#waiting.delete(channel);
      this.#served.set(channel, now);
      channel.unchoke();
    }
    const isIdle = this.#served.size === 0 && this.#waiting.size === 0;
    this.#lookAt = isIdle ? Number.POSITIVE_INFINITY : now + LOOK_EVERY_MS;
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#lookAt === Number.POSITIVE_INFINITY ? undefined : this.#lookAt;
  }
}
