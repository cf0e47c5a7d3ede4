/**
 * Which neighbours are sent chunks: each takes an upload slot, of which TSP's listeners have theirs too (`--slots`),
 * or shares the one of its TSP connection.
 *
 *     asks ─▶ a slot ─▶ served ─ 10 s without a question ─▶ slot free
 *               │            └─── 10 s without any word ────▶ slot free, CHOKE; heard again, it waits as others do
 *               └ none: CHOKE, and it waits ─ a slot is free ─▶ UNCHOKE, and it may ask
 */
import { toHex } from '../../protocol/bytes.js';
import type { Milliseconds } from '../../protocol/ports.js';
import type { Channel } from '../../protocol/ppspp/channel.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { Upload, UploadSlots } from '../hosting/slots.js';

/** As for a TSP listener (TSP §5.3). */
const HOLD_MS = 10_000;
/** A free slot is found after so long: those of TSP are given back without a word. */
const LOOK_EVERY_MS = 500;

/** The part of hosting's slots that is used here. */
export type Slots = Pick<UploadSlots, 'take' | 'release'>;

export class ServedNeighbours {
  readonly #slots: Slots;
  readonly #holdMs: Milliseconds;
  /** When each was last asking. */
  readonly #served = new Map<Channel, { readonly upload: Upload; askedAt: Milliseconds }>();
  /** The first has waited longest. Who was not heard `since` is not there to be served. */
  readonly #waiting = new Map<Channel, { readonly upload: Upload; readonly since: Milliseconds }>();
  #lookAt: Milliseconds = Number.POSITIVE_INFINITY;

  constructor(slots: Slots, holdMs: Milliseconds = HOLD_MS) {
    this.#slots = slots;
    this.#holdMs = holdMs;
  }

  asked(channel: Channel, from: PeerAddress, now: Milliseconds): void {
    this.#lookAt = Math.min(this.#lookAt, now + LOOK_EVERY_MS);
    if (this.#served.has(channel)) return;
    const song = toHex(channel.swarm.metadata.swarmId) as ContentHash;
    const upload: Upload = { to: from.address, song, way: 'channel' };
    if (this.#slots.take(now, upload)) {
      this.#served.set(channel, { upload, askedAt: now });
      return;
    }
    this.#wait(channel, upload, now);
  }

  left(channel: Channel): void {
    this.#waiting.delete(channel);
    const served = this.#served.get(channel);
    if (served === undefined) return;
    this.#served.delete(channel);
    this.#slots.release(served.upload);
  }

  /** Takes slots back, and gives free ones to who waits. */
  look(now: Milliseconds): void {
    if (now < this.#lookAt) return;
    for (const channel of [...this.#served.keys(), ...this.#waiting.keys()])
      if (channel.state === 'ended') this.left(channel);
    for (const [channel, served] of this.#served) {
      if (!channel.isAsked) {
        if (now - served.askedAt >= this.#holdMs) this.left(channel);
      } else if (now - channel.heardAt < HOLD_MS) served.askedAt = now;
      else {
        this.left(channel);
        this.#wait(channel, served.upload, now);
      }
    }
    for (const [channel, { upload, since }] of this.#waiting) {
      if (channel.heardAt < since) continue;
      if (!this.#slots.take(now, upload)) break;
      this.#waiting.delete(channel);
      this.#served.set(channel, { upload, askedAt: now });
      channel.unchoke();
    }
    const isIdle = this.#served.size === 0 && this.#waiting.size === 0;
    this.#lookAt = isIdle ? Number.POSITIVE_INFINITY : now + LOOK_EVERY_MS;
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#lookAt === Number.POSITIVE_INFINITY ? undefined : this.#lookAt;
  }

  #wait(channel: Channel, upload: Upload, since: Milliseconds): void {
    this.#waiting.set(channel, { upload, since });
    channel.choke();
  }
}
