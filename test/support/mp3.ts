/**
 * Real MP3 files made of nothing, without an encoder: tags of every kind around silent MPEG Layer III frames.
 *
 *     [ID3v2][Xing | Info | VBRI frame][frame][frame] … [APEv2][ID3v1]
 *
 * A frame's side information is all zeros (no Huffman data, so decoders play silence), and the rest of it is ancillary
 * data, which decoders skip: filled from `seed`, so that two seeds never give the same content. Same options, same bytes.
 */

export type TagVersion = 'apev2' | 'id3v1' | Id3v2Version;
type Id3v2Version = 'id3v2.2' | 'id3v2.3' | 'id3v2.4';
export type TextEncoding = 'latin1' | 'utf16' | 'utf16be' | 'utf8';

export interface Mp3Options {
  /** Default 1. */
  readonly seconds?: number;
  readonly title?: string;
  readonly artist?: string;
  readonly album?: string;
  readonly albumArtist?: string;
  /** `3` or `3/12`. */
  readonly track?: string;
  readonly disc?: string;
  readonly year?: string;
  readonly genre?: string;
  /** Which tags carry those fields; default id3v2.4 when there is a field. */
  readonly tags?: readonly TagVersion[];
  /** Default utf8 in v2.4, utf16 in v2.2 and v2.3; ID3v1 is always Latin-1. */
  readonly encoding?: TextEncoding;
  /** Default 0: ancillary zeros. */
  readonly seed?: number;
  /** bit/s, default 128,000 (64,000 below 32 kHz). A list is a VBR file: its bitrates take turns. */
  readonly bitrate?: number | readonly number[];
  /** The headers do not tell it: any bitrate that MPEG has. */
  readonly freeFormat?: boolean;
  /** 8,000 … 48,000 as MPEG has them; default 44,100. */
  readonly sampleRate?: number;
  /** Default 2. */
  readonly channels?: 1 | 2;
  /** A first frame that tells frames and bytes, VBRI also where they lie; default none. */
  readonly header?: 'Xing' | 'Info' | 'VBRI';
  /** bit/s, of that frame; default the first of `bitrate`. */
  readonly headerBitrate?: number;
  /** Zero bytes at the end of the ID3v2 tag. */
  readonly tagPadding?: number;
}

/** Every field that a tag has … */
export const EVERY_FIELD = {
  title: '雪 ☃ 𝄞',
  artist: 'AC/DC',
  album: 'Größe',
  albumArtist: 'Various',
  track: '3/12',
  disc: '2/2',
  year: '1999',
  genre: 'Folk',
} as const satisfies Mp3Options;
/** … and what a row of a list makes of it. */
export const EVERY_FIELD_READ = { ...EVERY_FIELD, track: 3, disc: 2, year: 1999 } as const;

export function mp3Bytes(options: Mp3Options = {}): Buffer {
  const tags =
    options.tags ?? (TEXT_FRAMES.some(([field]) => options[field] !== undefined) ? ['id3v2.4'] : []);
  const v2 = tags.flatMap(tag => (tag === 'id3v1' || tag === 'apev2' ? [] : [id3v2(tag, options)]));
  const ape = tags.includes('apev2') ? [apev2(options)] : [];
  const v1 = tags.includes('id3v1') ? [id3v1(options)] : [];
  return Buffer.concat([...v2, mpegFrames(options), ...ape, ...v1]);
}

const MPEG1_KBITS = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const MPEG2_KBITS = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const SAMPLE_RATES = [44_100, 48_000, 32_000];
const HEADER_BYTES = 4;

