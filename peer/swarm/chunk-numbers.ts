/**
 * The numbers that a live source's chunks may have, kept in a file between its starts.
 *
 *     FILE: 8192 ─▶ begin() = 8192 ─▶ lend(8192): FILE says 12288 by then, durably ─▶ chunk 8192 may be made
 *
 * Two chunks of one number would be two truths with one signature, so a number is never used again: they are lent out in
 * blocks, ahead of their use, and what was lent and not used before a crash is lost. FILE is there before its key is, so that
 * a key without one has lost it.
 */
import { readFile } from 'node:fs/promises';
import type { Logger } from '../../protocol/ports.js';
import { fileError } from '../failures/failure.js';
import { writeDurably } from './write-durably.js';

/** Lent at once: some minutes of music. A multiple of every subtree that a source signs. */
const BLOCK_CHUNKS = 4_096;

export class ChunkNumbers {
  readonly #path: string | undefined;
  #lentUntil: number;
  /** Streams that began have their first block, lent or not. */
  #begunUntil = 0;

  private constructor(path: string | undefined, lentUntil: number) {
    this.#path = path;
    this.#lentUntil = lentUntil;
  }

  /**
   * Of a source that was there before: where its file is lost, from 0 on, which is logged. Rejects with the file system's
   * error, and with CommandError when it says something else.
   */
  static async open(path: string, logger: Logger): Promise<ChunkNumbers> {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      logger.warn(
        { file: path },
        'the numbers of a stream are lost: it begins at chunk 0 again, and who was listening hears nothing until they begin anew',
      );
      return '0';
    });
    if (!/^\d{1,15}\s*$/.test(text))
      throw fileError(
        `${path} is no number of a chunk.`,
        'Write a number into it that is above all that were used, or move it away together with its key.',
      );
    return new ChunkNumbers(path, Number(text));
  }

  /** Of a source that nobody has known before; without `path` one that nobody knows again. */
  static anew(path?: string): ChunkNumbers {
    return new ChunkNumbers(path, 0);
  }

  /** The first number of a new stream, when the one before is over. */
  begin(): number {
    const first = Math.max(this.#lentUntil, this.#begunUntil);
    this.#begunUntil = first + BLOCK_CHUNKS;
    return first;
  }

  /** Resolves when this number may be used. To be asked in order. */
  async lend(chunk: number): Promise<void> {
    if (chunk < this.#lentUntil) return;
    this.#lentUntil = (Math.floor(chunk / BLOCK_CHUNKS) + 1) * BLOCK_CHUNKS;
    await this.save();
  }

  /** Resolves when the file is there. */
  async save(): Promise<void> {
    if (this.#path !== undefined) await writeDurably(this.#path, `${this.#lentUntil}\n`);
  }
}
