/**
 * The five ways to write which chunks are meant (RFC 7574 §4, §7.8), read into and written from one ChunkRange.
 *
 *     bin32  bin (u32)              chunk32  start (u32) · end (u32)      byte64  first byte (u64) · last byte (u64)
 *     bin64  bin (u64)              chunk64  start (u64) · end (u64)      ends are included
 *
 * A range is checked here (its end is not before its start) and nowhere walked along.
 */
import type { ByteReader, ByteWriter } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../errors.js';
import { binOf, binsOf, rangeOf } from './bins.js';
import { type Addressing, LAST_CHUNK } from './constants.js';
import type { ChunkRange, WireFormat } from './messages.js';

const ALL_32 = 0x7fff_ffff;
const NONE_32 = 0xffff_ffff;
const ALL_64 = 0x7fff_ffff_ffff_ffffn;
const NONE_64 = 0xffff_ffff_ffff_ffffn;
/** Past it a bin is no exact number. */
const LAST_BIN = BigInt(Number.MAX_SAFE_INTEGER);

/** Reads a chunk specification; RemoteProtocolError `bad-message`. */
export function readRange(reader: ByteReader, format: WireFormat): ChunkRange {
  switch (format.addressing) {
    case 'bin32': {
      const bin = reader.u32('bin');
      if (bin === NONE_32) throw bad('the empty bin');
      return rangeOf(bin);
    }
    case 'bin64': {
      const bin = reader.bits64('bin');
      if (bin === NONE_64) throw bad('the empty bin');
      if (bin === ALL_64) return { start: 0, end: LAST_CHUNK };
      if (bin > LAST_BIN) throw bad(`bin ${bin}`);
      return rangeOf(Number(bin));
    }
    case 'chunk32':
      return ordered(reader.u32('start'), reader.u32('end'));
    case 'chunk64':
      return ordered(reader.u64('start'), reader.u64('end'));
    case 'byte64': {
      const { start, end } = ordered(reader.u64('start'), reader.u64('end'));
      const { chunkBytes } = format;
      if (start % chunkBytes !== 0) throw bad(`byte ${start}, amid a chunk,`);
      // The end of the last chunk may be that of the content, so it need not be that of a whole chunk.
      return { start: start / chunkBytes, end: Math.floor(end / chunkBytes) };
    }
  }
}

/** A range in as few pieces as an addressing can say: bins stand for powers of two only. */
export const sayable = (range: ChunkRange, addressing: Addressing): readonly ChunkRange[] =>
  addressing === 'bin32' || addressing === 'bin64' ? binsOf(range).map(rangeOf) : [range];

/** Writes one; LocalProtocolError when this addressing cannot say it (see `sayable`). */
export function writeRange(writer: ByteWriter, range: ChunkRange, format: WireFormat): void {
  const { start, end } = range;
  switch (format.addressing) {
    case 'bin32':
      writer.u32(start === 0 && end > ALL_32 ? ALL_32 : known(binOf(range), range));
      break;
    case 'bin64':
      if (start === 0 && end === LAST_CHUNK) writer.bits64(ALL_64);
      else writer.u64(known(binOf(range), range));
      break;
    case 'chunk32':
      writer.u32(start);
      writer.u32(end);
      break;
    case 'chunk64':
      writer.u64(start);
      writer.u64(end);
      break;
    case 'byte64':
      writer.u64(start * format.chunkBytes);
      writer.u64((end + 1) * format.chunkBytes - 1);
  }
}

function ordered(start: number, end: number): ChunkRange {
  if (end < start) throw bad(`${start} to ${end}`);
  return { start, end };
}

function known(bin: number | undefined, { start, end }: ChunkRange): number {
  if (bin === undefined) throw new LocalProtocolError(`chunks ${start} to ${end} are no bin`);
  return bin;
}

const bad = (what: string): RemoteProtocolError =>
  new RemoteProtocolError('bad-message', `${what} is no range of chunks`);
