/**
 * What a live source keeps between its starts: its key, which is its swarm's ID, and the number that its next chunk may have.
 *
 *     DIR/live-key.pem    P-256, PKCS #8, for its owner's eyes           DIR/live-next    lent out in blocks, ahead of their use
 *
 * Two chunks of one number would be two truths with one signature, so a number is never used again: what was lent and not
 * used before a crash is lost.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNKS_PER_SIGNATURE } from '../../protocol/ppspp/live-source.js';
import { makeFolder } from '../make-folder.js';

/** Lent at once: a minute or two of music. */
const BLOCK_CHUNKS = 128 * CHUNKS_PER_SIGNATURE;

export class LiveIdentity {
  readonly key: KeyObject;
  /** The first number of this start. */
  readonly first: number;
  readonly #path: string;
  #lentUntil: number;

  private constructor(key: KeyObject, path: string, first: number) {
    this.key = key;
    this.first = first;
    this.#path = path;
    this.#lentUntil = first;
  }

  /** Makes what is not there. Rejects with the file system's error, or when there is something else than a P-256 key. */
  static async open(dataDir: string): Promise<LiveIdentity> {
    await makeFolder(dataDir);
    const key = await keyIn(join(dataDir, 'live-key.pem'));
    const path = join(dataDir, 'live-next');
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '0';
      throw error;
    });
    if (!/^\d{1,15}\s*$/.test(text)) throw new Error(`${path} is no number of a chunk`);
    return new LiveIdentity(key, path, Number(text));
  }

  /** Resolves when this number may be used. To be asked in order. */
  async lend(chunk: number): Promise<void> {
    if (chunk < this.#lentUntil) return;
    this.#lentUntil += BLOCK_CHUNKS;
    await writeDurably(this.#path, `${this.#lentUntil}\n`);
  }
}

async function keyIn(path: string): Promise<KeyObject> {
  const known = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (known === undefined) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await writeDurably(path, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    return privateKey;
  }
  const key = pemKey(known);
  if (key?.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  throw new Error(`${path} is no P-256 key`);
}

function pemKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text);
  } catch {
    return undefined;
  }
}

/** For nobody else to read. */
async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
