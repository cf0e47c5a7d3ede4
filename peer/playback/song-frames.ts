/**
 * A song's bytes as runs of frames for a decoder, and what its first frame tells.
 *
 *     bytes ─▶ FrameScanner ─▶ tag │ 2 frames │ 8 frames │ 8 frames │ …
 *
 * The first run is short, so that the first sound is there as soon as two frames are; after the encoder's delay the first
 * frame alone gives no sound.
 */
import { type Frame, FrameScanner } from '../mpeg/frame-scanner.js';
import { type InfoTag, parseInfoTag } from '../mpeg/info-tag.js';
import type { FrameRun } from './decoders/decoder.js';

const FIRST_RUN_FRAMES = 2;
/** 210 ms of sound, decoded in about 1 ms: small enough that a stop is never behind much work. */
const RUN_FRAMES = 8;

/** Scanned at once: of the first bytes just enough for two frames of 320 kbit/s and the next one's header. */
const FIRST_SLICE_BYTES = 2_304;
const SLICE_BYTES = 16_384;

export interface SongRun extends FrameRun {
  readonly seconds: number;
}

export class SongFrames implements AsyncIterable<SongRun> {
  readonly #bytes: AsyncIterable<Uint8Array>;
  readonly #scanner = new FrameScanner();
  #first: Frame | undefined;
  #tag: InfoTag | undefined;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#bytes = bytes;
  }

  /** Known when the first run has been given. */
  get tag(): InfoTag | undefined {
    return this.#tag;
  }

  /** Samples a frame; 0 as long as no frame was found. */
  get samplesPerFrame(): number {
    return this.#first?.header.samples ?? 0;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SongRun> {
    let wanted = FIRST_RUN_FRAMES;
    for await (const chunk of inSlices(this.#bytes)) {
      for (const run of this.#runs(this.#music(this.#scanner.push(chunk)), wanted)) {
        wanted = RUN_FRAMES;
        yield run;
      }
    }
    yield* this.#runs(this.#music(this.#scanner.end()), RUN_FRAMES);
  }

  /** The frames but the tag's. */
  #music(frames: Frame[]): Frame[] {
    if (this.#first !== undefined || frames[0] === undefined) return frames;
    this.#first = frames[0];
    this.#tag = parseInfoTag(frames[0]);
    return this.#tag === undefined ? frames : frames.slice(1);
  }

  *#runs(frames: Frame[], firstRun: number): Generator<SongRun> {
    const channels = this.#first?.header.channels ?? 2;
    for (let at = 0, wanted = firstRun; at < frames.length; wanted = RUN_FRAMES) {
      const { header } = frames[at]!;
      const next = frames.slice(at, at + wanted);
      const other = next.findIndex(frame => frame.header.sampleRate !== header.sampleRate);
      const run = other < 0 ? next : next.slice(0, other);
      at += run.length;
      const bytes = run.length === 1 ? run[0]!.bytes : Buffer.concat(run.map(frame => frame.bytes));
      const seconds = (run.length * header.samples) / header.sampleRate;
      yield { bytes, sampleRate: header.sampleRate, channels, seconds, freeFormat: header.bitrate === 0 };
    }
  }
}

async function* inSlices(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let sliceBytes = FIRST_SLICE_BYTES;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      yield chunk.subarray(at, at + sliceBytes);
      at += sliceBytes;
      sliceBytes = Math.min(SLICE_BYTES, sliceBytes * 2);
    }
  }
}
