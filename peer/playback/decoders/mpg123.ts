/**
 * mpg123 as WebAssembly, in this process: the quickest to the first sound, since nothing is spawned.
 *
 * An instance is made ahead for each song, so a song never waits for one. The library always gives two planes (of a mono
 * song, twice the same) and prints its errors on stderr besides returning none of the lost samples.
 */
import { MPEGDecoder } from 'mpg123-decoder';
import { interleave, type Pcm } from '../pcm.js';
import type { Decoder, FrameRun } from './decoder.js';

export class Mpg123Decoder implements Decoder {
  readonly name = 'mpg123';
  #spare: Promise<MPEGDecoder> | undefined;

  async load(): Promise<void> {
    this.#spare ??= this.#create();
    await this.#spare;
  }

  close(): void {
    this.#spare?.then(instance => instance.free());
    this.#spare = undefined;
  }

  async *decode(frames: AsyncIterable<FrameRun>): AsyncGenerator<Pcm> {
    let instance = await this.#instance();
    let sampleRate = 0;
    try {
      for await (const run of frames) {
        if (sampleRate !== 0 && run.sampleRate !== sampleRate) {
          instance.free();
          instance = await this.#create();
        }
        sampleRate = run.sampleRate;
        const pcm = toPcm(instance, run);
        if (pcm.samples.length > 0) yield pcm;
        // For the next song; not sooner, since making it would hold up this one's first sound.
        this.#spare ??= this.#create();
      }
    } finally {
      instance.free();
      // A song that was stopped at once has made none.
      this.#spare ??= this.#create();
    }
  }

  #instance(): Promise<MPEGDecoder> {
    const instance = this.#spare ?? this.#create();
    this.#spare = undefined;
    return instance;
  }

  async #create(): Promise<MPEGDecoder> {
    // Frames come without the tag, so there is nothing for the library to trim by.
    const instance = new MPEGDecoder({ enableGapless: false });
    await instance.ready;
    return instance;
  }
}

function toPcm(instance: MPEGDecoder, { bytes, sampleRate, channels }: FrameRun): Pcm {
  const { channelData } = instance.decode(bytes);
  return { sampleRate, channels, samples: interleave(channelData[0]!, channelData[1]!, channels) };
}
