/**
 * The host's end of a connection (TSP §3, §5.3), as a state machine that knows no socket, no file and no clock.
 *
 *      ┌──────┐ half-close, QUIT, finish()   ┌────────┐ all is answered   ┌──────┐
 *      │ open │ ───────────────────────────▶ │ ending │ ────────────────▶ │closed│
 *      └──────┘ a broken rule: ERROR in turn └────────┘                   └──────┘
 *          └───────── STOP, stalled: what is queued is dropped ─────────────▶┘
 *
 * Requests queue (at most 16, then `wantsInput` turns false) and are answered strictly in turn: each `answer` or `send`
 * effect opens a turn, and the shell closes it with `answered`. Only STOP acts when it is read.
 */
import { RemoteProtocolError } from '../errors.js';
import type { Milliseconds } from '../ports.js';
import {
  CONNECTION_IDLE_MS,
  MAX_PIPELINED_REQUESTS,
  MESSAGE_TYPE,
  type MessageName,
  NO_SONG,
  READER_STALL_CONTENDED_MS,
  READER_STALL_MS,
  SLOT_IDLE_MS,
} from './constants.js';
import type { FrameEvent } from './framing.js';
import { breachBody } from './json.js';
import type { ErrorBody, Message, SongId } from './messages.js';

/** What the shell looks up and answers: one answer each, or an ERROR in its place. */
export type UploadRequest = Extract<
  Message,
  { type: 'LIST' | 'INFO' | 'PLAY' | 'RANGE' | 'HASHES' | 'HELLO' }
>;
/** The requests for which a connection needs an upload slot. */
export type SongRequest = Extract<Message, { type: 'PLAY' | 'RANGE' }>;

export type UploadEffect =
  /** Answer this; then call `answered`. */
  | { readonly do: 'answer'; readonly request: UploadRequest }
  /** Send this; then call `answered`. */
  | { readonly do: 'send'; readonly message: Message }
  /** A tracker proves this peer's address: its registration connection echoes the value (TSP §5.2). */
  | { readonly do: 'echo'; readonly value: number }
  | { readonly do: 'release-slot' }
  /** All is answered: half-close, discard what still comes, close. */
  | { readonly do: 'end' }
  /** Close now; what has not left yet is dropped. */
  | { readonly do: 'abort'; readonly why: 'stopped' | 'stalled' };

export type UploadState = 'open' | 'ending' | 'closed';

/**
 * - answer: queued, and answered in its turn by the shell
 * - PONG: queued; also said to the tracker, which may be proving this address
 * - unknown-type: queued; it is a tracker's business, and nobody here knows it
 * - end: what was asked before is answered, then the connection closes
 * - close: at once; what is queued is dropped
 */
export type UploadStep = 'answer' | 'PONG' | 'unknown-type' | 'end' | 'close' | 'nothing';

/** State × message (TSP §3). What is not in a row is `bad-message`; once the end has begun, nothing more is read. */
export const UPLOAD_TABLE: Readonly<Record<UploadState, Readonly<Partial<Record<MessageName, UploadStep>>>>> =
  {
    open: {
      INIT: 'unknown-type',
      LIST: 'answer',
      INFO: 'answer',
      PLAY: 'answer',
      STOP: 'close',
      QUIT: 'end',
      PING: 'PONG',
      PONG: 'nothing',
      HELLO: 'answer',
      RANGE: 'answer',
      FIND: 'unknown-type',
      UPDATE: 'unknown-type',
      HASHES: 'answer',
      ERROR: 'nothing',
    },
    ending: {},
    closed: {},
  };

/** What waits for its turn. */
type Turn =
  | { readonly kind: 'answer'; readonly request: UploadRequest }
  | { readonly kind: 'send'; readonly message: Message };

export class UploadSession {
  #state: UploadState = 'open';
  readonly #turns: Turn[] = [];
  #holdsSlot = false;
  /** When the connection last asked for something, or the last answer went out. */
  #activeAt: Milliseconds;
  /** When a PLAY or RANGE was last asked for or answered. */
  #songAt: Milliseconds;
  /** When the other side last took a byte of the answer that is being sent. */
  #progressAt: Milliseconds;

  constructor(now: Milliseconds) {
    this.#activeAt = now;
    this.#songAt = now;
    this.#progressAt = now;
  }

  get state(): UploadState {
    return this.#state;
  }

  get holdsSlot(): boolean {
    return this.#holdsSlot;
  }

  /** An answer is being sent, or waits to be. */
  get busy(): boolean {
    return this.#turns.length > 0;
  }

  /** False: the shell stops reading until a turn ends. */
  get wantsInput(): boolean {
    return this.#state === 'open' && this.#turns.length < MAX_PIPELINED_REQUESTS;
  }

