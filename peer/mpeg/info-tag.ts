/**
 * The first frame's tag, where an encoder left one: Xing or Info (with LAME's addition), or VBRI.
 *
 *     header │ side information │ "Xing" flags [frames] [bytes] [toc 100] [quality] "LAME…" … delay:12 padding:12
 *     header │ 32 bytes         │ "VBRI" version delay quality bytes frames entries scale width frames-per-entry table
 *
 * The frame holds no music. The tag says how many frames follow (so that a truncated song shows), where each hundredth of
 * the song begins (so that a seek in VBR lands right), and how many samples the encoder put before and after the music
 * (so that songs join without a gap).
 */
import { asBuffer } from '../../protocol/bytes.js';
import { FRAME_HEADER_BYTES, type FrameHeader } from './frame-header.js';

export interface InfoTag {
  /** Frames of music that follow. */
  readonly frames?: number;
  /** Bytes from the tag's frame to the end of the music. */
  readonly bytes?: number;
  /** toc[p] of `bytes`, 0 … 1, is where p % of the playing time begins; 100 entries. */
  readonly toc?: readonly number[];
  /** The tag says so by its name: Info, not Xing. */
  readonly constantBitrate?: boolean;
  /** Samples that the encoder put before the music. */
  readonly delay?: number;
  /** Samples that it put after it. */
  readonly padding?: number;
}

const HAS_FRAMES = 1;
const HAS_BYTES = 2;
const HAS_TOC = 4;
const HAS_QUALITY = 8;
const TOC_ENTRIES = 100;
/** From the start of LAME's addition to its three bytes of delay and padding. */
const LAME_DELAY_AT = 21;
/** VBRI stands after 32 bytes, whatever the channels. */
const VBRI_AT = FRAME_HEADER_BYTES + 32;
/** From the end of its name. */
const VBRI_TABLE_AT = 22;

/** The tag in this frame, whose `bytes` may be cut off; undefined if the frame is music. */
export function parseInfoTag({
  header,
  bytes,
}: {
  readonly header: FrameHeader;
  readonly bytes: Uint8Array;
}): InfoTag | undefined {
  if (header.layer !== 3) return undefined;
  const sideBytes = header.version === 1 ? (header.channels === 1 ? 17 : 32) : header.channels === 1 ? 9 : 17;
  const view = asBuffer(bytes);
  const at = FRAME_HEADER_BYTES + sideBytes;
  const name = view.toString('latin1', at, at + 4);
  if (name === 'Xing' || name === 'Info') return parseXing(view.subarray(at + 4), name === 'Info');
  if (view.toString('latin1', VBRI_AT, VBRI_AT + 4) === 'VBRI') return parseVbri(view.subarray(VBRI_AT + 4));
  return undefined;
}

function parseXing(body: Buffer, constantBitrate: boolean): InfoTag {
  const tag: { -readonly [K in keyof InfoTag]: InfoTag[K] } = { constantBitrate };
  if (body.length < 4) return tag;
  const flags = body.readUInt32BE(0);
  let at = 4;
  const field = (flag: number, length: number): Buffer | undefined => {
    if ((flags & flag) === 0) return undefined;
    at += length;
    return at <= body.length ? body.subarray(at - length, at) : undefined;
  };
  const frames = field(HAS_FRAMES, 4)?.readUInt32BE(0);
  const bytes = field(HAS_BYTES, 4)?.readUInt32BE(0);
  const toc = field(HAS_TOC, TOC_ENTRIES);
  field(HAS_QUALITY, 4);
  if (frames !== undefined && frames > 0) tag.frames = frames;
  if (bytes !== undefined && bytes > 0) tag.bytes = bytes;
  if (toc !== undefined) tag.toc = Array.from(toc, part => part / 256);
  // LAME, and Lavc and others that write the same addition: nine printable bytes name the encoder.
  const lame = body.subarray(at);
  if (lame.length >= LAME_DELAY_AT + 3 && /^[A-Z][\w. ]{3}/i.test(lame.toString('latin1', 0, 4))) {
    const both = lame.readUIntBE(LAME_DELAY_AT, 3);
    tag.delay = both >> 12;
    tag.padding = both & 0xfff;
  }
  return tag;
}

function parseVbri(body: Buffer): InfoTag {
  if (body.length < 14) return {};
  const bytes = body.readUInt32BE(6);
  const frames = body.readUInt32BE(10);
  const toc = vbriToc(body, frames);
  return { ...(frames > 0 && { frames }), ...(bytes > 0 && { bytes }), ...(toc && { toc }) };
}

/** Its entries are the bytes of so many frames each, in a scale that does not matter to parts of the whole. */
function vbriToc(body: Buffer, frames: number): number[] | undefined {
  if (body.length < VBRI_TABLE_AT) return undefined;
  const [entries, width, framesPerEntry] = [
    body.readUInt16BE(14),
    body.readUInt16BE(18),
    body.readUInt16BE(20),
  ];
  if (width < 1 || width > 4 || VBRI_TABLE_AT + entries * width > body.length) return undefined;
  const begins = [0];
  for (let entry = 0; entry < entries; entry += 1)
    begins.push(begins[entry]! + body.readUIntBE(VBRI_TABLE_AT + entry * width, width));
  const whole = begins[entries]!;
  if (frames === 0 || whole === 0 || entries * framesPerEntry < frames) return undefined;
  return Array.from({ length: TOC_ENTRIES }, (_, percent) => {
    const at = (percent * frames) / (TOC_ENTRIES * framesPerEntry);
    const low = Math.floor(at);
    return (begins[low]! + (begins[low + 1]! - begins[low]!) * (at - low)) / whole;
  });
}
