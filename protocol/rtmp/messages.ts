/**
 * What a whole message means, and how one is written: one row a type, both ways (RTMP 1.0 §5.4, §6.2, §7.1).
 *
 *     RawMessage { type, stream, timestamp, payload } ─▶ decodeMessage ─▶ Message
 *     Message ─▶ encodePayload ─▶ type and payload, for chunk-writer.ts
 *
 * Commands and data come in AMF0, also in the messages that are meant for AMF3, behind a zero byte. Nothing is said here
 * about who may send what when.
 */
import { ByteReader, writeU32 } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import { type AmfValue, decodeAmf0, encodeAmf0 } from './amf0.js';
import type { RawMessage } from './chunk-reader.js';
import { MESSAGE_TYPE, USER_EVENT } from './constants.js';

export type Message =
  | { readonly kind: 'set-chunk-size'; readonly bytes: number }
  | { readonly kind: 'abort'; readonly chunkStream: number }
  /** Bytes received so far, modulo 2³². */
  | { readonly kind: 'acknowledgement'; readonly received: number }
  | { readonly kind: 'window-ack-size'; readonly bytes: number }
  | { readonly kind: 'set-peer-bandwidth'; readonly bytes: number; readonly limit: BandwidthLimit }
  | UserControl
  /** `values`: the command object first, then the arguments; not all clients send one. */
  | {
      readonly kind: 'command';
      readonly name: string;
      readonly transaction: number;
      readonly values: readonly AmfValue[];
    }
  | { readonly kind: 'data'; readonly values: readonly AmfValue[] }
  | { readonly kind: 'audio'; readonly timestamp: number; readonly body: Uint8Array };

export type UserControl =
  | { readonly kind: 'user-control'; readonly event: 'stream-begin' | 'stream-eof'; readonly stream: number }
  | {
      readonly kind: 'user-control';
      readonly event: 'set-buffer-length';
      readonly stream: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'user-control';
      readonly event: 'ping-request' | 'ping-response';
      readonly value: number;
    }
  /** Of no interest to anybody here. */
  | { readonly kind: 'user-control'; readonly event: 'other'; readonly code: number };

export type Command = Extract<Message, { kind: 'command' }>;

/** RTMP 1.0 §5.4.5, by their numbers. */
const BANDWIDTH_LIMITS = ['hard', 'soft', 'dynamic'] as const;
export type BandwidthLimit = (typeof BANDWIDTH_LIMITS)[number];

/** Of what the chunk reader gives. Bytes after what is known are ignored. */
export function decodeMessage({ type, timestamp, payload }: RawMessage): Message {
  const reader = new ByteReader(payload);
  switch (type) {
    case MESSAGE_TYPE.SET_CHUNK_SIZE:
      return { kind: 'set-chunk-size', bytes: reader.u32('chunk size') };
    case MESSAGE_TYPE.ABORT:
      return { kind: 'abort', chunkStream: reader.u32('chunk stream') };
    case MESSAGE_TYPE.ACKNOWLEDGEMENT:
      return { kind: 'acknowledgement', received: reader.u32('sequence number') };
    case MESSAGE_TYPE.WINDOW_ACK_SIZE:
      return { kind: 'window-ack-size', bytes: reader.u32('window') };
    case MESSAGE_TYPE.SET_PEER_BANDWIDTH: {
      const bytes = reader.u32('bandwidth');
      return { kind: 'set-peer-bandwidth', bytes, limit: BANDWIDTH_LIMITS[reader.u8('limit')] ?? 'dynamic' };
    }
    case MESSAGE_TYPE.USER_CONTROL:
      return decodeUserControl(reader);
    case MESSAGE_TYPE.COMMAND_AMF0:
      return decodeCommand(payload);
    case MESSAGE_TYPE.COMMAND_AMF3:
      return decodeCommand(unwrapped(payload));
    case MESSAGE_TYPE.DATA_AMF0:
      return { kind: 'data', values: decodeData(payload) };
    case MESSAGE_TYPE.DATA_AMF3:
      return { kind: 'data', values: decodeData(unwrapped(payload)) };
    case MESSAGE_TYPE.AUDIO:
      return { kind: 'audio', timestamp, body: payload };
  }
}

