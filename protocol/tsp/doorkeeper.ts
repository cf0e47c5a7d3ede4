/**
 * Who may connect to a tracker or a host, judged before a byte is read (TSP §7): so many at once, so many from one address,
 * so many new ones a second; and those who have said nothing yet are at most a quarter of all.
 *
 *     accept ─▶ full? ─▶ address has 64? ─▶ 20 a second? ─▶ in          no: ERROR too-many, and the door closes
 *
 * Loopback is no exception, since a page in somebody's browser reaches it too. Pure: told the time and the address.
 */
import type { Milliseconds } from '../ports.js';
import { BucketTable } from '../token-bucket.js';
import type { ErrorBody } from './messages.js';

/** With 64 connections an address: 20 new ones a second, 40 at once. Other limits scale these. */
const NEW_PER_SECOND_SHARE = 20 / 64;
const NEW_BURST_SHARE = 40 / 64;
/** A slowloris holds its place no longer than it takes others to want it. */
const PENDING_SHARE = 0.25;
const RETRY_MS = 2_000;
/** For `listen`: the system's usual 511 overflowed four thousand times when five thousand peers came back at once. */
export const LISTEN_BACKLOG = 4_096;
/** Being polite to those who are turned away costs a socket each, for a second; past this they are just closed. */
export const MAX_TURNED_AWAY = 64;

export interface DoorkeeperOptions {
  /** Connections at once; may be Infinity. */
  readonly maxConnections: number;
  /** Connections at once from one address; Infinity: no limit, of their rate neither. */
  readonly maxPerAddress: number;
}

export class Doorkeeper<T> {
  readonly #options: DoorkeeperOptions;
  readonly #perAddress = new Counts();
  readonly #newOnes: BucketTable | undefined;
  /** Those who have not said a header yet, oldest first. */
  readonly #pending = new Set<T>();
  #count = 0;

  constructor(options: DoorkeeperOptions) {
    this.#options = options;
    const { maxPerAddress } = options;
    this.#newOnes = Number.isFinite(maxPerAddress)
      ? new BucketTable({
          burst: Math.max(1, Math.ceil(maxPerAddress * NEW_BURST_SHARE)),
          perSecond: Math.max(1, maxPerAddress * NEW_PER_SECOND_SHARE),
        })
      : undefined;
  }

  /** Undefined: come in (then `entered`). `key`: the address by `addressKey`. */
  refusal(key: string, now: Milliseconds): ErrorBody | undefined {
    const { maxConnections, maxPerAddress } = this.#options;
    if (this.#count >= maxConnections) return tooMany('every connection is taken');
    if (this.#perAddress.of(key) >= maxPerAddress) return tooMany('too many connections from your address');
    if (this.#newOnes?.of(key, now).take(1, now) === false)
      return tooMany('too many new connections from your address');
    return undefined;
  }

  /** Whom to show out for the newcomer's sake, if anybody; `left` follows for them too. */
  entered(key: string, who: T): T | undefined {
    this.#count += 1;
    this.#perAddress.add(key);
    this.#pending.add(who);
    if (this.#pending.size <= Math.max(1, this.#options.maxConnections * PENDING_SHARE)) return undefined;
    const [oldest] = this.#pending;
    // Its connection ends later than the next newcomer may come.
    this.#pending.delete(oldest!);
    return oldest;
  }

  /** It has said its first header. */
  greeted(who: T): void {
    this.#pending.delete(who);
  }

  left(key: string, who: T): void {
    this.#count -= 1;
    this.#perAddress.remove(key);
    this.#pending.delete(who);
  }
}

const tooMany = (message: string): ErrorBody => ({ code: 'too-many', message, retryAfterMs: RETRY_MS });

/** How many of something each key has. */
class Counts {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string): void {
    this.#counts.set(key, this.of(key) + 1);
  }

  remove(key: string): void {
    const count = this.of(key) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}
