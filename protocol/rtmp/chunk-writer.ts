/**
 * Writes messages as chunks. A message begins with format 0 and goes on with format 3, and nothing comes between its
 * chunks; every client reads that.
 *
 *     ├ 0·id │ time 3 │ length 3 │ type │ stream 4 │ (time 4) ┤ ≤ chunk size ┤├ 3·id │ (time 4) ┤ ≤ chunk size ┤ …
 *     ├ 1·id │ delta 3 │ length 3 │ type ┤ ≤ chunk size ┤                        one that follows another of its kind
 *
 * From 0xffffff on, the time stands in the four bytes, in each chunk: ffmpeg and rtmpdump insist on it.
 *
 * In format 1 neither a time since anybody joined nor a message stream is told, so the bytes are the same for everybody
 * who was sent what came before: they are written once and shared.
 */
import { LocalProtocolError } from '../errors.js';
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

/** One that comes on the chunk stream and the message stream of the message before it. */
export interface FollowingMessage {
  /** 2 … 63. */
  readonly chunkStream: number;
  readonly type: number;
  /** Milliseconds since the message before it, below 0xffffff. */
  readonly deltaMs: number;
  /** In pieces; they are no longer than a chunk. */
  readonly payload: readonly Uint8Array[];
}

const HEADER_BYTES = 12;
const FOLLOWING_HEADER_BYTES = 8;
const FOLLOWS = 0x40;

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

/** The pieces of the one chunk that it is. Throws LocalProtocolError when it is too long for one, or comes too late. */
export function followingChunk(message: FollowingMessage, chunkBytes: number): Uint8Array[] {
  const { chunkStream, type, deltaMs, payload } = message;
  const length = lengthOf(payload);
  if (length > chunkBytes || deltaMs >= EXTENDED_TIMESTAMP)
    throw new LocalProtocolError(`${length} bytes after ${deltaMs} ms are no chunk of format 1`);
  const header = Buffer.allocUnsafe(FOLLOWING_HEADER_BYTES);
  header[0] = FOLLOWS | chunkStream;
  header.writeUIntBE(deltaMs, 1, 3);
  header.writeUIntBE(length, 4, 3);
  header[7] = type;
  return [header, ...payload];
}

function messageHeader(message: OutgoingMessage, isExtended: boolean): Buffer {
  const { chunkStream, type, stream, timestamp, payload } = message;
  const header = Buffer.allocUnsafe(HEADER_BYTES + (isExtended ? 4 : 0));
  header[0] = chunkStream;
  header.writeUIntBE(isExtended ? EXTENDED_TIMESTAMP : timestamp, 1, 3);
  header.writeUIntBE(lengthOf(payload), 4, 3);
  header[7] = type;
  header.writeUInt32LE(stream, 8);
  if (isExtended) header.writeUInt32BE(timestamp, HEADER_BYTES);
  return header;
}

const lengthOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

function continuation(chunkStream: number, extended: number | undefined): Buffer {
  const header = Buffer.allocUnsafe(extended === undefined ? 1 : 5);
  header[0] = 0xc0 | chunkStream;
  if (extended !== undefined) header.writeUInt32BE(extended, 1);
  return header;
}
