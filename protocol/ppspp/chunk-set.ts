/**
 * A set of chunks as ranges, in order and apart: what a peer has, wants or has been sent.
 *
 *     { 0–41, 44–44, 60–4294967295 }          three ranges, whatever they count
 *
 * Adding costs what the number of ranges does and not what that of chunks does, and a set has at most MAX_RANGES: somebody
 * who announces every other chunk of 2^32 is not believed further than that.
 */
import type { ChunkRange } from './messages.js';

/** 16 bytes a range and more: about 1 MB. A content of 8 MB with every other chunk missing still fits. */
export const MAX_RANGES = 4_096;

export class ChunkSet {
  #ranges: ChunkRange[] = [];
  #changes = 0;

  /** Goes up with every change: whoever saw the same number saw the same set. */
  get changes(): number {
    return this.#changes;
  }

  get ranges(): readonly ChunkRange[] {
    return this.#ranges;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** Chunks in all. */
  get size(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0);
  }

  has(chunk: number): boolean {
    return this.rangeAround(chunk) !== undefined;
  }

  /** The biggest range of the set with this chunk in it: what an ACK or a HAVE says (RFC 7574 §4.3). */
  rangeAround(chunk: number): ChunkRange | undefined {
    const range = this.#ranges[this.#firstEndingAt(chunk)];
    return range !== undefined && range.start <= chunk ? range : undefined;
  }

  covers({ start, end }: ChunkRange): boolean {
    return (this.rangeAround(start)?.end ?? -1) >= end;
  }

  /** The first chunk of the set that is not before `chunk`. */
  firstFrom(chunk: number): number | undefined {
    const range = this.#ranges[this.#firstEndingAt(chunk)];
    return range && Math.max(chunk, range.start);
  }

  /** Whether any chunk of the range is in the set. */
  touches({ start, end }: ChunkRange): boolean {
    const range = this.#ranges[this.#firstEndingAt(start)];
    return range !== undefined && range.start <= end;
  }

  /** False when there was no room for one range more; then nothing was taken in. */
  add({ start, end }: ChunkRange): boolean {
    // A range that ends just before `start` is joined too, as is one that starts just after `end`.
    const from = this.#firstEndingAt(start - 1);
    let to = from;
    while (to < this.#ranges.length && this.#ranges[to]!.start <= end + 1) to += 1;
    if (to === from && this.#ranges.length >= MAX_RANGES) return false;
    const joined = {
      start: Math.min(start, this.#ranges[from]?.start ?? start),
      end: Math.max(end, to > from ? this.#ranges[to - 1]!.end : end),
    };
    this.#changes += 1;
    // Chunks come one after the other, so mostly a range grows.
    if (to === from + 1) this.#ranges[from] = joined;
    else this.#ranges.splice(from, to - from, joined);
    return true;
  }

  /** Takes a range out. One that splits another in a full set takes the lesser part with it. */
  delete({ start, end }: ChunkRange): void {
    const from = this.#firstEndingAt(start);
    const first = this.#ranges[from];
    if (first === undefined || first.start > end) return;
    // And go one after the other.
    if (first.start === start && end < first.end) {
      this.#changes += 1;
      this.#ranges[from] = { start: end + 1, end: first.end };
      return;
    }
    let to = from;
    const kept: ChunkRange[] = [];
    for (; to < this.#ranges.length && this.#ranges[to]!.start <= end; to += 1) {
      const range = this.#ranges[to]!;
      if (range.start < start) kept.push({ start: range.start, end: start - 1 });
      if (range.end > end) kept.push({ start: end + 1, end: range.end });
    }
    if (this.#ranges.length - (to - from) + kept.length > MAX_RANGES)
      kept.sort((a, b) => b.end - b.start - (a.end - a.start)).pop();
    this.#changes += 1;
    this.#ranges.splice(from, to - from, ...kept);
  }

  /** Another set with the same chunks. */
  copy(): ChunkSet {
    const copy = new ChunkSet();
    copy.#ranges = [...this.#ranges];
    return copy;
  }

  clear(): void {
    this.#changes += 1;
    this.#ranges = [];
  }

  /** The ranges within `within` that are not in the set, from left to right; at most `most`. */
  gaps({ start, end }: ChunkRange, most: number): ChunkRange[] {
    const gaps: ChunkRange[] = [];
    let at = start;
    for (let i = this.#firstEndingAt(start); at <= end && gaps.length < most; i += 1) {
      const next = this.#ranges[i] ?? { start: end + 1, end };
      if (next.start > at) gaps.push({ start: at, end: Math.min(end, next.start - 1) });
      at = next.end + 1;
    }
    return gaps;
  }

  /** The place of the first range that does not end before `chunk`. */
  #firstEndingAt(chunk: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ranges[middle]!.end < chunk) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
