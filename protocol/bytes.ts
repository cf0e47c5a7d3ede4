/**
 * Every bounds check in the project: a reader that walks a byte array, and the big-endian fields of both formats.
 *
 * A read past the end is the sender's mistake, so it throws RemoteProtocolError `bad-message`, naming the field;
 * no caller compares an offset with a length itself.
 */
import { LocalProtocolError, RemoteProtocolError } from './errors.js';

export const U32_MAX = 0xffff_ffff;

/** Reads fields from the front of `bytes`. The returned subarrays share its memory. */
export class ByteReader {
  #offset = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(field: string): number {
    return this.#bytes[this.#take(1, field)]!;
  }

  u16(field: string): number {
    const at = this.#take(2, field);
    return (this.#bytes[at]! << 8) | this.#bytes[at + 1]!;
  }

  u32(field: string): number {
    return readU32(this.#bytes, this.#take(4, field));
  }

  /** All 64 bits. */
  bits64(field: string): bigint {
    const at = this.#take(8, field);
    return (BigInt(readU32(this.#bytes, at)) << 32n) | BigInt(readU32(this.#bytes, at + 4));
  }

  /** A u64 as a number. Above 2^53 − 1 it is refused: no file is that long. */
  u64(field: string): number {
    const value = this.#u64(field);
    if (value > Number.MAX_SAFE_INTEGER)
      throw new RemoteProtocolError('bad-message', `${field} is past 2^53`);
    return value;
  }

  /** A u64 that means «at most»: above 2^53 − 1 it is cut. */
  u64AtMost(field: string): number {
    return Math.min(this.#u64(field), Number.MAX_SAFE_INTEGER);
  }

  bytes(length: number, field: string): Uint8Array {
    const start = this.#take(length, field);
    return this.#bytes.subarray(start, start + length);
  }

  /** Refuses trailing bytes. */
  end(what: string): void {
    if (this.remaining !== 0)
      throw new RemoteProtocolError('bad-message', `${this.remaining} bytes too many in ${what}`);
  }

  #u64(field: string): number {
    const at = this.#take(8, field);
    return readU32(this.#bytes, at) * 2 ** 32 + readU32(this.#bytes, at + 4);
  }

  #take(length: number, field: string): number {
    const start = this.#offset;
    if (length > this.remaining) {
      throw new RemoteProtocolError(
        'bad-message',
        `${field} wants ${length} bytes, ${this.remaining} are left`,
      );
    }
    this.#offset = start + length;
    return start;
  }
}

/** Writes fields one after the other, in memory that grows with them. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  /** `capacity`: bytes until it first grows. */
  constructor(capacity = 64) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** All of it, in the writer's own memory: good until it is next written to. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  u8(value: number): void {
    this.#bytes[this.#place(1)] = value;
  }

  u16(value: number): void {
    if (value > 0xffff) throw new LocalProtocolError(`${value} is no u16`);
    this.u8(value >> 8);
    this.u8(value);
  }

  u32(value: number): void {
    const at = this.#place(4);
    writeU32(this.#bytes, value, at);
  }

  u64(value: number): void {
    const at = this.#place(8);
    writeU64(this.#bytes, value, at);
  }

  /** All 64 bits. */
  bits64(value: bigint): void {
    const at = this.#place(8);
    this.#bytes.writeBigUInt64BE(value, at);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#place(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Keeps the first `length` bytes. */
  truncate(length: number): void {
    this.#length = length;
  }

  #place(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }
}

/** Pieces of `length` bytes, the last with what is left. They share the memory of `bytes`. */
export function cutInto(length: number, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += length) pieces.push(bytes.subarray(at, at + length));
  return pieces;
}

/** The big-endian u32 at `offset`, of bytes that are known to be there. */
export function readU32(bytes: Uint8Array, offset: number): number {
  // By hand: to make a view costs more than all that is read or written through it.
  return (
    ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>>
    0
  );
}

/** Writes `value` big-endian at `offset`; a value out of range is our caller's mistake. */
export function writeU32(bytes: Uint8Array, value: number, offset: number): void {
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX)
    throw new LocalProtocolError(`${value} is no u32`);
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** LocalProtocolError for what is no whole number from 0 to 2^53 − 1. */
export function writeU64(bytes: Uint8Array, value: number, offset: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new LocalProtocolError(`${value} is no u64`);
  writeU32(bytes, Math.floor(value / 2 ** 32), offset);
  writeU32(bytes, value % 2 ** 32, offset + 4);
}

const HEX = /^(?:[0-9a-f]{2})*$/;

/** The same memory with a Buffer's methods. */
export const asBuffer = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

export const toHex = (bytes: Uint8Array): string => asBuffer(bytes).toString('hex');

/** Bad UTF-8 becomes U+FFFD. */
export const utf8 = (bytes: Uint8Array): string => asBuffer(bytes).toString();

/** Lower-case hex to bytes; undefined when it is anything else. */
export const fromHex = (hex: string): Buffer | undefined =>
  HEX.test(hex) ? Buffer.from(hex, 'hex') : undefined;

/**
 * Collects bytes that arrive in pieces, in one buffer that doubles up to `limit`.
 *
 * It grows with what came, not with what was promised, so a length field alone costs no memory; and a byte at a time
 * costs no quadratic copying. `take` hands the collected bytes over and starts anew.
 */
export class ByteCollector {
  #bytes: Uint8Array = new Uint8Array(0);
  #length = 0;

  constructor(readonly limit: number) {}

  get length(): number {
    return this.#length;
  }

  /** False when `piece` would pass the limit; then nothing was taken in. */
  add(piece: Uint8Array): boolean {
    const length = this.#length + piece.length;
    if (length > this.limit) return false;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.limit, Math.max(length, 2 * this.#bytes.length, 64)));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
    return true;
  }

  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(0);
    this.#length = 0;
    return taken;
  }
}
