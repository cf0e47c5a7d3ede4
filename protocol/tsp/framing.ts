/**
 * Cuts a byte stream into messages, whatever the pieces in which it comes (TSP §2).
 *
 *     push(chunk) ─▶ ┌ idle ┬▶ header ┬▶ payload ─▶ message        held whole, at most maxPayloadBytes
 *                    └──────┘         ├▶ stream  ─▶ stream · data … · end    handed on as it comes
 *                                     └▶ skip                      an unknown type's payload
 *
 * Pull-based: `next` gives one event, so that a reader can stop between two messages and leave the rest for later.
 * An over-long payload is refused on its length field, before any of it is kept.
 */
import { ByteCollector } from '../bytes.js';
import { RemoteProtocolError, TransportError } from '../errors.js';
import { decode, decodeStreamHeader, payloadOf } from './codec.js';
import {
  FIRST_ANSWER_TYPE,
  FIRST_TYPE_WITH_PAYLOAD,
  HEADER_BYTES,
  LENGTH_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_UNKNOWN_TYPES,
} from './constants.js';
import type { PlainMessage, StreamHeader, WholeMessage } from './messages.js';

export type FrameEvent =
  | { readonly kind: 'message'; readonly message: PlainMessage | WholeMessage }
  | { readonly kind: 'stream'; readonly header: StreamHeader }
  /** Part of the stream's payload; shares the memory of the chunk that was pushed. */
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly header: StreamHeader }
  /** A request type that TSP/1 does not know, read past: to be answered `unknown-type`. */
  | { readonly kind: 'unknown'; readonly type: number };

export type FramerState = 'idle' | 'header' | 'payload' | 'stream';

export class Framer {
  /** What a whole message, or an unknown one, may carry. May be changed between messages. */
  maxPayloadBytes: number;
  readonly #maxPieceBytes: number;
  #chunks: Uint8Array[] = [];
  #offset = 0;
  #buffered = 0;
  /** Of the header that is being read: as numbers, since a buffer for each connection would cost more than all else here. */
  #headerLength = 0;
  #type = 0;
  #field = 0;
  #length = 0;
  #body: Body | undefined;
  #unknownTypes = 0;
  #messages = 0;

  /** `maxPieceBytes`: the most of a stream's payload that one event hands on; default: all that there is. */
  constructor(options: { readonly maxPayloadBytes?: number; readonly maxPieceBytes?: number } = {}) {
    this.maxPayloadBytes = options.maxPayloadBytes ?? MAX_PAYLOAD_BYTES;
    this.#maxPieceBytes = options.maxPieceBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Takes the chunk over; its bytes must not change until `next` has returned undefined. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
  }

  /** The next event, or undefined when more bytes are needed. Throws RemoteProtocolError; then the stream is over. */
  next(): FrameEvent | undefined {
    while (true) {
      const event = this.#body === undefined ? this.#readHeader() : this.#readBody(this.#body);
      if (event !== 'skipped') return event;
    }
  }

