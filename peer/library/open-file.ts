/**
 * Opens a file of the library so that nothing outside of it is ever read: TSP §5.3 serves these bytes to strangers.
 *
 * Links are followed neither at the end of the path (O_NOFOLLOW) nor in the middle (the opened file's real path must be
 * the path itself); a FIFO does not block (O_NONBLOCK), and only regular files pass. Paths come from a scan of a root
 * whose own links were resolved, so a path that leads elsewhere now has been exchanged since.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import type { Fingerprint, SkipReason } from './file-facts.js';

export type OpenedFile =
  /** The caller closes `handle`. */
  | { readonly kind: 'opened'; readonly handle: FileHandle; readonly fingerprint: Fingerprint }
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused'; readonly reason: SkipReason; readonly passing?: true };

// Windows knows neither flag, and has no FIFOs in folders.
const SAFELY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

export async function openFile(path: string): Promise<OpenedFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, SAFELY);
  } catch (error) {
    return whyNot(error);
  }
  try {
    const stat = await handle.stat({ bigint: true });
    const refusal = stat.isFile()
      ? await whyElsewhere(handle, path)
      : ({ kind: 'refused', reason: 'not-regular' } as const);
    if (refusal === undefined) return { kind: 'opened', handle, fingerprint: fingerprintOf(stat) };
    await handle.close();
    return refusal;
  } catch (error) {
    await handle.close();
    return whyNot(error);
  }
}

/** Takes fs.BigIntStats. */
export const fingerprintOf = (stat: {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}): Fingerprint => ({
  size: Number(stat.size),
  mtimeNs: stat.mtimeNs,
  ctimeNs: stat.ctimeNs,
  inode: stat.ino,
});

/** Linux tells the real path of the open file itself; elsewhere the path is resolved again, which leaves a short race. */
async function whyElsewhere(handle: FileHandle, path: string): Promise<OpenedFile | undefined> {
  const real =
    process.platform === 'linux' ? await readlink(`/proc/self/fd/${handle.fd}`) : await realpath(path);
  if (real === path) return undefined;
  return real === `${path} (deleted)` ? { kind: 'gone' } : { kind: 'refused', reason: 'link' };
}

function whyNot(error: unknown): OpenedFile {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'gone' };
  if (code === 'ELOOP') return { kind: 'refused', reason: 'link' };
  // What a socket or a device without a driver says.
  if (code === 'ENXIO' || code === 'ENODEV') return { kind: 'refused', reason: 'not-regular' };
  const isPassing = code !== undefined && PASSING.has(code);
  return { kind: 'refused', reason: 'unreadable', ...(isPassing && { passing: true }) };
}

/** Not about this file. */
const PASSING: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'ESTALE', 'ETIMEDOUT']);
