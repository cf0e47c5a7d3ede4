/**
 * Title, artist and the like from ID3v1, v2.2, v2.3, v2.4 and APEv2, read by music-metadata out of a bounded sample:
 *
 *     [ID3v2 without padding, at most the first 1 MiB][8 KiB of what follows][APEv2 up to 1 MiB][ID3v1]
 *
 * So a cover of many megabytes costs nothing, and there is little audio to get lost in (a whole file of false frame
 * headers keeps the parser busy for many seconds). What parses badly has no tags; the file's name serves then.
 */
import { createRequire } from 'node:module';
import type { ICommonTagsResult } from 'music-metadata';
import { cleanText, type SongFields } from '../../protocol/tsp/rows.js';
import { id3v1Bytes } from '../mpeg/end-tags.js';
import { id3v2Bytes, synchsafe, unsynchsafe } from '../mpeg/id3v2.js';

/** `import` opens its hundred files all at once, and a thread that finds no descriptor for one never closes the others. */
const { parseBuffer } = createRequire(import.meta.url)('music-metadata') as typeof import('music-metadata');

export type SongTags = Pick<
  SongFields,
  'title' | 'artist' | 'album' | 'albumArtist' | 'track' | 'disc' | 'year' | 'genre'
>;

/** How much of a file's beginning is looked at. */
export const TAG_HEAD_BYTES = 1024 * 1024;
/** An APE tag at the end that is longer, with ID3v1 behind it, is not read. */
export const TAG_TAIL_BYTES = 1024 * 1024;
/** Enough frames for a parser that wants to see some. */
const AUDIO_SAMPLE_BYTES = 8 * 1024;
const LATEST_YEAR = 9_999;
const ID3_HEADER_BYTES = 10;
const UNSYNCHRONISED = 0x80;
const EXTENDED = 0x40;
/** So many zeros at the end of the last frame may be part of its text (UTF-16 and its terminator). */
const TEXT_ZEROS_BYTES = 16;

/** `head`: the file's first bytes, 1 MiB or all; `tail`: the tags at its end. Never rejects. */
export async function readTags(head: Uint8Array, tail: Uint8Array): Promise<SongTags> {
  const id3v1 = tail.subarray(tail.length - id3v1Bytes(tail));
  return await parse(sampleOf(head, tail))
    // An APE tag that is damaged takes no other with it.
    .catch(() => parse(sampleOf(head, id3v1)))
    .catch(() => ({}));
}

async function parse(sample: Buffer): Promise<SongTags> {
  const file = { mimeType: 'audio/mpeg', size: sample.length };
  const { common, format } = await parseBuffer(sample, file, { duration: false, skipCovers: true });
  return withoutAbsent({
    title: text(common.title),
    artist: text(artistOf(common, format.tagTypes ?? [])),
    album: text(common.album),
    albumArtist: text(common.albumartist),
    track: ordinal(common.track.no),
    disc: ordinal(common.disk.no),
    year: common.year !== undefined && common.year <= LATEST_YEAR ? ordinal(common.year) : undefined,
    genre: text(common.genre?.join(', ')),
  });
}

/**
 * Several in one frame come apart, of which the first would be all. In ID3v2.3 a slash parts them, and belongs to the name
 * of some: put back, it is right for both. Other taggers name each in a frame of its own, beside all of them in one.
 */
function artistOf(
  { artist, artists = [] }: ICommonTagsResult,
  tagTypes: readonly string[],
): string | undefined {
  if (artists[0] !== artist) return artist;
  return artists.join(tagTypes.includes('ID3v2.3') ? '/' : ', ');
}

function sampleOf(head: Uint8Array, tail: Uint8Array): Buffer {
  const tagBytes = id3v2Bytes(head, 0);
  const tagEnd = Math.min(tagBytes, head.length);
  const framesEnd = tagBytes === 0 ? 0 : withoutPadding(head, tagEnd);
  const tag = withoutExtendedHeader(synchronised(head.subarray(0, framesEnd)));
  const sample = Buffer.concat([
    tag,
    head.subarray(tagEnd, Math.min(tagEnd + AUDIO_SAMPLE_BYTES, TAG_HEAD_BYTES)),
    tail,
  ]);
  if (tag.length < tagBytes) shortenTag(sample, tag.length);
  return sample;
}

/** Where the tag's frames end. A parser takes 6 µs for ten bytes of padding, which is half a second for 1 MiB. */
function withoutPadding(head: Uint8Array, tagEnd: number): number {
  let end = tagEnd;
  while (end > ID3_HEADER_BYTES && head[end - 1] === 0) end -= 1;
  return Math.min(tagEnd, end + TEXT_ZEROS_BYTES);
}

/** Before v2.4 a tag is unsynchronised as a whole, which the parser does not undo (ID3v2.3.0 §5). */
function synchronised(tag: Uint8Array): Uint8Array {
  const [, , , version = 0, , flags = 0] = tag;
  if (version >= 4 || (flags & UNSYNCHRONISED) === 0) return tag;
  const bytes = tag.filter((byte, at) => byte !== 0 || tag[at - 1] !== 0xff);
  bytes[5] = flags & ~UNSYNCHRONISED;
  return bytes;
}

/** The parser takes each for one of ten bytes, and loses all frames behind another (ID3v2.3.0 §3.2, v2.4.0 §3.2). */
function withoutExtendedHeader(tag: Uint8Array): Uint8Array {
  const [, , , version = 0, , flags = 0] = tag;
  if (version < 3 || (flags & EXTENDED) === 0) return tag;
  const size = unsynchsafe(tag.subarray(ID3_HEADER_BYTES, ID3_HEADER_BYTES + 4));
  // In v2.3 the four bytes that tell the size are not part of it.
  const end = ID3_HEADER_BYTES + size + (version === 3 ? 4 : 0);
  const bytes = Buffer.concat([tag.subarray(0, ID3_HEADER_BYTES), tag.subarray(end)]);
  bytes[5] = flags & ~EXTENDED;
  return bytes;
}

/** Makes the tag say that it is `length` bytes, or its frames before the cut would be lost with the rest. */
function shortenTag(sample: Buffer, length: number): void {
  sample.set(synchsafe(length - ID3_HEADER_BYTES), 6);
}

function text(raw: string | undefined): string | undefined {
  const cleaned = cleanText(raw ?? '').trim();
  return cleaned === '' ? undefined : cleaned;
}

const ordinal = (value: number | null | undefined): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;

function withoutAbsent(tags: { readonly [K in keyof SongTags]: SongTags[K] | undefined }): SongTags {
  return Object.fromEntries(Object.entries(tags).filter(([, value]) => value !== undefined));
}
