/**
 * Writing to a descriptor that may be a file, a pipe or a terminal, whole and in order, without blocking the event loop.
 *
 * A pipe whose other end set it non-blocking says EAGAIN when it is full; there is nothing to wait on but time.
 */
import { write } from 'node:fs';
import type { Clock } from '../../../protocol/ports.js';

/** Short beside the 370 ms of sound that a full pipe of 64 KiB holds. */
const FULL_PIPE_RETRY_MS = 5;

/** Resolves when every byte is written at `position` (undefined: where the descriptor stands). Rejects with Node's error. */
export async function writeWhole(
  clock: Clock,
  descriptor: number,
  bytes: Uint8Array,
  position?: number,
): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const at = position === undefined ? null : position + done;
    try {
      done += await new Promise<number>((resolve, reject) => {
        write(descriptor, bytes, done, bytes.length - done, at, (error, n) =>
          error ? reject(error) : resolve(n),
        );
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await new Promise<void>(resolve => clock.after(FULL_PIPE_RETRY_MS, resolve));
    }
  }
}
