/** A tracker's data folder: locked, and its registry looked at before it is opened. */
import { join } from 'node:path';
import { isMissingStore, missingStore } from '../peer/failures/missing-store.js';
import { damagedStoreFile, makeRoom } from '../peer/library/store-file.js';
import { damagedStore } from './failures.js';
import { lockFolder } from './folder-lock.js';

/**
 * As `lockFolder`; rejects with CommandError (exit code 78) when the registry in it is damaged, and with Node's error when
 * there is no room for one.
 */
export async function lockTrackerFolder(folder: string): ReturnType<typeof lockFolder> {
  const lock = await lockFolder(folder);
  if ('heldBy' in lock) return lock;
  try {
    const registry = join(folder, 'registry');
    await makeRoom(registry);
    const damaged = await damagedStoreFile(registry);
    if (damaged !== undefined) throw damagedStore(damaged);
    return lock;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The tracker's room, which brings its store. Throws CommandError when that is not installed. */
export async function loadTracker(): Promise<typeof import('../tracker/tracker.js')> {
  try {
    return await import('../tracker/tracker.js');
  } catch (error) {
    throw isMissingStore(error) ? missingStore() : error;
  }
}
