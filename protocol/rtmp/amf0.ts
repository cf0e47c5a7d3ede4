/**
 * AMF0, in which commands and metadata are written: a marker byte, then the value.
 *
 *     00 double · 01 boolean · 02 string · 03 object … 00 00 09 · 05 null · 06 undefined · 08 ECMA array · 0a array · 0b date
 *
 * Objects are Maps, so that no name in them (`__proto__`) means anything here. An ECMA array's count is advice, an
 * array's is judged by the bytes that are left; nothing nests deeper than sixteen. What is not AMF0 (references, AMF3) is
 * a RemoteProtocolError.
 */
import { ByteReader, utf8 } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../errors.js';
import { MAX_AMF_DEPTH } from './constants.js';

export type AmfValue = number | boolean | string | null | undefined | AmfObject | readonly AmfValue[];
export type AmfObject = ReadonlyMap<string, AmfValue>;

/** Written with the marker of an ECMA array; players look for metadata in nothing else. */
export class EcmaArray extends Map<string, AmfValue> {}

export const amfObject = (values: Readonly<Record<string, AmfValue>>): AmfObject =>
  new Map(Object.entries(values));

const MARKER = {
  NUMBER: 0x00,
  BOOLEAN: 0x01,
  STRING: 0x02,
  OBJECT: 0x03,
  NULL: 0x05,
  UNDEFINED: 0x06,
  ECMA_ARRAY: 0x08,
  OBJECT_END: 0x09,
  STRICT_ARRAY: 0x0a,
  DATE: 0x0b,
  LONG_STRING: 0x0c,
  UNSUPPORTED: 0x0d,
  XML: 0x0f,
  TYPED_OBJECT: 0x10,
} as const;

/** A string's length has two bytes; a longer one is a long string. */
const MAX_SHORT_BYTES = 0xffff;

/** All values in `bytes`. A date is its milliseconds, XML its text, a typed object an object. */
export function decodeAmf0(bytes: Uint8Array): AmfValue[] {
  const reader = new ByteReader(bytes);
  const values: AmfValue[] = [];
  while (reader.remaining > 0) values.push(readValue(reader, reader.u8('AMF marker'), 0));
  return values;
}

function readValue(reader: ByteReader, marker: number, depth: number): AmfValue {
  if (depth > MAX_AMF_DEPTH) throw new RemoteProtocolError('bad-message', 'AMF nested too deep');
  switch (marker) {
    case MARKER.NUMBER:
      return readDouble(reader);
    case MARKER.BOOLEAN:
      return reader.u8('boolean') !== 0;
    case MARKER.STRING:
      return readString(reader);
    case MARKER.OBJECT:
      return readEntries(reader, new Map(), depth);
    case MARKER.NULL:
      return null;
    case MARKER.UNDEFINED:
    case MARKER.UNSUPPORTED:
      return undefined;
    case MARKER.ECMA_ARRAY:
      reader.u32('count');
      return readEntries(reader, new EcmaArray(), depth);
    case MARKER.STRICT_ARRAY:
      return readArray(reader, depth);
    case MARKER.DATE: {
      const milliseconds = readDouble(reader);
      reader.u16('time zone');
      return milliseconds;
    }
    case MARKER.LONG_STRING:
    case MARKER.XML:
      return utf8(reader.bytes(reader.u32('length of a string'), 'string'));
    case MARKER.TYPED_OBJECT:
      readString(reader);
      return readEntries(reader, new Map(), depth);
    default:
      throw new RemoteProtocolError('bad-message', `AMF marker 0x${marker.toString(16)}`);
  }
}

const readDouble = (reader: ByteReader): number => {
  const bytes = reader.bytes(8, 'number');
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
};

const readString = (reader: ByteReader): string =>
  utf8(reader.bytes(reader.u16('length of a string'), 'string'));

/** Names and values, until the nameless end. */
function readEntries<T extends Map<string, AmfValue>>(reader: ByteReader, into: T, depth: number): T {
  while (true) {
    const name = readString(reader);
    const marker = reader.u8('AMF marker');
    if (name === '' && marker === MARKER.OBJECT_END) return into;
    into.set(name, readValue(reader, marker, depth + 1));
  }
}

function readArray(reader: ByteReader, depth: number): AmfValue[] {
  const count = reader.u32('count');
  if (count > reader.remaining)
    throw new RemoteProtocolError('bad-message', `${count} values in ${reader.remaining} bytes`);
  return Array.from({ length: count }, () => readValue(reader, reader.u8('AMF marker'), depth + 1));
}

export function encodeAmf0(values: readonly AmfValue[]): Buffer {
  const pieces: Buffer[] = [];
  for (const value of values) writeValue(value, pieces);
  return Buffer.concat(pieces);
}

function writeValue(value: AmfValue, into: Buffer[]): void {
  if (typeof value === 'number') into.push(Buffer.of(MARKER.NUMBER), double(value));
  else if (typeof value === 'boolean') into.push(Buffer.of(MARKER.BOOLEAN, value ? 1 : 0));
  else if (typeof value === 'string') writeString(value, into);
  else if (value === null) into.push(Buffer.of(MARKER.NULL));
  else if (value === undefined) into.push(Buffer.of(MARKER.UNDEFINED));
  else if (value instanceof EcmaArray) {
    into.push(Buffer.of(MARKER.ECMA_ARRAY), u32(value.size));
    writeEntries(value, into);
  } else if (value instanceof Map) {
    into.push(Buffer.of(MARKER.OBJECT));
    writeEntries(value, into);
  } else {
    const list = value as readonly AmfValue[];
    into.push(Buffer.of(MARKER.STRICT_ARRAY), u32(list.length));
    for (const each of list) writeValue(each, into);
  }
}

function writeString(text: string, into: Buffer[]): void {
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_SHORT_BYTES) into.push(Buffer.of(MARKER.LONG_STRING), u32(bytes.length), bytes);
  else into.push(Buffer.of(MARKER.STRING), u16(bytes.length), bytes);
}

function writeEntries(entries: AmfObject, into: Buffer[]): void {
  for (const [name, value] of entries) {
    const bytes = Buffer.from(name);
    if (bytes.length > MAX_SHORT_BYTES) throw new LocalProtocolError('a name of 64 KiB in an AMF object');
    into.push(u16(bytes.length), bytes);
    writeValue(value, into);
  }
  into.push(Buffer.of(0, 0, MARKER.OBJECT_END));
}

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}
