/**
 * What a failure is to whoever reports it: a code, a sentence, a hint, and the exit code (sysexits where one fits).
 *
 * The same description of a failure serves a line on stderr, an answer at the prompt, and `{"error":…}` in JSON.
 */
import {
  ConfigError,
  LocalProtocolError,
  RemoteProtocolError,
  RequestError,
  TransportError,
} from '../../protocol/errors.js';
import { DEFAULT_PEER_PORT, DEFAULT_TRACKER_PORT } from '../../protocol/tsp/constants.js';
import { DecoderError } from '../playback/decoders/decoder.js';
import { OutputError } from '../playback/outputs/output.js';
import { installLine } from './install-line.js';

export const EXIT = {
  ok: 0,
  /** No such song, or what came is not the song. */
  failure: 1,
  usage: 2,
  /** The tracker, every host, a sound output or a port cannot be had. */
  unavailable: 69,
  internal: 70,
  /** All hosts are busy. */
  tryAgain: 75,
  refused: 77,
  configuration: 78,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export interface Failure {
  /**
   * For programs: a code of TSP §6, or `usage`, `configuration`, `file`, `in-use`, `not-playable`, `no-output`, `full`,
   * `closed`.
   */
  readonly code: string;
  readonly exitCode: ExitCode;
  /** For people: one sentence. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** As in `{"error":…}` of every command. */
export function errorAsJson({ code, message, hint }: Failure): object {
  return { code, message, ...(hint !== undefined && { hint }) };
}

/** A failure as an error, for code that is many calls away from whoever reports it. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

/** The command line, or a line of the prompt, can't be understood. */
export const usageError = (message: string, hint = 'See --help.'): CommandError =>
  new CommandError({ code: 'usage', exitCode: EXIT.usage, message, hint });

/** A file can't be read or written, or is not what it has to be. */
export const fileError = (message: string, hint?: string): CommandError =>
  new CommandError({ code: 'file', exitCode: EXIT.failure, message, ...(hint !== undefined && { hint }) });

/**
 * Another process has what one has at a time: `Process 12 works in DIR.` `elsewhere`: how to have something else; `perhaps`: what
 * that process may be, where it is not plain.
 */
export const inUseError = (holder: number, does: string, elsewhere: string, perhaps = ''): CommandError =>
  new CommandError({
    code: 'in-use',
    exitCode: EXIT.unavailable,
    message: `Process ${holder} ${does}.`,
    hint: `ps -fp ${holder} says what it is${perhaps}; ${elsewhere}.`,
  });

/** Sorts whatever was thrown by blame. An error of no known kind is a bug here, and says so. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) return error.failure;
  if (error instanceof RequestError) return requestFailure(error);
  if (error instanceof TransportError) {
    return { code: 'unreachable', exitCode: EXIT.unavailable, message: sentence(error.message) };
  }
  if (error instanceof RemoteProtocolError) {
    const hint = `Is the address right? A tracker's port is ${DEFAULT_TRACKER_PORT}, a host's ${DEFAULT_PEER_PORT}, unless they say otherwise.`;
    return { code: error.code, exitCode: EXIT.unavailable, message: sentence(error.message), hint };
  }
  if (error instanceof ConfigError) {
    return { code: 'configuration', exitCode: EXIT.configuration, message: sentence(error.message) };
  }
  if (error instanceof OutputError) return outputFailure(error);
  if (error instanceof DecoderError) {
    return { code: 'not-playable', exitCode: EXIT.failure, message: sentence(error.message) };
  }
  if (error instanceof LocalProtocolError) {
    return { code: 'usage', exitCode: EXIT.usage, message: sentence(error.message) };
  }
  const problem = fileProblem(error);
  if (problem !== undefined) return { code: 'file', exitCode: EXIT.failure, message: sentence(problem) };
  const message = sentence(error instanceof Error ? error.message : String(error));
  return { code: 'internal', exitCode: EXIT.internal, message };
}

function requestFailure(error: RequestError): Failure {
  const message = sentence(error.message);
  switch (error.code) {
    case 'no-such-song':
    case 'song-changed':
      return { code: error.code, exitCode: EXIT.failure, message, hint: 'list shows what there is now.' };
    case 'busy':
      return { code: error.code, exitCode: EXIT.tryAgain, message, hint: 'Try again in a moment.' };
    case 'refused':
      return { code: error.code, exitCode: EXIT.refused, message };
    case 'unreachable':
    case 'unavailable':
      return { code: error.code, exitCode: EXIT.unavailable, message };
    default:
      return { code: error.code, exitCode: EXIT.failure, message };
  }
}

/** What to do where nothing sounds. */
export const MEND_SOUND = `Plug in or enable a sound device, or install a player: ${installLine('player')}. --output file:song.wav and --output null need neither.`;

function outputFailure({ fault, message }: OutputError): Failure {
  if (fault === 'full' || fault === 'closed')
    return { code: fault, exitCode: EXIT.failure, message: sentence(message) };
  if (fault === 'unwritable') return { code: 'file', exitCode: EXIT.failure, message: sentence(message) };
  return { code: 'no-output', exitCode: EXIT.unavailable, message: sentence(message), hint: MEND_SOUND };
}

/** What the file system says, in words, of `named` or else of the path it names; undefined when it said nothing. */
export function fileProblem(error: unknown, named?: string): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  const file = named ?? ('path' in error && typeof error.path === 'string' ? error.path : undefined);
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file or folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EISDIR: 'that is a folder',
    ENOTDIR: 'a part of this path is no folder',
    ENOSPC: 'the disk is full',
    EEXIST: 'something else of that name is there',
    EROFS: 'the disk is read-only',
    EMFILE: 'too many files are open',
    ENFILE: 'too many files are open',
    EIO: 'the disk fails',
  };
  const what = words[String(error.code)] ?? error.message;
  return file === undefined ? what : `${file}: ${what}`;
}

/** The exit code of a command that a signal ended, as a shell counts: 128 and the signal's number. */
export function exitCodeOfSignal(reason: unknown): ExitCode {
  if (reason === 'SIGINT') return EXIT.interrupted;
  return reason === 'SIGHUP' ? EXIT.hungUp : EXIT.terminated;
}

/**
 * Of a server: SIGTERM asked it to end, and it did so in order, which is all it should do. Ctrl-C and a closed terminal are
 * told on, so that a loop in a shell stops too.
 */
export const exitCodeOfServer = (reason: unknown): ExitCode =>
  reason === 'SIGTERM' ? EXIT.ok : exitCodeOfSignal(reason);

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
