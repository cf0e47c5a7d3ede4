/**
 * One process at a time has what a lock file stands for: it names the holder, and a holder that is no more holds nothing.
 *
 *     write lock.<pid>  ──link──▶ lock      the link is atomic: one of several wins, and it never is half-written
 *     lock of a dead process ──rename──▶ lock.<pid>.stale ──unlink
 *
 * A process is told from a later one with the same number by its start time, where the system says it (/proc).
 */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';

export interface Lock {
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  /** Clock ticks from boot to the process's start; '' where the system does not say. */
  readonly startedAt: string;
}

/** Somebody else may take the lock each time that we remove a stale one; then they hold it. */
const ATTEMPTS = 5;
/** In the place of a start time: that of no holder. */
const ENDED = 'ended';

/**
 * `path` is the lock file's. Resolves with the holder's process ID when somebody has it; rejects with the file system's error,
 * also where that knows no links.
 */
export async function takeLock(path: string): Promise<Lock | { readonly heldBy: number }> {
  const own = `${path}.${process.pid}`;
  const us: Holder = { pid: process.pid, startedAt: await startOf(process.pid) };
  try {
    await writeFile(own, JSON.stringify(us));
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (await linked(own, path)) return { release: () => rm(path, { force: true }) };
      const holder = await holderOf(path);
      if (holder !== undefined && (await isAlive(holder))) return { heldBy: holder.pid };
      await removeStale(path, holder);
    }
    return { heldBy: (await holderOf(path))?.pid ?? 0 };
  } finally {
    await rm(own, { force: true });
  }
}

async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Another process may have replaced the stale lock since it was read: what was moved away is looked at again. */
async function removeStale(path: string, judged: Holder | undefined): Promise<void> {
  const moved = `${path}.${process.pid}.stale`;
  try {
    await rename(path, moved);
  } catch {
    return;
  }
  const holder = await holderOf(moved);
  const same = holder?.pid === judged?.pid && holder?.startedAt === judged?.startedAt;
  if (!same) await linked(moved, path);
  await rm(moved, { force: true });
}

async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    const { pid, startedAt } = JSON.parse(await readFile(path, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? { pid, startedAt: String(startedAt ?? '') } : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, startedAt }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const actual = await startOf(pid);
  return startedAt === '' || actual === '' || actual === startedAt;
}

/** Field 22 of /proc/PID/stat; the name before it, in parentheses, may hold anything. */
async function startOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // It has ended, and its parent has not asked how, which some never do (the first process of a container).
    if (fields[0] === 'Z') return ENDED;
    return fields[19] ?? '';
  } catch {
    return '';
  }
}
