/**
 * How the outside ends a command. The first SIGINT, SIGTERM or SIGHUP asks it to finish; the second ends it at once.
 *
 *     SIGTERM ──▶ abort('SIGTERM') ──▶ songs on their way are finished ──▶ exit code
 *     SIGTERM ──▶ 143, at once
 */
import { exitCodeOfSignal } from '../peer/failures/failure.js';
import type { EndingSignal } from '../peer/world.js';

const SIGNALS: readonly EndingSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Aborts with the signal's name as the reason. Called once, by the entry point. */
export function endingSignal(program: Pick<NodeJS.Process, 'on' | 'exit'>): AbortSignal {
  const ending = new AbortController();
  for (const signal of SIGNALS) {
    program.on(signal, () => {
      if (ending.signal.aborted) program.exit(exitCodeOfSignal(signal));
      ending.abort(signal);
    });
  }
  return ending.signal;
}
