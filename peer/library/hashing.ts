/**
 * Reads and hashes files in worker threads (hashing-worker.ts), several at a time, each within a deadline.
 *
 * A thread that hangs over a file's tags is replaced and the file is read again without them; one that hangs over its
 * bytes, or dies of it, gives the file up.
 */
import type { Clock } from '../../protocol/ports.js';
import type { FileReading } from './file-facts.js';
import type { ReadingNote } from './read-file.js';
import { ThreadLost, ThreadPool } from './thread-pool.js';

export interface HashingJob {
  readonly path: string;
  readonly tags: boolean;
}

export interface HashingOptions {
  readonly threads: number;
  readonly clock: Clock;
  /** Another worker than ours, in tests. */
  readonly script?: URL;
}

/** A parser gets so long (2 s); nobody waits longer for a title. */
const TAGS_PATIENCE_MS = 2_000;
/** For the next 8 MiB, or for the start of a thread on a busy machine; a disk that has to wake up needs about 10 s. */
const READ_PATIENCE_MS = 30_000;

export class Hashing {
  readonly #pool: ThreadPool<HashingJob, ReadingNote, FileReading>;

  constructor(options: HashingOptions) {
    this.#pool = new ThreadPool({
      script: options.script ?? new URL('./hashing-worker.js', import.meta.url),
      threads: options.threads,
      clock: options.clock,
      patienceMs: note => (note?.stage === 'tags' ? TAGS_PATIENCE_MS : READ_PATIENCE_MS),
    });
  }

  /** `onBytes` is told how many bytes were read so far. `cancelled` after `cancel` or `stop`; never rejects. */
  async read(
    path: string,
    options: { readonly urgent?: boolean; readonly onBytes?: (bytes: number) => void } = {},
  ): Promise<FileReading | { readonly kind: 'cancelled' }> {
    let hungOverTags = false;
    const onNote = (note: ReadingNote) => {
      hungOverTags = note.stage === 'tags';
      if (note.stage === 'bytes') options.onBytes?.(note.bytes);
    };
    for (const tags of [true, false]) {
      try {
        return await this.#pool.run({ path, tags }, { urgent: options.urgent === true || !tags, onNote });
      } catch (error) {
        if (!(error instanceof ThreadLost)) throw error;
        if (error.why === 'cancelled') return { kind: 'cancelled' };
        if (!hungOverTags)
          return { kind: 'refused', reason: error.why === 'silent' ? 'too-slow' : 'unreadable' };
      }
    }
    return { kind: 'refused', reason: 'unreadable' };
  }

  cancel(): void {
    this.#pool.cancel();
  }

  stop(): Promise<void> {
    return this.#pool.stop();
  }
}
