/**
 * Reads and hashes files in worker threads (hashing-worker.ts), several at a time, each within a deadline.
 *
 * A thread that hangs over a file's tags, or dies of them, is replaced and the file is read again without them. One that
 * hangs over its bytes, or dies twice, gives the file up.
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import type { FileReading } from './file-facts.js';
import type { ReadingNote } from './read-file.js';
import { ThreadLost, ThreadPool } from './thread-pool.js';

export interface HashingJob {
  readonly path: string;
  readonly tags: boolean;
  readonly pcmTags: boolean | undefined;
}

export interface HashingOptions {
  readonly threads: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Another worker than ours, in tests. */
  readonly script?: URL;
}

/** A parser gets so long (2 s); nobody waits longer for a title. */
const TAGS_PATIENCE_MS = 2_000;
/** For the next 8 MiB, or for the start of a thread on a busy machine; a disk that has to wake up needs about 10 s. */
const READ_PATIENCE_MS = 30_000;
/** A thread may also die of what is not the file's fault, such as memory that was short for a moment. */
const ATTEMPTS = 2;

export class Hashing {
  readonly #pool: ThreadPool<HashingJob, ReadingNote, FileReading>;

  constructor(options: HashingOptions) {
    this.#pool = new ThreadPool({
      script: options.script ?? new URL('./hashing-worker.js', import.meta.url),
      threads: options.threads,
      clock: options.clock,
      logger: options.logger,
      patienceMs: note => (note === 'tags' ? TAGS_PATIENCE_MS : READ_PATIENCE_MS),
    });
  }

  /** `pcmTags`: see ReadFileOptions. `cancelled` after `stop`; never rejects. */
  async read(
    path: string,
    options: { readonly urgent?: boolean; readonly pcmTags?: boolean } = {},
  ): Promise<FileReading | { readonly kind: 'cancelled' }> {
    let isAtTags = false;
    const onNote = (note: ReadingNote) => {
      isAtTags = note === 'tags';
    };
    let tags = true;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        return await this.#pool.run(
          { path, tags, pcmTags: options.pcmTags },
          { urgent: options.urgent === true || attempt > 0, onNote },
        );
      } catch (error) {
        if (!(error instanceof ThreadLost)) throw error;
        if (error.why === 'cancelled') return { kind: 'cancelled' };
        if (isAtTags) tags = false;
        else if (error.why === 'silent') return { kind: 'refused', reason: 'too-slow' };
      }
    }
    return { kind: 'refused', reason: 'unreadable', passing: true };
  }

  stop(): Promise<void> {
    return this.#pool.stop();
  }
}
