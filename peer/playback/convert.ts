/**
 * Brings songs of any format to one: mono and stereo are mixed, sample rates resampled. What is right already passes.
 */
import { type Pcm, type PcmFormat, remix } from './pcm.js';
import { Resampler } from './resample.js';

export class Converter {
  readonly to: PcmFormat;
  /** For the rate of the song at hand. */
  #resampler: { readonly from: number; readonly run: Resampler } | undefined;

  constructor(to: PcmFormat) {
    this.to = to;
  }

  push(pcm: Pcm): Pcm[] {
    const mixed = remix(pcm, this.to.channels);
    const rest = this.#resampler?.from === mixed.sampleRate ? [] : this.end();
    if (mixed.sampleRate === this.to.sampleRate) return [...rest, mixed];
    this.#resampler ??= {
      from: mixed.sampleRate,
      run: new Resampler(mixed.sampleRate, this.to.sampleRate, mixed.channels),
    };
    return [...rest, this.#resampler.run.push(mixed.samples)];
  }

  /** What is still under way of the song that ends here. */
  end(): Pcm[] {
    const rest = this.#resampler === undefined ? [] : [this.#resampler.run.end()];
    this.#resampler = undefined;
    return rest;
  }
}
