/**
 * One line on a terminal that is written over and over: the progress of a one-shot command. Elsewhere, nothing.
 */
import type { TextOutput } from '../world.js';
import { cutToWidth, widthOf } from './terminal-text.js';

/** A name that is shorter says nothing. */
const NARROWEST_NAME = 8;

/** `name  state` within `columns`: how far it is matters more than its whole name. */
export function nameAndState(name: string, state: string, columns: number): string {
  const room = columns - widthOf(state) - 2;
  return room < NARROWEST_NAME
    ? cutToWidth(state, Math.max(0, columns))
    : `${cutToWidth(name, room)}  ${state}`;
}

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
