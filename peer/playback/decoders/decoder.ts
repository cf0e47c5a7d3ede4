/**
 * What a decoder is: whole MPEG frames in, samples out, one song at a time, pulled by whoever plays them.
 *
 *     FrameRun ──▶ decode() ──▶ Pcm            leaving the loop frees what the decoder held
 *
 * A decoder adds and removes nothing at either end: what the encoder put there is cut by GaplessTrim, so two decoders of
 * one song give the same samples (but for rounding). Frames are never the tag frame and never cut.
 */
import type { Pcm } from '../pcm.js';

/** Consecutive whole frames of one sample rate. */
export interface FrameRun {
  readonly bytes: Uint8Array;
  /** Hz */
  readonly sampleRate: number;
  /** Of the song: a frame of the other kind is mixed by the decoder. */
  readonly channels: 1 | 2;
  /** The frames do not tell their own length. */
  readonly freeFormat?: boolean;
}

export interface Decoder {
  readonly name: 'mpg123' | 'lame';
  /** Gets it ready for a song. Throws DecoderError when it cannot work here, saying what would mend it. */
  load(): Promise<void>;
  /** Gives back what is kept ready for the next song. */
  close(): void;
  /** The song's samples. Throws DecoderError; ends with the frames. */
  decode(frames: AsyncIterable<FrameRun>): AsyncIterable<Pcm>;
}

/** As a person asks for one. */
export const DECODER_NAMES = ['auto', 'mpg123', 'lame'] as const satisfies readonly (
  | 'auto'
  | Decoder['name']
)[];
export type DecoderName = (typeof DECODER_NAMES)[number];

/** The song can't be decoded, or the decoder is not there. */
export class DecoderError extends Error {
  override readonly name = 'DecoderError';
}
