/**
 * One line on a terminal that is written over and over: the progress of a one-shot command. Elsewhere, nothing.
 */
import type { TextOutput } from '../world.js';

export class StatusLine {
  readonly #stream: TextOutput;
  readonly #isTerminal: boolean;
  #shown = '';

  constructor(stream: TextOutput, isTerminal: boolean) {
    this.#stream = stream;
    this.#isTerminal = isTerminal;
  }

  /** `line` is safe, and narrower than the window. */
  show(line: string): void {
    if (!this.#isTerminal || line === this.#shown) return;
    this.#shown = line;
    this.#stream.write(`\r\x1b[K${line}`);
  }

  /** Makes room for a line that stays. */
  clear(): void {
    if (this.#shown === '') return;
    this.#shown = '';
    this.#stream.write('\r\x1b[K');
  }
}
