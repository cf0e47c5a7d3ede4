/**
 * How the outside ends a command. The first SIGINT, SIGTERM or SIGHUP asks it to finish; the second ends it at once.
 *
 *     SIGTERM ──▶ abort('SIGTERM') ──▶ songs on their way are finished ──▶ exit code
 *     SIGTERM ──▶ the process is no more
 */
import { exitCodeOfSignal } from '../peer/failures/failure.js';
import type { EndingSignal } from '../peer/world.js';
import { blocking } from './streams.js';

type Program = Pick<
  NodeJS.Process,
  'on' | 'removeAllListeners' | 'kill' | 'exit' | 'pid' | 'stdin' | 'stdout' | 'stderr'
>;

const SIGNALS: readonly EndingSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Aborts with the signal's name as the reason. Called once, by the entry point. */
export function endingSignal(program: Program): AbortSignal {
  const ending = new AbortController();
  for (const signal of SIGNALS) {
    program.on(signal, () => {
      if (ending.signal.aborted) dieOf(program, signal);
      else ending.abort(signal);
    });
  }
  return ending.signal;
}

/**
 * By the signal itself: so a shell that runs it in a loop knows that the loop is to end, too. And exit() would wait for what the
 * file system was asked, which may be what hangs.
 */
export function dieOf(program: Program, signal: EndingSignal): void {
  const { stdin, stdout, stderr } = program;
  if (stdin.isTTY) stdin.setRawMode(false);
  for (const stream of [stdin, stdout, stderr]) blocking(stream);
  program.removeAllListeners(signal);
  program.kill(program.pid, signal);
  // The first process of a container lives on: the kernel spares it what it does not handle.
  program.exit(exitCodeOfSignal(signal));
}
