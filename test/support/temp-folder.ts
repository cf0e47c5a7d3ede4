/** A folder of a test's own, gone when the test ends; and a home in it, so that no test meets the user's own files. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Teardown } from './until.js';

/** An empty folder, as an absolute path without links in it. */
export async function tempFolder(t: Teardown): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'torero-')));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** The environment of a command that must not see this user's configuration, data or options. */
export function homeIn(folder: string): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !/^(TSP_|XDG_|NO_COLOR|FORCE_COLOR)/.test(entry[0]),
  );
  return {
    ...Object.fromEntries(inherited),
    // Coverage is less exact in functions that come from the cache.
    NODE_DISABLE_COMPILE_CACHE: '1',
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, 'config'),
    XDG_DATA_HOME: join(folder, 'data'),
    XDG_CACHE_HOME: join(folder, 'cache'),
    XDG_STATE_HOME: join(folder, 'state'),
  };
}
