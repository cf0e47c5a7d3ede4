/**
 * Sound as samples: 16-bit signed integers, channels interleaved, and the few things that are done to them.
 *
 *     float planes ──▶ interleave ──▶ [trim] ──▶ [remix, resample] ──▶ scale (volume) ──▶ bytes of the output
 *
 * Every decoder gives this form and every output takes it, so nothing else in playback knows a sample.
 */
import { endianness } from 'node:os';
import { asBuffer } from '../../protocol/bytes.js';

export interface PcmFormat {
  /** Hz */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
}

export interface Pcm extends PcmFormat {
  /** Interleaved; length is a multiple of `channels`. */
  readonly samples: Int16Array;
}

export const sameFormat = (a: PcmFormat, b: PcmFormat): boolean =>
  a.sampleRate === b.sampleRate && a.channels === b.channels;

export const pcmSeconds = (pcm: Pcm): number => pcm.samples.length / pcm.channels / pcm.sampleRate;

/** The nearest 16-bit value. */
export const clip = (value: number): number => Math.max(-32_768, Math.min(32_767, value));

/** Two planes of floats in [-1, 1] as interleaved integers; of a mono song both planes are the same and one is taken. */
export function interleave(left: Float32Array, right: Float32Array, channels: 1 | 2): Int16Array {
  const samples = new Int16Array(left.length * channels);
  for (let i = 0, out = 0; i < left.length; i++) {
    samples[out++] = clip(Math.round(left[i]! * 32_768));
    if (channels === 2) samples[out++] = clip(Math.round(right[i]! * 32_768));
  }
  return samples;
}

/** Mono to both sides, or both sides to their mean. */
export function remix(pcm: Pcm, channels: 1 | 2): Pcm {
  if (pcm.channels === channels) return pcm;
  const frames = pcm.samples.length / pcm.channels;
  const samples = new Int16Array(frames * channels);
  for (let i = 0; i < frames; i++) {
    if (channels === 2) samples[2 * i] = samples[2 * i + 1] = pcm.samples[i]!;
    else samples[i] = (pcm.samples[2 * i]! + pcm.samples[2 * i + 1]!) >> 1;
  }
  return { sampleRate: pcm.sampleRate, channels, samples };
}

/**
 * The factor for a volume of 0…100. Loudness follows the amplitude's power of about 0.6, so equal steps of the dial
 * are heard as equal with a cube; 100 is exactly 1 and leaves every sample as it is.
 */
export const gainOf = (volume: number): number => (Math.min(100, Math.max(0, volume)) / 100) ** 3;

/** A copy scaled by `gain` in [0, 1]; the samples themselves when there is nothing to do. */
export function scale(samples: Int16Array, gain: number): Int16Array {
  if (gain === 1) return samples;
  const scaled = new Int16Array(samples.length);
  if (gain > 0) for (let i = 0; i < samples.length; i++) scaled[i] = clip(Math.round(samples[i]! * gain));
  return scaled;
}

/** The samples' memory as bytes in little-endian order; shared where the machine is little-endian itself. */
export function littleEndian(samples: Int16Array): Buffer {
  const bytes = asBuffer(samples);
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap16();
}
