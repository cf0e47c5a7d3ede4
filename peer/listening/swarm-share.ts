/**
 * The swarm's part in a fetch: which pieces are left to it, and whether it brings them (TSP §5.6).
 *
 *     away ─ a host says that it speaks PPSPP ─▶ joining: the last piece is awaited, which proves the size ─▶ joined
 *
 *     joined: as many pieces as it brings in two seconds ─ silent ─▶ none for a while; who never gave counts as deaf
 *
 * The rule: it only ever adds. What is left to it can be taken back at any time, and the first sound never waits for it.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import { RateMeter } from './fetch-source.js';

/** What a swarm of which nothing is known is left: enough for a few hosts at once. */
const FIRST_PIECES = 8;
const UNKNOWN_BYTES_PER_SECOND = 500_000;
/** Later, what it brings in this time. */
const SHARE_MS = 2_000;
/** After this a first guess at its rate is possible. */
const GUESS_MS = 250;
/** Nothing came for so long of what was left to it: three handshakes, lost, or a firewall. */
export const SWARM_SILENT_MS = 1_500;
/** After that the song comes without it for so long. */
export const SWARM_REST_MS = 10_000;

export class SwarmShare {
  #state: 'away' | 'joining' | 'joined' = 'away';
  readonly #wanted = new Map<number, Milliseconds>();
  /** Hosts that are in it, as far as we know; true: it gave something. */
  readonly #hosts = new Map<string, boolean>();
  readonly #rate: RateMeter;
  /** Since something is left to it, and what came since. */
  #workingSince: Milliseconds = 0;
  #broughtBytes = 0;
  #lastRate: number | undefined;
  #heardAt: Milliseconds = 0;
  #restUntil: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor() {
    this.#rate = new RateMeter(0);
  }

  get state(): 'away' | 'joining' | 'joined' {
    return this.#state;
  }

  /** Pieces that are left to it, and since when. */
  get wanted(): ReadonlyMap<number, Milliseconds> {
    return this.#wanted;
  }

  /** It brings what is left to it, or nothing is. */
  get isGiving(): boolean {
    return this.#state === 'joined' && [...this.#hosts.values()].includes(true);
  }

  /** This host gives by way of the swarm, where each brings what this one does by RANGE: there is no need to ask it so. */
  relieves(host: string, bytesPerSecond: number | undefined, now: Milliseconds): boolean {
    if (this.#hosts.get(host) !== true || bytesPerSecond === undefined) return false;
    const givers = [...this.#hosts.values()].filter(gave => gave).length;
    return (this.bytesPerSecond(now) ?? 0) >= givers * bytesPerSecond;
  }

  /** The first pieces that somebody as quick as this would bring sooner. */
  better(bytesPerSecond: number, now: Milliseconds): number[] {
    const count = this.#wanted.size;
    const ours = Math.max(1, this.bytesPerSecond(now) ?? UNKNOWN_BYTES_PER_SECOND);
    if (count * bytesPerSecond < 2 * ours) return [];
    const share = Math.max(1, Math.floor((count * bytesPerSecond) / (bytesPerSecond + ours)));
    return [...this.#wanted.keys()].sort((a, b) => a - b).slice(0, share);
  }

  /** Whether hosts that speak PPSPP are to be met there. */
  mayMeet(now: Milliseconds): boolean {
    return now >= this.#restUntil;
  }

  /** True: the last piece is to be fetched. */
  meet(host: string): boolean {
    if (!this.#hosts.has(host)) this.#hosts.set(host, false);
    if (this.#state !== 'away') return false;
    this.#state = 'joining';
    return true;
  }

  knows(host: string): boolean {
    return this.#hosts.has(host);
  }

  joined(): void {
    this.#state = 'joined';
  }

  /** It cannot be joined: nobody is met there. */
  abandon(): void {
    this.#hosts.clear();
    this.#restUntil = Number.POSITIVE_INFINITY;
  }

  /** Some bytes of it came, which are true. */
  heard(host: string, bytes: number, now: Milliseconds): void {
    this.#hosts.set(host, true);
    this.#heardAt = now;
    this.#rate.add(bytes);
    this.#broughtBytes += bytes;
  }

  /** It lied, or left. */
  lost(host: string): void {
    this.#hosts.delete(host);
  }

  /** How many pieces more are to be left to it. Not one at a time; less than none: so many are to be taken back. */
  room(now: Milliseconds): number {
    if (this.#state !== 'joined' || this.#hosts.size === 0) return 0;
    const perSecond = this.bytesPerSecond(now);
    const most =
      perSecond === undefined
        ? FIRST_PIECES
        : Math.max(1, Math.ceil((perSecond * SHARE_MS) / 1_000 / PIECE_BYTES));
    if (this.#wanted.size > 2 * most) return most - this.#wanted.size;
    return this.#wanted.size > 0.75 * most ? 0 : most - this.#wanted.size;
  }

  /** Of late; undefined while nobody can say. */
  bytesPerSecond(now: Milliseconds): number | undefined {
    const ms = now - this.#workingSince;
    if (this.#wanted.size === 0 || ms < GUESS_MS) return this.#lastRate;
    return this.#rate.bytesPerSecond(now) ?? (this.#broughtBytes * 1_000) / ms;
  }

  want(pieces: readonly number[], now: Milliseconds): void {
    if (this.#wanted.size === 0 && pieces.length > 0) {
      if (this.#broughtBytes > 0)
        this.#lastRate = (this.#broughtBytes * 1_000) / (this.#heardAt - this.#workingSince + 1);
      this.#heardAt = now;
      this.#rate.restart(now);
      this.#workingSince = now;
      this.#broughtBytes = 0;
    }
    for (const piece of pieces) this.#wanted.set(piece, now);
  }

  /** It came, or somebody else is asked for it. False: it was not left to the swarm. */
  unwant(piece: number): boolean {
    return this.#wanted.delete(piece);
  }

  /** The last `count` pieces that are left to it. */
  lastWanted(count: number): number[] {
    return [...this.#wanted.keys()].sort((a, b) => b - a).slice(0, count);
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#wanted.size === 0 ? undefined : this.#heardAt + SWARM_SILENT_MS;
  }

  /** Silent for too long: the pieces that it has no more, and the hosts that never gave anything. */
  expire(now: Milliseconds): { readonly pieces: number[]; readonly deaf: string[] } | undefined {
    if (now < (this.nextDeadline() ?? Number.POSITIVE_INFINITY)) return undefined;
    const pieces = [...this.#wanted.keys()];
    const deaf = [...this.#hosts].flatMap(([host, gave]) => (gave ? [] : [host]));
    this.#wanted.clear();
    this.#hosts.clear();
    this.#restUntil = now + SWARM_REST_MS;
    return { pieces, deaf };
  }
}
