/** What only Linux tells of itself, below /proc: what a process and a socket hold, and who is whose child. */
import { readdir, readFile } from 'node:fs/promises';

/** Why that can't be asked here, as tap's `skip` wants it; false where it can. */
export const noProc: string | false =
  process.platform !== 'linux' && 'only Linux tells what a process or a socket holds';

/** Process IDs of what a process has started, whichever thread did. A thread that ends meanwhile counts as without any. */
export async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    threads.map(thread => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  return lists.join(' ').split(/\s+/).filter(Boolean).map(Number);
}
