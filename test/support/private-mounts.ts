/**
 * A file system of a command's own, which can be full, or vanish under it: a tmpfs that only this command sees, in a mount
 * namespace that goes when it goes. From outside, its files are below `/proc/PID/root`.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type RunningCommand, type SpawnOptions, spawnProgram } from './spawn-command.js';
import type { Teardown } from './until.js';

/** A user namespace lets everybody mount; who is root needs none. */
const UNSHARE = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'])];
const MOUNT = 'mount -t tmpfs -o "size=$0" none "$1" && shift && exec "$@"';

/** Why there can be no such file system here, as tap's `skip` wants it; false when there can. */
export const noMounts: string | false =
  spawnSync('unshare', [...UNSHARE, 'sh', '-c', MOUNT, '1M', '/tmp', 'true']).status === 0
    ? false
    : 'nothing can be mounted here';

export interface Mount {
  /** An empty folder that there is. */
  readonly folder: string;
  /** `16M`. */
  readonly size: string;
}

/** Runs `program` with a tmpfs at `folder`. */
export async function spawnWithMount(
  t: Teardown,
  { folder, size }: Mount,
  program: readonly string[],
  options: SpawnOptions = {},
): Promise<RunningCommand> {
  return await spawnProgram(
    t,
    'unshare',
    [...UNSHARE, 'sh', '-c', MOUNT, size, folder, ...program],
    options,
    'tsp-peer',
  );
}

/** What `path` is to that command, for us. */
export const seenBy = (command: RunningCommand, path: string): string =>
  join(`/proc/${command.pid}/root`, path);

/** As when a disk is pulled out: what is open stays open, nothing more can be. */
export const unmount = (command: RunningCommand, folder: string): void =>
  inNamespace(command, ['umount', '--lazy', folder]);

/** A new, empty one. */
export const mount = (command: RunningCommand, { folder, size }: Mount): void =>
  inNamespace(command, ['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'none', folder]);

function inNamespace({ pid }: RunningCommand, words: readonly string[]): void {
  // Who is root there alone may not change groups there.
  const user = UNSHARE.length > 1 ? ['--user', '--preserve-credentials'] : [];
  const namespace = ['--target', String(pid), '--mount', ...user];
  const { status, stderr } = spawnSync('nsenter', [...namespace, ...words], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${words.join(' ')}: ${stderr}`);
}
