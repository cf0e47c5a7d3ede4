/**
 * HTTP's chunked transfer coding, as a source client may send its music (RFC 9112 §7.1). Pure.
 *
 *     1a0 ↵ … 416 bytes … ↵  1a1 ↵ … ↵  0 ↵ ↵           any cut; the chunk of length 0 is a goodbye
 */

/** Hexadecimal digits and extensions. */
const MAX_LINE_BYTES = 256;

export class ChunkedBody {
  #line = '';
  /** Of the chunk that is being read; undefined: its length is. */
  #left: number | undefined;
  #isOver = false;

  /** The last chunk has come. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What of the body these bytes bring. Throws RangeError when they are none. */
  push(bytes: Uint8Array): Uint8Array[] {
    const body: Uint8Array[] = [];
    for (let at = 0; at < bytes.length && !this.#isOver; ) {
      if (this.#left === undefined) at = this.#readLine(bytes, at);
      else {
        const piece = bytes.subarray(at, at + this.#left);
        at += piece.length;
        this.#left -= piece.length;
        if (piece.length > 0) body.push(piece);
        if (this.#left === 0) this.#left = undefined;
      }
    }
    return body;
  }

  /** A length; or what ends a chunk, which is an empty line. */
  #readLine(bytes: Uint8Array, from: number): number {
    const newline = bytes.indexOf(0x0a, from);
    const end = newline === -1 ? bytes.length : newline;
    this.#line += Buffer.from(bytes.subarray(from, end)).toString('latin1');
    if (this.#line.length > MAX_LINE_BYTES) throw new RangeError('a chunk whose length has no end');
    if (newline === -1) return end;
    const line = this.#line.trim();
    this.#line = '';
    if (line !== '') {
      const length = /^([0-9a-f]{1,7})(?:$|[;\s])/i.exec(line)?.[1];
      if (length === undefined) throw new RangeError('a chunk without a length');
      this.#left = Number.parseInt(length, 16);
      this.#isOver = this.#left === 0;
    }
    return newline + 1;
  }
}
