/**
 * What each figure must be: `bench/budget.json`, by benchmark and figure.
 *
 *     { "serving": { "GB/s at 64, ours ÷ nginx": { "least": 1 } } }        stretch: where we would like to be
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchResult } from './harness.js';

export interface Bound {
  readonly least?: number;
  readonly most?: number;
  readonly stretch?: number;
}

export type Bounds = Readonly<Record<string, Bound>>;
export type Budget = Readonly<Record<string, Bounds>>;

const FILE = join(import.meta.dirname, '..', '..', 'bench', 'budget.json');

export const readBudget = async (): Promise<Budget> => JSON.parse(await readFile(FILE, 'utf8')) as Budget;

export const isKept = (value: number, { least, most }: Bound): boolean =>
  (least === undefined || value >= least) && (most === undefined || value <= most);

export function asText({ least, most }: Bound = {}): string {
  if (least !== undefined && most !== undefined) return `${least} … ${most}`;
  if (least !== undefined) return `≥ ${least}`;
  return most === undefined ? '' : `≤ ${most}`;
}

/** One line for each figure that is not what it must be, or that was not measured. */
export function pastBudget(name: string, { figures = [] }: BenchResult, bounds: Bounds): string[] {
  const measured = new Map(figures.map(({ figure, value }) => [figure, value]));
  return Object.entries(bounds).flatMap(([figure, bound]) => {
    const value = measured.get(figure);
    if (value === undefined) return [`${name}: ${figure} was not measured`];
    return isKept(value, bound)
      ? []
      : [`${name}: ${figure} is ${Number(value.toPrecision(3))}, must be ${asText(bound)}`];
  });
}
