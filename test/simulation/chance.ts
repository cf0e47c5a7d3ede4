/**
 * Chance that can be had again: the same seed gives the same numbers, on every machine.
 *
 *     const chance = new Chance(42);   chance.int(1, 6)   chance.pick(hosts)   chance.is(0.3)   chance.fork('link')
 *
 * A fork draws from its own numbers, so that one more draw here changes nothing there.
 */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) | 0;
  }

  /** Uniform in [0, 1): mulberry32. */
  readonly unit = (): number => {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** A whole number, `least` and `most` included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.unit() * (most - least + 1));
  }

  is(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(of: readonly T[]): T {
    return of[this.int(0, of.length - 1)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.int(0, 255));
  }

  fork(): Chance {
    return new Chance(this.int(0, 2 ** 31));
  }
}