  /** Takes what the framer read. The payload of a stream header that comes here is of no interest. */
  receive(event: FrameEvent, now: Milliseconds): UploadEffect[] {
    if (this.#state !== 'open') return [];
    if (event.kind === 'unknown') return this.#queueUnknown(event.type, 'TSP/1 has no such request', now);
    if (event.kind === 'message') return this.#receiveMessage(event.message, now);
    return event.kind === 'stream' ? this.#receiveMessage(event.header, now) : [];
  }

  /** No more requests come, or are taken: what was asked is answered, every answer whole, then the connection ends. */
  finish(): UploadEffect[] {
    if (this.#state !== 'open') return [];
    this.#state = 'ending';
    return this.#turns.length === 0 ? this.#end() : [];
  }

  /** The other side broke the protocol: what it asked before is answered, then the ERROR goes out, and that is all. */
  fail(error: RemoteProtocolError, now: Milliseconds): UploadEffect[] {
    if (this.#state !== 'open') return [];
    this.#state = 'ending';
    return this.#queue({ kind: 'send', message: errorMessage(NO_SONG, breachBody(error)) }, now);
  }

  /** The connection is gone. */
  lost(): UploadEffect[] {
    this.#state = 'closed';
    this.#turns.length = 0;
    return this.#releaseSlot();
  }

  /** The last byte of the turn has been handed to the network. */
  answered(now: Milliseconds): UploadEffect[] {
    if (this.#state === 'closed') return [];
    const turn = this.#turns.shift();
    this.#activeAt = now;
    if (turn !== undefined && isSongTurn(turn)) this.#songAt = now;
    if (this.#turns.length > 0) return [this.#effectOf(this.#turns[0]!, now)];
    return this.#state === 'ending' ? this.#end() : [];
  }

  /** The other side took some bytes, or it is this host that kept it waiting. */
  progressed(now: Milliseconds): void {
    this.#progressAt = now;
  }

  /** The shell got an upload slot for this connection. */
  slotTaken(): void {
    this.#holdsSlot = true;
  }

  /**
   * When `expire` has something to do if nothing happens until then; undefined when the connection is closed.
   * `contended`: others wait for an upload slot.
   */
  nextDeadline(contended: boolean): Milliseconds | undefined {
    if (this.#state === 'closed') return undefined;
    if (this.#turns.length > 0) return this.#progressAt + this.#patienceMs(contended);
    const idle = this.#activeAt + CONNECTION_IDLE_MS;
    return this.#holdsSlot ? Math.min(idle, this.#songAt + SLOT_IDLE_MS) : idle;
  }

  expire(now: Milliseconds, contended: boolean): UploadEffect[] {
    const deadline = this.nextDeadline(contended);
    if (deadline === undefined || now < deadline) return [];
    if (this.#turns.length > 0) return this.#abort('stalled');
    const effects: UploadEffect[] = [];
    if (this.#holdsSlot && now >= this.#songAt + SLOT_IDLE_MS) effects.push(...this.#releaseSlot());
    if (now >= this.#activeAt + CONNECTION_IDLE_MS) effects.push(...this.#end());
    return effects;
  }

  #receiveMessage(message: Message, now: Milliseconds): UploadEffect[] {
    const type = MESSAGE_TYPE[message.type];
    const step = UPLOAD_TABLE.open[message.type];
    if (step === undefined)
      return this.fail(new RemoteProtocolError('bad-message', `nobody asked for ${message.type}`, type), now);
    switch (step) {
      case 'answer':
        if (message.type === 'PLAY' || message.type === 'RANGE') this.#songAt = now;
        return this.#queue({ kind: 'answer', request: message as UploadRequest }, now);
      case 'PONG': {
        const { value } = message as Extract<Message, { type: 'PING' }>;
        return [
          { do: 'echo', value },
          ...this.#queue({ kind: 'send', message: { type: 'PONG', value } }, now),
        ];
      }
      case 'unknown-type':
        return this.#queueUnknown(type, 'this is a host: only a tracker does that', now);
      case 'end':
        return this.finish();
      case 'close':
        return this.#abort('stopped');
      case 'nothing':
        return [];
    }
  }

  #queueUnknown(type: number, message: string, now: Milliseconds): UploadEffect[] {
    return this.#queue(
      { kind: 'send', message: errorMessage(NO_SONG, { code: 'unknown-type', type, message }) },
      now,
    );
  }

  #queue(turn: Turn, now: Milliseconds): UploadEffect[] {
    this.#turns.push(turn);
    this.#activeAt = now;
    return this.#turns.length === 1 ? [this.#effectOf(turn, now)] : [];
  }

  #effectOf(turn: Turn, now: Milliseconds): UploadEffect {
    this.#progressAt = now;
    return turn.kind === 'answer'
      ? { do: 'answer', request: turn.request }
      : { do: 'send', message: turn.message };
  }

  #patienceMs(contended: boolean): number {
    return contended && this.#holdsSlot ? READER_STALL_CONTENDED_MS : READER_STALL_MS;
  }

  #end(): UploadEffect[] {
    this.#state = 'closed';
    return [...this.#releaseSlot(), { do: 'end' }];
  }

  #abort(why: 'stopped' | 'stalled'): UploadEffect[] {
    this.#state = 'closed';
    this.#turns.length = 0;
    return [...this.#releaseSlot(), { do: 'abort', why }];
  }

  #releaseSlot(): UploadEffect[] {
    if (!this.#holdsSlot) return [];
    this.#holdsSlot = false;
    return [{ do: 'release-slot' }];
  }
}

const isSongTurn = (turn: Turn): boolean =>
  turn.kind === 'answer' && (turn.request.type === 'PLAY' || turn.request.type === 'RANGE');

/** An ERROR in place of the answer to a request about `song`. */
export const errorMessage = (song: SongId | 0, error: ErrorBody): Extract<Message, { type: 'ERROR' }> => ({
  type: 'ERROR',
  song,
  error,
});
