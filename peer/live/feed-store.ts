/**
 * What makes a feed the same one tomorrow, kept in the data folder for its owner's eyes only (0600):
 *
 *     live/radio.pem     the key pair whose public half is the feed's identity: ECDSA P-256
 *     live/radio.key     the stream key, which publishers type; may be changed with an editor
 *     live/radio.next    the number that the next chunk of its swarm may have (TSP §5.6)
 *
 * What has no stream key, at an open peer, is kept in memory alone, while there is room for it.
 * A feed's ID is the SHA-256 of its public key, written as the ID of a PPSPP live swarm (TSP §5.5).
 */
import { createHash, type KeyObject } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../protocol/bytes.js';
import type { Logger, RandomBytes } from '../../protocol/ports.js';
import { ECDSA_P256 } from '../../protocol/ppspp/constants.js';
import { liveSwarmId } from '../../protocol/ppspp/signatures.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { makeFolder } from '../make-folder.js';
import { ChunkNumbers } from '../swarm/chunk-numbers.js';
import { newP256Key, p256Pem, readP256Pem } from '../swarm/p256-key.js';
import { readSecret } from '../swarm/read-secret.js';
import { writeDurably } from '../swarm/write-durably.js';
import { isFeedName } from './stream-keys.js';

const STREAM_KEY_BYTES = 16;

export interface FeedIdentity {
  readonly id: ContentHash;
  /** Algorithm and public key (RFC 7574 §7.7). */
  readonly swarmId: Uint8Array;
  readonly privateKey: KeyObject;
  readonly numbers: Pick<ChunkNumbers, 'begin' | 'lend'>;
}

export interface StoredKey {
  readonly key: string;
  /** Nobody has been told yet. */
  readonly isNew: boolean;
}

export class FeedStore {
  readonly #folder: string;
  readonly #randomBytes: RandomBytes;
  readonly #logger: Logger;
  readonly #kept = new Map<string, FeedIdentity>();
  /** Of names that anybody may use. */
  readonly #fleeting = new Map<string, FeedIdentity>();
  /** What is being written. */
  #writing: Promise<void> = Promise.resolve();

  constructor(folder: string, randomBytes: RandomBytes, logger: Logger) {
    this.#folder = folder;
    this.#randomBytes = randomBytes;
    this.#logger = logger;
  }

  /** Reads all identities. Rejects with the file system's error, and with CommandError when one is damaged. */
  async load(): Promise<void> {
    await makeFolder(this.#folder);
    for (const file of await readdir(this.#folder)) {
      const name = file.slice(0, -PEM.length);
      if (!file.endsWith(PEM) || !isFeedName(name)) continue;
      const numbers = await ChunkNumbers.open(this.#pathOf(`${name}${NEXT}`), this.#logger);
      const path = this.#pathOf(file);
      const key = readP256Pem(await readSecret(path), path);
      this.#kept.set(name, identityOf(key, numbers));
    }
  }

  /** Of a new name, a new one that is gone with this process, or when it is forgotten. */
  identity(name: string): FeedIdentity {
    const known = this.#kept.get(name) ?? this.#fleeting.get(name);
    if (known !== undefined) return known;
    const made = identityOf(newP256Key(), ChunkNumbers.anew());
    this.#fleeting.set(name, made);
    return made;
  }

  /** Unless it is kept. */
  forget(name: string): void {
    this.#fleeting.delete(name);
  }

  /** Of a new name, a new one that is there tomorrow. */
  keep(name: string): FeedIdentity {
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const privateKey = newP256Key();
    const numbers = ChunkNumbers.anew(this.#pathOf(`${name}${NEXT}`));
    const made = identityOf(privateKey, numbers);
    this.#kept.set(name, made);
    this.#writing = this.#writing
      .then(() => numbers.save())
      .then(() => writeDurably(this.#pathOf(`${name}${PEM}`), p256Pem(privateKey)))
      .catch((error: unknown) =>
        this.#logger.error({ err: error, feed: name }, "a feed's identity could not be kept"),
      );
    return made;
  }

  /** The feed's stream key, made when there is none. Rejects with the file system's error. */
  async streamKey(name: string): Promise<StoredKey> {
    const path = this.keyFile(name);
    const known = (await readSecret(path).catch(noneYet)).trim();
    if (known !== '') return { key: known, isNew: false };
    const key = toHex(this.#randomBytes(STREAM_KEY_BYTES));
    await writeDurably(path, `${key}\n`);
    return { key, isNew: true };
  }

  /** Where a person finds it. */
  keyFile(name: string): string {
    return this.#pathOf(`${name}${KEY}`);
  }

  /** Resolves when all that was made is written. */
  settled(): Promise<void> {
    return this.#writing;
  }

  #pathOf(file: string): string {
    return join(this.#folder, file);
  }
}

const PEM = '.pem';
const KEY = '.key';
const NEXT = '.next';

function identityOf(privateKey: KeyObject, numbers: ChunkNumbers): FeedIdentity {
  const swarmId = liveSwarmId(ECDSA_P256, privateKey);
  const id = createHash('sha256').update(swarmId).digest('hex') as ContentHash;
  return { id, swarmId, privateKey, numbers };
}

function noneYet(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
  throw error;
}
