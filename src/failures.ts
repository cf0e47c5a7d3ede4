/**
 * How a failure ends a command: one line for a person, or one JSON object with `--json`, on standard error. The exit
 * code is the failure's own (peer/failures/failure.ts).
 *
 *     tsp-tracker: Port 7460 is in use on 127.0.0.1.
 *       ss -ltunp 'sport = :7460' says by whom; --port 0 takes a free one.
 *     {"error":{"code":"in-use","message":"…","hint":"…"}}
 */
import {
  CommandError,
  EXIT,
  errorAsJson,
  failureOf,
  fileProblem,
  inUseError,
} from '../peer/failures/failure.js';
import { type ListenOptions, listenError } from '../peer/failures/listen-error.js';
import { safeJson, safeText } from '../peer/prompt/terminal-text.js';
import { TransportError } from '../protocol/errors.js';

export function configError(message: string, hint?: string): CommandError {
  return new CommandError({
    code: 'configuration',
    exitCode: EXIT.configuration,
    message,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Why a server can't listen, from what the system answered; anything else comes back as it was. */
export function listenFailure(error: unknown, host: string, port: number, options?: ListenOptions): unknown {
  const { syscall } = error as NodeJS.ErrnoException;
  if (syscall !== 'listen' && syscall !== 'bind' && syscall !== 'getaddrinfo') return error;
  return listenError(new TransportError('the server cannot listen', { cause: error }), host, port, options);
}

/** A data folder that can't be made or written. */
export function folderFailure(error: unknown): unknown {
  const problem = fileProblem(error);
  return problem === undefined ? error : configError(`${problem}.`, '--data names another folder.');
}

/** A store that lmdb must not open; what is in it (song IDs) can't be made again, so that a person decides. */
export function damagedStore(file: string): CommandError {
  return configError(
    `${file} is damaged.`,
    'Move it away to begin anew, with new song IDs, or put a copy in its place.',
  );
}

/** A data folder that another process works in. `perhaps`: what that may be, where it is not plain. */
export const folderInUse = (folder: string, holder: number, perhaps?: string): CommandError =>
  inUseError(holder, `works in ${folder}`, '--data names another folder', perhaps);

/** The text for standard error, its newline included. A bug in here brings its stack. */
export function describeFailure(error: unknown, command: string, json: boolean): string {
  const failure = failureOf(error);
  const { message, hint, exitCode } = failure;
  const stack = exitCode === EXIT.internal && error instanceof Error ? error.stack : undefined;
  if (json) return `${safeJson({ error: { ...errorAsJson(failure), ...(stack && { stack }) } })}\n`;
  const lines = [`${command}: ${safeText(message)}`];
  if (hint !== undefined) lines.push(`  ${safeText(hint)}`);
  if (stack !== undefined) lines.push(stack);
  return `${lines.join('\n')}\n`;
}
