/**
 * Where the sound is: what was written to an output, less what the output still holds.
 *
 *     │◀── written ─────────────────────────▶│
 *     │◀── sounded ──────────▶│◀── pending ──▶│        song 1 │ song 2          (marks, in seconds written)
 *
 * No output tells how much it holds, so it is reckoned: a device plays in real time from the first write on, takes no more
 * than its buffer, and is certainly not empty when a write had to wait. Pure: the time is told.
 */
import type { Milliseconds } from '../../protocol/ports.js';

/** A write that took longer has waited for the device. */
const BLOCKED_MS = 5;
/** What a device that made a write wait holds at least: keeps a clock that runs faster than the card's from crying wolf. */
const HELD_WHEN_BLOCKED_MS = 100;
/** A device that ran dry for less than this was not heard to. */
const DRY_TOLERANCE_MS = 10;

export interface Mark {
  readonly song: number;
  /** `begins` or `ends` here. */
  readonly kind: 'begins' | 'ends';
  /** Seconds written before it. */
  readonly at: number;
}

export class PlayHead {
  readonly #bufferMs: number;
  /** Seconds. */
  #written = 0;
  /** When all that was written will have sounded. */
  #emptyAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #marks: Mark[] = [];

  /** `bufferSeconds` is what the output holds at most; 0: it holds nothing back. */
  constructor(bufferSeconds: number) {
    this.#bufferMs = bufferSeconds * 1_000;
  }

  get written(): number {
    return this.#written;
  }

  /** Whether the sound stopped before a write that begins now: nothing was left to play. */
  isDry(now: Milliseconds): boolean {
    return this.#bufferMs > 0 && this.#emptyAt < now - DRY_TOLERANCE_MS;
  }

  /** `seconds` of sound were taken by the output between `beganAt` and `now`. */
  wrote(seconds: number, beganAt: Milliseconds, now: Milliseconds): void {
    this.#written += seconds;
    if (this.#bufferMs === 0) return;
    const reckoned = Math.max(this.#emptyAt, beganAt) + seconds * 1_000;
    const atLeast = now - beganAt > BLOCKED_MS ? now + HELD_WHEN_BLOCKED_MS : Number.NEGATIVE_INFINITY;
    this.#emptyAt = Math.max(atLeast, Math.min(reckoned, now + this.#bufferMs));
  }

  /** `seconds` of sound were taken by an output that has since been silenced. */
  tookInVain(seconds: number): void {
    this.#written += seconds;
  }

  /** Seconds written that have not sounded. */
  pending(now: Milliseconds): number {
    return Math.min(this.#written, Math.max(0, this.#emptyAt - now) / 1_000);
  }

  /** Seconds that have sounded. */
  sounded(now: Milliseconds): number {
    return this.#written - this.pending(now);
  }

  /** The output forgot all after `sounded` seconds. */
  rewind(sounded: number): void {
    this.#written = sounded;
    this.#emptyAt = Number.NEGATIVE_INFINITY;
  }

  /** `at`, in seconds written, is not before that of the last mark. */
  mark(song: number, kind: Mark['kind'], at = this.#written): void {
    this.#marks.push({ song, kind, at });
  }

  /** Takes away the marks that the sound has passed, in order. */
  passed(now: Milliseconds): Mark[] {
    const sounded = this.sounded(now) + 1e-9;
    const passed = this.#marks.filter(mark => mark.at <= sounded);
    this.#marks = this.#marks.filter(mark => mark.at > sounded);
    return passed;
  }

  /** Milliseconds until the sound reaches the next mark; undefined: there is none. */
  untilNextMark(now: Milliseconds): number | undefined {
    const next = this.#marks[0];
    return next === undefined ? undefined : Math.max(0, (next.at - this.sounded(now)) * 1_000);
  }

  forgetMarks(): void {
    this.#marks = [];
  }
}
