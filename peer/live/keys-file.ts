/**
 * Stream keys that an operator brings: a line a feed, its name and its key. What begins with # is a remark.
 *
 *     radio  3f1d2a…
 *     talk   correct-horse-battery
 */
import { readFile, stat } from 'node:fs/promises';
import { ConfigError } from '../../protocol/errors.js';
import { streamPath } from '../../protocol/rtmp/stream-path.js';
import { FILE_THAT_ENDS, mayNeverEnd } from '../endless-file.js';
import { isFeedName } from './stream-keys.js';

/** Shorter ones are guessed. */
const FEWEST_KEY_CHARS = 8;
/** Anybody's but the owner's. */
const OTHERS = 0o077;
const OPTION = 'live-keys';

/** Throws ConfigError: the file is not there, is open to others, or has a line that is none. No key is ever in it. */
export async function readKeysFile(path: string): Promise<ReadonlyMap<string, string>> {
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) throw new ConfigError(OPTION, path, 'a file that can be read');
  if (mayNeverEnd(path, facts)) throw new ConfigError(OPTION, path, FILE_THAT_ENDS);
  if ((facts.mode & OTHERS) !== 0)
    throw new ConfigError(OPTION, path, `a file that only you can read: chmod 600 ${path} mends it`);
  const text = await readFile(path, 'utf8').catch(() => {
    throw new ConfigError(OPTION, path, 'a file that can be read');
  });
  const keys = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const [name, key, ...rest] = line.trim().split(/\s+/);
    if (name === undefined || name === '' || name.startsWith('#')) continue;
    if (key === undefined || rest.length > 0 || !isFeedName(name) || !isKey(key)) {
      const expected = `a file of lines NAME KEY, with keys of at least ${FEWEST_KEY_CHARS} characters that stand in a URL as they are: line ${index + 1} is none`;
      throw new ConfigError(OPTION, path, expected);
    }
    keys.set(name, key);
  }
  return keys;
}

/** What follows a `?`, or looks like an escape or a suffix, is not what a publisher's URL says. */
const isKey = (key: string): boolean =>
  key.length >= FEWEST_KEY_CHARS && streamPath('live', key)?.name === key;
