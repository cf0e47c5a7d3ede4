/**
 * `--max-per-address`: how many connections one address may have, and how quickly it may open new ones.
 *
 * An address is an IPv4 address or a /64 of IPv6 (`addressKey`). Asked in the accept handler, before a connection has
 * any state; loopback is no exception, since a page in somebody's browser reaches it too.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { addressKey } from '../../protocol/tsp/addresses.js';

/** The rate that goes with the default of 64 connections; a larger limit raises it in proportion. */
const USUAL_LIMIT = 64;
const NEW_PER_SECOND = 20;
const BURST = 40;
/** Addresses without a connection are forgotten when their bucket is full again, looked at this often. */
const SWEEP_EVERY = 1_024;

interface Usage {
  connections: number;
  tokens: number;
  refilledAt: Milliseconds;
}

export class AddressLimits {
  readonly #maxConnections: number;
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #usage = new Map<string, Usage>();
  #asked = 0;

  /** Infinity: no limit. */
  constructor(maxConnections: number) {
    const scale = Math.max(1, maxConnections / USUAL_LIMIT);
    this.#maxConnections = maxConnections;
    this.#perSecond = NEW_PER_SECOND * scale;
    this.#burst = BURST * scale;
  }

  /** Counts a new connection, or refuses it. Each `true` is followed by one `left`. */
  admit(address: string, now: Milliseconds): boolean {
    if (this.#maxConnections === Number.POSITIVE_INFINITY) return true;
    this.#asked += 1;
    if (this.#asked % SWEEP_EVERY === 0) this.#forgetQuiet(now);
    const key = addressKey(address);
    const usage = this.#usage.get(key) ?? { connections: 0, tokens: this.#burst, refilledAt: now };
    this.#usage.set(key, usage);
    this.#refill(usage, now);
    if (usage.connections >= this.#maxConnections || usage.tokens < 1) return false;
    usage.tokens -= 1;
    usage.connections += 1;
    return true;
  }

  left(address: string): void {
    const usage = this.#usage.get(addressKey(address));
    if (usage !== undefined) usage.connections -= 1;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#usage.size;
  }

  #refill(usage: Usage, now: Milliseconds): void {
    usage.tokens = Math.min(this.#burst, usage.tokens + ((now - usage.refilledAt) * this.#perSecond) / 1_000);
    usage.refilledAt = now;
  }

  #forgetQuiet(now: Milliseconds): void {
    for (const [key, usage] of this.#usage) {
      this.#refill(usage, now);
      if (usage.connections === 0 && usage.tokens >= this.#burst) this.#usage.delete(key);
    }
  }
}
