/**
 * The server's end of an RTMP connection (RTMP 1.0 §7.2), as a state machine that knows no socket, no song and no clock.
 *
 *     handshake ─▶ connecting ─▶ idle ─▶ publishing ─▶ idle …             deleteStream, FCUnpublish: the role ends
 *        5 s          10 s       15 s └▶ playing ────▶ idle …             close: nothing more is read
 *
 * `connect`, `publish`, `play` and `seek` are questions to the shell: until it answers, and then says `proceed`, nothing more
 * is read (`wantsInput`), so that what comes behind them finds the state that they led to. README.md says what clients need.
 */
import { U32_MAX } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import type { Milliseconds } from '../ports.js';
import type { AmfValue } from './amf0.js';
import {
  CLOSE_AFTER_MS,
  CONNECT_MS,
  HANDSHAKE_MS,
  MAX_MESSAGE_STREAMS,
  OUR_CHUNK_BYTES,
  PING_MS,
  PLAYER_SILENCE_MS,
  ROLE_MS,
  WINDOW_BYTES,
} from './constants.js';
import type { RtmpEffect } from './effects.js';
import type { Command, Message } from './messages.js';
import * as replies from './replies.js';
import { type ReceivedMessage, ServerWire, type WireOptions } from './server-wire.js';
import { type StreamPath, streamPath } from './stream-path.js';

export type SessionState = 'handshake' | 'connecting' | 'idle' | 'publishing' | 'playing' | 'closed';
type Question = {
  readonly kind: 'connect' | 'publish' | 'play' | 'seek';
  readonly transaction: number;
  readonly stream: number;
};

export class ServerSession {
  readonly #wire: ServerWire;
  #state: SessionState = 'handshake';
  /** When the state began. */
  #since: Milliseconds;
  #app = '';
  #question: Question | undefined;
  /** Message streams that were made and not deleted. */
  readonly #streams = new Set<number>();
  #lastStream = 0;
  /** Of the publisher or the player. */
  #roleStream = 0;
  #heardAt: Milliseconds;
  #pingedAt: Milliseconds;
  #effects: RtmpEffect[] = [];

