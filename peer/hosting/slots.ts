/**
 * Upload slots: how many listeners may be sent songs at a time (`--slots`; TSP §5.3, §5.6).
 *
 *     take() ─▶ true: the listener has a slot until release()      false: `busy`, and somebody waits
 *
 * Who is sent a song over a connection and through its swarm at once has one slot for both. As the two have nothing in common
 * but the address and the song, one connection and one channel with the same ones are taken for the same listener's. So two
 * listeners of one song behind one router can have a slot together, each in its way: the port that HELLO names tells them
 * apart no better, for a router makes another of it.
 * Who was turned away is expected back within the time that `busy` named; until then slots count as contended, and a
 * listener that takes nothing loses its slot sooner.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';

/** Soon enough for a song to be wanted still, late enough that a hundred waiting listeners cost nothing. */
export const BUSY_RETRY_MS = 2_000;
/** Twice the pause that we asked for, since a listener may add jitter. */
const CONTENDED_MS = 2 * BUSY_RETRY_MS;

/** One way in which somebody is sent a song. */
export interface Upload {
  /** Its IP address. */
  readonly to: string;
  readonly song: ContentHash;
  readonly way: 'connection' | 'channel';
}

export class UploadSlots {
  #used = 0;
  /** How many there are of each way, by address and song. */
  readonly #ways = new Map<string, { connection: number; channel: number }>();
  #lastRefusal = Number.NEGATIVE_INFINITY;

  /** Infinity: no limit. */
  constructor(readonly limit: number) {}

  get used(): number {
    return this.#used;
  }

  take(now: Milliseconds, upload?: Upload): boolean {
    if (!this.#hasRoom(upload)) {
      this.#lastRefusal = now;
      return false;
    }
    this.#add(upload);
    return true;
  }

  /** The same listener goes on with another song: what its slot counts as from now on. */
  turn(from: Upload, to: Upload): Upload {
    this.release(from);
    const upload = this.#hasRoom(to) ? to : from;
    this.#add(upload);
    return upload;
  }

  /** For who was turned away. */
  get whyFull(): string {
    return this.limit === 1 ? 'its one upload slot is taken' : `all ${this.limit} upload slots are taken`;
  }

  /** What `take` was given. */
  release(upload?: Upload): void {
    const ways = upload && this.#ways.get(keyOf(upload));
    if (ways === undefined) {
      this.#used -= 1;
      return;
    }
    ways[upload!.way] -= 1;
    // The other way, of which there are more, keeps the slot.
    if (!this.#isBeside(upload)) this.#used -= 1;
    if (ways.connection + ways.channel === 0) this.#ways.delete(keyOf(upload!));
  }

  contended(now: Milliseconds): boolean {
    return now - this.#lastRefusal < CONTENDED_MS;
  }

  #hasRoom(upload: Upload | undefined): boolean {
    return this.#isBeside(upload) || this.#used < this.limit;
  }

  /** There is more of the other way, whose slot is for this one, too. */
  #isBeside(upload: Upload | undefined): boolean {
    const ways = upload && this.#ways.get(keyOf(upload));
    if (ways === undefined) return false;
    return upload!.way === 'channel' ? ways.connection > ways.channel : ways.channel > ways.connection;
  }

  #add(upload: Upload | undefined): void {
    if (!this.#isBeside(upload)) this.#used += 1;
    if (upload === undefined) return;
    const ways = this.#ways.get(keyOf(upload)) ?? { connection: 0, channel: 0 };
    ways[upload.way] += 1;
    this.#ways.set(keyOf(upload), ways);
  }
}

const keyOf = ({ to, song }: Upload): string => `${to} ${song}`;
