/**
 * A clock for a process of its own that runs at another pace than the world's: hasty, so that a test need not wait; or slow,
 * so that what must be over within seconds is so on a crowded machine too.
 *
 *     const host = await network.host({ songs, env: await atPace(t, 1 / 6) });      its ten seconds take a minute
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tempFolder } from './temp-folder.js';
import type { Teardown } from './until.js';

const clockOf = (pace: number): string => `
const [now, after] = [performance.now.bind(performance), setTimeout];
performance.now = () => now() * ${pace};
globalThis.setTimeout = (callback, delayMs, ...args) => after(callback, delayMs / ${pace}, ...args);
`;

/** The environment of a Node program whose time passes `pace` times as fast. */
export async function atPace(t: Teardown, pace: number): Promise<Record<string, string>> {
  const path = join(await tempFolder(t), 'clock.mjs');
  await writeFile(path, clockOf(pace));
  return { NODE_OPTIONS: `--import=${pathToFileURL(path).href}` };
}
