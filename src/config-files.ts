/**
 * Reads the configuration files: the one that `--config` or TSP_CONFIG names, which must be there, then the user's own.
 *
 *     { "max-upload": "2M", "tsp-peer": { "library": ["~/Music"] }, "tsp-tracker": { "port": 7470 } }
 *
 * A section named after a command is only for that command and goes before what stands outside.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FILE_THAT_ENDS, mayNeverEnd } from '../peer/endless-file.js';
import { ConfigError } from '../protocol/errors.js';
import { type ConfigFile, checkKeys } from './options.js';
import { type Environment, xdgFolder } from './xdg.js';

/** Far more than any configuration; a song given by mistake is not read whole. */
const MAX_CONFIG_BYTES = 1024 * 1024;

export interface ConfigRequest {
  readonly command: string;
  /** All commands of the house. */
  readonly commands: readonly string[];
  /** Every option that any of them knows; asked for only when there is a file. */
  readonly knownOptions: () => Promise<readonly string[]>;
  readonly named: string | undefined;
  readonly env: Environment;
}

/** In order of precedence. Throws ConfigError for a file that is not there, is no JSON, or has unknown keys. */
export async function readConfigFiles(request: ConfigRequest): Promise<ConfigFile[]> {
  const own = join(xdgFolder('config', request.env), 'config.json');
  const named = request.named === undefined ? [] : await readConfigFile(request.named, request, true);
  return [...named, ...(await readConfigFile(own, request, false))];
}

async function readConfigFile(
  path: string,
  request: ConfigRequest,
  required: boolean,
): Promise<ConfigFile[]> {
  // Nobody said --config of the usual one.
  const which = required ? '--config' : 'the usual configuration file';
  const text = await readText(path, which, required);
  if (text === undefined) return [];
  const json = parseObject(text, path, which);
  const { [request.command]: section = {}, ...rest } = json;
  const outside = Object.fromEntries(Object.entries(rest).filter(([key]) => !request.commands.includes(key)));
  if (typeof section !== 'object' || section === null || Array.isArray(section)) {
    throw new ConfigError(`${path}: ${request.command}`, section, 'an object of options');
  }
  const files = [
    { path, values: section as Readonly<Record<string, unknown>> },
    { path, values: outside },
  ];
  const known = await request.knownOptions();
  for (const file of files) checkKeys(file, known);
  return files;
}

async function readText(path: string, which: string, required: boolean): Promise<string | undefined> {
  try {
    const facts = await stat(path);
    if (mayNeverEnd(path, facts)) throw new ConfigError(which, path, FILE_THAT_ENDS);
    if (facts.size > MAX_CONFIG_BYTES)
      throw new ConfigError(which, path, 'a configuration file: it is too large');
    const bytes = await readFile(path);
    return bytes.toString('utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (!required && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined;
    throw new ConfigError(which, path, `a file that can be read (${code ?? String(error)})`);
  }
}

function parseObject(text: string, path: string, which: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(which, path, `JSON: ${(error as Error).message}`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(which, path, 'a JSON object');
  }
  const twice = keyNamedTwice(text);
  if (twice !== undefined) throw new ConfigError(path, twice, 'named only once');
  return json as Record<string, unknown>;
}

/** Strings, keys with their colon, and where an object begins and ends. */
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}]/g;

/** Of what is JSON: of two values `JSON.parse` takes the last without a word. */
function keyNamedTwice(text: string): string | undefined {
  const objects: Set<string>[] = [];
  for (const [token, quoted, colon] of text.matchAll(TOKENS)) {
    if (token === '{') objects.push(new Set());
    else if (token === '}') objects.pop();
    else if (quoted !== undefined && colon !== undefined) {
      const key = JSON.parse(quoted) as string;
      const keys = objects.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}
