/**
 * Frames to run a decoder on before any song comes: valid headers around random bits.
 *
 * To a decoder random bits are loud noise in every kind of block, so they pass through all of its code. They are made here
 * and not read from a file, since they are needed before anything else is there; the same each time.
 */
import type { FrameRun } from './decoder.js';

const FRAME_BYTES = 417;
const FRAMES_A_RUN = 4;
const RUNS = 16;
/** MPEG 1, layer III, no CRC, 128 kbit/s, 44.1 kHz, joint stereo. */
const HEADER = [0xff, 0xfb, 0x90, 0x64];

export function* warmUpFrames(): Generator<FrameRun> {
  let state = 0x2545_f491;
  for (let run = 0; run < RUNS; run++) {
    const bytes = new Uint8Array(FRAME_BYTES * FRAMES_A_RUN);
    for (let i = 0; i < bytes.length; i++) {
      // xorshift32
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      // No 0xff: random bits must not look like a header.
      bytes[i] = state & 0x7f;
    }
    for (let frame = 0; frame < FRAMES_A_RUN; frame++) bytes.set(HEADER, frame * FRAME_BYTES);
    yield { bytes, sampleRate: 44_100, channels: 2 };
  }
}
