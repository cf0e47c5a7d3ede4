/**
 * Another sample rate, for outputs that keep to the first song's: interpolation with a windowed sinc.
 *
 *     out[n] = Σ in[k] · h(n · from/to − k)        16 zero crossings to each side, Blackman window
 *
 * Going down, the sinc is stretched so that nothing above the new half rate is folded back. Rates are whole numbers, so the
 * output samples lie at a few hundred different places between two input samples, and each place's weights are reckoned
 * once. What one block leaves goes on to the next, so that cutting a song into blocks changes nothing.
 */
import { clip, type Pcm } from './pcm.js';

/** Zero crossings to each side: aliases are some 70 dB down. */
const CROSSINGS = 16;

export class Resampler {
  readonly #channels: 1 | 2;
  readonly #rate: number;
  /** Places between two input samples, and how many of them an output sample moves on. */
  readonly #places: number;
  readonly #step: number;
  readonly #cutoff: number;
  readonly #reach: number;
  readonly #weights: (Float64Array | undefined)[] = [];
  /** Input that is still needed, interleaved, and the next output sample's place in it. */
  #held: Int16Array;
  #at: number;

  constructor(from: number, to: number, channels: 1 | 2) {
    const common = greatestCommonDivisor(from, to);
    this.#channels = channels;
    this.#rate = to;
    this.#places = to / common;
    this.#step = from / common;
    this.#cutoff = Math.min(1, to / from);
    this.#reach = Math.ceil(CROSSINGS / this.#cutoff);
    this.#held = new Int16Array(this.#reach * channels);
    this.#at = this.#reach * this.#places;
  }

  /** The samples that this block settles. */
  push(samples: Int16Array): Pcm {
    const input = new Int16Array(this.#held.length + samples.length);
    input.set(this.#held);
    input.set(samples, this.#held.length);
    const settled = (input.length / this.#channels - this.#reach) * this.#places;
    const count = Math.max(0, Math.ceil((settled - this.#at) / this.#step));
    const output = new Int16Array(count * this.#channels);
    for (let i = 0; i < count; i++) this.#interpolate(input, this.#at + i * this.#step, output, i);

    const next = this.#at + count * this.#step;
    const dropped = Math.max(0, Math.floor(next / this.#places) - this.#reach);
    this.#held = input.slice(dropped * this.#channels);
    this.#at = next - dropped * this.#places;
    return { sampleRate: this.#rate, channels: this.#channels, samples: output };
  }

  /** The rest, as if silence followed. */
  end(): Pcm {
    return this.push(new Int16Array(this.#reach * this.#channels));
  }

  #interpolate(input: Int16Array, at: number, output: Int16Array, to: number): void {
    const channels = this.#channels;
    const before = Math.floor(at / this.#places);
    const weights = this.#weightsAt(at % this.#places);
    const first = (before - this.#reach + 1) * channels;
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (let i = 0, k = first + channel; i < weights.length; i++, k += channels)
        sum += weights[i]! * input[k]!;
      output[to * channels + channel] = clip(Math.round(sum));
    }
  }

  /** Of the input samples from `reach - 1` before to `reach` after. */
  #weightsAt(place: number): Float64Array {
    const known = this.#weights[place];
    if (known !== undefined) return known;
    const weights = new Float64Array(2 * this.#reach);
    for (let i = 0; i < weights.length; i++)
      weights[i] = this.#weight(place / this.#places + this.#reach - 1 - i);
    this.#weights[place] = weights;
    return weights;
  }

  #weight(distance: number): number {
    const x = Math.PI * distance * this.#cutoff;
    const sinc = x === 0 ? 1 : Math.sin(x) / x;
    const phase = (Math.PI * distance) / this.#reach;
    return this.#cutoff * sinc * (0.42 + 0.5 * Math.cos(phase) + 0.08 * Math.cos(2 * phase));
  }
}

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);
