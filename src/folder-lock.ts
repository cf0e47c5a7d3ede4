/** One process a data folder: who has the file `lock` in it. */
import { join } from 'node:path';
import { takeLock } from '../peer/lock-file.js';
import { makeFolder } from '../peer/make-folder.js';

/** Creates the folder if need be. Resolves with the holder's process ID when another process has it. */
export async function lockFolder(folder: string): ReturnType<typeof takeLock> {
  await makeFolder(folder);
  return await takeLock(join(folder, 'lock'));
}
