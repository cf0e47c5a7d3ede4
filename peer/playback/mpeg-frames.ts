/**
 * MPEG audio as frames: finds them in a stream of bytes that arrives in any pieces, past tags and past garbage.
 *
 *     ID3v2 … │ frame │ frame │ frame │ ?!?! garbage │ frame │ … │ TAG
 *      skipped   4-byte header + body     resynchronised           skipped
 *
 * Decoders are only ever fed whole frames, so that none of them has to survive what is not MP3, every one of them starts
 * after a seek in the same way, and the number of samples that a song must give is known. Where sync is not yet certain,
 * a header counts only if another that fits follows its frame (ISO/IEC 11172-3 §2.4.1, 13818-3 for the lower rates).
 */

export interface FrameHeader {
  /** 1: 32–48 kHz, 2: 16–24 kHz, 2.5: 8–12 kHz. */
  readonly version: 1 | 2 | 2.5;
  readonly layer: 1 | 2 | 3;
  /** Hz */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** bit/s; 0 in the free format, whose frames tell their length by where the next begins. */
  readonly bitrate: number;
  /** Samples a channel. */
  readonly samples: number;
  /** Length of the frame in bytes, header included; in the free format without the padding byte: 0. */
  readonly bytes: number;
  /** 0 or 1 (layer I: 0 or 4) bytes that pad this frame; part of `bytes`. */
  readonly padding: number;
}

export interface Frame {
  readonly header: FrameHeader;
  /** Shares memory with what was pushed, or with a copy of it. */
  readonly bytes: Uint8Array;
  /** Where the frame begins, counted from the first byte pushed. */
  readonly offset: number;
}

export const HEADER_BYTES = 4;
/** The longest frame read: free format at 640 kbit/s and 32 kHz is 2,881 bytes; more than twice that is garbage. */
const MAX_FRAME_BYTES = 6_144;

