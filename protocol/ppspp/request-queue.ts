/**
 * What one peer asked of us, in the order in which it asked (RFC 7574 §3.7), each chunk once.
 *
 *     REQUEST 4–9 · REQUEST 0–6     ─▶  4 5 6 7 8 9 0 1 2 3
 *
 * Ranges stay ranges: one of 2^32 chunks waits as two numbers, and those that we don't have are passed over in one step.
 */
import { ChunkSet } from './chunk-set.js';
import type { ChunkRange } from './messages.js';

/** Who asks for more pieces than that at once is served the first of them, and may ask again. */
const MAX_QUEUED_RANGES = 256;

export class RequestQueue {
  #order: ChunkRange[] = [];
  readonly #queued = new ChunkSet();

  get isEmpty(): boolean {
    return this.#order.length === 0;
  }

  add(range: ChunkRange): void {
    for (const gap of this.#queued.gaps(range, MAX_QUEUED_RANGES - this.#order.length)) {
      this.#order.push(gap);
      this.#queued.add(gap);
    }
  }

  /** All of these wait. */
  covers(range: ChunkRange): boolean {
    return this.#queued.covers(range);
  }

  /** Before all others: it was sent and did not arrive, or could not be sent just now. */
  addFirst(chunk: number): void {
    if (this.#queued.has(chunk)) return;
    this.#queued.add({ start: chunk, end: chunk });
    const [first] = this.#order;
    if (first?.start === chunk + 1) this.#order[0] = { start: chunk, end: first.end };
    else this.#order.unshift({ start: chunk, end: chunk });
  }

  delete(range: ChunkRange): void {
    if (!this.#queued.touches(range)) return;
    this.#queued.delete(range);
    this.#order = this.#order.flatMap(({ start, end }) => {
      const left = { start, end: Math.min(end, range.start - 1) };
      const right = { start: Math.max(start, range.end + 1), end };
      return [left, right].filter(piece => piece.start <= piece.end);
    });
    // A range with a hole is two: whoever takes back every other chunk would make this longer without end.
    for (const cut of this.#order.splice(MAX_QUEUED_RANGES)) this.#queued.delete(cut);
  }

  clear(): void {
    this.#order = [];
    this.#queued.clear();
  }

  /** Takes the next one out that is in `have`; undefined when there is none, and then nothing is left. */
  take(have: ChunkSet): number | undefined {
    while (true) {
      const [range] = this.#order;
      if (range === undefined) return undefined;
      const chunk = have.firstFrom(range.start);
      const found = chunk !== undefined && chunk <= range.end;
      const done = found ? chunk : range.end;
      this.#queued.delete({ start: range.start, end: done });
      if (done === range.end) this.#order.shift();
      else this.#order[0] = { start: done + 1, end: range.end };
      if (found) return chunk;
    }
  }
}
