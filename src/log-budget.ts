/**
 * Keeps a log readable under fire: so many lines a second for one source, then silence and one line that counts it.
 *
 *     source   1 2 … 10  11 12 … 900            │ next line after the second is over
 *     answer   0 0 …  0   —  —     —            │ 890: «suppressed 890», then the line itself
 *
 * Pure: it is told the time.
 */
import type { Milliseconds } from '../protocol/ports.js';

/** More than a person can follow; an attacker writes them by the thousand. */
export const LINES_A_WINDOW = 10;
/** Of all addresses together: a flood from thousands of them must not fill a disk, a line each. */
export const STRANGERS_LINES_A_WINDOW = 100;
export const WINDOW_MS = 1_000;
/** Sources remembered at once; the one that began first is forgotten. */
const MAX_SOURCES = 1_000;

interface Window {
  startedAt: Milliseconds;
  lines: number;
}

export class LogBudget {
  readonly #windows = new Map<string, Window>();
  readonly #lines: number;

  constructor(linesAWindow = LINES_A_WINDOW) {
    this.#lines = linesAWindow;
  }

  /** Undefined: don't write the line. Else how many of that source's lines were left out since its last one. */
  spend(source: string, now: Milliseconds): number | undefined {
    const window = this.#windows.get(source);
    if (window !== undefined && now - window.startedAt < WINDOW_MS) {
      window.lines += 1;
      return window.lines > this.#lines ? undefined : 0;
    }
    this.#windows.delete(source);
    this.#windows.set(source, { startedAt: now, lines: 1 });
    if (this.#windows.size > MAX_SOURCES) this.#windows.delete(this.#windows.keys().next().value!);
    return Math.max(0, (window?.lines ?? 0) - this.#lines);
  }
}
