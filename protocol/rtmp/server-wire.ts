/**
 * Bytes to messages and back for one connection of a server: handshake, chunks in both directions, acknowledgements.
 *
 *     receive(bytes) ─▶ handshake ─▶ chunks ─▶ next() ─▶ { message, stream }
 *     encode(message, stream) ─▶ pieces to write         acknowledgement() ─▶ what is due
 *
 * Each direction has its chunk size, which SET_CHUNK_SIZE changes for what follows it.
 */
import type { RandomBytes } from '../ports.js';
import { ChunkReader } from './chunk-reader.js';
import { chunksOf } from './chunk-writer.js';
import {
  COMMAND_CHUNK_STREAM,
  CONTROL_CHUNK_STREAM,
  FIRST_CHUNK_BYTES,
  OUR_CHUNK_BYTES,
  WINDOW_BYTES,
} from './constants.js';
import { ServerHandshake } from './handshake.js';
import { decodeMessage, encodePayload, type Message } from './messages.js';

export interface ReceivedMessage {
  readonly message: Message;
  /** The message stream that it came on; 0 is the connection itself. */
  readonly stream: number;
}

export interface WireOptions {
  readonly randomBytes: RandomBytes;
  /** Sees each message, as it was read or is to be written. */
  readonly observe?: ((who: 'client' | 'server', message: Message, stream: number) => void) | undefined;
}

export class ServerWire {
  readonly #observe: WireOptions['observe'];
  readonly #handshake: ServerHandshake;
  readonly #chunks = new ChunkReader();
  #isOpen = false;
  #ourChunkBytes = FIRST_CHUNK_BYTES;
  /** Theirs: half of it after the last, an acknowledgement is due. */
  #windowBytes = WINDOW_BYTES;
  #received = 0;
  #acknowledged = 0;

  constructor({ randomBytes, observe }: WireOptions) {
    this.#observe = observe;
    this.#handshake = new ServerHandshake(randomBytes);
  }

  /** The handshake is done. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What the handshake answers at once, if anything. Throws RemoteProtocolError for what is no RTMP. */
  receive(bytes: Uint8Array): Buffer | undefined {
    this.#received += bytes.length;
    if (this.#isOpen) {
      this.#chunks.push(bytes);
      return undefined;
    }
    const { send, rest } = this.#handshake.receive(bytes);
    if (rest !== undefined) {
      this.#isOpen = true;
      this.#chunks.push(rest);
    }
    return send;
  }

  /** The next message, or undefined when more bytes are needed. Throws RemoteProtocolError; then the connection is over. */
  next(): ReceivedMessage | undefined {
    const raw = this.#chunks.next();
    if (raw === undefined) return undefined;
    const message = decodeMessage(raw);
    this.#observe?.('client', message, raw.stream);
    // A window of a few bytes would be answered all the time.
    if (message.kind === 'window-ack-size') this.#windowBytes = Math.max(message.bytes, OUR_CHUNK_BYTES);
    return { message, stream: raw.stream };
  }

  /** Some publishers stop when they are not told how much arrived. */
  acknowledgement(): Message | undefined {
    if (this.#received - this.#acknowledged < this.#windowBytes / 2) return undefined;
    this.#acknowledged = this.#received;
    return { kind: 'acknowledgement', received: this.#received % 2 ** 32 };
  }

  encode(message: Message, stream: number): Uint8Array[] {
    this.#observe?.('server', message, stream);
    const isCommand = message.kind === 'command' || message.kind === 'data';
    const { type, payload } = encodePayload(message);
    const pieces = chunksOf(
      {
        chunkStream: isCommand ? COMMAND_CHUNK_STREAM : CONTROL_CHUNK_STREAM,
        type,
        stream,
        timestamp: 0,
        payload: [payload],
      },
      this.#ourChunkBytes,
    );
    if (message.kind === 'set-chunk-size') this.#ourChunkBytes = message.bytes;
    return pieces;
  }
}
