/**
 * Standard output and error when their reader is gone: `tsp-peer list | head -1` ends quietly, and a hosting peer goes
 * on hosting. Without this, Node ends any process that writes to a closed pipe.
 */

type Closing = Pick<NodeJS.WriteStream, 'on'>;

/** `whenGone` is called at the first write that finds nobody. */
export function surviveClosedOutput(stdout: Closing, stderr: Closing, whenGone: () => void): void {
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isGone(error)) whenGone();
    else throw error;
  });
  // Whatever ails standard error, there is no place left to say so.
  stderr.on('error', () => {});
}

const isGone = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'EPIPE' || code === 'ECONNRESET' || code === 'EIO';

/** Resolves when what was written has left the process. */
export const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise(resolve => {
    stream.write('', () => resolve());
  });
