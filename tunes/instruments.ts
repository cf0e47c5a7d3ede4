/**
 * Instruments made of arithmetic: each turns one note into samples of a mono voice, at 44.1 kHz.
 *
 *     pluck    a delay line that loses its brightness (Karplus and Strong, 1983): a nylon string
 *     bell     a sine bent by a sine that dies sooner: an electric piano, high up a celesta
 *     horn     a few harmonics that open slowly, with a little vibrato
 *     bass     a sine with some of its octave
 *     clack    a burst of noise through a narrow filter: castanets
 */
import type { Note } from './score.js';

export const SAMPLE_RATE = 44_100;

/** A note's samples; `seconds` is how long it is held. What sounds after that is the instrument's own affair. */
export type Instrument = (note: Note, seconds: number) => Float32Array;

const TAU = 2 * Math.PI;

export const pluck: Instrument = ({ hertz, loudness }, seconds) => {
  const samples = silence(seconds + 1.2);
  const period = SAMPLE_RATE / hertz;
  // Averaging two neighbours is half a sample of delay; the all-pass filter makes up the fraction, so it is in tune.
  const string = pluckedString(Math.floor(period - 0.6), Math.round(hertz * 100));
  const fraction = period - 0.5 - string.length;
  const allPass = (1 - fraction) / (1 + fraction);
  let last = 0;
  let lastMean = 0;
  let tuned = 0;
  for (let index = 0; index < samples.length; index += 1) {
    const at = index % string.length;
    const value = string[at]!;
    const mean = STRING_KEEPS * 0.5 * (value + last);
    tuned = allPass * mean + lastMean - allPass * tuned;
    last = value;
    lastMean = mean;
    string[at] = tuned;
    samples[index] = value * loudness * 1.6;
  }
  return faded(samples, 0.001, seconds, 0.5);
};

const STRING_KEEPS = 0.998;
/** How hard the finger is: less is softer. */
const FINGER = 0.45;

/** A string at the moment when it is let go: dulled noise, without an offset, since silence lies in the middle. */
function pluckedString(length: number, seed: number): Float32Array {
  const noise = noiseFrom(seed);
  let smooth = 0;
  const string = Float32Array.from({ length }, () => {
    smooth += FINGER * (noise() - smooth);
    return smooth;
  });
  const offset = string.reduce((sum, value) => sum + value, 0) / length;
  return string.map(value => value - offset);
}

export const bell: Instrument = ({ hertz, loudness }, seconds) => {
  const samples = silence(seconds + 1.8);
  for (let index = 0; index < samples.length; index += 1) {
    const time = index / SAMPLE_RATE;
    const bend = 1.4 * loudness * Math.exp(-4.5 * time);
    const strike = 0.18 * Math.exp(-14 * time) * Math.sin(TAU * hertz * 7 * time);
    const body = Math.sin(TAU * hertz * time + bend * Math.sin(TAU * hertz * 2 * time));
    samples[index] = loudness * (body + strike) * Math.exp(-1.6 * time) * 0.7;
  }
  return faded(samples, 0.003, seconds + 0.6, 1.2);
};

export const horn: Instrument = ({ hertz, loudness }, seconds) => {
  const samples = silence(seconds + 0.15);
  let phase = 0;
  for (let index = 0; index < samples.length; index += 1) {
    const time = index / SAMPLE_RATE;
    const vibrato = 1 + 0.004 * Math.min(1, time * 3) * Math.sin(TAU * 5.2 * time);
    phase += (TAU * hertz * vibrato) / SAMPLE_RATE;
    const open = 1 - Math.exp(-18 * time);
    let value = 0;
    for (let harmonic = 1; harmonic <= 9; harmonic += 1) {
      value += (Math.sin(harmonic * phase) / harmonic ** 1.15) * open ** (harmonic * 0.55);
    }
    samples[index] = loudness * 0.34 * value * (0.8 + 0.2 * Math.exp(-3 * time));
  }
  return faded(samples, 0.025, seconds - 0.03, 0.12);
};

export const bass: Instrument = ({ hertz, loudness }, seconds) => {
  const samples = silence(seconds + 0.3);
  for (let index = 0; index < samples.length; index += 1) {
    const time = index / SAMPLE_RATE;
    const tone = Math.sin(TAU * hertz * time) + 0.35 * Math.exp(-5 * time) * Math.sin(TAU * 2 * hertz * time);
    samples[index] = loudness * tone * Math.exp(-1.4 * time);
  }
  return faded(samples, 0.008, seconds, 0.2);
};

export const clack: Instrument = ({ hertz, loudness }) => {
  const samples = silence(0.09);
  const noise = noiseFrom(Math.round(hertz));
  let low = 0;
  let band = 0;
  const tune = 2 * Math.sin((Math.PI * hertz) / SAMPLE_RATE);
  for (let index = 0; index < samples.length; index += 1) {
    const burst = noise() * Math.exp(-index / 90);
    low += tune * band;
    band += tune * (burst - low - 0.18 * band);
    samples[index] = loudness * band * Math.exp(-index / 700);
  }
  return faded(samples, 0.0005, 0.05, 0.03);
};

const silence = (seconds: number): Float32Array => new Float32Array(Math.ceil(seconds * SAMPLE_RATE));

/** Swells over `attack`, and from `held` on dies away within `release`; all in seconds. No edge clicks. */
function faded(samples: Float32Array, attack: number, held: number, release: number): Float32Array {
  for (let index = 0; index < samples.length; index += 1) {
    const time = index / SAMPLE_RATE;
    const rise = Math.min(1, time / attack);
    const fall = Math.min(1, Math.max(0, 1 - (time - held) / release));
    samples[index]! *= rise * fall * fall;
  }
  return samples;
}

/** The same noise for the same seed, −1 … 1, so that the tunes come out the same wherever they are made. */
function noiseFrom(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 0x8000_0000 - 1;
  };
}
