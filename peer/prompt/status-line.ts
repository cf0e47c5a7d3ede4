/**
 * One line on a terminal that is written over and over: the progress of a one-shot command. Elsewhere, nothing.
 */
import { stripVTControlCharacters } from 'node:util';
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
    this.#stream.write(`${this.#eraser()}${line}`);
    this.#shown = line;
  }

  /** Makes room for a line that stays. */
  clear(): void {
    if (this.#shown === '') return;
    this.#stream.write(this.#eraser());
    this.#shown = '';
  }

  /**
   * Terminals break the line anew in a window that became narrower, and the cursor goes down with its end. Some name no
   * width, or 0.
   */
  #eraser(): string {
    const width = widthOf(stripVTControlCharacters(this.#shown));
    const rows = Math.ceil(width / Math.max(1, this.#stream.columns || width));
    return rows > 1 ? `\r\x1b[${rows - 1}A\x1b[J` : '\r\x1b[K';
  }
}
