/**
 * `--print-config`: every option, its value, its default and where the value came from; with `--json` an object a line.
 *
 *     OPTION      VALUE   DEFAULT  FROM
 *     port        7470    7460     TSP_PORT
 */
import { layOut } from '../peer/prompt/table.js';
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
  const { heading, rows } = layOut(
    options,
    [
      { heading: 'OPTION', cell: ([name]) => name },
      { heading: 'VALUE', cell: ([name, option]) => briefly(option, values[name]) },
      { heading: 'DEFAULT', cell: ([, option]) => briefly(option, option.default) },
      { heading: 'FROM', cell: ([name]) => safeText(origins[name]!) },
    ],
    Number.POSITIVE_INFINITY,
  );
  return [heading, ...rows, ''].join('\n');
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
  const texts = items.map(item => option.type.brief?.(item) ?? String(option.type.show(item)));
  return texts.length === 0 ? NOTHING : safeText(texts.join(', '));
}
