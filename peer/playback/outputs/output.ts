/**
 * What an output is: samples in, sound (or bytes) out, at its own pace.
 *
 *     prepare ─▶ open(format) ─▶ write … write ─▶ settle ─▶ write … ─▶ close
 *                                   └─ flush: forget what has not sounded yet
 *
 * `write` resolves when the output wants more, which is what paces a song. Calls come one after the other, but for
 * `flush`, which may come during a `write` and makes it resolve. Every failure is an OutputError that says what to do.
 */
import type { PcmFormat } from '../pcm.js';

export interface Output {
  readonly name: string;
  /** What it holds of sound that has not sounded yet, at most; 0: it is no sound device and what was written is done. */
  readonly bufferSeconds: number;
  /** `reopens`: it can be opened again in another format. `fixed`: what comes later is converted to the first format. */
  readonly formats: 'reopens' | 'fixed';
  /** Of a `fixed` output that has a format before anything was played. */
  readonly fixedFormat?: PcmFormat | undefined;
  /** Bytes of samples in it, where they stay. */
  readonly keptBytes?: number;
  /** Takes the song as it is, not its samples. */
  readonly takesMp3?: boolean;
  /** Looks whether it can work here, without a sound. May abort the process (that is why this is another process). */
  prepare(): Promise<void>;
  open(format: PcmFormat): Promise<void>;
  write(samples: Int16Array): Promise<void>;
  writeMp3?(bytes: Uint8Array): Promise<void>;
  /** Silence, at once. Open afterwards, as before. */
  flush(): Promise<void>;
  /** What was written has sounded, or is whole on the disk: nothing follows for now. */
  settle(): Promise<void>;
  /** Ends it; what has not sounded is lost. It may be opened again. */
  close(): Promise<void>;
}

/** `unwritable`: a file that cannot be made or written, which is no want of a sound device. */
export type OutputFault = 'missing' | 'refused' | 'unwritable' | 'closed' | 'full' | 'broken';

/** The output failed. `fault` is for programs, the message for people. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
  constructor(
    readonly fault: OutputFault,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A failed system call on a file or a descriptor, as OutputError. */
export function outputError(what: string, error: unknown): OutputError {
  if (error instanceof OutputError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const of = (fault: OutputFault, words: string) =>
    new OutputError(fault, `${what}: ${words}`, { cause: error });
  switch (code) {
    case 'EPIPE':
      return of('closed', 'its reader has gone');
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return of('full', 'the disk is full');
    case 'ENOENT':
      return of('unwritable', 'there is no such file or folder');
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return of('unwritable', 'permission denied');
    case 'EISDIR':
      return of('unwritable', 'that is a folder');
    case 'ENOTDIR':
      return of('unwritable', 'a part of this path is no folder');
    case 'ENAMETOOLONG':
      return of('unwritable', 'the name is too long');
    default:
      return of('broken', message);
  }
}
