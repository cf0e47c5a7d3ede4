/**
 * Which folders a peer works in. Several peers of one user just work: each locks a data folder of its own.
 *
 *     tsp-peer             ~/.local/share/tsp/peer   ~/.cache/tsp/peer        the first
 *     tsp-peer             ~/.local/share/tsp/peer-2 ~/.cache/tsp/peer-2      the second, while the first runs
 *     tsp-peer --data D    D                         D/cache                  all in one place; in use: an error
 */
import { join } from 'node:path';
import { folderFailure, folderInUse } from './failures.js';
import { lockFolder } from './folder-lock.js';
import { defaultPeerFolder, type PeerFolders } from './peer-options.js';
import { type Environment, xdgFolder } from './xdg.js';

/** Nobody runs so many on purpose; something starts them without end. */
const MAX_PEERS = 64;

export interface LockedFolders extends PeerFolders {
  release(): Promise<void>;
}

/** Throws CommandError when the folder can't be used. `chosen`: what `--data` named, undefined for the usual place. */
export async function lockPeerFolders(chosen: string | undefined, env: Environment): Promise<LockedFolders> {
  if (chosen !== undefined) {
    const lock = await lockOrExplain(chosen);
    if ('heldBy' in lock) throw folderInUse(chosen, lock.heldBy);
    return { ...foldersIn(chosen), release: () => lock.release() };
  }
  for (let number = 1; ; number += 1) {
    const suffix = number === 1 ? '' : `-${number}`;
    const dataDir = defaultPeerFolder(env) + suffix;
    const lock = await lockOrExplain(dataDir);
    if (!('heldBy' in lock)) return { ...usualFolders(suffix, env), release: () => lock.release() };
    if (number === MAX_PEERS) throw folderInUse(dataDir, lock.heldBy);
  }
}

/** For commands that keep nothing: the same places, unlocked. */
export const peerFolders = (chosen: string | undefined, env: Environment): PeerFolders =>
  chosen === undefined ? usualFolders('', env) : foldersIn(chosen);

const foldersIn = (folder: string): PeerFolders => ({
  dataDir: folder,
  cacheDir: join(folder, 'cache'),
  stateDir: folder,
});

const usualFolders = (suffix: string, env: Environment): PeerFolders => ({
  dataDir: defaultPeerFolder(env) + suffix,
  cacheDir: join(xdgFolder('cache', env), `peer${suffix}`),
  stateDir: xdgFolder('state', env),
});

async function lockOrExplain(folder: string): ReturnType<typeof lockFolder> {
  try {
    return await lockFolder(folder);
  } catch (error) {
    throw folderFailure(error);
  }
}
