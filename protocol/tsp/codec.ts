/**
 * The message table of TSP §3 as one typed codec: a row a message, so that a missing row does not compile.
 *
 *     0        1                 5                 9
 *     ├─ type ─┼─ field (u32) ───┼─ length (u32) ──┼─ payload …
 *
 * `field` is what §3 calls the song-ID field: a song, a port, a revision or a ping's value. `encode` and `decode`
 * know no stream and no connection; cutting a byte stream into messages is `framing.ts`.
 */
import { ByteReader, fromHex, toHex, utf8, writeU32, writeU64 } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../errors.js';
import {
  FIRST_TYPE_WITH_PAYLOAD,
  HASH_BYTES,
  HEADER_BYTES,
  LENGTH_BYTES,
  MAX_PAYLOAD_BYTES,
  MESSAGE_TYPE,
  type MessageName,
} from './constants.js';
import { encodeJson, parseErrorBody, parseHello, parseJsonObject, parseWelcome } from './json.js';
import type { Message, SongId, StreamHeader } from './messages.js';
import { type ContentHash, encodeOfferChange, parseOfferChange, RowReader } from './rows.js';

type Named<N extends MessageName> = Extract<Message, { type: N }>;

interface PlainRow<M> {
  readonly carries: 'nothing';
  field(message: M): number;
  parse(field: number): M;
}
interface WholeRow<M> {
  readonly carries: 'payload';
  field(message: M): number;
  payload(message: M): Uint8Array;
  parse(field: number, payload: Uint8Array): M;
}
interface StreamRow<M> {
  readonly carries: 'stream';
  field(message: M): number;
  parse(field: number, length: number): M;
}
type Row<N extends MessageName> =
  | PlainRow<Named<N>>
  | WholeRow<Named<N>>
  | (Named<N> extends StreamHeader ? StreamRow<Named<N>> : never);

/** The bytes of a message; of a StreamHeader its 9 bytes, to be followed by `length` bytes. */
export function encode(message: Message): Buffer {
  const row = rowOf(message.type);
  const field = row.field(message);
  const type = MESSAGE_TYPE[message.type];
  if (row.carries === 'nothing') return header(type, field);
  if (row.carries === 'stream') return header(type, field, (message as StreamHeader).length);
  const payload = row.payload(message);
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw new LocalProtocolError(`${message.type} of ${payload.length} bytes is past ${MAX_PAYLOAD_BYTES}`);
  }
  return Buffer.concat([header(type, field, payload.length), payload]);
}

/** A plain or whole message from its parts; throws RemoteProtocolError `bad-message`. */
export function decode(type: number, field: number, payload: Uint8Array): Message {
  const row = ROW_BY_TYPE[type];
  if (row === undefined || row.carries === 'stream')
    throw new LocalProtocolError(`type ${type} is not held whole`);
  return row.carries === 'nothing' ? row.parse(field) : row.parse(field, payload);
}

/** The header of an answer whose payload is read as it comes. */
export function decodeStreamHeader(type: number, field: number, length: number): StreamHeader {
  const row = ROW_BY_TYPE[type];
  if (row?.carries !== 'stream') throw new LocalProtocolError(`type ${type} is no stream`);
  return row.parse(field, length) as StreamHeader;
}

/** How a type's payload is read; undefined for a type that TSP/1 does not know. */
export const payloadOf = (type: number): 'nothing' | 'payload' | 'stream' | undefined =>
  ROW_BY_TYPE[type]?.carries;

