/** `tsp-peer swarm seed` and `swarm get` as real processes, and a file for them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Chance } from '../simulation/chance.js';
import { type RunningCommand, spawnCommand } from './spawn-command.js';
import { tempFolder } from './temp-folder.js';
import type { Teardown } from './until.js';

export const ANYWHERE = ['--listen', '127.0.0.1:0'];

/** A file of chance, and its place. */
export async function contentIn(
  t: Teardown,
  size: number,
): Promise<{ folder: string; path: string; content: Uint8Array }> {
  const folder = await tempFolder(t);
  const path = join(folder, 'content');
  const content = new Chance(size).bytes(size);
  writeFileSync(path, content);
  return { folder, path, content };
}

export async function seed(t: Teardown, path: string, ...more: string[]) {
  const command = await spawnCommand(t, 'tsp-peer', ['swarm', 'seed', path, ...ANYWHERE, ...more]);
  const { port } = await command.ready();
  return {
    command,
    port: port!,
    peer: ['--peer', `127.0.0.1:${port}`],
    id: command.lines[0]!.split(' ')[0]!,
  };
}

export const get = (t: Teardown, id: string, out: string, ...more: string[]): Promise<RunningCommand> =>
  spawnCommand(t, 'tsp-peer', ['swarm', 'get', id, '-o', out, '--json', ...more]);

export interface Got {
  readonly event: 'got';
  readonly bytes: number;
  readonly resumed: number;
  readonly sources: readonly { host: string; bytes: number }[];
  readonly failed: readonly { host: string; lied?: boolean }[];
}

/** What `get --json` said in the end. */
export const got = ({ rows }: RunningCommand): Got =>
  rows.find(({ event }) => event === 'got') as unknown as Got;
