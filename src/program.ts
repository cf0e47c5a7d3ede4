/**
 * The frame around every command: what it resolves with is the exit code, what it throws is one line on standard error
 * and the exit code of that failure.
 *
 *     argv ──▶ --version?  --completions?  ──▶ body(program) ──▶ stdout written out ──▶ exit
 */
import { setTimeout as passed } from 'node:timers/promises';
import { askedToEnd } from '../peer/asked-to-end.js';
import { EXIT, exitCodeOfSignal, failureOf, fileError, fileProblem } from '../peer/failures/failure.js';
import type { CommandLineSpec } from './command-line.js';
import { COMPLETIONS_FLAG, completionsFor } from './completion.js';
import { describeFailure } from './failures.js';
import { yesOrNo } from './options.js';
import { dieOf, endingSignal } from './signals.js';
import { flushed, surviveClosedOutput } from './streams.js';

export interface Program {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Aborted by the first signal; the reason is its name. */
  readonly signal: AbortSignal;
  /** What happens when standard output can't be written: a server goes on; all else ends, quietly if nobody reads it. */
  onClosedOutput: 'go-on' | 'end';
  /** Whether a failure is told in JSON; a file of options may want it too. */
  json: boolean;
}

/** A reader that takes nothing more, as a paused pager does, holds up no command that a signal ends. */
const LAST_WORDS_MS = 500;
/** Where help is wrapped when standard output is no terminal. */
const PLAIN_COLUMNS = 100;
export const columnsOf = (stdout: NodeJS.WriteStream): number => stdout.columns ?? PLAIN_COLUMNS;

/** Runs `body` as the whole process. Called by the files of `bin/` alone. */
export async function runProgram(
  spec: CommandLineSpec,
  body: (program: Program) => Promise<number>,
): Promise<never> {
  const argv = process.argv.slice(2);
  const program: Program = {
    argv,
    env: process.env,
    signal: endingSignal(process),
    onClosedOutput: 'end',
    json: wantsJson(argv, process.env),
  };
  let unwritten: Error | undefined;
  surviveClosedOutput(process.stdout, process.stderr, (error, readerIsGone) => {
    const goesOn = program.onClosedOutput === 'go-on';
    if (readerIsGone && !goesOn) process.exit(EXIT.ok);
    if (readerIsGone) return;
    unwritten ??= fileError(`${fileProblem(error, 'standard output') ?? error.message}.`);
    if (!goesOn) throw unwritten;
  });
  const fail = (error: unknown): number => {
    process.stderr.write(describeFailure(error, spec.name, program.json));
    return failureOf(error).exitCode;
  };
  process.on('uncaughtException', error => process.exit(fail(error)));
  const code = argv[0] === COMPLETIONS_FLAG ? complete(spec, argv.slice(1)) : await body(program).catch(fail);
  const written = Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  await Promise.race([written, tookTooLong(program.signal)]);
  // Commands were piped in, and their answers are lost. Who ends a server by a signal asks for no answers.
  const { aborted, reason } = program.signal;
  if (aborted && code === exitCodeOfSignal(reason)) dieOf(process, reason);
  const isIncomplete = unwritten !== undefined && code === EXIT.ok && !aborted;
  process.exit(isIncomplete ? fail(unwritten) : code);
}

async function tookTooLong(signal: AbortSignal): Promise<void> {
  await askedToEnd(signal);
  await passed(LAST_WORDS_MS, undefined, { ref: false });
}

function complete(spec: CommandLineSpec, words: readonly string[]): number {
  process.stdout.write(
    completionsFor(spec, words)
      .map(word => `${word}\n`)
      .join(''),
  );
  return EXIT.ok;
}

/** Looked at before anything is parsed, since it may be the parsing that fails. */
function wantsJson(argv: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const end = argv.indexOf('--');
  const options = end === -1 ? argv : argv.slice(0, end);
  return options.includes('--json') || yesOrNo(env.TSP_JSON ?? '') === true;
}
