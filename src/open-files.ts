/**
 * How many files and sockets the system lets this process open at once. Node raises its soft limit to the hard one at
 * start; what it then is stands in /proc. Elsewhere the report says so.
 */
import { readFile } from 'node:fs/promises';
import { configError } from './failures.js';

/** Kept for files, stores and log. With no connection left over, neither a tracker nor a peer can do its work. */
const RESERVE = 64;

/**
 * How many sockets a server may hold; Infinity where the system sets no limit. Without this bound Node takes
 * connections and drops them at once, and files can't be opened. Throws CommandError (configuration) when none is left.
 */
export async function maxConnections(): Promise<number> {
  const limit = (await fromProc()) ?? fromReport();
  if (limit < RESERVE) {
    throw configError(
      `Only ${limit} files may be open at once, and ${RESERVE} are needed.`,
      'ulimit -n 4096 allows more.',
    );
  }
  return limit - Math.min(RESERVE, Math.floor(limit / 2));
}

async function fromProc(): Promise<number | undefined> {
  try {
    const soft = /^Max open files\s+(\S+)/m.exec(await readFile('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? undefined : asLimit(soft);
  } catch {
    return undefined;
  }
}

function fromReport(): number {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft?: number | string } };
  };
  return asLimit(String(userLimits?.open_files?.soft ?? 'unlimited'));
}

const asLimit = (text: string): number => (text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text));
