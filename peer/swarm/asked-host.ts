/**
 * One host as the picker sees it: what it has and owes, how fast it delivers, and how long the oldest debt is.
 *
 *     room = what it delivers in a second − what it owes        a host that lets a debt grow old is asked nothing for a while
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { Channel } from '../../protocol/ppspp/channel.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { ChunkRange } from '../../protocol/ppspp/messages.js';
import { ArrivalRate } from './arrival-rate.js';

/** Chunks asked of the slowest host. */
const LEAST_CHUNKS = 8;
/** 8 MiB at 1,024 bytes: more is no faster. */
const MOST_CHUNKS = 8_192;
/** What a host delivers in this time is asked of it: longer than any round trip. */
const HORIZON_S = 1;
/** A chunk is late when it takes longer. Time enough for one question that got lost. */
const LATE_MS = 1_500;
/** No chunk is late sooner, however soon it is needed: a round trip and a burst of others before it. */
const SOONEST_LATE_MS = 300;
/** So long is nothing asked of a host that was late with everything. */
const REST_MS = 5_000;

/** Who is asked for chunks: a channel, or another way to the same content. */
export type Asked = Pick<Channel, 'peerHas' | 'wanted' | 'mayRequest' | 'request' | 'cancel'>;

interface Debt {
  readonly range: ChunkRange;
  readonly at: Milliseconds;
}

export class AskedHost {
  readonly #rate = new ArrivalRate();
  #debts: Debt[] = [];
  #lastCame: Milliseconds = Number.NEGATIVE_INFINITY;
  #restsUntil: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(readonly channel: Asked) {}

  /** Chunks that it owes. */
  get owed(): number {
    return this.channel.wanted.reduce((sum, { start, end }) => sum + end - start + 1, 0);
  }

  perSecond(now: Milliseconds): number {
    return this.#rate.perSecond(now);
  }

  /** How many chunks more it may be asked. Not a few at a time. */
  room(now: Milliseconds): number {
    if (!this.channel.mayRequest || now < this.#restsUntil) return 0;
    const { owed } = this;
    if (owed === 0) this.#rate.rests(now);
    const most = Math.min(MOST_CHUNKS, Math.max(LEAST_CHUNKS, Math.round(this.perSecond(now) * HORIZON_S)));
    return owed <= 0.75 * most ? most - owed : 0;
  }

  /** False: it takes no more. */
  ask(range: ChunkRange, now: Milliseconds): boolean {
    if (!this.channel.request(range)) return false;
    this.#rate.asked(now);
    this.#debts.push({ range, at: now });
    return true;
  }

  came(chunks: number, now: Milliseconds): void {
    this.#rate.came(chunks, now);
    this.#lastCame = now;
    this.#restsUntil = Number.NEGATIVE_INFINITY;
  }

  /** Since when it owes the oldest of what it owes; undefined: nothing. */
  get owesSince(): Milliseconds | undefined {
    return this.#oldest()?.at;
  }

  /** Nothing has come of what it owes for too long: it is left alone for a while. True as long as it owes that. */
  isSilent(now: Milliseconds): boolean {
    const since = this.owesSince;
    const silent = since !== undefined && now - Math.max(since, this.#lastCame) > LATE_MS;
    if (silent) this.#restsUntil = now + REST_MS;
    return silent;
  }

  /** It is left alone for a while. */
  isResting(now: Milliseconds): boolean {
    return now < this.#restsUntil;
  }

  /** Chunks that it owes for too long; `dueAt`: when one is needed, for then there is less patience. */
  late(now: Milliseconds, dueAt: (chunk: number) => Milliseconds): ChunkSet {
    const late = new ChunkSet();
    this.#oldest();
    for (const { range, at } of this.#debts) {
      if (now - at <= SOONEST_LATE_MS) break;
      // Half of the time that there was is given to one host, the other half is left to another.
      const patienceMs = Math.min(LATE_MS, Math.max(SOONEST_LATE_MS, (dueAt(range.start) - at) / 2));
      if (now - at <= patienceMs) continue;
      for (const wanted of this.channel.wanted) {
        const start = Math.max(wanted.start, range.start);
        const end = Math.min(wanted.end, range.end);
        if (start <= end) late.add({ start, end });
      }
    }
    return late;
  }

  /** Forgets debts that are paid. */
  #oldest(): Debt | undefined {
    const { wanted } = this.channel;
    const isOpen = ({ range }: Debt): boolean =>
      wanted.some(({ start, end }) => start <= range.end && end >= range.start);
    const first = this.#debts.findIndex(isOpen);
    this.#debts = first === -1 ? [] : this.#debts.slice(first);
    return this.#debts[0];
  }
}
