/**
 * Is it MP3, and how long is it? One pass over a file's bytes, in whatever blocks they come.
 *
 *     [ID3v2 …]* [≤ 64 KiB of anything] [frame][frame][frame] … [ID3v1, APE, anything]
 *                                       └ audioStart: taken when frames of one kind follow one another from there
 *
 *     a frame's first four bytes:  1111 1111  111v vllp  bbbb rrPx  ccxx xxxx
 *         v version · l layer (01 is III) · b bitrate · r sample rate · P padding · c channel mode
 *
 * Frames are counted, not estimated, since all bytes pass by anyway; a Xing, Info or VBRI frame is only recognised, so
 * that it does not count as sound. (ISO/IEC 11172-3 §2.4.1; the header frames are Xing's and Fraunhofer's.)
 */

export interface FrameHeader {
  readonly version: 1 | 2 | 2.5;
  /** bit/s */
  readonly bitrate: number;
  /** Hz */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Samples a channel. */
  readonly samples: number;
  /** The frame's length with its header. */
  readonly bytes: number;
}

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

const KBITS_MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBITS_MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const SAMPLE_RATES = [44_100, 48_000, 32_000];
const VERSIONS = [2.5, undefined, 2, 1] as const;

const FRAME_HEADER_BYTES = 4;
const ID3_HEADER_BYTES = 10;
/** A frame at 320 kbit/s and 32 kHz, or at 160 kbit/s and 8 kHz. */
const LONGEST_FRAME_BYTES = 2_881;
/** So many frames of one kind in a row do not happen by chance: each header has 1 chance in some 10,000. */
const CHAIN_FRAMES = 4;
const FEWEST_FRAMES = 2;
/** Where the first frame may begin after the tags. Bounds the search in files of another kind. */
const SEARCH_BYTES = 64 * 1024;
const SEARCH_WINDOW_BYTES = SEARCH_BYTES + CHAIN_FRAMES * LONGEST_FRAME_BYTES;

/** The header at `at`; undefined when it is none of Layer III, or of free format (which no length follows from). */
export function parseFrameHeader(bytes: Uint8Array, at: number): FrameHeader | undefined {
  const [sync, kind, rates, mode] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  if (sync !== 0xff || kind === undefined || rates === undefined || mode === undefined) return undefined;
  if ((kind & 0xe6) !== 0xe2) return undefined;
  const version = VERSIONS[(kind >> 3) & 3];
  const rate = SAMPLE_RATES[(rates >> 2) & 3];
  const kbits = (version === 1 ? KBITS_MPEG1 : KBITS_MPEG2)[rates >> 4];
  if (version === undefined || rate === undefined || kbits === undefined || kbits === 0) return undefined;
  const sampleRate = version === 1 ? rate : version === 2 ? rate / 2 : rate / 4;
  const samples = version === 1 ? 1152 : 576;
  const bytesOf = Math.floor((samples * 125 * kbits) / sampleRate) + ((rates >> 1) & 1);
  return {
    version,
    bitrate: kbits * 1000,
    sampleRate,
    channels: mode >> 6 === 3 ? 1 : 2,
    samples,
    bytes: bytesOf,
  };
}

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
  #last: FrameHeader | undefined;
  #frames = 0;
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
    const samples = this.#frames * first.samples;
    const vbr = this.#lowest !== this.#highest;
    const bitrate = vbr ? Math.round((this.#frameBytes * 8 * first.sampleRate) / samples) : this.#lowest;
    const heard = Math.max(0, samples - first.trimmed);
    const duration = Math.round((heard / first.sampleRate) * 1000) / 1000;
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
        if (left < ID3_HEADER_BYTES && !final) return;
        const tagBytes = id3Length(view, at);
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
      const header = parseFrameHeader(view, at);
      if (header === undefined) continue;
      const chain = chainLength(view, at, header);
      if (chain === 'cut') cut ||= start + at === this.#searchStart;
      if (chain !== 'whole') continue;
      this.#first = { ...header, at: start + at, ...readInfo(view, at, header) };
      this.#next = start + at + (this.#first.isInfo ? header.bytes : 0);
      this.#state = 'frames';
      return;
    }
    this.#refuse(cut ? 'truncated' : 'not-mp3');
  }

  #walk(view: Uint8Array, at: number): void {
    const header = parseFrameHeader(view, at);
    if (header === undefined || !this.#isLikeFirst(header)) {
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

  /** After the frames stopped: tags at the end, or damage with more frames behind it. False: more bytes are needed. */
  #resync(view: Uint8Array, from: number, final: boolean): boolean {
    const last = view.length - FRAME_HEADER_BYTES;
    for (let at = view.indexOf(0xff, from); at !== -1 && at <= last; at = view.indexOf(0xff, at + 1)) {
      const header = parseFrameHeader(view, at);
      if (header === undefined || !this.#isLikeFirst(header)) continue;
      const following = at + header.bytes;
      const isLast = following > last;
      if (!isLast && parseFrameHeader(view, following) === undefined) continue;
      this.#next += at - from;
      if (isLast && !final) return false;
      this.#state = 'frames';
      return true;
    }
    this.#next += last + 1 - from;
    return true;
  }

  #isLikeFirst(header: FrameHeader): boolean {
    return header.version === this.#first?.version && header.sampleRate === this.#first.sampleRate;
  }

  #count(header: FrameHeader, sign: 1 | -1): void {
    this.#frames += sign;
    this.#frameBytes += sign * header.bytes;
  }

  #refuse(why: NotMpeg): void {
    this.#state = 'refused';
    this.#refusal = why;
  }
}

