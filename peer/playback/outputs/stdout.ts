/**
 * Raw samples on standard output (16-bit little-endian, interleaved), or with `raw` the songs' MP3 as it is.
 *
 * A stream of samples has one format, that of its first song; later ones are converted. Its reader paces it.
 */
import type { Clock } from '../../../protocol/ports.js';
import { littleEndian } from '../pcm.js';
import { writeWhole } from './descriptor.js';
import { type Output, outputError } from './output.js';

const STDOUT = 1;
/** What is written whole even when the song is stopped: a sample must never be cut in two. */
const PIECE_BYTES = 16_384;

export class StdoutOutput implements Output {
  readonly name = 'stdout';
  readonly bufferSeconds = 0;
  readonly formats = 'fixed';
  readonly takesMp3: boolean;
  readonly #clock: Clock;
  /** Counts flushes: a write that began before one gives up. */
  #flushes = 0;

  constructor(options: { readonly clock: Clock; readonly raw: boolean }) {
    this.#clock = options.clock;
    this.takesMp3 = options.raw;
  }

  async prepare(): Promise<void> {}

  async open(): Promise<void> {}

  write(samples: Int16Array): Promise<void> {
    return this.writeMp3(littleEndian(samples));
  }

  async writeMp3(bytes: Uint8Array): Promise<void> {
    const flushes = this.#flushes;
    try {
      for (let at = 0; at < bytes.length && flushes === this.#flushes; at += PIECE_BYTES) {
        await writeWhole(this.#clock, STDOUT, bytes.subarray(at, at + PIECE_BYTES));
      }
    } catch (error) {
      throw outputError('standard output', error);
    }
  }

  async flush(): Promise<void> {
    this.#flushes++;
  }

  async settle(): Promise<void> {}

  async close(): Promise<void> {}
}
