/** The options that every command of the house takes. */
import { LOG_LEVELS, type LogLevel } from './log-levels.js';
import type { FlagOption, SingleOption } from './options.js';
import { choice, file, orNone, type ValueType } from './value-types.js';

export const single = <T>(
  type: ValueType<T>,
  value: T,
  group: string,
  describe: string,
): SingleOption<T> => ({
  kind: 'single',
  type,
  default: value,
  group,
  describe,
});

export const flag = (group: string, describe: string, value = false): FlagOption => ({
  kind: 'flag',
  default: value,
  group,
  describe,
});

const OUTPUT = 'Output:';
const GENERAL = 'General:';

export const commonOptions = (logLevel: LogLevel) => ({
  'log-level': single<LogLevel>(
    choice('LEVEL', LOG_LEVELS),
    logLevel,
    OUTPUT,
    `What is logged on standard error: ${LOG_LEVELS.join(', ')}`,
  ),
  'trace-wire': flag(OUTPUT, 'Show every message, sent and received, on standard error'),
  json: flag(OUTPUT, 'JSON on standard output, one object a line'),
  color: flag(OUTPUT, 'Colours on a terminal; --no-color and NO_COLOR turn them off', true),
  config: single(orNone(file), undefined, GENERAL, 'A JSON file of options, looked at before the usual one'),
  'print-config': flag(GENERAL, 'Show every option, its value and where that comes from; then end'),
});
