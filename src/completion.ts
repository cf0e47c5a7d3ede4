/**
 * Tab completion in bash and zsh: `source <(tsp-peer completion)`.
 *
 *     shell ──tsp-peer --completions WORDS…──▶ completionsFor ──one a line──▶ shell        nothing: it offers files
 */
import { type CommandLineSpec, isShown, type Subcommand } from './command-line.js';

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
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const asked = before.at(-1)?.replace(/^--/, '') ?? '';
  const option = before.at(-1)?.startsWith('--') ? spec.options[asked] : undefined;
  if (option !== undefined && option.kind !== 'flag') return startingWith(typed, option.type.choices ?? []);
  const [command] = before.flatMap(word => spec.subcommands.find(({ name }) => name === word) ?? []);
  if (typed.startsWith('-')) {
    const shown = Object.keys(spec.options).filter(name => isShown(spec, command?.name, name));
    return startingWith(typed, [...shown.map(name => `--${name}`), ...ALWAYS]);
  }
  if (command === undefined) return namesStartingWith(typed, spec.subcommands);
  return before.at(-1) === command.name ? startingWith(typed, command.choices ?? []) : [];
}

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
