/**
 * A command line, the environment and the configuration files, read together into values or into text to be shown.
 *
 *     argv ──command-line──▶ flags ─┐
 *     TSP_* ────────────────────────┼──options──▶ values, each with its origin
 *     files ──config-files──────────┘
 */
import { type CommandLineSpec, parseCommandLine } from './command-line.js';
import { completionScript } from './completion.js';
import { readConfigFiles } from './config-files.js';
import { type OptionTable, type Origins, resolveOptions, type Values } from './options.js';
import type { Environment } from './xdg.js';

export type Invocation<Table extends OptionTable> =
  | {
      readonly kind: 'run';
      readonly command: string | undefined;
      readonly words: readonly string[];
      readonly values: Values<Table>;
      readonly origins: Origins;
    }
  /** Help, a completion script, or the configuration, for standard output; then the command has done its work. */
  | { readonly kind: 'text'; readonly text: string };

const COMMANDS = ['tsp-tracker', 'tsp-peer'];

/** Throws CommandError (usage) and ConfigError. `columns`: how wide the help may be. */
export async function readOptions<Table extends OptionTable>(
  spec: CommandLineSpec<Table>,
  argv: readonly string[],
  env: Environment,
  columns: number,
): Promise<Invocation<Table>> {
  const line = await parseCommandLine(spec, argv, columns);
  if (line.kind === 'text') return line;
  if (line.command === 'completion') return { kind: 'text', text: `${completionScript(spec.name)}\n` };
  const { config } = resolveOptions(
    { config: spec.options.config! },
    { flags: line.flags, env, files: [] },
  ).values;
  const files = await readConfigFiles({
    command: spec.name,
    commands: COMMANDS,
    knownOptions: () => allOptions(env),
    named: config,
    env,
  });
  const { flags } = line;
  const own = spec.subcommands.find(({ name }) => name === line.command)?.options ?? {};
  const options = { ...spec.options, ...own };
  const common = resolveOptions(spec.options, { flags, env, files });
  // The environment and files mean what everybody else means by that name.
  const special = resolveOptions(own, { flags, env: {}, files: [] });
  const resolved = {
    values: { ...common.values, ...special.values },
    origins: { ...common.origins, ...special.origins },
  };
  if (resolved.values['print-config'] === true) {
    const { printConfig } = await import('./print-config.js');
    return { kind: 'text', text: printConfig(options, resolved, resolved.values.json === true) };
  }
  return { kind: 'run', command: line.command, words: line.words, ...resolved };
}

/** Of all commands. Most starts need only their own, and each module loaded is a millisecond. */
async function allOptions(env: Environment): Promise<string[]> {
  const { trackerOptions } = await import('./tracker-options.js');
  const { peerOptions } = await import('./peer-options.js');
  return [...Object.keys(trackerOptions(env)), ...Object.keys(peerOptions(env))];
}
