/**
 * Standard output and error when nothing can be written there any more: `tsp-peer list | head -1` ends quietly, and a
 * hosting peer goes on hosting, also when the disk is full to which its output goes. Without this, Node ends any process
 * that writes to a closed pipe.
 */

type Closing = Pick<NodeJS.WriteStream, 'on'>;

/** `whenLost` is told of each write to standard output that failed, and whether that is for want of a reader. */
export function surviveClosedOutput(
  stdout: Closing,
  stderr: Closing,
  whenLost: (error: NodeJS.ErrnoException, readerIsGone: boolean) => void,
): void {
  stdout.on('error', (error: NodeJS.ErrnoException) => whenLost(error, isGone(error)));
  // Whatever ails standard error, there is no place left to say so.
  stderr.on('error', () => {});
}

const isGone = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'EPIPE' || code === 'ECONNRESET' || code === 'EIO';

/**
 * Resolves when what was written has left the process, or its failure was told. Where nothing waits nothing is written:
 * a full disk refuses even that.
 */
export const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise(resolve => {
    if (stream.writableLength === 0) setImmediate(resolve);
    else stream.write('', () => resolve());
  });

/**
 * A pipe's reads and writes wait again, as before Node took it: whoever has it next, as the next command of a script, expects that.
 * exit() sees to it; no other end does.
 */
export function blocking(stream: object & { _handle?: { setBlocking?(on: boolean): void } | null }): void {
  stream._handle?.setBlocking?.(true);
}
