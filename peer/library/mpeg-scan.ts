/**
 * Is it MP3, and how long is it? One pass over a file's bytes, in whatever blocks they come.
 *
 *     [ID3v2 …]* [≤ 64 KiB of anything] [frame][frame][frame] … [ID3v1, APE, anything]
 *                                       └ audioStart: taken when frames of one kind follow one another from there
 *
 * Frames are counted, not estimated, since all bytes pass by anyway; a Xing, Info or VBRI frame
 * does not count as sound, nor do the samples that its tag says the encoder put before and after the music.
 * Only right behind the tags frames of the free format are believed: whatever repeats itself, as a tone in a WAV file
 * does, looks like them, for any length would do.
 */
import { FRAME_HEADER_BYTES, type FrameHeader, fits, parseFrameHeader } from '../mpeg/frame-header.js';
import { freeFrameBytes } from '../mpeg/free-format.js';
import { ID3V2_HEADER_BYTES, id3v2Bytes } from '../mpeg/id3v2.js';
import { parseInfoTag } from '../mpeg/info-tag.js';

export interface MpegAudio {
  /** Offset in bytes of the first frame. */
  readonly audioStart: number;
  /** bit/s; the mean if `vbr`. */
  readonly bitrate: number;
  readonly vbr: boolean;
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Seconds, without what a LAME tag says that the encoder put before and after. */
  readonly duration: number;
}

/** `truncated`: it begins like MP3 and ends before there is anything to play. */
export type NotMpeg = 'not-mp3' | 'truncated';

/** A frame at 640 kbit/s (which only the free format has) and 32 kHz, or at 160 kbit/s and 8 kHz. */
const LONGEST_FRAME_BYTES = 2_881;
/** So many frames of one kind in a row do not happen by chance: each header has 1 chance in some 10,000. */
const CHAIN_FRAMES = 4;
const FEWEST_FRAMES = 2;
/** Where the first frame may begin after the tags. Bounds the search in files of another kind. */
const SEARCH_BYTES = 64 * 1024;
const SEARCH_WINDOW_BYTES = SEARCH_BYTES + CHAIN_FRAMES * LONGEST_FRAME_BYTES;

export class MpegScan {
  #state: 'tags' | 'search' | 'frames' | 'resync' | 'refused' = 'tags';
  /** Absolute offset of what is looked at next; may be beyond what came. */
  #next = 0;
  #received = 0;
  /** What came from #next on and could not be judged yet. */
  #pending: Uint8Array = new Uint8Array(0);
  #searchStart = 0;
  #first:
    | (FrameHeader & { readonly at: number; readonly isInfo: boolean; readonly trimmed: number })
    | undefined;
  /** What the next frame is like. */
  #last: FrameHeader | undefined;
  /** Of a frame without its padding, in the free format; else 0. */
  #freeBytes = 0;
  #frames = 0;
  #seconds = 0;
  #frameBytes = 0;
  #lowest = Number.POSITIVE_INFINITY;
  #highest = 0;
  #refusal: NotMpeg = 'not-mp3';

  /** True as soon as it is certain that this is no MP3: the rest need not be read. */
  get refused(): boolean {
    return this.#state === 'refused';
  }