  /** The input has ended. Throws TransportError when that is inside a message. */
  end(): void {
    if (this.state !== 'idle' || this.#buffered > 0)
      throw new TransportError('the connection ended inside a message');
  }

  get state(): FramerState {
    if (this.#body === undefined) return this.#headerLength === 0 ? 'idle' : 'header';
    return this.#body.kind === 'stream' ? 'stream' : 'payload';
  }

  /** Payload bytes of the current message that have not been read yet. */
  get owedBytes(): number {
    return this.#body?.owed ?? 0;
  }

  /** Bytes pushed and not yet read. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Headers begun so far: tells one message from the next. */
  get messages(): number {
    return this.#messages;
  }

  /** The first header is whole. */
  get hasGreeted(): boolean {
    return this.#messages > 1 || (this.#messages === 1 && this.#headerLength === 0);
  }

  #readHeader(): FrameEvent | 'skipped' | undefined {
    let wanted =
      this.#headerLength > 0 && this.#type >= FIRST_TYPE_WITH_PAYLOAD ? LONG_HEADER_BYTES : HEADER_BYTES;
    while (this.#headerLength < wanted) {
      const byte = this.#nextByte();
      if (byte === undefined) return undefined;
      const at = this.#headerLength;
      this.#headerLength += 1;
      if (at === 0) {
        this.#messages += 1;
        this.#type = byte;
        this.#field = 0;
        this.#length = 0;
        if (byte >= FIRST_TYPE_WITH_PAYLOAD) wanted = LONG_HEADER_BYTES;
      } else if (at < HEADER_BYTES) this.#field = this.#field * 256 + byte;
      else this.#length = this.#length * 256 + byte;
    }
    this.#headerLength = 0;
    return this.#begin(this.#type, this.#field, this.#length);
  }

  #begin(type: number, field: number, length: number): FrameEvent | 'skipped' {
    const carries = payloadOf(type);
    if (carries === 'nothing')
      return { kind: 'message', message: decode(type, field, NOTHING) as PlainMessage };
    if (carries === 'stream') {
      const header = decodeStreamHeader(type, field, length);
      this.#body = { kind: 'stream', header, owed: length };
      return { kind: 'stream', header };
    }
    if (length > this.maxPayloadBytes) {
      throw new RemoteProtocolError(
        'too-large',
        `${length} bytes are more than ${this.maxPayloadBytes}`,
        type,
      );
    }
    if (carries === 'payload') {
      this.#body = { kind: 'payload', type, field, owed: length, collected: new ByteCollector(length) };
      return 'skipped';
    }
    this.#unknownTypes += 1;
    if (this.#unknownTypes === MAX_UNKNOWN_TYPES)
      throw new RemoteProtocolError('bad-message', 'too many unknown types', type);
    this.#body = { kind: 'skip', type, owed: length };
    return 'skipped';
  }

  #readBody(body: Body): FrameEvent | 'skipped' | undefined {
    if (body.owed > 0) {
      const bytes = this.#take(body.kind === 'stream' ? Math.min(body.owed, this.#maxPieceBytes) : body.owed);
      if (bytes === undefined) return undefined;
      body.owed -= bytes.length;
      if (body.kind === 'stream') return { kind: 'data', bytes };
      if (body.kind === 'payload') {
        // The common case, a payload inside one chunk, is read where it lies.
        if (body.owed === 0 && body.collected.length === 0) return this.#finish(body, bytes);
        body.collected.add(bytes);
      }
      return 'skipped';
    }
    return this.#finish(body, body.kind === 'payload' ? body.collected.take() : NOTHING);
  }

  #finish(body: Body, payload: Uint8Array): FrameEvent | 'skipped' {
    this.#body = undefined;
    if (body.kind === 'stream') return { kind: 'end', header: body.header };
    if (body.kind === 'payload') {
      return { kind: 'message', message: decode(body.type, body.field, payload) as WholeMessage };
    }
    return body.type < FIRST_ANSWER_TYPE ? { kind: 'unknown', type: body.type } : 'skipped';
  }

  #nextByte(): number | undefined {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return undefined;
    const byte = chunk[this.#offset]!;
    this.#passed(chunk, 1);
    return byte;
  }

  /** Up to `most` bytes from the front of what was pushed. */
  #take(most: number): Uint8Array | undefined {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return undefined;
    const bytes = chunk.subarray(this.#offset, this.#offset + most);
    this.#passed(chunk, bytes.length);
    return bytes;
  }

  #passed(chunk: Uint8Array, count: number): void {
    this.#offset += count;
    this.#buffered -= count;
    if (this.#offset < chunk.length) return;
    this.#chunks.shift();
    this.#offset = 0;
  }
}

const NOTHING = new Uint8Array(0);
const LONG_HEADER_BYTES = HEADER_BYTES + LENGTH_BYTES;

type Body =
  | { readonly kind: 'stream'; readonly header: StreamHeader; owed: number }
  | {
      readonly kind: 'payload';
      readonly type: number;
      readonly field: number;
      readonly collected: ByteCollector;
      owed: number;
    }
  | { readonly kind: 'skip'; readonly type: number; owed: number };
