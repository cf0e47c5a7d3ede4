/**
 * The four bytes with which every frame of MPEG audio begins (ISO/IEC 11172-3 §2.4.1, 13818-3 for the lower rates).
 *
 *     1111 1111  111v vllp  bbbb rrPx  ccxx xxxx
 *         v version · l layer (01 is III) · b bitrate · r sample rate · P padding · c channel mode
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

export const FRAME_HEADER_BYTES = 4;

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
  if (at + FRAME_HEADER_BYTES > bytes.length || bytes[at] !== 0xff) return undefined;
  const second = bytes[at + 1]!;
  const third = bytes[at + 2]!;
  const fourth = bytes[at + 3]!;
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
export const fits = (a: FrameHeader, b: FrameHeader): boolean =>
  a.version === b.version &&
  a.layer === b.layer &&
  a.sampleRate === b.sampleRate &&
  (a.bitrate === 0) === (b.bitrate === 0);