const KBIT_V1 = [
  [],
  [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
];
const KBIT_V2 = [
  [],
  [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
const HERTZ_V1 = [44_100, 48_000, 32_000];

/** The frame header at `at`, or undefined if there is none or it is cut off. */
export function parseFrameHeader(bytes: Uint8Array, at = 0): FrameHeader | undefined {
  if (at + HEADER_BYTES > bytes.length || bytes[at] !== 0xff) return undefined;
  const [, second, third, fourth] = bytes.subarray(at, at + HEADER_BYTES) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if ((second & 0xe0) !== 0xe0) return undefined;
  const versionBits = (second >> 3) & 3;
  const layerBits = (second >> 1) & 3;
  const bitrateIndex = third >> 4;
  const rateIndex = (third >> 2) & 3;
  if (versionBits === 1 || layerBits === 0 || bitrateIndex === 15 || rateIndex === 3) return undefined;

  const version = versionBits === 3 ? 1 : versionBits === 2 ? 2 : 2.5;
  const layer = (4 - layerBits) as 1 | 2 | 3;
  const sampleRate = HERTZ_V1[rateIndex]! / (version === 1 ? 1 : version === 2 ? 2 : 4);
  const bitrate = (version === 1 ? KBIT_V1 : KBIT_V2)[layer]![bitrateIndex]! * 1_000;
  const samples = layer === 1 ? 384 : layer === 3 && version !== 1 ? 576 : 1_152;
  const padding = ((third >> 1) & 1) * (layer === 1 ? 4 : 1);
  // Layer I counts in slots of four bytes.
  const body =
    layer === 1
      ? 4 * Math.floor((12 * bitrate) / sampleRate)
      : Math.floor(((samples / 8) * bitrate) / sampleRate);
  const channels = fourth >> 6 === 3 ? 1 : 2;
  return {
    version,
    layer,
    sampleRate,
    channels,
    bitrate,
    samples,
    bytes: bitrate === 0 ? 0 : body + padding,
    padding,
  };
}

/** Whether two headers can belong to one stream. Channels and bitrate may change from frame to frame. */
const fits = (a: FrameHeader, b: FrameHeader): boolean =>
  a.version === b.version &&
  a.layer === b.layer &&
  a.sampleRate === b.sampleRate &&
  (a.bitrate === 0) === (b.bitrate === 0);

/** Bytes of an ID3v2 tag that starts at `at`, footer included; undefined if none starts there. */
export function id3v2Bytes(bytes: Uint8Array, at = 0): number | undefined {
  if (bytes[at] !== 0x49 || bytes[at + 1] !== 0x44 || bytes[at + 2] !== 0x33 || at + 10 > bytes.length)
    return undefined;
  const size = bytes.subarray(at + 6, at + 10);
  if (size.some(byte => byte > 0x7f)) return undefined;
  const footer = (bytes[at + 5]! & 0x10) === 0 ? 0 : 10;
  return 10 + footer + size.reduce((sum, byte) => sum * 128 + byte, 0);
}

/** Finds the frames. Holds at most a few frames' bytes, whatever is pushed. */
export class FrameScanner {
  #bytes: Uint8Array = new Uint8Array(0);
  /** Stream offset of `#bytes[0]`. */
  #base = 0;
  /** Bytes of a tag that are still to come and to be skipped. */
  #skip = 0;
  /** The last frame's header while in sync. */
  #last: FrameHeader | undefined;
  /** Free format: bytes of a frame without its padding, once known. */
  #freeBytes = 0;
  #lost = 0;

  /** Bytes that belonged to no frame and to no tag. */
  get lostBytes(): number {
    return this.#lost;
  }

  /** The frames that are complete with this chunk. */
  push(chunk: Uint8Array): Frame[] {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    return this.#scan(false);
  }

  /** The frames that only the end of the stream makes certain. */
  end(): Frame[] {
    return this.#scan(true);
  }

  #scan(atEnd: boolean): Frame[] {
    const frames: Frame[] = [];
    const bytes = this.#bytes;
    let at = 0;
    while (at < bytes.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      if (!atEnd && bytes.length - at < 10) break;
      const tagBytes = id3v2Bytes(bytes, at);
      if (tagBytes !== undefined) {
        this.#skip = tagBytes;
        continue;
      }
      const found = this.#frameAt(bytes, at, atEnd);
      if (found === 'more') break;
      if (found === 'none') {
        this.#last = undefined;
        this.#lost++;
        at++;
        continue;
      }
      frames.push({
        header: found.header,
        bytes: bytes.subarray(at, at + found.length),
        offset: this.#base + at,
      });
      this.#last = found.header;
      at += found.length;
    }
    this.#base += at;
    this.#bytes = bytes.subarray(at);
    return frames;
  }

  #frameAt(
    bytes: Uint8Array,
    at: number,
    atEnd: boolean,
  ): { header: FrameHeader; length: number } | 'more' | 'none' {
    const header = parseFrameHeader(bytes, at);
    if (header === undefined) return 'none';
    const inSync = this.#last !== undefined && fits(this.#last, header);
    const length = header.bitrate === 0 ? this.#freeLength(bytes, at, header, atEnd) : header.bytes;
    if (length === 'more' || length === 'none') return length;
    if (length < HEADER_BYTES) return 'none';
    const complete = at + length <= bytes.length;
    if (inSync) return complete ? { header, length } : atEnd ? 'none' : 'more';
    // Not in sync: what follows must be a header that fits, or the end.
    if (at + length + HEADER_BYTES > bytes.length)
      return atEnd ? (complete ? { header, length } : 'none') : 'more';
    const next = parseFrameHeader(bytes, at + length);
    return next !== undefined && fits(header, next) ? { header, length } : 'none';
  }

  #freeLength(bytes: Uint8Array, at: number, header: FrameHeader, atEnd: boolean): number | 'more' | 'none' {
    if (this.#last?.bitrate === 0 && this.#freeBytes > 0) return this.#freeBytes + header.padding;
    for (let next = at + HEADER_BYTES; next < at + MAX_FRAME_BYTES; next++) {
      if (next + HEADER_BYTES > bytes.length) return atEnd ? 'none' : 'more';
      const other = parseFrameHeader(bytes, next);
      if (other === undefined || !fits(header, other) || !sameFixedBits(bytes, at, next)) continue;
      const length = next - at;
      // Twice the same distance, or it was chance.
      const after = next + length - header.padding + other.padding;
      if (after + HEADER_BYTES > bytes.length && !atEnd) return 'more';
      if (after + HEADER_BYTES <= bytes.length && parseFrameHeader(bytes, after) === undefined) continue;
      this.#freeBytes = length - header.padding;
      return length;
    }
    return 'none';
  }
}

/** Everything in a header but padding, private bit, channel mode and what follows it. */
const sameFixedBits = (bytes: Uint8Array, a: number, b: number): boolean =>
  bytes[a + 1] === bytes[b + 1] && (bytes[a + 2]! & 0xfc) === (bytes[b + 2]! & 0xfc);