const TABLE: { readonly [N in MessageName]: Row<N> } = {
  INIT: {
    carries: 'nothing',
    field: m => portField(m.port),
    parse: field => ({ type: 'INIT', port: parsePort(field) }),
  },
  LIST: { carries: 'nothing', field: () => 0, parse: () => ({ type: 'LIST' }) },
  INFO: { carries: 'nothing', field: m => m.song, parse: field => ({ type: 'INFO', song: field as SongId }) },
  PLAY: { carries: 'nothing', field: m => m.song, parse: field => ({ type: 'PLAY', song: field as SongId }) },
  STOP: { carries: 'nothing', field: m => m.song, parse: field => ({ type: 'STOP', song: field as SongId }) },
  QUIT: { carries: 'nothing', field: () => 0, parse: () => ({ type: 'QUIT' }) },
  PING: { carries: 'nothing', field: m => m.value, parse: value => ({ type: 'PING', value }) },
  PONG: { carries: 'nothing', field: m => m.value, parse: value => ({ type: 'PONG', value }) },
  HELLO: {
    carries: 'payload',
    field: m => portField(m.port),
    payload: m => encodeJson(m.hello),
    parse: (field, payload) => ({
      type: 'HELLO',
      port: parsePort(field),
      hello: parseHello(parseJsonObject(utf8(payload), 'HELLO')),
    }),
  },
  RANGE: {
    carries: 'payload',
    field: m => m.song,
    payload: m => {
      const bytes = new Uint8Array(16 + (m.hash === undefined ? 0 : HASH_BYTES));
      writeU64(bytes, m.offset, 0);
      writeU64(bytes, m.count, 8);
      if (m.hash !== undefined) bytes.set(hashBytes(m.hash), 16);
      return bytes;
    },
    parse: (field, payload) => {
      const reader = new ByteReader(payload);
      const range = {
        type: 'RANGE',
        song: field as SongId,
        offset: reader.u64('offset'),
        count: reader.u64AtMost('count'),
      } as const;
      return withHash(range, reader);
    },
  },
  FIND: {
    carries: 'payload',
    field: () => 0,
    payload: m => Buffer.from(m.words),
    parse: (_, payload) => ({ type: 'FIND', words: new TextDecoder().decode(payload) }),
  },
  UPDATE: {
    carries: 'payload',
    field: () => 0,
    payload: m => Buffer.concat(m.changes.map(encodeOfferChange)),
    parse: (_, payload) => {
      const reader = new RowReader();
      return { type: 'UPDATE', changes: [...reader.push(payload), ...reader.end()].map(parseOfferChange) };
    },
  },
  HASHES: {
    carries: 'payload',
    field: m => m.song,
    payload: m => {
      const hash = m.hash === undefined ? new Uint8Array(0) : hashBytes(m.hash);
      return Buffer.concat([Uint8Array.of(m.level), hash]);
    },
    parse: (field, payload) => {
      const reader = new ByteReader(payload);
      return withHash({ type: 'HASHES', song: field as SongId, level: reader.u8('level') } as const, reader);
    },
  },
  LIST_INFO: {
    carries: 'stream',
    field: m => m.revision,
    parse: (revision, length) => ({ type: 'LIST_INFO', revision, length }),
  },
  SONG_INFO: {
    carries: 'stream',
    field: m => m.song,
    parse: (field, length) => ({ type: 'SONG_INFO', song: field as SongId, length }),
  },
  SONG_DATA: {
    carries: 'stream',
    field: m => m.song,
    parse: (field, length) => ({ type: 'SONG_DATA', song: field as SongId, length }),
  },
  BROADCAST_LIST: {
    carries: 'stream',
    field: m => m.revision,
    parse: (revision, length) => ({ type: 'BROADCAST_LIST', revision, length }),
  },
  WELCOME: {
    carries: 'payload',
    field: m => m.revision,
    payload: m => encodeJson(m.welcome),
    parse: (revision, payload) => ({
      type: 'WELCOME',
      revision,
      welcome: parseWelcome(parseJsonObject(utf8(payload), 'WELCOME')),
    }),
  },
  SONG_IDS: { carries: 'stream', field: () => 0, parse: (_, length) => ({ type: 'SONG_IDS', length }) },
  HASH_LIST: {
    carries: 'stream',
    field: m => m.song,
    parse: (field, length) => {
      if (length % HASH_BYTES !== 0)
        throw new RemoteProtocolError('bad-message', 'HASH_LIST is no whole number of hashes');
      return { type: 'HASH_LIST', song: field as SongId, length };
    },
  },
  ERROR: {
    carries: 'payload',
    field: m => m.song,
    payload: m => encodeJson(m.error),
    parse: (field, payload) => ({
      type: 'ERROR',
      song: field as SongId,
      error: parseErrorBody(parseJsonObject(utf8(payload), 'ERROR')),
    }),
  },
};

/** A row with its message type forgotten: TypeScript cannot follow that `rowOf(m.type)` is the row of `m`. */
type AnyRow = PlainRow<Message> | WholeRow<Message> | StreamRow<Message>;

const rowOf = (name: MessageName): AnyRow => TABLE[name] as unknown as AnyRow;

const ROW_BY_TYPE: readonly (AnyRow | undefined)[] = (() => {
  const rows = new Array<AnyRow | undefined>(256).fill(undefined);
  for (const [name, type] of Object.entries(MESSAGE_TYPE)) rows[type] = rowOf(name as MessageName);
  return rows;
})();

function header(type: number, field: number, length?: number): Buffer {
  const bytes = Buffer.allocUnsafe(
    type < FIRST_TYPE_WITH_PAYLOAD ? HEADER_BYTES : HEADER_BYTES + LENGTH_BYTES,
  );
  bytes[0] = type;
  writeU32(bytes, field, 1);
  if (length !== undefined) writeU32(bytes, length, HEADER_BYTES);
  return bytes;
}

const MAX_PORT = 0xffff;

function portField(port: number): number {
  if (port > MAX_PORT) throw new LocalProtocolError(`${port} is no port`);
  return port;
}

function parsePort(field: number): number {
  if (field > MAX_PORT) throw new RemoteProtocolError('bad-message', `${field} is no port`);
  return field;
}

/** Ends a RANGE or HASHES: 32 bytes of hash or nothing. */
function withHash<M extends object>(message: M, reader: ByteReader): M & { hash?: ContentHash } {
  if (reader.remaining === 0) return message;
  const hash = toHex(reader.bytes(HASH_BYTES, 'hash')) as ContentHash;
  reader.end('the request');
  return { ...message, hash };
}

function hashBytes(hash: ContentHash): Uint8Array {
  const bytes = fromHex(hash);
  if (bytes?.length !== HASH_BYTES) throw new LocalProtocolError(`${hash} is no content hash`);
  return bytes;
}
