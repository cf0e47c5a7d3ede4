/**
 * The free format of MPEG audio (bitrate index 0): its headers do not tell how long a frame is, only that all are of one
 * length but for their padding. So it is measured, from one header to the next (ISO/IEC 11172-3 §2.4.2.3).
 *
 *     header │ … │ header │ … │ header
 *      ├─ length ──┤├─ length ──┤     twice the same, or it was chance
 */
import { FRAME_HEADER_BYTES, type FrameHeader, fits, parseFrameHeader } from './frame-header.js';

/** The longest frame read: 640 kbit/s at 32 kHz is 2,881 bytes; more than twice that is garbage. */
const MAX_FRAME_BYTES = 6_144;
/** A header and the shortest side information: headers that lie closer are no frames. */
const MIN_FRAME_BYTES = FRAME_HEADER_BYTES + 9;

/** Bytes of the frame at `at`, padding included. `more`: that takes bytes behind these, which are not the last. */
export function freeFrameBytes(
  bytes: Uint8Array,
  at: number,
  header: FrameHeader,
  atEnd: boolean,
): number | 'more' | 'none' {
  for (let next = at + FRAME_HEADER_BYTES; next < at + MAX_FRAME_BYTES; next++) {
    if (next + FRAME_HEADER_BYTES > bytes.length) return atEnd ? 'none' : 'more';
    const other = parseFrameHeader(bytes, next);
    if (other === undefined || !fits(header, other) || !sameFixedBits(bytes, at, next)) continue;
    const length = next - at;
    const after = next + length - header.padding + other.padding;
    if (after + FRAME_HEADER_BYTES > bytes.length && !atEnd) return 'more';
    if (after + FRAME_HEADER_BYTES <= bytes.length && parseFrameHeader(bytes, after) === undefined) continue;
    return length < MIN_FRAME_BYTES ? 'none' : length;
  }
  return 'none';
}

/** Everything in a header but padding, private bit, channel mode and what follows it. */
const sameFixedBits = (bytes: Uint8Array, a: number, b: number): boolean =>
  bytes[a + 1] === bytes[b + 1] && (bytes[a + 2]! & 0xfc) === (bytes[b + 2]! & 0xfc);
