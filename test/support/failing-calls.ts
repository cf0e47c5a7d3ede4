/**
 * Makes a running process's system calls fail, as a dying disk or an empty table of descriptors would: strace attaches to
 * all of its threads and answers in the kernel's place.
 *
 *     const fault = await failCalls(t, pid, { calls: 'pread64', error: 'EIO', path: song });   …   await fault.lift();
 *
 * Writes alone can be refused without it, by a limit of the system's.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type Teardown, until } from './until.js';

/** Why faults can't be injected here, as tap's `skip` wants it; false when they can. */
export const noFaults: string | false =
  spawnSync('strace', ['-f', '-o', '/dev/null', '-e', 'inject=getpid:error=EIO', 'true']).status === 0
    ? false
    : 'there is no strace, or it may not trace';

export interface Fault {
  /** Names of system calls, with commas. */
  readonly calls: string;
  /** As the kernel calls it: `EIO`. */
  readonly error: string;
  /** Only calls that are about this file; default all. */
  readonly path?: string;
  /** Which of those calls, each thread's counted by itself: `3+` is every one from the third on. Default all. */
  readonly when?: string;
}

/** Resolves when the fault is in force; `lift` when it is no more. */
export async function failCalls(t: Teardown, pid: number, fault: Fault): Promise<{ lift(): Promise<void> }> {
  const words = [...wordsOf(fault), '-p', String(pid)];
  await stop(pid);
  const strace = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(strace, 'close');
  const lift = async (): Promise<void> => {
    if (strace.exitCode !== null) return;
    await stop(pid);
    strace.kill('SIGINT');
    await ended;
    resume(pid);
  };
  t.teardown(lift);
  let said = '';
  strace.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  await until(
    () => `strace attaches: ${said}`,
    () => /attached/.test(said),
  );
  resume(pid);
  return { lift };
}

/**
 * strace takes and leaves threads one by one. While it did, one thread would be refused the disk that another was just
 * granted; so they all stand still.
 */
async function stop(pid: number): Promise<void> {
  if (!signal(pid, 'SIGSTOP')) return;
  await until('all of its threads stand still', () => statesOf(pid).every(state => 'TtZX'.includes(state)));
}

function resume(pid: number): void {
  signal(pid, 'SIGCONT');
}

/** Whether it was there to be signalled. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

function statesOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(thread => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')') + 2)[0]!;
    });
  } catch {
    return [];
  }
}

/** What lmdb prints when a write of its own is refused: the disk is to refuse us before (`src/disk.ts`). */
export const LMDB_REFUSED = /Write error: .*/;

/** Why nobody's writes can be refused here, as tap's `skip` wants it; false when they can. */
export const noLimits: string | false =
  spawnSync('prlimit', ['--fsize=0:', 'true']).status === 0 ? false : 'there is no prlimit';

/** From now on no file takes a byte of that process (EFBIG), as on a disk that takes nothing; `lift` ends it. */
export function refuseWrites(pid: number): { lift(): void } {
  const limit = (...words: string[]): string =>
    execFileSync('prlimit', ['--pid', String(pid), ...words], { encoding: 'utf8' }).trim();
  const before = limit('--fsize', '--noheadings', '--output=SOFT');
  limit('--fsize=0:');
  return { lift: () => void limit(`--fsize=${before}:`) };
}

/** The words for strace with which `program` runs with that fault from its beginning. */
export const failingFrom = (fault: Fault, program: readonly string[]): string[] => [
  ...wordsOf(fault),
  '-qq',
  ...program,
];

function wordsOf({ calls, error, path, when = '1+' }: Fault): string[] {
  const fault = `inject=${calls}:error=${error}:when=${when}`;
  const words = ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', fault];
  return path === undefined ? words : [...words, '-P', path];
}
