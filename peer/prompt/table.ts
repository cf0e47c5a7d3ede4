/**
 * Tables that fit a width: fixed columns take what they need, flexible ones share what is left, and the least
 * important ones leave when it gets too narrow.
 *
 *     ID  Title                 Artist         Length  Hosts
 *     10  A rather long titl…   Somebody         3:07      3
 */
import { cutToWidth, fitToWidth, padToWidth, widthOf } from './terminal-text.js';

export interface Column<Row> {
  readonly heading: string;
  /** Safe text (terminal-text.ts). */
  readonly cell: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** May be cut, down to this many columns. Absent: never cut while it is shown. */
  readonly atLeast?: number;
  /** Columns leave in ascending order of this; one without it stays. */
  readonly leaves?: number;
}

const GAP = '  ';
/** Where nothing is cut, one endless title does not push every other row apart: it only sticks out of its own. */
const WIDEST_PADDED = 40;

export interface TableLines {
  readonly heading: string;
  readonly rows: readonly string[];
}

/** No line is wider than `width` (Infinity: nothing is cut). */
export function layOut<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
): TableLines {
  const cells = columns.map(column => rows.map(column.cell));
  const natural = columns.map((column, index) => widest(column.heading, cells[index]!));
  const shown = columnsThatFit(columns, natural, width);
  const widths = shareWidth(shown, columns, natural, width);
  const fit = width === Number.POSITIVE_INFINITY ? padToWidth : fitToWidth;
  const line = (textOf: (index: number) => string): string => {
    const parts = shown.map((index, place) => fit(textOf(index), widths[place]!, columns[index]!.align));
    return cutToWidth(parts.join(GAP).trimEnd(), width);
  };
  return {
    heading: line(index => columns[index]!.heading),
    rows: rows.map((_, row) => line(index => cells[index]![row]!)),
  };
}

const widest = (heading: string, cells: readonly string[]): number =>
  cells.reduce((most, cell) => Math.max(most, widthOf(cell)), widthOf(heading));

const gaps = (count: number): number => Math.max(0, count - 1) * GAP.length;

/** Indices of the columns that stay. */
function columnsThatFit<Row>(
  columns: readonly Column<Row>[],
  natural: readonly number[],
  width: number,
): number[] {
  const shown = columns.map((_, index) => index);
  const needed = (index: number): number => Math.min(natural[index]!, columns[index]!.atLeast ?? Infinity);
  const total = (): number => shown.reduce((sum, index) => sum + needed(index), gaps(shown.length));
  const leavers = shown
    .filter(index => columns[index]!.leaves !== undefined)
    .sort((one, other) => columns[one]!.leaves! - columns[other]!.leaves!);
  for (const index of leavers) {
    if (total() <= width) break;
    shown.splice(shown.indexOf(index), 1);
  }
  return shown;
}

/** Widths of the shown columns. Flexible ones that need less than their share leave it to the others. */
function shareWidth<Row>(
  shown: readonly number[],
  columns: readonly Column<Row>[],
  natural: readonly number[],
  width: number,
): number[] {
  const widths = shown.map(index => natural[index]!);
  if (width === Number.POSITIVE_INFINITY) return widths.map(each => Math.min(each, WIDEST_PADDED));
  const flexible = shown.flatMap((index, place) => (columns[index]!.atLeast === undefined ? [] : [place]));
  const taken = widths.reduce((sum, columnWidth) => sum + columnWidth, gaps(shown.length));
  if (taken <= width || flexible.length === 0) return widths;
  let left = width - taken + flexible.reduce((sum, place) => sum + widths[place]!, 0);
  const byNeed = [...flexible].sort((one, other) => widths[one]! - widths[other]!);
  byNeed.forEach((place, served) => {
    const share = Math.max(1, Math.floor(left / (byNeed.length - served)));
    widths[place] = Math.min(widths[place]!, share);
    left -= widths[place]!;
  });
  return widths;
}
