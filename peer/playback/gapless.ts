/**
 * Cuts off what the encoder added, so that songs join as they were recorded.
 *
 *     decoded  │ delay + 529 │ music …………………………………… │ padding − 529 │
 *     given                  │ music …………………………………… │
 *
 * A decoder is 529 samples late by itself (the synthesis filter bank); the tag's figures do not count that. Nothing is
 * held back before the music's end, so the first sound is as early as it can be (after a seek, whose place among the frames
 * is not known, the padding's length is). A song with more or fewer frames than its tag says was joined or cut by somebody,
 * and its end is left as it is.
 */
import type { InfoTag } from '../mpeg/info-tag.js';
import type { SongBegin } from './audio-messages.js';
import type { Pcm } from './pcm.js';

/** Samples by which a layer III decoder is late. */
export const DECODER_DELAY = 529;

interface Cut {
  /** Samples a channel to drop from the front. */
  readonly skip: number;
  /** Samples a channel to drop from the end. */
  readonly padding: number;
  /** Samples a channel that there must be for the padding to be padding; undefined: not known. */
  readonly expected?: number;
}

export class GaplessTrim {
  readonly #cut: Cut;
  #skip: number;
  /** Decoded samples a channel, dropped ones included. */
  #decoded = 0;
  /** What may turn out to be padding, and its samples a channel. */
  #held: Pcm[] = [];
  #heldSamples = 0;

  constructor(cut: Cut) {
    this.#cut = cut;
    this.#skip = cut.skip;
  }

  /** For a song as it was begun: from its first byte on, with or without a tag, or from somewhere in the middle. */
  static of(
    begin: SongBegin,
    song: { readonly tag: InfoTag | undefined; readonly samplesPerFrame: number },
    sampleRate: number,
  ): GaplessTrim {
    const { tag, samplesPerFrame } = song;
    const preRoll = Math.round((begin.preRollSeconds ?? 0) * sampleRate);
    if (tag?.delay !== undefined) {
      return new GaplessTrim({
        skip: tag.delay + DECODER_DELAY + preRoll,
        padding: Math.max(0, (tag.padding ?? 0) - DECODER_DELAY),
        ...(tag.frames !== undefined && { expected: tag.frames * samplesPerFrame }),
      });
    }
    return new GaplessTrim({ skip: preRoll, padding: Math.max(0, (begin.endPadding ?? 0) - DECODER_DELAY) });
  }

  /** The music in this block, and perhaps in what was held before. */
  push(pcm: Pcm): Pcm[] {
    const samples = pcm.samples.length / pcm.channels;
    const skipped = Math.min(this.#skip, samples);
    this.#skip -= skipped;
    this.#decoded += samples;
    if (samples === skipped) return [];
    this.#held.push(slice(pcm, skipped));
    this.#heldSamples += samples - skipped;
    return this.#release(this.#mayBePadding());
  }

  /** At the song's end: what was held, unless it was padding. */
  end(): Pcm[] {
    const { expected, padding } = this.#cut;
    return this.#release(expected === undefined || expected === this.#decoded ? padding : 0);
  }

  /** How many of the last samples decoded may be padding. */
  #mayBePadding(): number {
    const { expected, padding } = this.#cut;
    if (expected === undefined) return padding;
    return this.#decoded > expected ? 0 : Math.max(0, padding - (expected - this.#decoded));
  }

  /** Gives out what is held but for the last `keep` samples. */
  #release(keep: number): Pcm[] {
    const given: Pcm[] = [];
    while (this.#heldSamples > keep) {
      const block = this.#held.shift()!;
      const samples = block.samples.length / block.channels;
      const free = Math.min(samples, this.#heldSamples - keep);
      given.push(free === samples ? block : slice(block, 0, free));
      if (free < samples) this.#held.unshift(slice(block, free));
      this.#heldSamples -= free;
    }
    return given;
  }
}

const slice = (pcm: Pcm, from: number, to?: number): Pcm => ({
  ...pcm,
  samples: pcm.samples.subarray(from * pcm.channels, to === undefined ? undefined : to * pcm.channels),
});
