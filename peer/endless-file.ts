/**
 * Files that an option names and that may never end: a FIFO that nobody writes to cannot even be opened, and who waits for
 * that is not ended by a signal.
 */
import type { Stats } from 'node:fs';

/** What the shell has opened for us has an end: `--config <(…)`, `--config /dev/stdin`. */
const OPENED_BEFORE = /^\/(?:dev\/fd|proc\/self\/fd)\/|^\/dev\/stdin$/;

export const mayNeverEnd = (path: string, facts: Stats): boolean =>
  (facts.isFIFO() || facts.isCharacterDevice()) && !OPENED_BEFORE.test(path);

/** What such a file is not. */
export const FILE_THAT_ENDS = 'a file that ends: a FIFO or a device may not';
