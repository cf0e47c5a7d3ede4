/**
 * MPEG audio as frames: finds them in a stream of bytes that arrives in any pieces, past tags and past garbage.
 *
 *     ID3v2 … │ frame │ frame │ frame │ ?!?! garbage │ frame │ … │ TAG
 *      skipped   4-byte header + body     resynchronised           skipped
 *
 * Decoders are only ever fed whole frames, so that none of them has to survive what is not MP3, every one of them starts
 * after a seek in the same way, and the number of samples that a song must give is known. Where sync is not yet certain,
 * a header counts only if another that fits follows its frame.
 */
import { FRAME_HEADER_BYTES, type FrameHeader, fits, parseFrameHeader } from './frame-header.js';
import { freeFrameBytes } from './free-format.js';
import { ID3V2_HEADER_BYTES, id3v2Bytes } from './id3v2.js';

export interface Frame {
  readonly header: FrameHeader;
  /** Shares memory with what was pushed, or with a copy of it. */
  readonly bytes: Uint8Array;
  /** Where the frame begins, counted from the first byte pushed. */
  readonly offset: number;
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
      if (!atEnd && bytes.length - at < ID3V2_HEADER_BYTES) break;
      const tagBytes = id3v2Bytes(bytes, at);
      if (tagBytes > 0) {
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
    if (length < FRAME_HEADER_BYTES) return 'none';
    const complete = at + length <= bytes.length;
    if (inSync) return complete ? { header, length } : atEnd ? 'none' : 'more';
    // Not in sync: what follows must be a header that fits, or the end.
    if (at + length + FRAME_HEADER_BYTES > bytes.length)
      return atEnd ? (complete ? { header, length } : 'none') : 'more';
    const next = parseFrameHeader(bytes, at + length);
    return next !== undefined && fits(header, next) ? { header, length } : 'none';
  }

  #freeLength(bytes: Uint8Array, at: number, header: FrameHeader, atEnd: boolean): number | 'more' | 'none' {
    if (this.#last?.bitrate === 0 && this.#freeBytes > 0) return this.#freeBytes + header.padding;
    const length = freeFrameBytes(bytes, at, header, atEnd);
    if (typeof length === 'number') this.#freeBytes = length - header.padding;
    return length;
  }
}
