/**
 * Looks into folders from a worker thread, one look at a time. A folder on a share that hangs costs that thread, which
 * is replaced, and no more.
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import type { Found } from './file-facts.js';
import type { ScanJob } from './scan.js';
import { ThreadLost, ThreadPool } from './thread-pool.js';

/** For the next 500 files. */
const SCAN_PATIENCE_MS = 30_000;

export class Scanner {
  readonly #pool: ThreadPool<ScanJob, readonly Found[], 'complete'>;

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#pool = new ThreadPool({
      script: new URL('./scan-worker.js', import.meta.url),
      threads: 1,
      clock,
      logger,
      patienceMs: () => SCAN_PATIENCE_MS,
    });
  }

  /** Anything but `complete` means that what was not found may be there all the same. Never rejects. */
  async scan(
    job: ScanJob,
    onFound: (found: readonly Found[]) => void,
  ): Promise<'complete' | 'silent' | 'crashed' | 'cancelled'> {
    try {
      return await this.#pool.run(job, { onNote: onFound });
    } catch (error) {
      if (error instanceof ThreadLost) return error.why;
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.#pool.stop();
  }
}
