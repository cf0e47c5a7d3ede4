/**
 * The peer's secret of TSP §5.1: random, made once, kept in its data folder. A registration with it replaces the one
 * that this peer left behind when it lost its connection or its machine.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../protocol/bytes.js';
import type { Logger, RandomBytes } from '../../protocol/ports.js';
import { makeFolder } from '../make-folder.js';

const SECRET_BYTES = 16;
const FORMAT = /^[0-9a-f]{32}$/;

/** 32 hex digits. A folder that cannot be written costs only that the next start is a stranger to the tracker. */
export async function loadInstance(
  dataDir: string,
  randomBytes: RandomBytes,
  logger: Logger,
): Promise<string> {
  const path = join(dataDir, 'instance');
  const known = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (FORMAT.test(known)) return known;
  const fresh = toHex(randomBytes(SECRET_BYTES));
  try {
    await makeFolder(dataDir);
    await writeFile(`${path}.new`, `${fresh}\n`, { mode: 0o600 });
    await rename(`${path}.new`, path);
  } catch (error) {
    logger.warn({ err: error, path }, 'the instance secret could not be kept');
  }
  return fresh;
}
