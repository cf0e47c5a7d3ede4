/**
 * How wide and how colourful the output may be. Colour is added last, after text has been cut to width.
 */
import type { PeerConfig } from '../config.js';
import type { World } from '../world.js';

export interface Style {
  /** Columns; Infinity where nothing is cut because nobody's window is in the way. */
  readonly width: number;
  readonly color: boolean;
}

export const PLAIN: Style = { width: Number.POSITIVE_INFINITY, color: false };

/** Narrower than this a terminal shows nothing useful; a pseudo-terminal without a size says 0. */
const NARROWEST = 20;
const USUAL_WIDTH = 80;

/** The style of `stream` as it is now; ask again after a resize. Colour only on a terminal, and not if anybody minds. */
export function styleOf(
  stream: 'stdout' | 'stderr',
  world: Pick<World, 'stdout' | 'stderr' | 'isTerminal' | 'env'>,
  config: Pick<PeerConfig, 'color'>,
): Style {
  if (!world.isTerminal[stream]) return PLAIN;
  const columns = world[stream].columns ?? 0;
  // One column is kept free: some terminals wrap as soon as the last one is filled.
  const width = (columns >= NARROWEST ? columns : columns === 0 ? USUAL_WIDTH : NARROWEST) - 1;
  const minds = (world.env.NO_COLOR ?? '') !== '' || world.env.TERM === 'dumb';
  return { width, color: config.color && !minds };
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Paint = keyof typeof CODES;

/** `text` in a colour, where colours are wanted. */
export function painted(text: string, paint: Paint, style: Style): string {
  return style.color && text !== '' ? `\x1b[${CODES[paint]}m${text}\x1b[0m` : text;
}
