/**
 * The disk's part in a fetch: pieces that an earlier one kept, which nobody is asked for.
 *
 *     kept ─ within the window ─▶ being read ─ proven ─▶ delivered          not what it should be ─▶ asked of hosts
 */

export class KeptShare {
  readonly #kept: Set<number>;
  readonly #reading = new Set<number>();

  constructor(indexes: Iterable<number>) {
    this.#kept = new Set(indexes);
  }

  has(piece: number): boolean {
    return this.#kept.has(piece);
  }

  get isEmpty(): boolean {
    return this.#kept.size === 0;
  }

  /** How many lie at or behind this one. */
  countFrom(piece: number): number {
    let count = 0;
    for (const index of this.#kept) if (index >= piece) count += 1;
    return count;
  }

  /** Of these, what is to be read now. */
  read(pieces: Iterable<number>): number[] {
    const toRead = [...pieces].filter(piece => this.#kept.has(piece) && !this.#reading.has(piece));
    for (const piece of toRead) this.#reading.add(piece);
    return toRead;
  }

  /** The disk does not answer: hosts are asked. */
  abandon(): void {
    this.#kept.clear();
  }

  /** It was read, to good effect or none. */
  over(piece: number): void {
    this.#kept.delete(piece);
    this.#reading.delete(piece);
  }
}