  /** The next bytes of the file. They are not kept beyond the call. */
  push(bytes: Uint8Array): void {
    const start = this.#received - this.#pending.length;
    this.#received += bytes.length;
    if (this.refused || this.#next >= this.#received) return;
    const view = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    this.#look(view, start, false);
    this.#pending =
      this.refused || this.#next >= this.#received
        ? new Uint8Array(0)
        : Uint8Array.prototype.slice.call(view, this.#next - start);
  }

  /** What the file was. Nothing may be pushed after it. */
  end(): MpegAudio | NotMpeg {
    this.#look(this.#pending, this.#received - this.#pending.length, true);
    const first = this.#first;
    if (first === undefined) return this.#refusal;
    if (this.#next > this.#received && this.#last !== undefined) this.#count(this.#last, -1);
    if (this.#frames < FEWEST_FRAMES) return 'truncated';
    const vbr = this.#lowest !== this.#highest;
    const bitrate =
      vbr || this.#lowest === 0 ? Math.round((this.#frameBytes * 8) / this.#seconds) : this.#lowest;
    const heard = Math.max(0, this.#seconds - first.trimmed / first.sampleRate);
    const duration = Math.round(heard * 1000) / 1000;
    return {
      audioStart: first.at,
      bitrate,
      vbr,
      sampleRate: first.sampleRate,
      channels: first.channels,
      duration,
    };
  }

  /** Goes as far as `view`, which begins at the absolute offset `start`, allows; `final` when nothing follows. */
  #look(view: Uint8Array, start: number, final: boolean): void {
    for (;;) {
      const at = this.#next - start;
      const left = view.length - at;
      if (this.#state === 'refused' || left <= 0) {
        if (final && this.#state === 'tags' && this.#next > 0) this.#refuse('truncated');
        return;
      }
      if (this.#state === 'tags') {
        if (left < ID3V2_HEADER_BYTES && !final) return;
        const tagBytes = id3v2Bytes(view, at);
        this.#next += tagBytes;
        if (tagBytes > 0) continue;
        this.#state = 'search';
        this.#searchStart = this.#next;
      } else if (this.#state === 'search') {
        if (left < SEARCH_WINDOW_BYTES && !final) return;
        this.#search(view, at, start);
      } else {
        if (left < FRAME_HEADER_BYTES) return;
        if (this.#state === 'frames') this.#walk(view, at);
        else if (!this.#resync(view, at, final)) return;
      }
    }
  }

  #search(view: Uint8Array, from: number, start: number): void {
    const end = Math.min(view.length, from + SEARCH_BYTES);
    let cut = false;
    for (let at = view.indexOf(0xff, from); at !== -1 && at < end; at = view.indexOf(0xff, at + 1)) {
      this.#freeBytes = at === from ? freeBytesAt(view, at) : 0;
      const header = this.#header(view, at);
      if (header === undefined) continue;
      const chain = this.#chainLength(view, at, header);
      if (chain === 'cut') cut ||= start + at === this.#searchStart;
      if (chain !== 'whole') continue;
      this.#last = header;
      this.#first = { ...header, at: start + at, ...readInfo(view, at, header) };
      this.#next = start + at + (this.#first.isInfo ? header.bytes : 0);
      this.#state = 'frames';
      return;
    }
    this.#refuse(cut ? 'truncated' : 'not-mp3');
  }

  #walk(view: Uint8Array, at: number): void {
    const header = this.#header(view, at);
    if (header === undefined || !this.#isLikeLast(header)) {
      this.#state = 'resync';
      this.#next += 1;
      return;
    }
    this.#count(header, 1);
    this.#lowest = Math.min(this.#lowest, header.bitrate);
    this.#highest = Math.max(this.#highest, header.bitrate);
    this.#last = header;
    this.#next += header.bytes;
  }

  /**
   * After the frames stopped: tags at the end, or damage with more frames behind it, or the next part of a file that was
   * joined from several, at a sample rate of its own. False: more bytes are needed.
   */
  #resync(view: Uint8Array, from: number, final: boolean): boolean {
    const last = view.length - FRAME_HEADER_BYTES;
    for (let at = view.indexOf(0xff, from); at !== -1 && at <= last; at = view.indexOf(0xff, at + 1)) {
      const header = this.#header(view, at);
      if (header === undefined) continue;
      const isWithin = at + CHAIN_FRAMES * LONGEST_FRAME_BYTES <= view.length;
      if (isWithin || final) {
        const wanted = this.#isLikeLast(header) ? FEWEST_FRAMES : CHAIN_FRAMES;
        if (this.#chainLength(view, at, header, wanted) !== 'whole') continue;
        this.#last = header;
        this.#state = 'frames';
      }
      this.#next += at - from;
      return isWithin || final;
    }
    this.#next += last + 1 - from;
    return true;
  }

  #isLikeLast(header: FrameHeader): boolean {
    return this.#last !== undefined && fits(this.#last, header);
  }

  /** Undefined also for a frame of another layer, and for one of the free format where that is not believed. */
  #header(view: Uint8Array, at: number): FrameHeader | undefined {
    const header = parseFrameHeader(view, at);
    if (header?.layer !== 3) return undefined;
    if (header.bitrate > 0) return header;
    return this.#freeBytes === 0 ? undefined : { ...header, bytes: this.#freeBytes + header.padding };
  }

  /** `cut`: the view ends before the chain is long enough to be believed. */
  #chainLength(
    view: Uint8Array,
    at: number,
    first: FrameHeader,
    wanted = CHAIN_FRAMES,
  ): 'whole' | 'cut' | 'broken' {
    let next = at + first.bytes;
    for (let frames = 1; frames < wanted; frames += 1) {
      if (next + FRAME_HEADER_BYTES > view.length) return frames >= FEWEST_FRAMES ? 'whole' : 'cut';
      const header = this.#header(view, next);
      if (header === undefined || !fits(first, header)) {
        const isTag =
          frames >= FEWEST_FRAMES &&
          view[next] === 0x54 &&
          view[next + 1] === 0x41 &&
          view[next + 2] === 0x47;
        return isTag ? 'whole' : 'broken';
      }
      next += header.bytes;
    }
    return 'whole';
  }

  #count(header: FrameHeader, sign: 1 | -1): void {
    this.#frames += sign;
    this.#seconds += (sign * header.samples) / header.sampleRate;
    this.#frameBytes += sign * header.bytes;
  }

  #refuse(why: NotMpeg): void {
    this.#state = 'refused';
    this.#refusal = why;
  }
}

/** In the free format, bytes of the frame at `at` without its padding; else 0. */
function freeBytesAt(view: Uint8Array, at: number): number {
  const header = parseFrameHeader(view, at);
  if (header === undefined || header.bitrate > 0) return 0;
  const bytes = freeFrameBytes(view, at, header, true);
  return typeof bytes === 'number' ? bytes - header.padding : 0;
}

/** Whether the frame at `at` tells about the file instead of sounding, and the samples that LAME says to leave out. */
function readInfo(view: Uint8Array, at: number, header: FrameHeader): { isInfo: boolean; trimmed: number } {
  const tag = parseInfoTag({ header, bytes: view.subarray(at, at + header.bytes) });
  return { isInfo: tag !== undefined, trimmed: (tag?.delay ?? 0) + (tag?.padding ?? 0) };
}
