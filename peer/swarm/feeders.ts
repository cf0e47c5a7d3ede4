/**
 * Of whom a listener of a live swarm asks chunks: of a few, so that there are places for everybody.
 *
 *     neighbours ─ those who are furthest, and let us ask ─▶ feeders ─ choked, silent, gone, far behind others ─▶ the next
 *
 * The rule: who is asked and has no place says so at once (CHOKE), and somebody else is tried; and nobody is kept who is far
 * behind, or those who feed each other would ask nobody who is fed by the source. Pure.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { AskedHost } from './asked-host.js';

/** A second of 128 kbit/s, as long as news may take to those who ask for nothing. */
const FAR_BEHIND_CHUNKS = 16;

export class Feeders {
  readonly #most: number;
  readonly #chosen = new Set<AskedHost>();

  constructor(most: number) {
    this.#most = most;
  }

  get isComplete(): boolean {
    return this.#chosen.size === this.#most;
  }

  /** Out of all that there are. */
  choose(hosts: readonly AskedHost[], now: Milliseconds): readonly AskedHost[] {
    const able = hosts.filter(host => host.channel.mayRequest && !host.isSilent(now) && !host.isResting(now));
    for (const feeder of this.#chosen) if (!able.includes(feeder)) this.#chosen.delete(feeder);
    const others = able.filter(host => !this.#chosen.has(host) && furthest(host) >= 0);
    others.sort((a, b) => furthest(b) - furthest(a));
    if (others.length > 0) this.#dropWhoIsBehind(furthest(others[0]!));
    for (const host of others.slice(0, this.#most - this.#chosen.size)) this.#chosen.add(host);
    return [...this.#chosen];
  }

  /** One at a time. */
  #dropWhoIsBehind(best: number): void {
    if (this.#chosen.size < this.#most) return;
    const last = [...this.#chosen].reduce((a, b) => (furthest(b) < furthest(a) ? b : a));
    if (best - furthest(last) > FAR_BEHIND_CHUNKS) this.#chosen.delete(last);
  }
}

/** The last chunk that it has. */
const furthest = ({ channel }: AskedHost): number => channel.peerHas?.ranges.at(-1)?.end ?? -1;
