/**
 * Opens a file of the library so that nothing outside of it is ever read: TSP §5.3 serves these bytes to strangers.
 *
 * Links are followed neither at the end of the path (O_NOFOLLOW) nor in the middle (the opened file's real path must be
 * the path itself); a FIFO does not block (O_NONBLOCK), and only regular files pass. Paths come from a scan of a root
 * whose own links were resolved, so a path that leads elsewhere now has been exchanged since.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readlinkSync,
  realpathSync,
} from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import type { Fingerprint, SkipReason } from './file-facts.js';

/** The caller closes `handle`. */
export type OpenedFile<Handle = FileHandle> =
  | { readonly kind: 'opened'; readonly handle: Handle; readonly fingerprint: Fingerprint }
  | NotOpened;

type NotOpened =
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused'; readonly reason: SkipReason; readonly passing?: true };

/** Neither by a link at the end of the path nor waiting for a FIFO's writer. Windows knows neither flag, and has no FIFOs in folders. */
export const SAFELY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** What can't be opened is told, not thrown. */
export async function openFile(path: string): Promise<OpenedFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, SAFELY);
  } catch (error) {
    return whyNot(error);
  }
  try {
    const stat = await handle.stat({ bigint: true });
    const refusal = stat.isFile() ? whyElsewhere(path, await realPathOf(handle.fd, path)) : NOT_REGULAR;
    if (refusal === undefined) return { kind: 'opened', handle, fingerprint: fingerprintOf(stat) };
    await handle.close();
    return refusal;
  } catch (error) {
    await handle.close();
    return whyNot(error);
  }
}

/** The same for a thread with nothing else to do: a descriptor, in a tenth of the time that promises take. */
export function openFileSync(path: string): OpenedFile<number> {
  let handle: number;
  try {
    handle = openSync(path, SAFELY);
  } catch (error) {
    return whyNot(error);
  }
  try {
    const stat = fstatSync(handle, { bigint: true });
    const refusal = stat.isFile() ? whyElsewhere(path, realPathSync(handle, path)) : NOT_REGULAR;
    if (refusal === undefined) return { kind: 'opened', handle, fingerprint: fingerprintOf(stat) };
    closeSync(handle);
    return refusal;
  } catch (error) {
    closeSync(handle);
    return whyNot(error);
  }
}

export const fingerprintOf = (
  stat: Pick<BigIntStats, 'size' | 'mtimeNs' | 'ctimeNs' | 'ino'>,
): Fingerprint => ({
  size: Number(stat.size),
  mtimeNs: stat.mtimeNs,
  ctimeNs: stat.ctimeNs,
  inode: stat.ino,
});

const NOT_REGULAR: NotOpened = { kind: 'refused', reason: 'not-regular' };

/** Linux tells the real path of the open file itself; elsewhere the path is resolved again, which leaves a short race. */
const realPathOf = (descriptor: number, path: string): Promise<string> =>
  process.platform === 'linux' ? readlink(linkOf(descriptor)) : realpath(path);

const realPathSync = (descriptor: number, path: string): string =>
  process.platform === 'linux' ? readlinkSync(linkOf(descriptor)) : realpathSync(path);

const linkOf = (descriptor: number): string => `/proc/self/fd/${descriptor}`;

function whyElsewhere(path: string, real: string): NotOpened | undefined {
  if (real === path) return undefined;
  return real === `${path} (deleted)` ? { kind: 'gone' } : { kind: 'refused', reason: 'link' };
}

function whyNot(error: unknown): NotOpened {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'gone' };
  if (code === 'ELOOP') return { kind: 'refused', reason: 'link' };
  // What a socket or a device without a driver says.
  if (code === 'ENXIO' || code === 'ENODEV') return { kind: 'refused', reason: 'not-regular' };
  return { kind: 'refused', reason: 'unreadable', ...(isPassing(error) && { passing: true }) };
}

/** Whether a call failed for what has nothing to do with its file, and may be over in a moment. */
export const isPassing = (error: unknown): boolean =>
  ['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'ESTALE', 'ETIMEDOUT'].includes(
    (error as NodeJS.ErrnoException).code ?? '',
  );
