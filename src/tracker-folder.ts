/** A tracker's data folder: locked, and its registry looked at before it is opened. */
import { join } from 'node:path';
import { damagedStoreFile } from '../peer/library/store-file.js';
import { damagedStore } from './failures.js';
import { lockFolder } from './folder-lock.js';

/** As `lockFolder`; rejects with CommandError (exit code 78) when the registry in it is damaged. */
export async function lockTrackerFolder(folder: string): ReturnType<typeof lockFolder> {
  const lock = await lockFolder(folder);
  if ('heldBy' in lock) return lock;
  const damaged = await damagedStoreFile(join(folder, 'registry'));
  if (damaged === undefined) return lock;
  await lock.release();
  throw damagedStore(damaged);
}
