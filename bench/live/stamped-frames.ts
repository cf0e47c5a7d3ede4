/**
 * MPEG frames that say which they are and when they were sent, in bytes that decoders skip: what is lost shows as a gap,
 * and how late it is as a difference. The monotonic clock is the same for all processes of a machine.
 */

import { FrameScanner } from '../../peer/mpeg/frame-scanner.js';
import { asBuffer } from '../../protocol/bytes.js';
import { mpegFrames } from '../../test/support/mp3.js';
import type { Sound } from './publisher.js';

/** Behind the header and the side information of a stereo frame. */
const STAMP_AT = 36;
const MAGIC = 0x5354_414d;

export interface Stamp {
  readonly seq: number;
  readonly sentAtMs: number;
}

export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

const scanner = new FrameScanner();
const MODELS = [...scanner.push(mpegFrames({ seconds: 10, bitrate: 128_000 })), ...scanner.end()];

/** At 44.1 kHz. */
export const STAMPED: Sound = { type: 'audio/mpeg', frameMs: (1_152 / 44_100) * 1_000, frame: stampedFrame };

function stampedFrame(seq: number): Buffer {
  const frame = Buffer.from(MODELS[seq % MODELS.length]!.bytes);
  frame.writeUInt32BE(MAGIC, STAMP_AT);
  frame.writeUInt32BE(seq, STAMP_AT + 4);
  frame.writeDoubleBE(monotonicMs(), STAMP_AT + 8);
  return frame;
}

/** The stamps in a run of whole frames; silence has none. */
export function stampsOf(run: Uint8Array): Stamp[] {
  const reader = new FrameScanner();
  return [...reader.push(run), ...reader.end()].flatMap(({ bytes }) => {
    const frame = asBuffer(bytes);
    if (frame.readUInt32BE(STAMP_AT) !== MAGIC) return [];
    return [{ seq: frame.readUInt32BE(STAMP_AT + 4), sentAtMs: frame.readDoubleBE(STAMP_AT + 8) }];
  });
}
