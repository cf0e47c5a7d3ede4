/**
 * Writes messages as chunks. One form only, which every client reads: a message begins with format 0 and goes on with
 * format 3, and nothing comes between its chunks.
 *
 *     ├ 0·id │ time 3 │ length 3 │ type │ stream 4 │ (time 4) ┤ ≤ chunk size ┤├ 3·id │ (time 4) ┤ ≤ chunk size ┤ …
 *
 * From 0xffffff on, the time stands in the four bytes, in each chunk: ffmpeg and rtmpdump insist on it.
 */
import { EXTENDED_TIMESTAMP } from './constants.js';

export interface OutgoingMessage {
  /** 2 … 63. */
  readonly chunkStream: number;
  readonly type: number;
  readonly stream: number;
  /** Milliseconds, a u32. */
  readonly timestamp: number;
  /** In pieces, so that what goes to many is shared; their bytes are not copied. */
  readonly payload: readonly Uint8Array[];
}

const HEADER_BYTES = 12;

/** The pieces to write, one after the other. `chunkBytes` is what the other side was last told. */
export function chunksOf(message: OutgoingMessage, chunkBytes: number): Uint8Array[] {
  const { chunkStream, timestamp, payload } = message;
  const isExtended = timestamp >= EXTENDED_TIMESTAMP;
  const pieces: Uint8Array[] = [messageHeader(message, isExtended)];
  let room = chunkBytes;
  for (const whole of payload) {
    let rest = whole;
    while (rest.length > 0) {
      if (room === 0) {
        pieces.push(continuation(chunkStream, isExtended ? timestamp : undefined));
        room = chunkBytes;
      }
      const piece = rest.subarray(0, room);
      pieces.push(piece);
      room -= piece.length;
      rest = rest.subarray(piece.length);
    }
  }
  return pieces;
}

function messageHeader(message: OutgoingMessage, isExtended: boolean): Buffer {
  const { chunkStream, type, stream, timestamp, payload } = message;
  const header = Buffer.allocUnsafe(HEADER_BYTES + (isExtended ? 4 : 0));
  header[0] = chunkStream;
  header.writeUIntBE(isExtended ? EXTENDED_TIMESTAMP : timestamp, 1, 3);
  header.writeUIntBE(
    payload.reduce((sum, piece) => sum + piece.length, 0),
    4,
    3,
  );
  header[7] = type;
  header.writeUInt32LE(stream, 8);
  if (isExtended) header.writeUInt32BE(timestamp, HEADER_BYTES);
  return header;
}

function continuation(chunkStream: number, extended: number | undefined): Buffer {
  const header = Buffer.allocUnsafe(extended === undefined ? 1 : 5);
  header[0] = 0xc0 | chunkStream;
  if (extended !== undefined) header.writeUInt32BE(extended, 1);
  return header;
}
