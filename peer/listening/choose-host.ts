/**
 * Which host to ask first: a book of what each one showed, and the order that follows from it.
 *
 *     what it showed ──▶ expected ms until a first piece of 64 KiB is here ──▶ rank: least first
 *
 * The rule: nobody is struck off for good. A failure is forgotten within minutes, a full host until it said to come
 * again, a lie after an hour; until then such a host is only asked when nobody better is left. Strangers of equal
 * standing are shuffled, so that a thousand listeners don't all begin at the same host. Where an ALTO server says what
 * hosts cost, the cheapest come first among those that do no harm.
 */
import { isIp } from '../../protocol/ip.js';
import type { Milliseconds, RandomUnit } from '../../protocol/ports.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { parseHostPort } from '../../protocol/tsp/addresses.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { PeerRanking } from '../swarm/alto-ranking.js';

/** What is expected of a host that nobody met yet: an ordinary line to the next city. */
const STRANGER_ROUND_TRIP_MS = 100;
const STRANGER_BYTES_PER_SECOND = 500_000;
/** A failure costs a listener about the stall that it takes to notice it. */
const FAILURE_COSTS_MS = 2_000;
const FAILURE_HALF_LIFE_MS = 60_000;
const LIE_COSTS_MS = 1_000_000;
const LIE_REMEMBERED_MS = 60 * 60_000;
/** What the dearest hosts are held to be slower by: more than honest lines differ, and less than a failure costs. */
const DEAREST_MS = 1_000;
/** How much one new measurement counts against all earlier ones. */
const NEWEST_WEIGHT = 0.3;
/** Hosts that differ by less than this are equal: shuffled. */
const SHUFFLE_SHARE = 0.2;
/** Below that many bytes a rate says more about the round trip than about the line. */
const LEAST_MEASURED_BYTES = PIECE_BYTES;
/** The hosts heard of longest ago are forgotten first. */
const MAX_HOSTS_IN_BOOK = 2_000;

/** What a host said of itself in WELCOME, and whether it is true on UDP, is worth asking again after this. */
const CARD_KEPT_MS = 10 * 60_000;

/** What a host said of itself (TSP §3.3). */
export interface HostCard {
  readonly name?: string;
  /** It speaks PPSPP there (TSP §5.6). */
  readonly swarmPort?: number;
}

interface Entry {
  roundTripMs?: number;
  bytesPerSecond?: number;
  failures: number;
  failedAt: Milliseconds;
  busyUntil: Milliseconds;
  liedAt: Milliseconds;
  card?: HostCard;
  cardAt: Milliseconds;
}

export class HostBook {
  readonly #random: RandomUnit;
  readonly #ranking: Pick<PeerRanking, 'cost' | 'consider'> | undefined;
  readonly #entries = new Map<string, Entry>();

  constructor(random: RandomUnit, ranking?: Pick<PeerRanking, 'cost' | 'consider'>) {
    this.#random = random;
    this.#ranking = ranking;
  }

  /** Asks what these hosts cost, where there is somebody to ask; the answer counts from when it comes. */
  considerCosts(hosts: readonly string[]): void {
    this.#ranking?.consider(hosts.flatMap(addressOf), () => {});
  }

  /** It does what it should; `roundTripMs` where a dial or a PING told. */
  alive(host: string, roundTripMs?: number): void {
    const entry = this.#entry(host);
    if (roundTripMs !== undefined) entry.roundTripMs = blend(entry.roundTripMs, roundTripMs);
    entry.failures /= 2;
  }

  /** It delivered `bytes` in `ms`, during which it owed some all the time. */
  delivered(host: string, bytes: number, ms: number): void {
    if (bytes < LEAST_MEASURED_BYTES) return;
    const entry = this.#entry(host);
    entry.bytesPerSecond = blend(entry.bytesPerSecond, (bytes * 1_000) / Math.max(ms, 0.1));
  }

  /** It was unreachable, broke off, stalled, or broke the protocol. */
  failed(host: string, now: Milliseconds): void {
    const entry = this.#entry(host);
    entry.failures = this.#failures(entry, now) + 1;
    entry.failedAt = now;
  }

  busy(host: string, until: Milliseconds): void {
    this.#entry(host).busyUntil = until;
  }

  /** It sent bytes that are not those of the song. */
  lied(host: string, now: Milliseconds): void {
    this.#entry(host).liedAt = now;
  }

