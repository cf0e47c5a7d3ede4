/**
 * The decoder that is used unless one is asked for: mpg123, and lame for what mpg123 cannot.
 *
 * The comparison is in bench/results (`bench/decoders.ts`): both give the same samples, mpg123 gives the first of them
 * several times sooner, and lame alone decodes the free format.
 */
import type { Pcm } from '../pcm.js';
import { type Decoder, DecoderError, type DecoderName, type FrameRun } from './decoder.js';
import { LameDecoder } from './lame.js';
import { Mpg123Decoder } from './mpg123.js';

export function createDecoder(name: DecoderName): Decoder {
  if (name === 'auto') return new AutoDecoder();
  return name === 'lame' ? new LameDecoder() : new Mpg123Decoder();
}

class AutoDecoder implements Decoder {
  readonly name = 'mpg123';
  readonly #mpg123 = new Mpg123Decoder();
  readonly #lame = new LameDecoder();

  load(): Promise<void> {
    return this.#mpg123.load();
  }

  close(): void {
    this.#mpg123.close();
    this.#lame.close();
  }

  async *decode(frames: AsyncIterable<FrameRun>): AsyncGenerator<Pcm> {
    const runs = frames[Symbol.asyncIterator]();
    const first = await runs.next();
    if (first.done === true) return;
    const whole = { [Symbol.asyncIterator]: () => withFirst(first.value, runs) };
    if (first.value.freeFormat !== true) return yield* this.#mpg123.decode(whole);
    try {
      yield* this.#lame.decode(whole);
    } catch (error) {
      throw new DecoderError(
        `the song is in MPEG's free format, which needs lame: ${(error as Error).message}`,
      );
    }
  }
}

async function* withFirst(first: FrameRun, rest: AsyncIterator<FrameRun>): AsyncGenerator<FrameRun> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
