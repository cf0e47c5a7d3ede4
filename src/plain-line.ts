/**
 * The plain command line, which is nearly every one: a subcommand and its words, known options by their whole names.
 *
 *     get 10 --out a.mp3 --tracker=music.example --json        read here, in no time
 *     -o a.mp3 · --no-json · --help · --tracer x · get         for yargs, which takes longer to load than all else
 *
 * The rule: nothing is judged here. What is not plainly right gives undefined, and yargs says what is meant or wrong.
 */
import type { CommandLineSpec, Subcommand } from './command-line.js';
import type { Flags } from './options.js';

export interface PlainLine {
  readonly subcommand: Subcommand | undefined;
  readonly words: readonly string[];
  readonly flags: Flags;
}

export function readPlainLine(spec: CommandLineSpec, argv: readonly string[]): PlainLine | undefined {
  const said: string[] = [];
  const flags: Record<string, string[] | boolean> = {};
  const rest = argv.values();
  for (const word of rest) {
    if (isPlain(word)) {
      said.push(word);
      continue;
    }
    const [, name = '', given] = /^--([a-z-]+)(?:=(.+))?$/s.exec(word) ?? [];
    const kind = Object.hasOwn(spec.options, name) ? spec.options[name]!.kind : undefined;
    if (kind === undefined) return undefined;
    if (kind === 'flag') {
      if (given !== undefined || name in flags) return undefined;
      flags[name] = true;
      continue;
    }
    const value: string | undefined = given ?? rest.next().value;
    if (value === undefined || !isPlain(value)) return undefined;
    const before = flags[name];
    flags[name] = Array.isArray(before) ? [...before, value] : [value];
  }
  const [first, ...words] = said;
  const subcommand = spec.subcommands.find(({ name }) => name === first);
  if (subcommand === undefined) return first === undefined ? whole(spec, undefined, [], flags) : undefined;
  return words.length < subcommand.fewest || words.length > subcommand.most
    ? undefined
    : whole(spec, subcommand, words, flags);
}

/** Unless an option is there that the subcommand does not take. */
function whole(
  { only }: CommandLineSpec,
  subcommand: Subcommand | undefined,
  words: readonly string[],
  flags: Flags,
): PlainLine | undefined {
  const fits = Object.keys(flags).every(name => only[name]?.includes(subcommand?.name ?? '') ?? true);
  return fits ? { subcommand, words, flags } : undefined;
}

/** A word that no parser takes for an option, or takes off its quotes. */
const isPlain = (word: string): boolean => /^[^-"'\s]/.test(word);
