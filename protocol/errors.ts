/**
 * The error taxonomy, sorted by blame, because blame decides what happens next.
 *
 * | error               | at fault         | the shell then                                                 |
 * |---------------------|------------------|----------------------------------------------------------------|
 * | RemoteProtocolError | the other side   | sends ERROR with that code, closes (TSP §6), logs at info      |
 * | RequestError        | nobody           | answers ERROR; the connection lives                            |
 * | LocalProtocolError  | our caller       | throws to the caller; nothing is sent                          |
 * | TransportError      | the network      | retries with backoff, or reports it gone                       |
 * | ConfigError         | the operator     | one line on stderr, exit code 2 or 78                          |
 * | anything else       | a bug here       | `internal` on the wire, the stack in the log, never swallowed  |
 */

/** The codes of TSP §6. Programs match the code; the message is for people. */
export const ERROR_CODES = [
  'unknown-type',
  'bad-message',
  'bad-range',
  'too-large',
  'too-slow',
  'too-many',
  'no-such-song',
  'song-changed',
  'busy',
  'not-registered',
  'unreachable',
  'replaced',
  'refused',
  'unavailable',
  'internal',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** After these the sender of ERROR half-closes, drains for at most 1 s or 64 KiB, and closes (TSP §6). */
const FATAL_CODES = ['bad-message', 'too-large', 'too-slow', 'too-many', 'replaced'] as const;
export type FatalCode = (typeof FATAL_CODES)[number];

export const isFatal = (code: string): code is FatalCode => (FATAL_CODES as readonly string[]).includes(code);

/** Without a stack: strangers cause these by the thousand a second, and no line of ours is to blame for any. */
class StacklessError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, options);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The other side broke the protocol. The connection ends with an ERROR of this code. */
export class RemoteProtocolError extends StacklessError {
  override readonly name = 'RemoteProtocolError';
  constructor(
    readonly code: FatalCode,
    message: string,
    /** The request's type, when one particular request is to blame. */
    readonly type?: number,
  ) {
    super(message);
  }
}

/** A request that cannot be met, which is nobody's fault. Answered with ERROR; the connection lives. */
export class RequestError extends StacklessError {
  override readonly name = 'RequestError';
  readonly retryAfterMs: number | undefined;
  constructor(
    readonly code: Exclude<ErrorCode, FatalCode>,
    message: string,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Our own caller asked for something that the protocol cannot say. Nothing was sent. */
export class LocalProtocolError extends Error {
  override readonly name = 'LocalProtocolError';
}

/** The network failed: refused, reset, ended early, silent. `cause` is Node's error where there is one. */
export class TransportError extends StacklessError {
  override readonly name = 'TransportError';
}

/** An option or a configuration value is wrong. `expected` says what would be right, for a person. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(
    readonly key: string,
    readonly value: unknown,
    readonly expected: string,
  ) {
    super(`${key}: ${JSON.stringify(value)} is not ${expected}`);
  }
}