/** Length in bytes of the ID3v2 tag at `at`; 0 when there is none. */
export function id3Length(view: Uint8Array, at: number): number {
  const isTag =
    view.length - at >= ID3_HEADER_BYTES &&
    view[at] === 0x49 &&
    view[at + 1] === 0x44 &&
    view[at + 2] === 0x33;
  const sizes = view.subarray(at + 6, at + 10);
  if (!isTag || sizes.some(byte => byte > 0x7f)) return 0;
  const body = sizes.reduce((size, byte) => (size << 7) | byte, 0);
  const hasFooter = (view[at + 5]! & 0x10) !== 0;
  return ID3_HEADER_BYTES + body + (hasFooter ? ID3_HEADER_BYTES : 0);
}

/** `cut`: the view ends before the chain is long enough to be believed. */
function chainLength(view: Uint8Array, at: number, first: FrameHeader): 'whole' | 'cut' | 'broken' {
  let next = at + first.bytes;
  for (let frames = 1; frames < CHAIN_FRAMES; frames += 1) {
    if (next + FRAME_HEADER_BYTES > view.length) return frames >= FEWEST_FRAMES ? 'whole' : 'cut';
    const header = parseFrameHeader(view, next);
    if (header === undefined || header.version !== first.version || header.sampleRate !== first.sampleRate) {
      const isTag =
        frames >= FEWEST_FRAMES && view[next] === 0x54 && view[next + 1] === 0x41 && view[next + 2] === 0x47;
      return isTag ? 'whole' : 'broken';
    }
    next += header.bytes;
  }
  return 'whole';
}

const XING_FIELDS_BYTES = [4, 4, 100, 4];
const LAME_DELAYS_OFFSET = 21;

/** Whether the frame at `at` tells about the file instead of sounding, and the samples that LAME says to leave out. */
function readInfo(view: Uint8Array, at: number, header: FrameHeader): { isInfo: boolean; trimmed: number } {
  const text = (from: number, length: number) => String.fromCharCode(...view.subarray(from, from + length));
  if (text(at + FRAME_HEADER_BYTES + 32, 4) === 'VBRI') return { isInfo: true, trimmed: 0 };
  const sideBytes = header.version === 1 ? (header.channels === 2 ? 32 : 17) : header.channels === 2 ? 17 : 9;
  const xing = at + FRAME_HEADER_BYTES + sideBytes;
  if (!['Xing', 'Info'].includes(text(xing, 4))) return { isInfo: false, trimmed: 0 };
  const flags = view[xing + 7] ?? 0;
  const lame = XING_FIELDS_BYTES.reduce((sum, bytes, bit) => sum + ((flags >> bit) & 1) * bytes, xing + 8);
  if (!['LAME', 'Lavc', 'Lavf'].includes(text(lame, 4))) return { isInfo: true, trimmed: 0 };
  const [high = 0, middle = 0, low = 0] = view.subarray(
    lame + LAME_DELAYS_OFFSET,
    lame + LAME_DELAYS_OFFSET + 3,
  );
  return { isInfo: true, trimmed: (high << 4) + (middle >> 4) + ((middle & 15) << 8) + low };
}
