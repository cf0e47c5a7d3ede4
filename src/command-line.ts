/**
 * From the words of a command line to a subcommand, its words, and flags still as text. What is not plain (plain-line.ts)
 * yargs parses, which also writes help.
 *
 *     tsp-peer get 10 -o a.mp3 --tracker music.example
 *              └command┘└words  └──────── flags ──────┘
 *
 * Reading the values is left to options.ts, so that a flag, a variable and a file are judged alike. Nothing is
 * printed and nothing exits here.
 */
import type { Argv } from 'yargs';
import { type CommandError, usageError } from '../peer/failures/failure.js';
import { didYouMean } from '../peer/prompt/did-you-mean.js';
import { type Flags, type Option, type OptionTable, yesOrNo } from './options.js';
import { readPlainLine } from './plain-line.js';

/** `$0` is the command. */
type Example = readonly [line: string, meaning: string];

export interface Subcommand {
  readonly name: string;
  /** As in the help: `<song>`, `[words..]`; '' takes none. */
  readonly words: string;
  readonly fewest: number;
  readonly most: number;
  readonly describe: string;
  /** For its own help, besides those of the whole that begin with its name. */
  readonly examples?: readonly Example[];
  /** All that the first word can be, where there are few. */
  readonly choices?: readonly string[];
  /** Options that mean something else to this one, and are taken from flags alone. */
  readonly options?: OptionTable;
}

export interface CommandLineSpec<Table extends OptionTable = OptionTable> {
  readonly name: string;
  readonly describe: string;
  readonly options: Table;
  /** One-letter names: `{ o: 'out' }`. */
  readonly letters: Readonly<Record<string, string>>;
  /** Options that only some subcommands take; all else refuses them. */
  readonly only: Readonly<Record<string, readonly string[]>>;
  /**
   * Options that mean nothing to subcommands but those named: taken, since a variable or a file may set them too, but not
   * shown.
   */
  readonly withoutCommand: Readonly<Record<string, readonly string[]>>;
  readonly subcommands: readonly Subcommand[];
  readonly examples: readonly Example[];
}

export type ParsedLine =
  | {
      readonly kind: 'run';
      readonly command: string | undefined;
      readonly words: readonly string[];
      readonly flags: Flags;
    }
  /** Help, for standard output. */
  | { readonly kind: 'text'; readonly text: string };

const MAX_WIDTH = 120;
const EPILOGUE =
  'Each option can also be set as TSP_NAME in the environment, or in $XDG_CONFIG_HOME/tsp/config.json.';
/** Keys of yargs' own among the parsed ones. */
const NOT_OPTIONS = ['_', '$0', 'help', 'h', 'version'];

/** Throws CommandError (usage). `columns`: how wide the help may be. */
export async function parseCommandLine(
  spec: CommandLineSpec,
  argv: readonly string[],
  columns: number,
): Promise<ParsedLine> {
  const plainLine = readPlainLine(spec, argv);
  if (plainLine !== undefined) {
    const { subcommand, words, flags } = plainLine;
    return { kind: 'run', command: subcommand?.name, words, flags };
  }
  let text = '';
  const { line, original } = standIns(argv);
  const parser = await build(spec, line, columns);
  const parsed = await parser.parseAsync(withoutFlagValues(spec, line), {}, (_error, _argv, output) => {
    text = output;
  });
  if (text !== '') return { kind: 'text', text: `${text}\n` };
  const textsOf = (value: unknown): string[] => asTexts(value).map(original);
  const [first, ...rest] = textsOf(parsed._);
  const subcommand = spec.subcommands.find(({ name }) => name === first);
  if (first !== undefined && subcommand === undefined) throw unknownCommand(spec, first);
  const named = subcommand === undefined ? [] : placesOf(subcommand).flatMap(place => textsOf(parsed[place]));
  const words = [...named, ...rest];
  if (subcommand !== undefined) checkWords(spec, subcommand, words);
  return { kind: 'run', command: first, words, flags: flagsOf(spec, parsed, first, textsOf) };
}

/**
 * `hash -`, `hash -- -x.mp3` with something in the place of what yargs would lose, or take the quotes off; `original` gives
 * back what stood there.
 */
