/**
 * How many listeners one feed is sent to at a time, by PLAY, to players of RTMP and Icecast, and through its swarm together
 * (TSP §5.6).
 *
 *     upload rate ÷ what a listener takes = places        all taken: PLAY and players are told, a neighbour in the swarm waits
 *
 * The rule: in a swarm a listener feeds others, so one place is kept for it, and more of them it takes first come, first
 * served.
 */
import type { Slots } from '../swarm/served-neighbours.js';

/** Beside the music: proofs, announcements, headers; and a line that is full to the brim is late. */
const SHARE_OF_LINE = 0.8;
/** Where nobody knows how fast the line is. */
const USUAL_NEIGHBOURS = 8;

/** For who was turned away. */
export const LINE_IS_FULL = 'as many listen here as the line can bear';

export class FeedPlaces implements Slots {
  /** The feed has a swarm: one place is kept for it. */
  hasSwarm = false;
  readonly #bytesPerSecond: number;
  readonly #bitrate: () => number;
  #neighbours = 0;
  #listeners = 0;

  /** `bytesPerSecond`: to all together; Infinity: nobody knows. `bitrate`: the feed's, bit/s. */
  constructor(bytesPerSecond: number, bitrate: () => number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#bitrate = bitrate;
  }

  get used(): number {
    return this.#neighbours + this.#listeners;
  }

  /** For a neighbour in the swarm. */
  take(): boolean {
    const isFree =
      this.#bytesPerSecond === Number.POSITIVE_INFINITY
        ? this.#neighbours < USUAL_NEIGHBOURS
        : this.#free > 0;
    if (isFree) this.#neighbours += 1;
    return isFree;
  }

  release(): void {
    this.#neighbours -= 1;
  }

  /** For a listener by PLAY, or a player. */
  takeForPlay(): boolean {
    const kept = this.hasSwarm && this.#neighbours === 0 ? 1 : 0;
    const isFree = this.#free > kept;
    if (isFree) this.#listeners += 1;
    return isFree;
  }

  releaseFromPlay(): void {
    this.#listeners -= 1;
  }

  get #places(): number {
    const fewest = this.hasSwarm ? 2 : 1;
    return Math.max(fewest, Math.floor((this.#bytesPerSecond * 8 * SHARE_OF_LINE) / this.#bitrate()));
  }

  get #free(): number {
    return this.#places - this.#listeners - this.#neighbours;
  }
}
