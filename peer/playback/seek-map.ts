/**
 * From a moment in a song to the byte where to begin reading, and what is to be dropped before the first sample sounds.
 *
 *     bytes    │ tags │ tag frame │ f0 │ f1 │ … │ fk-10 │ … │ fk │ …
 *                                                 ▲ read from here  ▲ sound from here
 *
 * A frame leans on up to 511 bytes before it (the bit reservoir), so reading begins ten frames earlier. Exact to the sample
 * at a constant bitrate; by the tag's table of a hundred points at a variable one; else in proportion. Where it is
 * not known yet where the music begins, it is read from its beginning, and what is before is dropped: a guess may lie
 * within a picture. Pure.
 */
import type { SongFields } from '../../protocol/tsp/rows.js';
import type { FrameHeader } from '../mpeg/frame-header.js';
import { type Frame, FrameScanner } from '../mpeg/frame-scanner.js';
import { type InfoTag, parseInfoTag } from '../mpeg/info-tag.js';
import type { SongBegin } from './audio-messages.js';
import { DECODER_DELAY } from './gapless.js';

const PRE_ROLL_FRAMES = 10;
/** Nearer to the beginning than this, the song is read from its beginning. */
const FROM_THE_START_SECONDS = 0.5;
/** A reckoned frame may begin a byte or two earlier, where the encoder put its padding elsewhere. */
const EARLY_BYTES = 3;
/** Lists tell whole seconds, and a tag may stand at the end. */
const MAX_DURATION_ERROR_SECONDS = 2;
/** When no frame was found in so much, there is none. */
const MAX_OUTLINE_BYTES = 16_777_216;
/** Scanned at a time, since mostly the first few hundred bytes tell. */
const SLICE_BYTES = 4_096;

/** What a song's first frames tell. */
export interface SongOutline {
  /** Offset of the first frame. */
  readonly audioStart: number;
  /** Offset of the first frame that sounds: behind the tag's, if there is one. */
  readonly musicStart: number;
  /** Of the frame there; the tag's may have another bitrate, where it needs more room than a frame of music. */
  readonly header: FrameHeader;
  readonly tag?: InfoTag;
}

/** Looks for the first frames in the bytes as they pass. */
export class OutlineReader {
  readonly #scanner = new FrameScanner();
  #seen = 0;
  #tagged: { readonly audioStart: number; readonly tag: InfoTag } | undefined;
  outline: SongOutline | undefined;

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && this.outline === undefined; at += SLICE_BYTES) {
      if (this.#seen > MAX_OUTLINE_BYTES) return;
      const slice = chunk.subarray(at, at + SLICE_BYTES);
      this.#seen += slice.length;
      for (const frame of this.#scanner.push(slice)) this.#found(frame);
    }
  }

  #found(frame: Frame): void {
    if (this.outline !== undefined) return;
    const { offset, header } = frame;
    const tag = this.#tagged === undefined ? parseInfoTag(frame) : undefined;
    if (tag === undefined) this.outline = { audioStart: offset, ...this.#tagged, musicStart: offset, header };
    else this.#tagged = { audioStart: offset, tag };
  }
}

export interface SeekPoint {
  readonly fromByte: number;
  readonly begin: SongBegin;
}

/** Where to begin for `seconds` into the song. `size` is the song's in bytes. */
export function seekPoint(
  seconds: number,
  found: SongOutline | undefined,
  song: SongFields,
  size: number | undefined,
): SeekPoint {
  const outline = asItIs(found, song);
  if (seconds < FROM_THE_START_SECONDS) return { fromByte: 0, begin: { startSeconds: 0 } };
  if (outline === undefined && song.audioStart === undefined)
    return { fromByte: 0, begin: { startSeconds: seconds, preRollSeconds: seconds } };
  const endPadding = outline?.tag?.padding;
  const begin = { startSeconds: seconds, ...(endPadding !== undefined && { endPadding }) };
  return exact(seconds, begin, outline, song, size) ?? approximate(seconds, begin, outline, song, size);
}

/** Seconds that the song plays; undefined if nothing tells. */
export function songSeconds(outline: SongOutline | undefined, song: SongFields): number | undefined {
  return taggedSeconds(asItIs(outline, song)) ?? song.duration;
}

