/**
 * The client's end of RTMP, for tests: says what it is told to, in order, and keeps what it hears. Simple handshake, and
 * the same chunks both ways.
 *
 *     hello() ─▶ say(command) … ─▶ bytes                     hear(bytes) ─▶ messages
 */
import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import { type AmfValue, amfObject, EcmaArray } from '../../protocol/rtmp/amf0.js';
import { ChunkReader } from '../../protocol/rtmp/chunk-reader.js';
import { chunksOf } from '../../protocol/rtmp/chunk-writer.js';
import { FIRST_CHUNK_BYTES, HANDSHAKE_BYTES } from '../../protocol/rtmp/constants.js';
import { type Command, decodeMessage, encodePayload, type Message } from '../../protocol/rtmp/messages.js';
import { type Teardown, until } from './until.js';

/** C0, C1 and C2 at once, which a server must take. */
export const clientHello = (): Buffer => {
  const hello = Buffer.alloc(1 + 2 * HANDSHAKE_BYTES);
  hello[0] = 3;
  return hello;
};

export const command = (name: string, transaction: number, ...values: readonly AmfValue[]): Command => ({
  kind: 'command',
  name,
  transaction,
  values,
});

export const connect = (app: string): Command =>
  command('connect', 1, amfObject({ app, tcUrl: 'rtmp://x/' }));

export const metadata = (values: Readonly<Record<string, AmfValue>>): Message => ({
  kind: 'data',
  values: ['@setDataFrame', 'onMetaData', new EcmaArray(Object.entries(values))],
});

/** A message as chunks of the first size. */
export function said(message: Message, stream = 0, timestamp = 0): Buffer {
  const { type, payload } = encodePayload(message);
  const chunkStream = message.kind === 'audio' ? 4 : 3;
  return Buffer.concat(
    chunksOf({ chunkStream, type, stream, timestamp, payload: [payload] }, FIRST_CHUNK_BYTES),
  );
}

/** What a server says, as it comes. */
export class RtmpHearing {
  readonly messages: Message[] = [];
  readonly #chunks = new ChunkReader();
  #handshakeOwed = 1 + 2 * HANDSHAKE_BYTES;

  hear(bytes: Uint8Array): void {
    const skipped = Math.min(this.#handshakeOwed, bytes.length);
    this.#handshakeOwed -= skipped;
    // A copy: what is read later must not have changed.
    this.#chunks.push(Buffer.from(bytes.subarray(skipped)));
    for (let raw = this.#chunks.next(); raw !== undefined; raw = this.#chunks.next())
      this.messages.push(decodeMessage(raw));
  }

  get isGreeted(): boolean {
    return this.#handshakeOwed === 0;
  }

  /** Names of commands and events, codes of statuses; audio is counted by `audio`. */
  get told(): string[] {
    return this.messages.flatMap(message => {
      if (message.kind === 'audio') return [];
      if (message.kind === 'user-control') return [message.event];
      if (message.kind === 'data') return [String(message.values[0])];
      if (message.kind !== 'command') return [message.kind];
      const about = message.values.at(-1);
      return about instanceof Map && about.has('code') ? [String(about.get('code'))] : [message.name];
    });
  }

  get audio(): Extract<Message, { kind: 'audio' }>[] {
    return this.messages.flatMap(message => (message.kind === 'audio' ? [message] : []));
  }

  /** The last that has this code. */
  status(code: string): ReadonlyMap<string, AmfValue> | undefined {
    for (const message of this.messages) {
      const about = message.kind === 'command' ? message.values.at(-1) : undefined;
      if (about instanceof Map && about.get('code') === code) return about;
    }
    return undefined;
  }
}

/** One on a real socket. */
export class RtmpClient {
  readonly hearing = new RtmpHearing();
  readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {}).on('data', bytes => this.hearing.hear(bytes));
  }

  /** Connected, with its handshake sent. */
  static async open(t: Teardown, port: number): Promise<RtmpClient> {
    const socket = dial(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    socket.write(clientHello());
    return new RtmpClient(socket);
  }

  /** Up to a message stream, number 1. */
  static async connected(t: Teardown, port: number, app = 'live'): Promise<RtmpClient> {
    const client = await RtmpClient.open(t, port);
    client.say(connect(app));
    client.say(command('createStream', 2, null));
    await client.told('_result');
    return client;
  }

  say(message: Message, stream = 0, timestamp = 0): void {
    this.socket.write(said(message, stream, timestamp));
  }

  publish(key: string): void {
    this.say(command('publish', 3, null, key, 'live'), 1);
  }

  audio(body: Uint8Array, timestamp = 0): void {
    this.say({ kind: 'audio', timestamp, body }, 1, timestamp);
  }

  play(name: string, ...span: readonly number[]): void {
    this.say(command('play', 4, null, name, ...span), 1);
  }

  /** Resolves when the server has said this name, event or code, or has said it `times` times. */
  told(what: string, times = 1): Promise<unknown> {
    const count = (): number => this.hearing.told.filter(each => each === what).length;
    return until(`the server says ${what}`, () => count() >= times);
  }

  /** Resolves when so many audio messages came. */
  heard(count: number): Promise<unknown> {
    return until(`${count} audio messages`, () => this.hearing.audio.length >= count);
  }

  /** Resolves when the server has closed. */
  get over(): Promise<unknown> {
    return until('the server closes', () => this.socket.readableEnded || this.socket.destroyed);
  }
}
