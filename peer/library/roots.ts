/**
 * The folders that the operator named: checked once at the start, then watched for going and coming back.
 *
 * A root is gone when nothing, or no folder, is at its path, and another one when its device or inode changed, as when a
 * disk is mounted there. Its songs are then withdrawn, not forgotten: they come back with it.
 */
import { constants } from 'node:fs';
import { access, readdir, realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ConfigError } from '../../protocol/errors.js';
import { isInside } from './paths.js';

export interface Root {
  /** Without links. */
  readonly path: string;
  /** Device and inode; undefined while it is unavailable. */
  identity: string | undefined;
  /** Why changes in it are only noticed by the periodic scan; undefined: they are noticed at once. */
  unwatched: string | undefined;
}

/** Throws ConfigError for what is no readable folder. A folder inside another one is left out: it is met there. */
export async function openRoots(folders: readonly string[]): Promise<Root[]> {
  const roots: Root[] = [];
  for (const folder of folders) {
    const path = await realpath(resolve(folder)).catch(() => undefined);
    const identity = path === undefined ? undefined : await identityOf(path);
    if (path === undefined || identity === undefined) throw new ConfigError('library', folder, 'a folder');
    await access(path, constants.R_OK | constants.X_OK).catch(() => {
      throw new ConfigError('library', folder, 'a folder that may be read');
    });
    roots.push({ path, identity, unwatched: undefined });
  }
  return roots.filter((root, at) => {
    const around = roots.findIndex(other => isInside(other.path, root.path) && other.path !== root.path);
    return around === -1 && roots.findIndex(other => other.path === root.path) === at;
  });
}

/** Undefined when there is no folder at `path`. */
export async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found?.isDirectory() === true ? `${found.dev}:${found.ino}` : undefined;
}

export async function isEmptyFolder(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => []);
  return names.length === 0;
}