function standIns(argv: readonly string[]): { line: string[]; original: (word: string) => string } {
  const replaced: string[] = [];
  const standIn = (word: string): string => `=${replaced.push(word) - 1}`;
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length;
  const options = argv.slice(0, end).map(word => (/^(?:-?$|["'\s=])/.test(word) ? standIn(word) : word));
  const line = [...options, ...argv.slice(end + 1).map(standIn)];
  return { line, original: word => (word.startsWith('=') ? replaced[Number(word.slice(1))]! : word) };
}

/** `--encode=yes` as `--encode`: yargs takes all but `true` for a no, whatever it says. */
function withoutFlagValues({ options }: CommandLineSpec, argv: readonly string[]): string[] {
  return argv.map(word => {
    const [, name = '', value = ''] = /^--([a-z-]+)=(.*)$/s.exec(word) ?? [];
    if (!Object.hasOwn(options, name) || options[name]!.kind !== 'flag') return word;
    const is = yesOrNo(value);
    if (is === undefined) throw usageError(`--${name}: ${JSON.stringify(value)} is not true or false.`);
    return is ? `--${name}` : `--no-${name}`;
  });
}

async function build(spec: CommandLineSpec, argv: readonly string[], columns: number): Promise<Argv<object>> {
  const { default: yargs } = await import('yargs');
  const named = argv.find(word => spec.subcommands.some(({ name }) => name === word));
  const subcommand = spec.subcommands.find(({ name }) => name === named);
  let parser: Argv<object> = yargs([...argv])
    .scriptName(spec.name)
    .usage(
      spec.subcommands.length > 0
        ? `$0 [command] [options]\n\n${spec.describe}`
        : `$0 [options]\n\n${spec.describe}`,
    )
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'short-option-groups': true,
      'greedy-arrays': false,
    })
    .locale('en')
    .exitProcess(false)
    .version(false)
    .help('help')
    .alias('h', 'help')
    .wrap(Math.min(columns, MAX_WIDTH))
    .epilogue(EPILOGUE)
    .option('version', { boolean: true, describe: 'Show the version' })
    .fail((message, error) => {
      if (error instanceof Error && error.name !== 'YError') throw error;
      if (subcommand !== undefined && /non-option/.test(message)) checkWords(spec, subcommand, []);
      throw usageError(plain(message ?? error.message));
    });
  for (const [line, meaning] of spec.examples) parser = parser.example(line, meaning);
  for (const { name, words, describe, examples: own = [] } of spec.subcommands) {
    const examples = [...spec.examples.filter(([line]) => line.includes(`$0 ${name} `)), ...own];
    parser = parser.command(words === '' ? name : `${name} ${words}`, describe, command => {
      for (const [line, meaning] of examples) command.example(line, meaning);
    });
  }
  for (const [name, option] of Object.entries({ ...spec.options, ...subcommand?.options })) {
    parser = addOption(parser, name, option, !isShown(spec, subcommand?.name, name));
  }
  for (const [letter, name] of Object.entries(spec.letters)) parser = parser.alias(name, letter);
  return parser;
}

function addOption(parser: Argv<object>, name: string, option: Option, hidden: boolean): Argv<object> {
  const { group, describe } = option;
  if (option.kind === 'flag') return parser.option(name, { boolean: true, group, describe, hidden });
  const { type } = option;
  const usual = option.kind === 'single' ? option.default : undefined;
  return parser.option(name, {
    nargs: 1,
    group,
    hidden,
    describe: `${describe} (${type.valueName})`,
    ...(usual === undefined ? {} : { defaultDescription: type.brief?.(usual) ?? String(type.show(usual)) }),
  });
}

function flagsOf(
  spec: CommandLineSpec,
  parsed: Record<string, unknown>,
  command: string | undefined,
  textsOf: (value: unknown) => string[],
): Flags {
  const flags: Record<string, readonly string[] | boolean> = {};
  const known = Object.keys(spec.options);
  const skipped = new Set([...NOT_OPTIONS, ...spec.subcommands.flatMap(placesOf)]);
  for (const [key, value] of Object.entries(parsed)) {
    if (skipped.has(key) || value === undefined) continue;
    const name = spec.letters[key] ?? key;
    const option = spec.options[name];
    if (option === undefined) {
      throw usageError(`Unknown option ${dashed(key)}${didYouMean(key, known, '--')}.`);
    }
    const users = spec.only[name];
    if (users !== undefined && !users.includes(command ?? '')) {
      throw usageError(`--${name} is for ${users.map(user => `${spec.name} ${user}`).join(', ')}.`);
    }
    if (option.kind !== 'flag' && [value].flat().includes(false))
      throw usageError(`--${name} wants a value: there is no --no-${name}.`);
    flags[name] = typeof value === 'boolean' ? value : textsOf(value);
  }
  return flags;
}

function checkWords(
  spec: CommandLineSpec,
  { name, words, fewest, most }: Subcommand,
  given: readonly string[],
): void {
  if (given.length >= fewest && given.length <= most) return;
  const line = `${spec.name} ${name} ${words}`.trim();
  throw usageError(given.length < fewest ? `${name} wants to know what: ${line}` : `Too many words: ${line}`);
}

function unknownCommand(spec: CommandLineSpec, word: string): CommandError {
  const names = spec.subcommands.map(({ name }) => name);
  if (names.length === 0)
    return usageError(`${spec.name} takes no words, and ${JSON.stringify(word)} is one.`);
  return usageError(`There is no command ${JSON.stringify(word)}${didYouMean(word, names)}.`);
}

/** The names that yargs gives to a subcommand's words: `<song>` → `song`. */
const placesOf = ({ words }: Subcommand): string[] => [...words.matchAll(/[\w-]+/g)].map(([place]) => place);

/** yargs' own words for a missing value, in ours. */
const plain = (message: string): string =>
  message.replace(
    /^Not enough arguments following: (.*)$/,
    (_, option: string) => `${dashed(option)} wants a value.`,
  );

const dashed = (option: string): string => `${option.length === 1 ? '-' : '--'}${option}`;

/** Whether an option is worth showing to somebody who types `command`; undefined: no subcommand. */
export const isShown = (spec: CommandLineSpec, command: string | undefined, option: string): boolean =>
  command === undefined
    ? spec.only[option] === undefined
    : ((spec.only[option] ?? spec.withoutCommand[option])?.includes(command) ?? true);

const asTexts = (value: unknown): string[] => (value === undefined ? [] : [value].flat().map(String));
