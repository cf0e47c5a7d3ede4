/** Where a user's files belong, by the XDG Base Directory Specification: a relative path in a variable is ignored. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

const FOLDERS = {
  config: ['XDG_CONFIG_HOME', '.config'],
  data: ['XDG_DATA_HOME', join('.local', 'share')],
  cache: ['XDG_CACHE_HOME', '.cache'],
  state: ['XDG_STATE_HOME', join('.local', 'state')],
} as const;

export type Environment = Readonly<Record<string, string | undefined>>;

/** The house's own folder of that kind, for instance `~/.config/tsp`. It may not be there yet. */
export function xdgFolder(kind: keyof typeof FOLDERS, env: Environment): string {
  const [variable, fallback] = FOLDERS[kind];
  const given = env[variable];
  const base = given !== undefined && isAbsolute(given) ? given : join(homeFolder(), fallback);
  return join(base, 'tsp');
}

/** A user that the system has no name for, as in a container, has the root for a home, as Docker says. */
export function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return '/';
  }
}
