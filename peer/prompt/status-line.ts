/**
 * One line on a terminal that is written over and over: the progress of a one-shot command. Elsewhere, nothing.
 */
import { stripVTControlCharacters } from 'node:util';
import type { TextOutput } from '../world.js';
import { renderBar } from './now-playing.js';
import type { Style } from './style.js';
import { cutToWidth, widthOf } from './terminal-text.js';

/** A name that is shorter says nothing. */
const NARROWEST_NAME = 8;
const BAR_COLUMNS = 20;

/** `name  state` within `columns`: how far it is matters more than its whole name. */
export function nameAndState(name: string, state: string, columns: number): string {
  const room = columns - widthOf(state) - 2;
  return room < NARROWEST_NAME
    ? cutToWidth(state, Math.max(0, columns))
    : `${cutToWidth(name, room)}  ${state}`;
}

/** `name  state  ━━━━`: in a window that is too narrow for all, the bar goes first, since the state says more. */
export function nameStateAndBar(name: string, state: string, share: number, style: Style): string {
  const room = style.width - BAR_COLUMNS - 2;
  if (widthOf(state) > room) return nameAndState(name, state, style.width);
  return `${nameAndState(name, state, room)}  ${renderBar(share, 0, BAR_COLUMNS, style)}`;
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
