/**
 * The chunks of a WAV or AIFF file, one after the other:
 *
 *     RIFF size WAVE | FORM size AIFF │ id size bytes │ id size bytes │ …
 *
 * Only chunk headers are read on the way, and no more of them than a file of music has. A size that lies leads to the end
 * of the file, or to chunks that nobody knows.
 */
import { readSync } from 'node:fs';

export const FORM_BYTES = 12;
export const CHUNK_HEADER_BYTES = 8;
const MAX_CHUNKS = 64;

export interface Chunk {
  readonly id: string;
  /** Where its bytes begin. */
  readonly at: number;
  readonly length: number;
}

/** `file`: a descriptor; `size`: its bytes. Throws Node's error. */
export function* chunksOf(file: number, size: number): Generator<Chunk> {
  const form = bytesOf(file, 0, FORM_BYTES);
  const isRiff = form.toString('latin1', 0, 4) === 'RIFF';
  for (let at = FORM_BYTES, count = 0; at < size && count < MAX_CHUNKS; count += 1) {
    const header = bytesOf(file, at, CHUNK_HEADER_BYTES);
    if (header.length < CHUNK_HEADER_BYTES) return;
    const chunk = chunkIn(header, 0, at, isRiff);
    yield chunk;
    at = endOf(chunk);
  }
}

/** The chunk whose header is at `at` of `bytes` and at `position` of whatever is walked through. */
export const chunkIn = (bytes: Buffer, at: number, position: number, isRiff: boolean): Chunk => ({
  id: bytes.toString('latin1', at, at + 4),
  at: position + CHUNK_HEADER_BYTES,
  length: isRiff ? bytes.readUInt32LE(at + 4) : bytes.readUInt32BE(at + 4),
});

/** Chunks begin at even places. */
export const endOf = ({ at, length }: Chunk): number => at + length + (length % 2);

export const bodyOf = (file: number, { at, length }: Chunk, atMost: number): Buffer =>
  bytesOf(file, at, Math.min(length, atMost));

/** Fewer where the file ends. */
export function bytesOf(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, at));
}
