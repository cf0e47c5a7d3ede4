/**
 * One line on a terminal that is written over and over: the progress of a one-shot command. Elsewhere, nothing.
 */
import { stripVTControlCharacters } from 'node:util';
import type { PeerConfig } from '../config.js';
import type { World } from '../world.js';
import { renderBar } from './now-playing.js';
import { type Style, styleOf } from './style.js';
import { cutToWidth, widthOf } from './terminal-text.js';

/** A name that is shorter says nothing. */
const NARROWEST_NAME = 8;
const BAR_COLUMNS = 20;
/** What a terminal writes behind the line when somebody ends the command. */
const ECHO = '^C';

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

type Place = Pick<World, 'stdout' | 'stderr' | 'isTerminal' | 'env'>;

export class StatusLine {
  readonly #world: Place;
  readonly #config: Pick<PeerConfig, 'color'>;
  readonly #out: 'stdout' | 'stderr';
  #shown = '';

  constructor(world: Place, config: Pick<PeerConfig, 'color'>, out: 'stdout' | 'stderr' = 'stderr') {
    this.#world = world;
    this.#config = config;
    this.#out = out;
  }

  /** That of what is shown: an echo behind it must not go on in the next row, for then the line would stay. */
  get style(): Style {
    const style = styleOf(this.#out, this.#world, this.#config);
    return { ...style, width: style.width - ECHO.length };
  }

  /** `line` is safe, and in this line's style. */
  show(line: string): void {
    const { isTerminal, env } = this.#world;
    if (!isTerminal[this.#out] || env.TERM === 'dumb' || line === this.#shown) return;
    this.#stream.write(`${this.#eraser()}${line}`);
    this.#shown = line;
  }

  /** Makes room for a line that stays. */
  clear(): void {
    if (this.#shown === '') return;
    this.#stream.write(this.#eraser());
    this.#shown = '';
  }

  get #stream(): World['stdout'] {
    return this.#world[this.#out];
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