function decodeUserControl(reader: ByteReader): UserControl {
  const code = reader.u16('event');
  switch (code) {
    case USER_EVENT.STREAM_BEGIN:
      return { kind: 'user-control', event: 'stream-begin', stream: reader.u32('stream') };
    case USER_EVENT.STREAM_EOF:
      return { kind: 'user-control', event: 'stream-eof', stream: reader.u32('stream') };
    case USER_EVENT.SET_BUFFER_LENGTH:
      return {
        kind: 'user-control',
        event: 'set-buffer-length',
        stream: reader.u32('stream'),
        ms: reader.u32('buffer length'),
      };
    case USER_EVENT.PING_REQUEST:
      return { kind: 'user-control', event: 'ping-request', value: reader.u32('time') };
    case USER_EVENT.PING_RESPONSE:
      return { kind: 'user-control', event: 'ping-response', value: reader.u32('time') };
    default:
      return { kind: 'user-control', event: 'other', code };
  }
}

function decodeCommand(payload: Uint8Array): Command {
  const [name, transaction, ...values] = decodeAmf0(payload);
  if (typeof name !== 'string' || typeof transaction !== 'number')
    throw new RemoteProtocolError('bad-message', 'a command without a name or a number');
  return { kind: 'command', name, transaction, values };
}

/** Encoders write their metadata in all sorts of ways; what is no AMF0 says nothing, but breaks nothing either. */
function decodeData(payload: Uint8Array): readonly AmfValue[] {
  try {
    return decodeAmf0(payload);
  } catch (error) {
    if (error instanceof RemoteProtocolError) return [];
    throw error;
  }
}

/** In a message for AMF3 the first byte says how it goes on: 0, with AMF0. */
function unwrapped(payload: Uint8Array): Uint8Array {
  if (payload[0] !== 0) throw new RemoteProtocolError('bad-message', 'AMF3 is not spoken here');
  return payload.subarray(1);
}

/** Type and payload of a message. */
export function encodePayload(message: Message): { readonly type: number; readonly payload: Uint8Array } {
  switch (message.kind) {
    case 'set-chunk-size':
      return { type: MESSAGE_TYPE.SET_CHUNK_SIZE, payload: u32s(message.bytes) };
    case 'abort':
      return { type: MESSAGE_TYPE.ABORT, payload: u32s(message.chunkStream) };
    case 'acknowledgement':
      return { type: MESSAGE_TYPE.ACKNOWLEDGEMENT, payload: u32s(message.received) };
    case 'window-ack-size':
      return { type: MESSAGE_TYPE.WINDOW_ACK_SIZE, payload: u32s(message.bytes) };
    case 'set-peer-bandwidth':
      return {
        type: MESSAGE_TYPE.SET_PEER_BANDWIDTH,
        payload: Buffer.concat([u32s(message.bytes), Buffer.of(BANDWIDTH_LIMITS.indexOf(message.limit))]),
      };
    case 'user-control':
      return { type: MESSAGE_TYPE.USER_CONTROL, payload: encodeUserControl(message) };
    case 'command':
      return {
        type: MESSAGE_TYPE.COMMAND_AMF0,
        payload: encodeAmf0([message.name, message.transaction, ...message.values]),
      };
    case 'data':
      return { type: MESSAGE_TYPE.DATA_AMF0, payload: encodeAmf0(message.values) };
    case 'audio':
      return { type: MESSAGE_TYPE.AUDIO, payload: message.body };
  }
}

function encodeUserControl(message: UserControl): Buffer {
  const event = (code: number, ...values: number[]): Buffer =>
    Buffer.concat([Buffer.of(code >> 8, code & 0xff), u32s(...values)]);
  switch (message.event) {
    case 'stream-begin':
      return event(USER_EVENT.STREAM_BEGIN, message.stream);
    case 'stream-eof':
      return event(USER_EVENT.STREAM_EOF, message.stream);
    case 'set-buffer-length':
      return event(USER_EVENT.SET_BUFFER_LENGTH, message.stream, message.ms);
    case 'ping-request':
      return event(USER_EVENT.PING_REQUEST, message.value);
    case 'ping-response':
      return event(USER_EVENT.PING_RESPONSE, message.value);
    case 'other':
      return event(message.code);
  }
}

function u32s(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) writeU32(bytes, value, 4 * index);
  return bytes;
}