/** `seconds` of silence, rounded up to whole frames. */
export function mpegFrames(options: Mp3Options = {}): Buffer {
  const { seconds = 1, sampleRate = 44_100, channels = 2, seed = 0, header } = options;
  const halvings = [1, 2, 4].findIndex(divisor => SAMPLE_RATES.includes(sampleRate * divisor));
  if (halvings < 0) throw new RangeError(`MPEG has no sample rate of ${sampleRate} Hz`);
  const mpeg1 = halvings === 0;
  const samples = mpeg1 ? 1152 : 576;
  const sideBytes = mpeg1 ? (channels === 2 ? 32 : 17) : channels === 2 ? 17 : 9;
  const bitrates = [options.bitrate ?? (mpeg1 ? 128_000 : 64_000)].flat();
  const noise = ancillary(seed);
  let owed = 0;

  const frame = (bitrate: number): Buffer => {
    const index = (mpeg1 ? MPEG1_KBITS : MPEG2_KBITS).indexOf(bitrate / 1000) + 1;
    if (index === 0) throw new RangeError(`MPEG has no bitrate of ${bitrate} bit/s at ${sampleRate} Hz`);
    const exact = ((samples / 8) * bitrate) / sampleRate + owed;
    const padded = exact - Math.floor(exact - owed) >= 1;
    const bytes = Math.floor(exact - owed) + (padded ? 1 : 0);
    owed = exact - bytes;
    const out = Buffer.alloc(bytes);
    out[0] = 0xff;
    out[1] = 0xe0 | ([3, 2, 0][halvings]! << 3) | (1 << 1) | 1;
    out[2] =
      ((options.freeFormat ? 0 : index) << 4) |
      (SAMPLE_RATES.indexOf(sampleRate << halvings) << 2) |
      (padded ? 2 : 0);
    out[3] = channels === 2 ? 0x00 : 0xc0;
    return out;
  };

  const frames: Buffer[] = [];
  for (let i = 0; i < Math.max(1, Math.ceil((seconds * sampleRate) / samples)); i += 1) {
    const out = frame(bitrates[i % bitrates.length]!);
    noise(out.subarray(HEADER_BYTES + sideBytes));
    frames.push(out);
  }
  if (header === undefined) return Buffer.concat(frames);
  const first = frame(options.headerBitrate ?? bitrates[0]!);
  const byteCount = frames.reduce((sum, each) => sum + each.length, first.length);
  if (header === 'VBRI') {
    first.write('VBRI', HEADER_BYTES + 32, 'latin1');
    first.writeUInt16BE(1, HEADER_BYTES + 36);
    first.writeUInt32BE(byteCount, HEADER_BYTES + 42);
    first.writeUInt32BE(frames.length, HEADER_BYTES + 46);
    writeVbriTable(first.subarray(HEADER_BYTES + 50), frames);
  } else {
    first.write(header, HEADER_BYTES + sideBytes, 'latin1');
    first.writeUInt32BE(3, HEADER_BYTES + sideBytes + 4);
    first.writeUInt32BE(frames.length, HEADER_BYTES + sideBytes + 8);
    first.writeUInt32BE(byteCount, HEADER_BYTES + sideBytes + 12);
  }
  return Buffer.concat([first, ...frames]);
}

/** The bytes of so many frames at a time, at most 100 entries and as many as there is room for. */
function writeVbriTable(into: Buffer, frames: readonly Buffer[]): void {
  const framesPerEntry = Math.ceil(frames.length / Math.min(100, Math.floor((into.length - 8) / 2)));
  const entries = Math.ceil(frames.length / framesPerEntry);
  const scale = framesPerEntry;
  [entries, scale, 2, framesPerEntry].forEach((value, at) => void into.writeUInt16BE(value, 2 * at));
  for (let entry = 0; entry < entries; entry += 1) {
    const its = frames.slice(entry * framesPerEntry, (entry + 1) * framesPerEntry);
    const bytes = its.reduce((sum, frame) => sum + frame.length, 0);
    into.writeUInt16BE(Math.round(bytes / scale), 8 + 2 * entry);
  }
}

