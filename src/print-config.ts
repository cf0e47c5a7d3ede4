/**
 * `--print-config`: every option, its value, its default and where the value came from; with `--json` an object a line.
 *
 *     OPTION      VALUE   DEFAULT  FROM
 *     port        7470    7460     TSP_PORT
 */
import { safeText } from '../peer/prompt/terminal-text.js';
import type { Option, OptionTable, Resolved } from './options.js';
import { NOTHING } from './value-types.js';

/** The text for standard output, its newlines included. */
export function printConfig<Table extends OptionTable>(
  table: Table,
  { values, origins }: Resolved<Table>,
  json: boolean,
): string {
  const options = Object.entries(table).filter(([name]) => name !== 'print-config');
  if (json) {
    return options
      .map(([name, option]) => ({
        option: name,
        value: shown(option, values[name]),
        default: shown(option, option.default),
        source: origins[name],
      }))
      .map(row => `${JSON.stringify(row)}\n`)
      .join('');
  }
  return tableOf([
    ['OPTION', 'VALUE', 'DEFAULT', 'FROM'],
    ...options.map(([name, option]) => [
      name,
      briefly(option, values[name]),
      briefly(option, option.default),
      safeText(origins[name]!),
    ]),
  ]);
}

function shown(option: Option, value: unknown): unknown {
  if (option.kind === 'flag') return value;
  return option.kind === 'list'
    ? (value as unknown[]).map(item => option.type.show(item))
    : option.type.show(value);
}

function briefly(option: Option, value: unknown): string {
  if (option.kind === 'flag') return value === true ? 'yes' : 'no';
  const items = option.kind === 'list' ? (value as unknown[]) : [value];
  const texts = items.map(item => option.type.brief?.(item) ?? String(option.type.show(item) ?? NOTHING));
  return texts.length === 0 ? NOTHING : safeText(texts.join(', '));
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2].map(column => Math.max(...rows.map(row => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map(row => `${line(row).trimEnd()}\n`).join('');
}