  /** It answered HELLO. */
  greeted(host: string, card: HostCard, now: Milliseconds): void {
    const entry = this.#entry(host);
    entry.card = card;
    entry.cardAt = now;
  }

  /** It says that it speaks PPSPP, and does not: a firewall. */
  deaf(host: string, now: Milliseconds): void {
    const { name } = this.#entries.get(host)?.card ?? {};
    this.greeted(host, name === undefined ? {} : { name }, now);
  }

  /** Undefined when it was not asked lately. */
  cardOf(host: string, now: Milliseconds): HostCard | undefined {
    const entry = this.#entries.get(host);
    return entry !== undefined && now - entry.cardAt < CARD_KEPT_MS ? entry.card : undefined;
  }

  hasLied(host: string, now: Milliseconds): boolean {
    const entry = this.#entries.get(host);
    return entry !== undefined && now - entry.liedAt < LIE_REMEMBERED_MS;
  }

  /** What it calls itself, if it was ever asked. */
  nameOf(host: string): string | undefined {
    return this.#entries.get(host)?.card?.name;
  }

  /** All its slots were taken, and it did not say to come again yet. */
  isBusy(host: string, now: Milliseconds): boolean {
    return now < (this.#entries.get(host)?.busyUntil ?? 0);
  }

  /** bytes/s as last seen. */
  bytesPerSecond(host: string): number | undefined {
    return this.#entries.get(host)?.bytesPerSecond;
  }

  /** The same hosts without repetition, the best first. */
  rank(hosts: Iterable<string>, now: Milliseconds): string[] {
    const all = [...new Set(hosts)];
    const dearness = this.#dearness(all);
    return all
      .map(host => ({
        host,
        cost: this.#cost(host, now) * (1 + SHUFFLE_SHARE * this.#random()) + dearness(host) * DEAREST_MS,
      }))
      .sort((a, b) => a.cost - b.cost)
      .map(({ host }) => host);
  }

  #cost(host: string, now: Milliseconds): number {
    const entry = this.#entries.get(host);
    const transferMs = (PIECE_BYTES * 1_000) / (entry?.bytesPerSecond ?? STRANGER_BYTES_PER_SECOND);
    const ms = (entry?.roundTripMs ?? STRANGER_ROUND_TRIP_MS) + transferMs;
    if (entry === undefined) return ms;
    const failed = this.#failures(entry, now) * FAILURE_COSTS_MS;
    const lied = this.hasLied(host, now) ? LIE_COSTS_MS : 0;
    return ms + failed + lied + Math.max(0, entry.busyUntil - now);
  }

  /** Of each host 0, the cheapest, to 1; whose cost nobody knows is as dear as the dearest. */
  #dearness(hosts: readonly string[]): (host: string) => number {
    const costOf = (host: string): number | undefined =>
      addressOf(host).flatMap(({ address }) => this.#ranking?.cost(address) ?? [])[0];
    const costs = [...new Set(hosts.flatMap(host => costOf(host) ?? []))].sort((a, b) => a - b);
    if (costs.length === 0) return () => 0;
    return host => {
      const place = costs.indexOf(costOf(host) ?? Number.NaN);
      return place === -1 ? 1 : place / costs.length;
    };
  }

  #failures(entry: Entry, now: Milliseconds): number {
    return entry.failures * 0.5 ** ((now - entry.failedAt) / FAILURE_HALF_LIFE_MS);
  }

  #entry(host: string): Entry {
    const entry = this.#entries.get(host) ?? {
      failures: 0,
      failedAt: 0,
      busyUntil: 0,
      liedAt: Number.NEGATIVE_INFINITY,
      cardAt: Number.NEGATIVE_INFINITY,
    };
    // Set again, so that a Map's order is that of the last mention.
    this.#entries.delete(host);
    this.#entries.set(host, entry);
    if (this.#entries.size > MAX_HOSTS_IN_BOOK) this.#entries.delete(this.#entries.keys().next().value!);
    return entry;
  }
}

/** Nothing for a name, of which ALTO knows nothing. */
function addressOf(host: string): PeerAddress[] {
  const parsed = parseHostPort(host);
  return parsed === undefined || !isIp(parsed.host) ? [] : [{ address: parsed.host, port: parsed.port }];
}

const blend = (earlier: number | undefined, newest: number): number =>
  earlier === undefined ? newest : earlier + NEWEST_WEIGHT * (newest - earlier);
