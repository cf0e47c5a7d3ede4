/**
 * Datagrams over a byte stream, as PyPPSPP writes them on TCP: the RFC knows UDP only (RFC 7574 §8).
 *
 *     length (u32) · datagram · length · datagram …
 *
 * Pull-based, in whatever pieces the stream comes. A length past the limit is refused before anything of it is kept.
 */
import { ByteReader, ByteWriter, writeU32 } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import { CHANNEL_BYTES, MAX_DATAGRAM_BYTES } from './constants.js';

const LENGTH_BYTES = 4;

/** The length that stands before a datagram. */
export function frameHeader(datagram: Uint8Array): Uint8Array {
  const length = new Uint8Array(LENGTH_BYTES);
  writeU32(length, datagram.length, 0);
  return length;
}

export class DatagramFramer {
  readonly #maxBytes: number;
  #chunk: Uint8Array = new Uint8Array(0);
  /** What came of a length or a datagram that is not whole yet. It grows with what came, not with what was promised. */
  readonly #collected = new ByteWriter(LENGTH_BYTES);
  #owed: number | undefined;

  constructor(options: { readonly maxDatagramBytes?: number } = {}) {
    this.#maxBytes = options.maxDatagramBytes ?? MAX_DATAGRAM_BYTES;
  }

  /** Takes the chunk over. Only after `next` has returned undefined. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
  }

  /**
   * The next datagram, good until the next call, for it may share the chunk's memory or the framer's; undefined when more
   * bytes are needed. RemoteProtocolError: then the stream is over.
   */
  next(): Uint8Array | undefined {
    while (true) {
      const wanted = this.#owed ?? LENGTH_BYTES;
      const bytes = this.#take(wanted);
      if (bytes === undefined) return undefined;
      if (this.#owed !== undefined) {
        this.#owed = undefined;
        return bytes;
      }
      const length = new ByteReader(bytes).u32('length');
      if (length < CHANNEL_BYTES || length > this.#maxBytes)
        throw new RemoteProtocolError('too-large', `${length} bytes are no datagram`);
      this.#owed = length;
    }
  }

  /** As they came where they came in one piece, else collected. */
  #take(wanted: number): Uint8Array | undefined {
    const piece = this.#chunk.subarray(0, wanted - this.#collected.length);
    this.#chunk = this.#chunk.subarray(piece.length);
    if (piece.length === wanted) return piece;
    this.#collected.bytes(piece);
    if (this.#collected.length < wanted) return undefined;
    const whole = this.#collected.written;
    this.#collected.truncate(0);
    return whole;
  }
}
