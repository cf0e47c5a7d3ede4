/**
 * The protocol options of a HANDSHAKE (RFC 7574 §7), from one table: a row an option, in the order of their codes.
 *
 *     code (u8) · value   …   255          ascending, each at most once
 *
 * There is no length, so an unknown code ends the reading of the datagram.
 */
import { type ByteReader, writeU32, writeU64 } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../errors.js';
import {
  ADDRESSING_METHODS,
  type Addressing,
  END_OF_OPTIONS,
  HASH_FUNCTIONS,
  INTEGRITY_METHODS,
  KEEPS_EVERYTHING,
  OPTION_CODE,
  SIGNATURE_ALGORITHMS,
  UUID_BYTES,
} from './constants.js';
import type { Options } from './messages.js';

type OptionName = keyof typeof OPTION_CODE;

interface Row<V> {
  /** `addressing`: what option 6 said, on which the width of option 7 depends. */
  write(value: V, addressing: Addressing): Uint8Array;
  read(reader: ByteReader, addressing: Addressing): V;
}

/** What an absent option 6 means (RFC 7574 §7.8). */
const DEFAULT_ADDRESSING: Addressing = 'chunk32';
const MAX_SWARM_ID_BYTES = 0xffff;
const MAX_BITMAP_BYTES = 0xff;

/** The options and the 255 after them. LocalProtocolError for a value that has no place. */
export function encodeOptions(options: Options): Buffer {
  const addressing = options.addressing ?? DEFAULT_ADDRESSING;
  const parts: Uint8Array[] = [];
  for (const name of NAMES) {
    const value = options[name];
    if (value === undefined) continue;
    parts.push(Uint8Array.of(OPTION_CODE[name]), rowOf(name).write(value, addressing));
  }
  return Buffer.concat([...parts, Uint8Array.of(END_OF_OPTIONS)]);
}

/** Reads up to and including the 255; RemoteProtocolError `bad-message`. Option 10 is read only when `peerUuids`. */
export function readOptions(reader: ByteReader, peerUuids: boolean): Options {
  const options: Record<string, unknown> = {};
  let addressing = DEFAULT_ADDRESSING;
  let last = -1;
  while (true) {
    const code = reader.u8('option');
    if (code === END_OF_OPTIONS) return options as Options;
    if (code <= last) throw bad(`option ${code} after option ${last}`);
    const name = NAMES[code];
    if (name === undefined || (name === 'peerUuid' && !peerUuids)) throw bad(`unknown option ${code}`);
    const value = rowOf(name).read(reader, addressing);
    options[name] = value;
    if (name === 'addressing') addressing = value as Addressing;
    last = code;
  }
}

const TABLE: { readonly [N in OptionName]: Row<NonNullable<Options[N]>> } = {
  version: { write: byte, read: readVersion },
  minimumVersion: { write: byte, read: readVersion },
  swarmId: {
    write: id => Buffer.concat([u16(id.length, MAX_SWARM_ID_BYTES), id]),
    read: reader => {
      const length = reader.u16('length of the swarm ID');
      if (length === 0) throw bad('an empty swarm ID');
      return reader.bytes(length, 'swarm ID');
    },
  },
  integrity: listed(INTEGRITY_METHODS, 'integrity method'),
  hash: listed(HASH_FUNCTIONS, 'hash function'),
  signature: {
    write: byte,
    read: reader => {
      const code = reader.u8('signature algorithm');
      const algorithm = SIGNATURE_ALGORITHMS.find(known => known === code);
      if (algorithm === undefined) throw bad(`unknown signature algorithm ${code}`);
      return algorithm;
    },
  },
  addressing: listed(ADDRESSING_METHODS, 'addressing method'),
  discardWindow: {
    write: (value, addressing) => {
      const bytes = new Uint8Array(isWide(addressing) ? 8 : 4);
      if (value === KEEPS_EVERYTHING) return bytes.fill(0xff);
      if (isWide(addressing)) writeU64(bytes, value, 0);
      else writeU32(bytes, value, 0);
      return bytes;
    },
    read: (reader, addressing) => {
      const [value, all] = isWide(addressing)
        ? [reader.bits64('discard window'), 0xffff_ffff_ffff_ffffn]
        : [BigInt(reader.u32('discard window')), 0xffff_ffffn];
      // More than any content has is everything too.
      return value === all || value > BigInt(Number.MAX_SAFE_INTEGER) ? KEEPS_EVERYTHING : Number(value);
    },
  },
  supportedMessages: {
    write: bitmap => {
      if (bitmap.length > MAX_BITMAP_BYTES) throw new LocalProtocolError('a bitmap has 255 bytes at most');
      return Buffer.concat([Uint8Array.of(bitmap.length), bitmap]);
    },
    read: reader => reader.bytes(reader.u8('length of the bitmap'), 'supported messages'),
  },
  chunkBytes: {
    write: value => {
      const bytes = new Uint8Array(4);
      writeU32(bytes, value, 0);
      return bytes;
    },
    read: reader => {
      const value = reader.u32('chunk size');
      if (value === 0) throw bad('chunks of no bytes');
      return value;
    },
  },
  peerUuid: { write: uuid => uuid, read: reader => reader.bytes(UUID_BYTES, 'peer UUID') },
};

const NAMES = Object.keys(TABLE) as OptionName[];

/** A row with its type forgotten: TypeScript cannot follow that `options[name]` is what the row of `name` writes. */
const rowOf = (name: OptionName): Row<unknown> => TABLE[name] as Row<unknown>;

const isWide = (addressing: Addressing): boolean => addressing !== 'bin32' && addressing !== 'chunk32';

function byte(value: number): Uint8Array {
  return Uint8Array.of(value);
}

/** 0 is reserved (RFC 7574 §7.2). */
function readVersion(reader: ByteReader): number {
  const version = reader.u8('version');
  if (version === 0) throw bad('version 0');
  return version;
}

function u16(value: number, most: number): Uint8Array {
  if (value > most) throw new LocalProtocolError(`${value} bytes are more than ${most}`);
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** A value whose code is its place in a list. */
function listed<V extends string>(values: readonly V[], what: string): Row<V> {
  return {
    write: value => Uint8Array.of(values.indexOf(value)),
    read: reader => {
      const code = reader.u8(what);
      const value = values[code];
      if (value === undefined) throw bad(`unknown ${what} ${code}`);
      return value;
    },
  };
}

function bad(what: string): RemoteProtocolError {
  return new RemoteProtocolError('bad-message', `${what} in a HANDSHAKE`);
}
