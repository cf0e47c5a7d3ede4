/**
 * Datagrams of RFC 7574 §8.2 and the messages in them, from one typed table: a row a message.
 *
 *     channel ID (u32) · type (u8) · payload · type · payload …          4 bytes alone are a keep-alive
 *
 * Messages count in their order. An invalid one ends the reading, and those before it stand (§8.2): so `decodeDatagram`
 * never throws, it says how far it came. A type that nobody has assigned is invalid, as its length is unknown.
 */
import { ByteReader, ByteWriter } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../errors.js';
import { readRange, writeRange } from './chunk-spec.js';
import { MESSAGE_TYPE, type MessageName, SPEC_BYTES, VARIABLE_CHUNK_BYTES } from './constants.js';
import type { ChunkRange, Message, WireFormat } from './messages.js';
import { encodeOptions, readOptions } from './options.js';

type Named<N extends MessageName> = Message & { readonly type: N };

interface Row<M> {
  write(writer: ByteWriter, message: M, format: WireFormat): void;
  read(reader: ByteReader, format: WireFormat): M;
}

export interface Datagram {
  /** The receiver's channel. */
  readonly channel: number;
  readonly messages: readonly Message[];
  /** Why the rest was not read. */
  readonly error?: RemoteProtocolError;
}

/** Messages share the memory of `bytes`. A datagram without a channel ID is one of channel 0 with an error. */
export function decodeDatagram(bytes: Uint8Array, format: WireFormat): Datagram {
  const messages: Message[] = [];
  let channel = 0;
  try {
    const reader = new ByteReader(bytes);
    channel = reader.u32('channel ID');
    while (reader.remaining > 0) {
      const message = readMessage(reader, format);
      if (message.type === 'HANDSHAKE' && messages.length > 0)
        throw new RemoteProtocolError('bad-message', 'a HANDSHAKE comes first or not at all');
      messages.push(message);
    }
    return { channel, messages };
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    return { channel, messages, error };
  }
}

/** `channel`: the receiver's. No messages: a keep-alive. */
export function encodeDatagram(channel: number, messages: readonly Message[], format: WireFormat): Buffer {
  const writer = new ByteWriter();
  writer.u32(channel);
  for (const message of messages) writeMessage(writer, message, format);
  return writer.written;
}

export function writeMessage(writer: ByteWriter, message: Message, format: WireFormat): void {
  writer.u8(MESSAGE_TYPE[message.type]);
  rowOf(message.type).write(writer, message, format);
}

/** What a DATA takes beside its chunk. */
export const dataHeadBytes = (format: WireFormat): number => 1 + SPEC_BYTES[format.addressing] + 8;

function readMessage(reader: ByteReader, format: WireFormat): Message {
  const type = reader.u8('type');
  const row = ROW_BY_TYPE[type];
  if (row === undefined) throw new RemoteProtocolError('bad-message', `unknown message type ${type}`, type);
  return row.read(reader, format);
}