  constructor({ now, ...wire }: WireOptions & { readonly now: Milliseconds }) {
    this.#wire = new ServerWire(wire);
    this.#since = now;
    this.#heardAt = now;
    this.#pingedAt = now;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** False: a question is open, and what comes meanwhile only waits. */
  get wantsInput(): boolean {
    return this.#question === undefined && this.#state !== 'closed';
  }

  /** The message stream on which the player hears. */
  get roleStream(): number {
    return this.#roleStream;
  }

  /** Throws RemoteProtocolError; then the connection is over. */
  receive(bytes: Uint8Array, now: Milliseconds): RtmpEffect[] {
    if (this.#state === 'closed') return [];
    this.#heardAt = now;
    const send = this.#wire.receive(bytes);
    if (send !== undefined) this.#effects.push({ do: 'send', pieces: [send] });
    if (this.#state === 'handshake' && this.#wire.isOpen) this.#enter('connecting', now);
    return this.proceed(now);
  }

  /** Reads on, after an answer was acted upon. Throws as `receive`. */
  proceed(now: Milliseconds): RtmpEffect[] {
    while (this.wantsInput) {
      const received = this.#wire.next();
      if (received === undefined) break;
      this.#receiveMessage(received, now);
    }
    const acknowledgement = this.#wire.acknowledgement();
    if (acknowledgement !== undefined) this.#send(acknowledgement);
    return this.#taken();
  }

  /** The client may connect. */
  admit(now: Milliseconds): RtmpEffect[] {
    const { transaction } = this.#answer('connect');
    this.#send({ kind: 'window-ack-size', bytes: WINDOW_BYTES });
    this.#send({ kind: 'set-peer-bandwidth', bytes: WINDOW_BYTES, limit: 'dynamic' });
    this.#send({ kind: 'set-chunk-size', bytes: OUR_CHUNK_BYTES });
    this.#send(replies.connected(transaction));
    this.#enter('idle', now);
    return this.#taken();
  }

  /** `code`: NetConnection.Connect.Rejected or .InvalidApp. */
  reject(code: string, description: string): RtmpEffect[] {
    const { transaction } = this.#answer('connect');
    this.#send(replies.failed(transaction, code, description));
    return this.#close(code);
  }

  publishing(now: Milliseconds): RtmpEffect[] {
    const { stream } = this.#answer('publish');
    this.#begin('publishing', stream, now);
    this.#send(replies.status('NetStream.Publish.Start', 'On the air.'), stream);
    return this.#taken();
  }

  /** Of `isRecorded` streams the player knows the end and may seek. `about`: what onMetaData says. */
  playing(
    {
      isRecorded,
      about,
    }: { readonly isRecorded: boolean; readonly about: Readonly<Record<string, AmfValue>> },
    now: Milliseconds,
  ): RtmpEffect[] {
    const { stream } = this.#answer('play');
    this.#begin('playing', stream, now);
    this.#send({ kind: 'user-control', event: 'stream-begin', stream });
    this.#send(replies.status('NetStream.Play.Reset', 'From the top.'), stream);
    this.#send(replies.status('NetStream.Play.Start', isRecorded ? 'A song.' : 'A live feed.'), stream);
    this.#send(replies.SAMPLE_ACCESS, stream);
    this.#send(replies.metadata(about), stream);
    return this.#taken();
  }

  /** Says no to `publish` or `play`, or to what had begun: NetStream.Publish.BadName, NetStream.Play.StreamNotFound … */
  refuse(code: string, description: string): RtmpEffect[] {
    const { stream } = this.#question ?? { stream: this.#roleStream };
    this.#question = undefined;
    return this.#refuse(code, description, stream);
  }

  /** What `seek` asked for is done; audio comes from there now. */
  sought(): RtmpEffect[] {
    const { stream } = this.#answer('seek');
    this.#send({ kind: 'user-control', event: 'stream-begin', stream });
    this.#send(replies.status('NetStream.Seek.Notify', 'From there on.'), stream);
    this.#send(replies.status('NetStream.Play.Start', 'From there on.'), stream);
    return this.#taken();
  }

  /** Titles changed: what to write, if anybody plays. */
  tell(about: Readonly<Record<string, AmfValue>>): Uint8Array[] {
    return this.#state === 'playing' ? this.#wire.encode(replies.metadata(about), this.#roleStream) : [];
  }

  /** The song is over, or the feed left. Some players end at one of these, some at another, all at our FIN. */
  endPlay(what: 'song' | 'feed'): RtmpEffect[] {
    if (this.#state !== 'playing') return [];
    const stream = this.#roleStream;
    if (what === 'song') this.#send(replies.PLAY_COMPLETE, stream);
    else this.#send(replies.status('NetStream.Play.UnpublishNotify', 'It is over.'), stream);
    this.#send(replies.status('NetStream.Play.Stop', 'It is over.'), stream);
    this.#send({ kind: 'user-control', event: 'stream-eof', stream });
    return this.#close('over');
  }

  /** Ends it from here, whatever it does; a publisher can read why. */
  dismiss(why: string): RtmpEffect[] {
    if (this.#state === 'closed') return [];
    if (this.#state === 'playing') return this.endPlay('feed');
    return this.#state === 'publishing'
      ? this.#refuse('NetStream.Publish.Rejected', why, this.#roleStream)
      : this.#close(why);
  }

  /** When `expire` has something to do if nothing happens until then. */
  nextDeadline(): Milliseconds | undefined {
    if (this.#question !== undefined) return undefined;
    switch (this.#state) {
      case 'handshake':
        return this.#since + HANDSHAKE_MS;
      case 'connecting':
        return this.#since + CONNECT_MS;
      case 'idle':
        return this.#since + ROLE_MS;
      case 'playing':
        return Math.min(this.#pingedAt + PING_MS, this.#heardAt + PLAYER_SILENCE_MS);
      case 'publishing':
      case 'closed':
        return undefined;
    }
  }

  expire(now: Milliseconds): RtmpEffect[] {
    const deadline = this.nextDeadline();
    if (deadline === undefined || now < deadline) return [];
    if (this.#state !== 'playing') return this.#close(`nothing came of it: ${this.#state}`);
    if (now >= this.#heardAt + PLAYER_SILENCE_MS) return this.#close('the player has gone silent');
    this.#pingedAt = now;
    this.#send({ kind: 'user-control', event: 'ping-request', value: Math.floor(now) >>> 0 });
    return this.#taken();
  }

  #receiveMessage({ message, stream }: ReceivedMessage, now: Milliseconds): void {
    if (message.kind === 'command') this.#receiveCommand(message, stream, now);
    else if (message.kind === 'data') this.#receiveData(message.values);
    else if (message.kind === 'audio' && this.#state === 'publishing')
      this.#effects.push({ do: 'audio', timestamp: message.timestamp, body: message.body });
    else if (message.kind === 'user-control' && message.event === 'ping-request')
      this.#send({ kind: 'user-control', event: 'ping-response', value: message.value });
    else if (message.kind === 'user-control' && message.event === 'set-buffer-length')
      this.#effects.push({ do: 'buffer-length', ms: message.ms });
  }

  #receiveData(values: readonly AmfValue[]): void {
    if (this.#state !== 'publishing') return;
    const [name, about] = values[0] === '@setDataFrame' ? values.slice(1) : values;
    if (name === 'onMetaData' && about instanceof Map) this.#effects.push({ do: 'metadata', values: about });
  }

  #receiveCommand(command: Command, stream: number, now: Milliseconds): void {
    const { name, transaction, values } = command;
    if (this.#state === 'connecting') {
      if (name === 'connect') this.#askToConnect(transaction, values[0]);
      return;
    }
    switch (name) {
      case 'createStream':
        this.#createStream(transaction);
        break;
      case 'publish':
        this.#inStream(stream);
        this.#endRole(stream, now);
        this.#ask({ kind: 'publish', transaction, stream }, { do: 'publish', path: this.#pathOf(values[1]) });
        break;
      case 'play':
        this.#inStream(stream);
        this.#endRole(stream, now);
        this.#ask(
          { kind: 'play', transaction, stream },
          { do: 'play', path: this.#pathOf(values[1]), ...spanOf(values) },
        );
        break;
      case 'seek':
        if (this.#state === 'playing')
          this.#ask(
            { kind: 'seek', transaction, stream: this.#roleStream },
            { do: 'seek', ms: millisecondsOf(values[1]) },
          );
        break;
      case 'pause':
      case 'pauseRaw':
        this.#pause(values[1] === true);
        break;
      case 'releaseStream':
      case 'FCPublish':
        if (transaction !== 0) this.#send(replies.result(transaction, null, undefined));
        break;
      case 'FCUnpublish':
        this.#endRole(this.#roleStream, now);
        break;
      case 'closeStream':
        this.#endRole(stream, now);
        break;
      case 'deleteStream':
        this.#deleteStream(values[1], now);
        break;
      default:
        if (transaction !== 0 && !UNANSWERED.has(name))
          this.#send(
            replies.failed(transaction, 'NetConnection.Call.Failed', 'There is no such command here.'),
          );
    }
  }

  #askToConnect(transaction: number, about: AmfValue): void {
    const app = about instanceof Map ? about.get('app') : undefined;
    this.#app = typeof app === 'string' ? app : '';
    this.#ask({ kind: 'connect', transaction, stream: 0 }, { do: 'connect', app: this.#app });
  }

  #createStream(transaction: number): void {
    if (this.#streams.size >= MAX_MESSAGE_STREAMS) {
      this.#send(replies.failed(transaction, 'NetConnection.Call.Failed', 'There are enough streams.'));
      return;
    }
    this.#lastStream += 1;
    this.#streams.add(this.#lastStream);
    this.#send(replies.result(transaction, null, this.#lastStream));
  }

  #deleteStream(id: AmfValue, now: Milliseconds): void {
    if (typeof id !== 'number' || !this.#streams.delete(id)) return;
    this.#endRole(id, now);
  }

  #pause(paused: boolean): void {
    if (this.#state !== 'playing') return;
    const code = paused ? 'NetStream.Pause.Notify' : 'NetStream.Unpause.Notify';
    this.#send(replies.status(code, paused ? 'Silence.' : 'On we go.'), this.#roleStream);
    this.#effects.push({ do: 'pause', paused });
  }

  #inStream(stream: number): void {
    if (!this.#streams.has(stream))
      throw new RemoteProtocolError('bad-message', `nobody made the message stream ${stream}`);
    if (this.#roleStream !== 0 && this.#roleStream !== stream)
      throw new RemoteProtocolError('too-many', 'one connection publishes or plays one thing');
  }

  #begin(state: 'publishing' | 'playing', stream: number, now: Milliseconds): void {
    this.#roleStream = stream;
    this.#pingedAt = now;
    this.#enter(state, now);
  }

  #endRole(stream: number, now: Milliseconds): void {
    if (this.#roleStream === 0 || this.#roleStream !== stream) return;
    this.#roleStream = 0;
    this.#effects.push({ do: 'done' });
    this.#enter('idle', now);
  }

  #ask(question: Question, effect: RtmpEffect): void {
    this.#question = question;
    this.#effects.push(effect);
  }

  #answer(kind: Question['kind']): Question {
    const question = this.#question;
    if (question?.kind !== kind) throw new Error(`nobody asked for ${kind}`);
    this.#question = undefined;
    return question;
  }

  #refuse(code: string, description: string, stream: number): RtmpEffect[] {
    this.#send(replies.refusal(code, description), stream);
    return this.#close(code);
  }

  #close(why: string): RtmpEffect[] {
    this.#state = 'closed';
    this.#effects.push({ do: 'close', afterMs: CLOSE_AFTER_MS, why });
    return this.#taken();
  }

  #enter(state: SessionState, now: Milliseconds): void {
    this.#state = state;
    this.#since = now;
  }

  /** What is sent in one go is one effect. */
  #send(message: Message, stream = 0): void {
    const pieces = this.#wire.encode(message, stream);
    const last = this.#effects.at(-1);
    if (last?.do === 'send') last.pieces.push(...pieces);
    else this.#effects.push({ do: 'send', pieces });
  }

  #taken(): RtmpEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #pathOf(name: AmfValue): StreamPath | undefined {
    return typeof name === 'string' ? streamPath(this.#app, name) : undefined;
  }
}

/** Asked by some, waited for by none. */
const UNANSWERED: ReadonlySet<string> = new Set([
  'getStreamLength',
  'FCSubscribe',
  'FCUnsubscribe',
  '_checkbw',
  '_result',
  '_error',
  'onStatus',
]);

/** Starts below 0 mean live or recorded, whichever there is; a length below 0 all of it. */
function spanOf(values: readonly AmfValue[]): { startMs: number; lengthMs: number | undefined } {
  const [, , , length] = values;
  return {
    startMs: millisecondsOf(values[2]),
    lengthMs: typeof length === 'number' && length > 0 ? length : undefined,
  };
}

/** No time of RTMP is later than a u32 can say. */
const millisecondsOf = (value: AmfValue): number =>
  typeof value === 'number' && value > 0 ? Math.min(value, U32_MAX) : 0;
