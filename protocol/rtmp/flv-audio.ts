/**
 * Audio as RTMP carries it, in the bodies of FLV audio tags, and MPEG frames (Adobe FLV 10.1 §E.4.2.1; Enhanced RTMP v2).
 *
 *     ├ format 4 │ rate 2 │ size 1 │ stereo 1 ┤ MPEG frames …            MP3: 0x2f, mono at 22 kHz 0x2a
 *     ├ 9        │ packet type 4              ┤ FourCC `.mp3` ┤ … ┤       the enhanced form
 *     ├ 10 ⋯     ┤ 0: AudioSpecificConfig, 1: a frame ┤ … ┤             AAC
 *
 * The rate lies: 48 kHz is tagged as 44. So nothing but the format is read from it; the MPEG header knows the rest. The
 * bytes of MPEG frames go in and come out as they are.
 */

/** What a body carries. `silence` has nothing in it; `configuration` is what a decoder must be told before the rest. */
export type FlvAudio =
  | { readonly kind: 'mp3'; readonly bytes: Uint8Array }
  | { readonly kind: 'other'; readonly codec: string; readonly isConfiguration: boolean }
  | { readonly kind: 'silence' };

const MP3 = 2;
const ENHANCED = 9;
const AAC = 10;
const MP3_8_KHZ = 14;
/** By SoundFormat, as people call them. */
const CODECS: Readonly<Record<number, string>> = {
  0: 'PCM',
  1: 'ADPCM',
  3: 'PCM',
  4: 'Nellymoser',
  5: 'Nellymoser',
  6: 'Nellymoser',
  7: 'G.711',
  8: 'G.711',
  10: 'AAC',
  11: 'Speex',
};
/** By FourCC. */
const ENHANCED_CODECS: Readonly<Record<string, string>> = {
  mp4a: 'AAC',
  Opus: 'Opus',
  fLaC: 'FLAC',
  'ac-3': 'AC-3',
  'ec-3': 'E-AC-3',
};
/** Enhanced RTMP: AudioPacketType. */
const SEQUENCE_START = 0;
const CODED_FRAMES = 1;
const FOURCC_END = 5;

/** The body of an audio message, whose memory MP3 shares. Nothing is refused: what says nothing is silence. */
export function parseFlvAudio(body: Uint8Array): FlvAudio {
  if (body.length < 2) return { kind: 'silence' };
  const format = body[0]! >> 4;
  if (format === MP3 || format === MP3_8_KHZ) return { kind: 'mp3', bytes: body.subarray(1) };
  if (format === ENHANCED) return parseEnhanced(body);
  const codec = CODECS[format] ?? `FLV sound format ${format}`;
  return { kind: 'other', codec, isConfiguration: format === AAC && body[1] === 0 };
}

function parseEnhanced(body: Uint8Array): FlvAudio {
  const packetType = body[0]! & 0x0f;
  if (packetType > CODED_FRAMES) return { kind: 'silence' };
  const fourCc = String.fromCharCode(...body.subarray(1, FOURCC_END));
  if (fourCc === '.mp3')
    return packetType === CODED_FRAMES
      ? { kind: 'mp3', bytes: body.subarray(FOURCC_END) }
      : { kind: 'silence' };
  // Never shown as it came.
  const codec = ENHANCED_CODECS[fourCc] ?? 'an unknown codec';
  return { kind: 'other', codec, isConfiguration: packetType === SEQUENCE_START };
}

/** The byte that stands before an MPEG frame. */
export function mp3TagByte({
  sampleRate,
  channels,
}: {
  readonly sampleRate: number;
  readonly channels: number;
}): number {
  const stereo = channels === 1 ? 0 : 1;
  const sixteenBits = 2;
  if (sampleRate === 8_000) return (MP3_8_KHZ << 4) | sixteenBits | stereo;
  const rate = sampleRate === 11_025 ? 1 : sampleRate === 22_050 ? 2 : 3;
  return (MP3 << 4) | (rate << 2) | sixteenBits | stereo;
}

/** Begins an FLV file of audio alone (Adobe FLV 10.1 §E.2), with the length of the tag that is not before the first. */
export const FLV_HEADER = Buffer.from('464c5601040000000900000000', 'hex');
const FLV_AUDIO = 8;
const TAG_HEADER_BYTES = 11;

/** A tag of an FLV file, with its length behind it. `timestamp`: milliseconds. */
export function flvAudioTag(timestamp: number, body: Uint8Array): Buffer {
  const tag = Buffer.alloc(TAG_HEADER_BYTES + body.length + 4);
  tag[0] = FLV_AUDIO;
  tag.writeUIntBE(body.length, 1, 3);
  // The highest byte stands behind the other three.
  tag.writeUIntBE(timestamp & 0xff_ffff, 4, 3);
  tag[7] = timestamp >>> 24;
  tag.set(body, TAG_HEADER_BYTES);
  tag.writeUInt32BE(TAG_HEADER_BYTES + body.length, TAG_HEADER_BYTES + body.length);
  return tag;
}