const TABLE: { readonly [N in MessageName]: Row<Named<N>> } = {
  HANDSHAKE: {
    write: (writer, m) => {
      writer.u32(m.channel);
      writer.bytes(encodeOptions(m.options));
    },
    read: (reader, { peerUuids = false }) => ({
      type: 'HANDSHAKE',
      channel: reader.u32('source channel'),
      options: readOptions(reader, peerUuids),
    }),
  },
  DATA: {
    write: (writer, { chunk, timestampUs, bytes }, format) => {
      if (bytes.length === 0 || bytes.length > format.chunkBytes)
        throw new LocalProtocolError(`${bytes.length} bytes are no chunk`);
      writeRange(writer, only(chunk), format);
      writer.u64(timestampUs);
      writer.bytes(bytes);
    },
    read: (reader, format) => {
      const chunk = one(readRange(reader, format), format);
      const timestampUs = reader.u64('timestamp');
      const variable = format.chunkBytes === VARIABLE_CHUNK_BYTES;
      const length = variable ? reader.remaining : Math.min(reader.remaining, format.chunkBytes);
      if (length === 0) throw new RemoteProtocolError('bad-message', 'DATA without data');
      return { type: 'DATA', chunk, timestampUs, bytes: reader.bytes(length, 'chunk') };
    },
  },
  ACK: {
    write: (writer, m, format) => {
      writeRange(writer, m.range, format);
      writer.bits64(BigInt.asUintN(64, BigInt(m.delayUs)));
    },
    read: (reader, format) => ({
      type: 'ACK',
      range: readRange(reader, format),
      delayUs: Number(BigInt.asIntN(64, reader.bits64('delay'))),
    }),
  },
  HAVE: ranged('HAVE'),
  INTEGRITY: {
    write: (writer, m, format) => {
      writeRange(writer, m.range, format);
      writer.bytes(exactly(m.hash, format.hashBytes));
    },
    read: (reader, format) => ({
      type: 'INTEGRITY',
      range: readRange(reader, format),
      hash: reader.bytes(format.hashBytes, 'hash'),
    }),
  },
  PEX_RESv4: addressed('PEX_RESv4', 4),
  PEX_REQ: bare('PEX_REQ'),
  SIGNED_INTEGRITY: {
    write: (writer, m, format) => {
      writeRange(writer, m.range, format);
      writer.bits64(m.timestamp);
      writer.bytes(exactly(m.signature, format.signatureBytes));
    },
    read: (reader, format) => {
      if (format.signatureBytes === 0)
        throw new RemoteProtocolError('bad-message', 'a signature where nothing is signed');
      return {
        type: 'SIGNED_INTEGRITY',
        range: readRange(reader, format),
        timestamp: reader.bits64('timestamp'),
        signature: reader.bytes(format.signatureBytes, 'signature'),
      };
    },
  },
  REQUEST: ranged('REQUEST'),
  CANCEL: ranged('CANCEL'),
  CHOKE: bare('CHOKE'),
  UNCHOKE: bare('UNCHOKE'),
  PEX_RESv6: addressed('PEX_RESv6', 16),
  PEX_REScert: {
    write: (writer, m) => {
      writer.u16(m.certificate.length);
      writer.bytes(m.certificate);
    },
    read: reader => ({
      type: 'PEX_REScert',
      certificate: reader.bytes(reader.u16('length of the certificate'), 'certificate'),
    }),
  },
};

/** A row with its message type forgotten: TypeScript cannot follow that `rowOf(m.type)` is the row of `m`. */
const rowOf = (name: MessageName): Row<Message> => TABLE[name] as unknown as Row<Message>;

const ROW_BY_TYPE = (Object.keys(MESSAGE_TYPE) as MessageName[]).map(rowOf);

function ranged<N extends 'HAVE' | 'REQUEST' | 'CANCEL'>(
  type: N,
): Row<{ readonly type: N; readonly range: ChunkRange }> {
  return {
    write: (writer, m, format) => writeRange(writer, m.range, format),
    read: (reader, format) => ({ type, range: readRange(reader, format) }),
  };
}

function bare<N extends 'PEX_REQ' | 'CHOKE' | 'UNCHOKE'>(type: N): Row<{ readonly type: N }> {
  return { write: () => {}, read: () => ({ type }) };
}

function addressed<N extends 'PEX_RESv4' | 'PEX_RESv6'>(
  type: N,
  length: number,
): Row<{ readonly type: N; readonly address: Uint8Array; readonly port: number }> {
  return {
    write: (writer, m) => {
      writer.bytes(exactly(m.address, length));
      writer.u16(m.port);
    },
    read: reader => ({ type, address: reader.bytes(length, 'address'), port: reader.u16('port') }),
  };
}

const only = (chunk: number): ChunkRange => ({ start: chunk, end: chunk });

function one({ start, end }: ChunkRange, format: WireFormat): number {
  // A variable chunk under byte addressing has no number; the RFC leaves that pair without a meaning.
  if (start !== end || (format.addressing === 'byte64' && format.chunkBytes === VARIABLE_CHUNK_BYTES))
    throw new RemoteProtocolError('bad-message', 'DATA of other than one chunk');
  return start;
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new LocalProtocolError(`${bytes.length} bytes instead of ${length}`);
  return bytes;
}
