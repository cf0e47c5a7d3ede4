/** AAC as OBS would send it, frame by frame; undefined where there is no ffmpeg to encode it. */
import { spawnSync } from 'node:child_process';
import type { Sound } from './publisher.js';

const SECONDS = 20;
const SAMPLES = 1_024;
const RATE = 44_100;
const MAX_BYTES = 1e7;

export function aacSound(): Sound | undefined {
  const input = ['-loglevel', 'error', '-f', 'lavfi', '-i', `sine=d=${SECONDS}:r=${RATE}`, '-ac', '2'];
  const { stdout, status } = spawnSync('ffmpeg', [...input, '-c:a', 'aac', '-f', 'adts', '-'], {
    maxBuffer: MAX_BYTES,
  });
  if (status !== 0) return undefined;
  const frames = adtsFrames(stdout);
  return {
    type: 'audio/aac',
    frameMs: (SAMPLES / RATE) * 1_000,
    frame: n => frames[n % frames.length]!,
  };
}

/** Each header has its frame's length in 13 bits, from the fourth byte on (ISO/IEC 13818-7 §6.2). */
function adtsFrames(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 7 <= bytes.length; ) {
    const length = (bytes.readUInt32BE(at + 2) >> 5) & 0x1fff;
    frames.push(bytes.subarray(at, at + length));
    at += length;
  }
  return frames;
}
