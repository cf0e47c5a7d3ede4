/**
 * How much of a file's end its tags take.
 *
 *     … last frame │ items … │ footer: "APETAGEX" version:4 size:4 count:4 flags:4 … │ "TAG" … 128 bytes
 *                  └ APEv2: `size` bytes, the footer's 32 among them, little-endian ──┘└ ID3v1
 */
import { asBuffer } from '../../protocol/bytes.js';

const ID3V1_BYTES = 128;
const APE_FOOTER_BYTES = 32;
const APE_SIZE_AT = 12;

/** Of a file's last bytes, enough to know by. */
export const END_BYTES = APE_FOOTER_BYTES + ID3V1_BYTES;

/** Bytes of ID3v1 where `end`, a file's last bytes, has it; else 0. */
export const id3v1Bytes = (end: Uint8Array): number =>
  asBuffer(end).toString('latin1', end.length - ID3V1_BYTES, end.length - ID3V1_BYTES + 3) === 'TAG'
    ? ID3V1_BYTES
    : 0;

/** Bytes of an APE tag and ID3v1 together; of ID3v1 alone where they would be more than `limit`. */
export function endTagBytes(end: Uint8Array, limit: number): number {
  const id3v1 = id3v1Bytes(end);
  const at = end.length - id3v1 - APE_FOOTER_BYTES;
  if (at < 0 || asBuffer(end).toString('latin1', at, at + 8) !== 'APETAGEX') return id3v1;
  const ape = asBuffer(end).readUInt32LE(at + APE_SIZE_AT);
  return ape + id3v1 > limit ? id3v1 : ape + id3v1;
}