function taggedSeconds({ tag, header }: Partial<SongOutline> = {}): number | undefined {
  if (tag?.frames === undefined || header === undefined) return undefined;
  const trimmed = tag.delay === undefined ? 0 : tag.delay + (tag.padding ?? 0);
  return (tag.frames * header.samples - trimmed) / header.sampleRate;
}

/** Of a song that was cut or joined, whose frames are not as many as its tag says, only what that tells of its beginning. */
function asItIs(outline: SongOutline | undefined, song: SongFields): SongOutline | undefined {
  const tagged = taggedSeconds(outline);
  if (outline?.tag === undefined || tagged === undefined) return outline;
  if (song.duration === undefined || isAbout(tagged, song.duration)) return outline;
  const { frames: _frames, bytes: _bytes, toc: _toc, padding: _padding, ...beginning } = outline.tag;
  return { ...outline, tag: beginning };
}

const isAbout = (seconds: number, duration: number): boolean =>
  Math.abs(seconds - duration) <= MAX_DURATION_ERROR_SECONDS;

/** At a constant bitrate every frame's place can be reckoned. */
function exact(
  seconds: number,
  begin: SongBegin,
  outline: SongOutline | undefined,
  song: SongFields,
  size: number | undefined,
): SeekPoint | undefined {
  if (outline === undefined || outline.header.bitrate === 0) return undefined;
  const { header, tag } = outline;
  const seemsConstant = tag === undefined ? lastsAsItsFirstFrame(outline, song, size) : tag.constantBitrate;
  if (song.vbr ?? !seemsConstant) return undefined;
  const trimmed = tag?.delay === undefined ? 0 : tag.delay + DECODER_DELAY;
  const sample = Math.round(seconds * header.sampleRate) + trimmed;
  const frame = Math.max(0, Math.floor(sample / header.samples) - PRE_ROLL_FRAMES);
  const frameBytes = ((header.samples / 8) * header.bitrate) / header.sampleRate;
  return {
    fromByte: Math.max(0, Math.floor(outline.musicStart + frame * frameBytes) - EARLY_BYTES),
    begin: { ...begin, preRollSeconds: (sample - frame * header.samples) / header.sampleRate },
  };
}

/** Whether the song is as long as it would be if all frames had the first one's bitrate; true where nothing tells. */
function lastsAsItsFirstFrame(
  { audioStart, header }: SongOutline,
  song: SongFields,
  size = song.size,
): boolean {
  if (song.duration === undefined || size === undefined) return true;
  return isAbout(((size - audioStart) * 8) / header.bitrate, song.duration);
}

function approximate(
  seconds: number,
  begin: SongBegin,
  outline: SongOutline | undefined,
  song: SongFields,
  size: number | undefined,
): SeekPoint {
  const frameSeconds =
    outline === undefined ? 1_152 / 44_100 : outline.header.samples / outline.header.sampleRate;
  const preRollSeconds = PRE_ROLL_FRAMES * frameSeconds;
  const target = seconds - preRollSeconds;
  const audioStart = outline?.audioStart ?? song.audioStart ?? 0;
  const duration = songSeconds(outline, song);
  const { toc, bytes: audioBytes = (size ?? song.size ?? 0) - audioStart } = outline?.tag ?? {};
  const bitrate = song.bitrate ?? (outline?.header.bitrate || 128_000);
  const into =
    duration === undefined || audioBytes <= 0
      ? (target * bitrate) / 8
      : audioBytes * partOfBytes(Math.min(1, target / duration), toc);
  const fromByte = Math.max(0, Math.floor(audioStart + into));
  const last = size === undefined ? fromByte : Math.max(0, size - 1);
  return { fromByte: Math.min(fromByte, last), begin: { ...begin, preRollSeconds } };
}

/** Part of the playing time to part of the bytes. */
function partOfBytes(part: number, toc: readonly number[] | undefined): number {
  if (toc === undefined) return part;
  const at = Math.min(99, part * 100);
  const low = Math.floor(at);
  const from = toc[low]!;
  const to = toc[low + 1] ?? 1;
  return from + (to - from) * (at - low);
}
