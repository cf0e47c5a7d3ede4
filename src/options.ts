/**
 * A command's options as a table, and how one row gets its value: the first of five places that names it.
 *
 *     flag  >  TSP_NAME  >  --config FILE  >  $XDG_CONFIG_HOME/tsp/config.json  >  default
 *
 * Pure. A value that can't be read names the place it came from: a wrong flag is a wrong use (exit 2), the rest is a
 * wrong configuration (exit 78).
 */
import { usageError } from '../peer/failures/failure.js';
import { didYouMean } from '../peer/prompt/did-you-mean.js';
import { ConfigError } from '../protocol/errors.js';
import type { ValueType } from './value-types.js';

interface Described {
  readonly describe: string;
  /** Heading in the help. */
  readonly group: string;
}

export interface SingleOption<T> extends Described {
  readonly kind: 'single';
  readonly type: ValueType<T>;
  readonly default: T;
}

/** May be given again and again. In the environment the values are joined by `separator`. */
export interface ListOption<T> extends Described {
  readonly kind: 'list';
  readonly type: ValueType<T>;
  readonly default: readonly T[];
  readonly separator: string;
}

/** Takes no value: `--encode`, `--no-encode`. */
export interface FlagOption extends Described {
  readonly kind: 'flag';
  readonly default: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: a row of any value type; ValueOf gives the type back
export type Option = SingleOption<any> | ListOption<any> | FlagOption;
export type OptionTable = Readonly<Record<string, Option>>;

export type ValueOf<O> =
  O extends SingleOption<infer T> ? T : O extends ListOption<infer T> ? readonly T[] : boolean;
export type Values<Table extends OptionTable> = { readonly [K in keyof Table]: ValueOf<Table[K]> };

/** What the command line gave: texts as typed, one for each time. */
export type Flags = Readonly<Record<string, readonly string[] | boolean>>;

export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

export interface Sources {
  readonly flags: Flags;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The first that names an option wins. */
  readonly files: readonly ConfigFile[];
}

/** Where each value came from: `flag`, `TSP_PORT`, the path of a file, `default`. */
export type Origins = Readonly<Record<string, string>>;

export interface Resolved<Table extends OptionTable> {
  readonly values: Values<Table>;
  readonly origins: Origins;
}

const variableOf = (option: string): string => `TSP_${option.replaceAll('-', '_').toUpperCase()}`;
const camelCaseOf = (option: string): string =>
  option.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Throws CommandError (usage) for a flag, ConfigError for the environment or a file. */
export function resolveOptions<Table extends OptionTable>(table: Table, sources: Sources): Resolved<Table> {
  const values: Record<string, unknown> = {};
  const origins: Record<string, string> = {};
  for (const [name, option] of Object.entries(table)) {
    const found =
      fromFlags(name, option, sources) ?? fromEnv(name, option, sources) ?? fromFiles(name, option, sources);
    values[name] = found === undefined ? option.default : found.value;
    origins[name] = found?.origin ?? 'default';
  }
  return { values: values as Values<Table>, origins };
}

/** Throws ConfigError for a key that none of the house's commands knows: a typo must not pass in silence. */
export function checkKeys(file: ConfigFile, known: readonly string[]): void {
  const spellings = new Set(known.flatMap(name => [name, camelCaseOf(name)]));
  for (const key of Object.keys(file.values)) {
    if (!spellings.has(key)) throw new ConfigError(file.path, key, `a known option${didYouMean(key, known)}`);
  }
}

/**
 * What showed only in use to be wrong, such as a folder that is not there, told by the place it came from, as
 * `resolveOptions` tells what can't be read. Any other error comes back as it was.
 */
export function wrongInUse(error: unknown, origins: Origins): unknown {
  if (!(error instanceof ConfigError)) return error;
  const { key, value, expected } = error;
  const origin = origins[key];
  if (origin === undefined || origin === 'default') return error;
  if (origin === 'flag') return usageError(`--${error.message}.`);
  const place = origin === variableOf(key) ? origin : `${origin}: ${key}`;
  return new ConfigError(place, value, expected);
}

interface Found {
  readonly value: unknown;
  readonly origin: string;
}

function fromFlags(name: string, option: Option, { flags }: Sources): Found | undefined {
  const given = flags[name];
  if (given === undefined) return undefined;
  if (typeof given === 'boolean') return { value: given, origin: 'flag' };
  if (option.kind === 'single' && given.length > 1) {
    throw usageError(`--${name} was given ${given.length} times; it takes one value.`);
  }
  const wrong = (text: unknown): Error =>
    usageError(`--${name}: ${JSON.stringify(text)} is not ${expectedOf(option)}.`);
  return { value: read(option, given, wrong), origin: 'flag' };
}

/** An empty variable counts as unset, as in a shell's `${NAME:-…}`. */
function fromEnv(name: string, option: Option, { env }: Sources): Found | undefined {
  const variable = variableOf(name);
  const text = env[variable];
  if (text === undefined || text === '') return undefined;
  const wrong = (part: unknown): Error => new ConfigError(variable, part, expectedOf(option));
  const texts = option.kind === 'list' ? text.split(option.separator).filter(part => part !== '') : [text];
  return { value: read(option, texts, wrong), origin: variable };
}

function fromFiles(name: string, option: Option, { files }: Sources): Found | undefined {
  for (const { path, values } of files) {
    const value = values[name] ?? values[camelCaseOf(name)];
    if (value === undefined || value === null) continue;
    const wrong = (part: unknown): Error => new ConfigError(`${path}: ${name}`, part, expectedOf(option));
    const items = option.kind === 'list' && Array.isArray(value) ? value : [value];
    return { value: read(option, items, wrong), origin: path };
  }
  return undefined;
}

const YES = ['true', 'yes', 'on', '1'];
const NO = ['false', 'no', 'off', '0'];

/** A flag's text; undefined when it is neither. */
export function yesOrNo(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  return YES.includes(lower) ? true : NO.includes(lower) ? false : undefined;
}

/** `items`: texts, or JSON values of a configuration file. */
function read(option: Option, items: readonly unknown[], wrong: (item: unknown) => Error): unknown {
  const values = items.map(item => {
    const value = typeof item === 'object' ? undefined : readText(option, String(item));
    if (value === undefined || !isWritten(item, option, value)) throw wrong(item);
    return value;
  });
  return option.kind === 'list' ? values : values[0];
}

/** A number or a boolean in a file stands only for what is shown as one: a host is not called 5, nor a folder true. */
const isWritten = (item: unknown, option: Option, value: unknown): boolean =>
  typeof item === 'string' ||
  typeof item === typeof (option.kind === 'flag' ? value : option.type.show(value));

const readText = (option: Option, text: string): unknown =>
  option.kind === 'flag' ? yesOrNo(text) : option.type.parse(text);

const expectedOf = (option: Option): string =>
  option.kind === 'flag' ? 'true or false' : option.type.expected;
