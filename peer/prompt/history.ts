/**
 * The prompt's history, kept in a file so that yesterday's commands come back with the up key.
 *
 * Lines are appended as they are entered, so several prompts at a time lose nothing; the file is cut back when it is
 * read. That history cannot be read or written is no reason not to play music: it is logged and left at that.
 */
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../protocol/ports.js';
import { makeFolder } from '../make-folder.js';

export const MOST_LINES = 1_000;

export class History {
  readonly #path: string;
  readonly #logger: Logger;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** Newest first, as readline wants it. */
  async load(): Promise<string[]> {
    try {
      const lines = (await readFile(this.#path, 'utf8')).split('\n').filter(line => line !== '');
      const kept = lines.slice(-MOST_LINES);
      if (lines.length > 2 * MOST_LINES) await this.#replace(kept);
      return [...new Set(kept.reverse())];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#complain(error, 'cannot read the history');
      return [];
    }
  }

  /** In the background; `settled` waits for it. */
  add(line: string): void {
    if (line.trim() === '') return;
    this.#writing = this.#writing.then(async () => {
      try {
        await makeFolder(dirname(this.#path));
        await appendFile(this.#path, `${line.trim()}\n`, { mode: 0o600 });
      } catch (error) {
        this.#complain(error, 'cannot write the history');
      }
    });
  }

  /** Resolves when every added line is in the file. */
  settled(): Promise<void> {
    return this.#writing;
  }

  async #replace(lines: readonly string[]): Promise<void> {
    const fresh = `${this.#path}.${process.pid}`;
    await writeFile(fresh, `${lines.join('\n')}\n`, { mode: 0o600 });
    await rename(fresh, this.#path);
  }

  #complain(error: unknown, message: string): void {
    this.#logger.debug({ err: error, path: this.#path }, message);
  }
}