/** A 44.1 kHz 16-bit WAV of a quiet tone, for what turns WAV into MP3. */
export function wavBytes(
  options: { readonly seconds?: number; readonly hz?: number; readonly channels?: 1 | 2 } = {},
): Buffer {
  const { seconds = 1, hz = 440, channels = 2 } = options;
  const frames = Math.round(seconds * 44_100);
  const data = Buffer.alloc(frames * channels * 2);
  for (let i = 0; i < frames * channels; i += 1) {
    data.writeInt16LE(
      Math.round(8000 * Math.sin((2 * Math.PI * hz * Math.floor(i / channels)) / 44_100)),
      i * 2,
    );
  }
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(44_100, 24);
  header.writeUInt32LE(44_100 * channels * 2, 28);
  header.writeUInt16LE(channels * 2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}

/** Fills with numbers from `seed` (xorshift), never 0xff, so that no frame seems to begin there. */
function ancillary(seed: number): (into: Buffer) => void {
  let state = Math.imul(seed, 0x9e37_79b9) | 0;
  return into => {
    if (seed === 0) return;
    for (let i = 0; i < into.length; i += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      into[i] = (state >>> 3) & 0x7f;
    }
  };
}

/** Field, its frame in ID3v2.2, v2.3 and v2.4. */
const TEXT_FRAMES = [
  ['title', 'TT2', 'TIT2', 'TIT2'],
  ['artist', 'TP1', 'TPE1', 'TPE1'],
  ['album', 'TAL', 'TALB', 'TALB'],
  ['albumArtist', 'TP2', 'TPE2', 'TPE2'],
  ['track', 'TRK', 'TRCK', 'TRCK'],
  ['disc', 'TPA', 'TPOS', 'TPOS'],
  ['year', 'TYE', 'TYER', 'TDRC'],
  ['genre', 'TCO', 'TCON', 'TCON'],
] as const;

/** Such a tag alone. */
export function id3v2(version: Id3v2Version, options: Mp3Options): Buffer {
  const minor = Number(version.slice(-1));
  const encoding = options.encoding ?? (minor === 4 ? 'utf8' : 'utf16');
  const frames: Buffer[] = [];
  for (const row of TEXT_FRAMES) {
    const text = options[row[0]];
    if (text === undefined) continue;
    const body = encodeText(text, encoding);
    const id = row[(minor - 1) as 1 | 2 | 3];
    const head = Buffer.alloc(minor === 2 ? 6 : 10);
    head.write(id, 0, 'latin1');
    if (minor === 2) head.writeUIntBE(body.length, 3, 3);
    else if (minor === 3) head.writeUInt32BE(body.length, 4);
    else head.writeUInt32BE(synchsafe(body.length), 4);
    frames.push(head, body);
  }
  const body = Buffer.concat([...frames, Buffer.alloc(options.tagPadding ?? 0)]);
  const head = Buffer.alloc(10);
  head.write('ID3', 0, 'latin1');
  head[3] = minor;
  head.writeUInt32BE(synchsafe(body.length), 6);
  return Buffer.concat([head, body]);
}

const synchsafe = (n: number): number =>
  ((n & 0xfe0_0000) << 3) | ((n & 0x1f_c000) << 2) | ((n & 0x3f80) << 1) | (n & 0x7f);

function encodeText(text: string, encoding: TextEncoding): Buffer {
  if (encoding === 'latin1') return Buffer.concat([Buffer.of(0), Buffer.from(text, 'latin1')]);
  if (encoding === 'utf8') return Buffer.concat([Buffer.of(3), Buffer.from(text, 'utf8')]);
  const little = Buffer.from(text, 'utf16le');
  if (encoding === 'utf16') return Buffer.concat([Buffer.of(1, 0xff, 0xfe), little]);
  return Buffer.concat([Buffer.of(2), little.swap16()]);
}

/** In APEv2. */
const APE_KEYS = {
  title: 'Title',
  artist: 'Artist',
  album: 'Album',
  albumArtist: 'Album Artist',
  track: 'Track',
  disc: 'Disc',
  year: 'Year',
  genre: 'Genre',
} as const satisfies Mp3Options;

/** Such a tag alone, with header and footer; `cover`: bytes of a picture in it. */
export function apev2(options: Mp3Options, cover = 0): Buffer {
  const item = (flags: number, key: string, value: Buffer): Buffer => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(value.length, 0);
    head.writeUInt32LE(flags, 4);
    return Buffer.concat([head, Buffer.from(`${key}\0`), value]);
  };
  const items = Object.entries(APE_KEYS).flatMap(([field, key]) => {
    const text = options[field as keyof typeof APE_KEYS];
    return text === undefined ? [] : [item(0, key, Buffer.from(text))];
  });
  if (cover > 0) items.push(item(2, 'Cover Art (Front)', Buffer.alloc(cover, 'a.jpg\0')));
  const body = Buffer.concat(items);
  const end = (flags: number): Buffer => {
    const out = Buffer.alloc(32);
    out.write('APETAGEX', 0, 'latin1');
    out.writeUInt32LE(2_000, 8);
    out.writeUInt32LE(body.length + 32, 12);
    out.writeUInt32LE(items.length, 16);
    out.writeUInt32LE(flags, 20);
    return out;
  };
  return Buffer.concat([end(0xa000_0000), body, end(0x8000_0000)]);
}

/** ID3v1.1: Latin-1, fields of fixed length, the track as the comment's last byte. Genre is left at 255, none. */
function id3v1(options: Mp3Options): Buffer {
  const out = Buffer.alloc(128);
  out.write('TAG', 0, 'latin1');
  out.write((options.title ?? '').slice(0, 30), 3, 'latin1');
  out.write((options.artist ?? '').slice(0, 30), 33, 'latin1');
  out.write((options.album ?? '').slice(0, 30), 63, 'latin1');
  out.write((options.year ?? '').slice(0, 4), 93, 'latin1');
  out[126] = Number.parseInt(options.track ?? '0', 10);
  out[127] = 255;
  return out;
}
