/**
 * What a live source keeps between its starts: its key, which is its swarm's ID, and the number that its next chunk may have.
 *
 *     DIR/live-key.pem    P-256, PKCS #8, for its owner's eyes           DIR/live-next    see ChunkNumbers
 *     DIR/live.lock       who gives a stream with them: of two under one ID listeners would hear both, mixed
 */
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from '../../protocol/ports.js';
import { inUseError } from '../failures/failure.js';
import { takeLock } from '../lock-file.js';
import { makeFolder } from '../make-folder.js';
import { ChunkNumbers } from './chunk-numbers.js';
import { newP256Key, p256Pem, readP256Pem } from './p256-key.js';
import { readSecret } from './read-secret.js';
import { writeDurably } from './write-durably.js';

export interface LiveIdentity {
  readonly key: KeyObject;
  readonly numbers: ChunkNumbers;
  /** Another process may have it. */
  release(): Promise<void>;
}

/**
 * Makes what is not there. Rejects with the file system's error, and with CommandError when there is something else than a
 * P-256 key or a number, and `in-use` while another process has it.
 */
export async function openLiveIdentity(dataDir: string, logger: Logger): Promise<LiveIdentity> {
  await makeFolder(dataDir);
  const lock = await takeLock(join(dataDir, 'live.lock'));
  if ('heldBy' in lock)
    throw inUseError(lock.heldBy, `gives the stream of ${dataDir}`, '--data names another folder');
  try {
    return { ...(await keptIn(dataDir, logger)), ...lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function keptIn(dataDir: string, logger: Logger): Promise<Omit<LiveIdentity, 'release'>> {
  const path = join(dataDir, 'live-key.pem');
  const next = join(dataDir, 'live-next');
  const known = await readSecret(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (known !== undefined)
    return { key: readP256Pem(known, path), numbers: await ChunkNumbers.open(next, logger) };
  const made = { key: newP256Key(), numbers: ChunkNumbers.anew(next) };
  await made.numbers.save();
  await writeDurably(path, p256Pem(made.key));
  return made;
}
