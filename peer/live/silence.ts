/**
 * A silent frame in the format of another: what listeners hear while the publisher is away. Pure.
 *
 *     header, CRC off │ 00 00 00 …        side information of zeros: no Huffman data, no samples, no reservoir (layer III);
 *                                         a bit allocation of zeros: no subband has any sample (layers I and II)
 *
 * It is as long as its model, padding included, so that it fits into the stream bit for bit.
 */
import { FRAME_HEADER_BYTES } from '../mpeg/frame-header.js';

/** In the second byte. Set, it says that no CRC follows the header. */
const NO_CRC = 0x01;

export function silenceLike(frame: Uint8Array): Buffer {
  const silent = Buffer.alloc(frame.length);
  silent.set(frame.subarray(0, FRAME_HEADER_BYTES));
  silent[1]! |= NO_CRC;
  return silent;
}
