/**
 * When of a swarm nothing more can be expected: nobody was there for a while, or who is there gave nothing for longer.
 *
 *     heard, came ─▶ both lately · nobody for 8 s · nothing for 20 s          live: 30 s, for a source may come back
 *
 * Pure.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { Lack } from './joining.js';

/** A live source that comes back within this is waited for. */
const LIVE_PATIENCE_MS = 30_000;
/** Nobody is there since. */
const NOBODY_MS = 8_000;
/** Peers that are there and give nothing have nothing, or will not. */
const NOTHING_MS = 20_000;

/** How it is now. */
interface Company {
  readonly peers: number;
  readonly lacks: Lack | undefined;
  readonly tally: { nobody(): string };
}

export class Patience {
  readonly #nobodyMs: Milliseconds;
  readonly #nothingMs: Milliseconds;
  #heardAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #cameAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #hasBegun = false;

  constructor(isLive: boolean) {
    this.#nobodyMs = isLive ? LIVE_PATIENCE_MS : NOBODY_MS;
    this.#nothingMs = isLive ? LIVE_PATIENCE_MS : NOTHING_MS;
  }

  /** From the first time on. */
  begin(now: Milliseconds): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.heard(now);
    this.came(now);
  }

  /** Somebody was there then. */
  heard(at: Milliseconds): void {
    this.#heardAt = Math.max(this.#heardAt, at);
  }

  /** A chunk came. */
  came(now: Milliseconds): void {
    this.#cameAt = now;
  }

  /** For a person; undefined: something can be expected. */
  problemAt(now: Milliseconds, company: Company): string | undefined {
    if (company.peers === 0) return now - this.#heardAt < this.#nobodyMs ? undefined : company.tally.nobody();
    if (now - this.#cameAt < this.#nothingMs) return undefined;
    return `the peers that answered ${company.lacks === 'chunks' ? 'have' : 'give'} nothing more`;
  }
}
