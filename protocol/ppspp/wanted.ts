/**
 * What was asked of one peer and has not come, and when to ask again: a REQUEST may be lost, or be forgotten over there.
 *
 *     request ─▶ unsaid ─ due ─▶ said ─ a second ─▶ unsaid again; the waits grow while nothing comes
 *
 * Asking twice for what is on its way costs a few bytes; the other side sends it once. Over a stream nothing is lost, and
 * nothing is said twice.
 */
import type { Milliseconds } from '../ports.js';
import { ChunkSet } from './chunk-set.js';
import type { ChunkRange } from './messages.js';

/** libswift forgets a REQUEST after a second and a half. */
const ASK_AGAIN_MS = 1_000;
const MAX_ASK_AGAIN_MS = 8_000;

export class Wanted {
  /** Asked for and not here. */
  readonly chunks = new ChunkSet();
  readonly #unsaid = new ChunkSet();
  readonly #isReliable: boolean;
  #again: Milliseconds = 0;
  #patienceMs = ASK_AGAIN_MS;

  constructor(isReliable: boolean) {
    this.#isReliable = isReliable;
  }

  /** False when there are too many pieces already. */
  add(range: ChunkRange): boolean {
    return this.chunks.add(range) && this.#unsaid.add(range);
  }

  delete(range: ChunkRange): void {
    this.chunks.delete(range);
    this.#unsaid.delete(range);
  }

  /** Chunks came: the other side is at work. */
  came(range: ChunkRange): void {
    if (this.chunks.touches(range)) this.#patienceMs = ASK_AGAIN_MS;
    this.delete(range);
  }

  /** What is to be said now, of `within` (the rest waits). */
  due(now: Milliseconds, within: ChunkRange): readonly ChunkRange[] {
    const due = this.#unsaid.ranges.flatMap(({ start, end }) => {
      const range = { start: Math.max(start, within.start), end: Math.min(end, within.end) };
      return range.start <= range.end ? [range] : [];
    });
    for (const range of due) this.#unsaid.delete(range);
    if (due.length > 0 && this.#again <= now) this.#again = now + this.#patienceMs;
    return due;
  }

  get hasUnsaid(): boolean {
    return !this.#unsaid.isEmpty;
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#isReliable || this.chunks.isEmpty || this.#again === 0 ? undefined : this.#again;
  }

  /** Everything that has not come is to be said again. */
  expire(now: Milliseconds): void {
    const deadline = this.nextDeadline();
    if (deadline === undefined || now < deadline) return;
    for (const range of this.chunks.ranges) this.#unsaid.add(range);
    this.#again = now + this.#patienceMs;
    this.#patienceMs = Math.min(MAX_ASK_AGAIN_MS, this.#patienceMs * 2);
  }
}
