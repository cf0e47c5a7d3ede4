/**
 * Tab completion in bash and zsh: `source <(tsp-peer completion)`.
 *
 *     shell ──tsp-peer --completions WORDS…──▶ completionsFor ──one a line──▶ shell        nothing: it offers files
 */
import { type CommandLineSpec, isShown, type Subcommand } from './command-line.js';
import type { Option } from './options.js';

type ValuedOption = Exclude<Option, { readonly kind: 'flag' }>;

export const COMPLETION_COMMAND: Subcommand = {
  name: 'completion',
  words: '',
  fewest: 0,
  most: 0,
  describe: 'Print a completion script for bash and zsh',
};

/** Asks for completions: what follows are the words so far, the last being the one that is typed. */
export const COMPLETIONS_FLAG = '--completions';

const ALWAYS = ['--help', '--version'];

export function completionsFor(spec: CommandLineSpec, words: readonly string[]): string[] {
  const whole = unbroken(words);
  const typed = whole.at(-1) ?? '';
  const before = whole.slice(0, -1);
  const option = valuedOption(spec, before.at(-1));
  if (option !== undefined) return startingWith(typed, option.type.choices ?? []);
  const [, name, value] = /^(--[a-z-]+)=(.*)$/s.exec(typed) ?? [];
  if (value !== undefined) {
    const choices = valuedOption(spec, name)?.type.choices ?? [];
    return startingWith(value, choices).map(choice => `${name}=${choice}`);
  }
  const said = before.filter((_, at) => valuedOption(spec, before[at - 1]) === undefined);
  const [command] = said.flatMap(word => spec.subcommands.find(each => each.name === word) ?? []);
  if (typed.startsWith('-')) {
    const shown = Object.keys(spec.options).filter(each => isShown(spec, command?.name, each));
    return startingWith(typed, [...shown.flatMap(each => spellings(each, spec.options[each]!)), ...ALWAYS]);
  }
  if (command === undefined) return namesStartingWith(typed, spec.subcommands);
  return before.at(-1) === command.name ? startingWith(typed, command.choices ?? []) : [];
}

/** Bash hands over `--output=file:a` as five words, and wants back only what comes after the last = or colon. */
function unbroken(words: readonly string[]): string[] {
  const whole: string[] = [];
  let glued = false;
  for (const word of words) {
    if (word === '=' && whole.at(-1)?.startsWith('--')) whole.push('');
    else if (whole.length > 0 && (glued || word === ':')) whole.push(`${whole.pop()}${word}`);
    else whole.push(word);
    glued = word === '=' || word === ':';
  }
  return whole;
}

function valuedOption(spec: CommandLineSpec, word: string | undefined): ValuedOption | undefined {
  if (!word?.startsWith('--') || !Object.hasOwn(spec.options, word.slice(2))) return undefined;
  const option = spec.options[word.slice(2)]!;
  return option.kind === 'flag' ? undefined : option;
}

/** What is on already is named to turn it off. */
const spellings = (name: string, option: Option): string[] =>
  option.kind === 'flag' && option.default ? [`--${name}`, `--no-${name}`] : [`--${name}`];

const namesStartingWith = (typed: string, subcommands: readonly Subcommand[]): string[] =>
  startingWith(
    typed,
    subcommands.map(({ name }) => name),
  );

const startingWith = (typed: string, words: readonly string[]): string[] =>
  words.filter(word => word.startsWith(typed));

/** A script for both shells; it asks the command itself, so it never grows old. */
export function completionScript(command: string): string {
  const name = `_${command.replaceAll('-', '_')}`;
  return `# Tab completion for ${command} in bash and zsh: source <(${command} completion)
if [ -n "\${ZSH_VERSION-}" ]; then
  ${name}() {
    local -a found
    found=(\${(f)"$(${command} ${COMPLETIONS_FLAG} "\${(@)words[2,CURRENT]}")"})
    if (( \${#found} )); then compadd -- "\${found[@]}"; else _files; fi
  }
  compdef ${name} ${command}
else
  ${name}() {
    local IFS=$'\\n'
    COMPREPLY=($(${command} ${COMPLETIONS_FLAG} "\${COMP_WORDS[@]:1:COMP_CWORD}"))
  }
  complete -o default -F ${name} ${command}
fi`;
}
