/**
 * The tracker's end of a connection (TSP §3, §5.1): light questions, a registration, and all that follows it.
 *
 *     FrameEvent ──receive──▶ ┌ state × message ┐ ──▶ effects, in order          what is decided elsewhere comes back:
 *          time ──expire────▶ └ one question at a time ┘                           admitted, proved, enlisted, updated,
 *                                                                                  answered, or refuse
 *
 * The rule: questions are answered one at a time, in their order; those that wait stand in a queue of 16, and while it
 * is full `reading` is false. PONG, STOP, QUIT and the songs of a LIST_INFO never wait. It calls nothing, knows no
 * socket, and keeps no song.
 */
import { type ErrorCode, isFatal, RemoteProtocolError } from '../errors.js';
import type { Milliseconds } from '../ports.js';
import {
  CONNECTION_IDLE_MS,
  KEEPALIVE_MS,
  MAX_PAYLOAD_BYTES,
  MAX_PIPELINED_REQUESTS,
  MAX_REQUEST_BYTES,
  MESSAGE_TYPE,
  NO_SONG,
  REREGISTER_MS,
  SILENCE_MS,
  UNREACHABLE_RETRY_MS,
} from './constants.js';
import type { FrameEvent } from './framing.js';
import type { ErrorBody, PlainMessage, Request, SongId, StreamHeader, WholeMessage } from './messages.js';
import { type OfferRow, parseOffer, RowReader } from './rows.js';
import { type Claim, TRACKER_TABLE, type TrackerEffect, type TrackerState } from './tracker-table.js';

type Registering = Extract<Request, { type: 'INIT' | 'HELLO' }>;

/** A question in the queue; `again` is our own: to enlist once more what could not be enlisted before. */
type Queued =
  | { readonly kind: 'request'; readonly request: Request }
  | { readonly kind: 'unknown'; readonly type: number }
  | { readonly kind: 'again' };

/** What became of a registration's songs: SONG_IDS rows as bytes, and when to enlist again what had to wait. */
export interface Enlisted {
  readonly rows: readonly Uint8Array[];
  readonly retryInMs?: number;
}

/** How a proof of address ended: what was proven, as it is to be listed, and when to try again if not in 5 minutes. */
export interface Proved {
  readonly addresses: readonly string[];
  readonly retryInMs?: number;
}

export class TrackerSession {
  readonly #maxListBytes: number;
  #state: TrackerState = 'light';
  readonly #queue: Queued[] = [];
  /** What is being answered elsewhere, by its type on the wire; undefined: nothing. `null`: our own `again`. */
  #answering: number | null | undefined;
  /** The song-ID field of what is being answered, which an ERROR in its place repeats. */
  #song: SongId | 0 = NO_SONG;
  #inputEnded = false;
  #claim: Claim | undefined;
  #claimedAt = Number.NEGATIVE_INFINITY;
  /** The peer has told its songs on this connection, so it is not asked again. */
  #songsTaken = false;
  #subscribed = false;
  #reading: RowReader | 'skip' | undefined;
  #attempt = 0;
  #proving = false;
  #listed: readonly string[] = [];
  #retryAt: Milliseconds | undefined;
  #songsBy: Milliseconds | undefined;
  #heardAt: Milliseconds;
  #spokeAt: Milliseconds;

  /** `maxListBytes`: the longest LIST_INFO that is taken. */
  constructor(options: { readonly maxListBytes: number }, acceptedAt: Milliseconds) {
    this.#maxListBytes = options.maxListBytes;
    this.#heardAt = acceptedAt;
    this.#spokeAt = acceptedAt;
  }

  get state(): TrackerState {
    return this.#state;
  }

  /** False: take nothing more from the framer until this is true again. */
  get reading(): boolean {
    return this.#state === 'closed' || this.#queue.length < MAX_PIPELINED_REQUESTS;
  }

  /** What the framer may hold whole just now (TSP §2.2). */
  get maxPayloadBytes(): number {
    return this.#state === 'light' ? MAX_REQUEST_BYTES : MAX_PAYLOAD_BYTES;
  }

  /** Bytes came, maybe in the middle of a message. */
  heard(now: Milliseconds): void {
    this.#heardAt = now;
  }

  /** Bytes were sent. */
  spoke(now: Milliseconds): void {
    this.#spokeAt = now;
  }

  receive(event: FrameEvent, now: Milliseconds): TrackerEffect[] {
    this.#heardAt = now;
    if (this.#state === 'closed') return [];
    try {
      return this.#receive(event, now);
    } catch (error) {
      if (error instanceof RemoteProtocolError) return this.fail(error);
      throw error;
    }
  }

  /** The other side half-closed: what it asked is answered still, then this side closes (TSP §3). */
  inputEnded(now: Milliseconds): TrackerEffect[] {
    this.#inputEnded = true;
    if (this.#state === 'light' || this.#state === 'registered') return this.#next(now);
    return this.#close(false);
  }

  /** The answer has been handed over whole. */
  answered(now: Milliseconds): TrackerEffect[] {
    return this.#done(now);
  }

  /** The registration may go on. */
  admitted(now: Milliseconds): TrackerEffect[] {
    const claim = this.#claim;
    if (this.#state === 'closed' || claim === undefined) return [];
    if (claim.port === 0) {
      this.#songsTaken = false;
      return this.#welcome([], now);
    }
    if (this.#songsTaken) return this.#prove('proving');
    this.#state = 'listing';
    this.#songsBy = now + SILENCE_MS;
    return [send({ type: 'LIST' })];
  }

  /** The proof of address has ended; nothing proven: the peer is told `unreachable`, and stays as a listener. */
  proved(attempt: number, { addresses, retryInMs }: Proved, now: Milliseconds): TrackerEffect[] {
    if (attempt !== this.#attempt || !this.#proving || this.#state === 'closed') return [];
    this.#proving = false;
    const retry = retryInMs ?? UNREACHABLE_RETRY_MS;
    if (this.#state === 'proving') {
      if (addresses.length === 0) return this.#unreachable(retry, now);
      this.#state = 'enlisting';
      return [{ do: 'enlist', claim: this.#claim!, addresses: this.#list(addresses) }];
    }
    if (addresses.length === 0) this.#retryAt = now + retry;
    else {
      this.#list(addresses);
      this.#queue.push({ kind: 'again' });
    }
    return this.#next(now);
  }

  /** The IDs of the songs are durable. */
  enlisted({ rows, retryInMs }: Enlisted, now: Milliseconds): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    this.#retryAt = retryInMs === undefined ? undefined : now + retryInMs;
    // Unasked, nothing new would be no news.
    const silent = this.#state === 'registered' && rows.length === 0;
    const said: TrackerEffect[] = silent ? [] : [songIds(rows), { do: 'publish' }];
    if (this.#state === 'registered') return [...said, ...this.#done(now)];
    return [...said, ...this.#welcome(this.#listed, now)];
  }

  /** The changes of an UPDATE are durable. `retryInMs`: some of them had to wait. */
  updated({ rows, retryInMs }: Enlisted, now: Milliseconds): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    if (retryInMs !== undefined) this.#retryAt = Math.min(this.#retryAt ?? Infinity, now + retryInMs);
    return [songIds(rows), { do: 'publish' }, ...this.#done(now)];
  }

  /** What is being answered, or the registration under way, can't be done: ERROR stands in its place (TSP §6). */
  refuse(error: ErrorBody, now: Milliseconds): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    const type = this.#answering ?? undefined;
    const body: ErrorBody = type === undefined ? error : { ...error, type };
    const said: TrackerEffect[] = this.#answering === null ? [] : [answerError(body, this.#song)];
    if (isFatal(error.code)) return [...said, ...this.#close(true)];
    if (this.#answering === null) this.#retryAt = now + UNREACHABLE_RETRY_MS;
    else if (this.#isRegistering) {
      said.push({ do: 'leave' });
      this.#forget();
    }
    return [...said, ...this.#done(now)];
  }

  /** The other side broke the protocol, was replaced, or took too long: ERROR, and the end. */
  fail(error: RemoteProtocolError): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    const { code, message, type } = error;
    return [answerError({ code, message, ...(type === undefined ? {} : { type }) }), ...this.#close(true)];
  }

  nextDeadline(): Milliseconds | undefined {
    if (this.#state === 'closed') return undefined;
    if (this.#state === 'light') return this.#idleUntil;
    return Math.min(
      this.#heardAt + SILENCE_MS,
      this.#spokeAt + KEEPALIVE_MS,
      this.#retryAt ?? Number.POSITIVE_INFINITY,
      this.#songsBy ?? Number.POSITIVE_INFINITY,
    );
  }

  expire(now: Milliseconds): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    if (this.#state === 'light') return now >= (this.#idleUntil ?? Infinity) ? this.#close(false) : [];
    // What was not read can't have been heard.
    if (!this.reading) this.#heardAt = now;
    if (now >= this.#heardAt + SILENCE_MS) return this.#close(false);
    if (this.#songsBy !== undefined && now >= this.#songsBy)
      return this.fail(new RemoteProtocolError('too-slow', 'no LIST_INFO came', MESSAGE_TYPE.LIST));
    const effects = this.#retry(now);
    if (now >= this.#spokeAt + KEEPALIVE_MS) {
      this.#spokeAt = now;
      effects.push(send({ type: 'PING', value: 0 }));
    }
    return effects;
  }

  /** A light client that asks nothing is not kept. */
  get #idleUntil(): Milliseconds | undefined {
    if (this.#answering !== undefined || this.#queue.length > 0) return undefined;
    return Math.max(this.#heardAt, this.#spokeAt) + CONNECTION_IDLE_MS;
  }

  get #isRegistering(): boolean {
    return this.#answering === MESSAGE_TYPE.INIT || this.#answering === MESSAGE_TYPE.HELLO;
  }

  #receive(event: FrameEvent, now: Milliseconds): TrackerEffect[] {
    switch (event.kind) {
      case 'unknown':
        this.#queue.push({ kind: 'unknown', type: event.type });
        return this.#next(now);
      case 'stream':
        return this.#begin(event.header);
      case 'data':
        return this.#reading instanceof RowReader
          ? offer(this.#reading.push(event.bytes).map(parseOffer))
          : [];
      case 'end':
        return this.#end();
      case 'message':
        return this.#message(event.message, now);
    }
  }

  #message(message: PlainMessage | WholeMessage, now: Milliseconds): TrackerEffect[] {
    switch (TRACKER_TABLE[this.#state][message.type]) {
      case undefined:
      case 'take the songs':
        throw new RemoteProtocolError(
          'bad-message',
          `${message.type} while ${this.#state}`,
          MESSAGE_TYPE[message.type],
        );
      case 'ignore':
        return [];
      case 'close':
        return this.#close(false);
      case 'echo':
        return message.type === 'PONG' && this.#proving ? [{ do: 'echo', value: message.value }] : [];
      case 'no songs':
        return this.#reading === undefined ? this.#end() : [];
      default:
        this.#queue.push({ kind: 'request', request: message as Request });
        return this.#next(now);
    }
  }

  /** Takes up what waits, unless something is being answered. */
  #next(now: Milliseconds): TrackerEffect[] {
    const effects: TrackerEffect[] = [];
    while (this.#answering === undefined && this.#state !== 'closed') {
      const queued = this.#queue.shift();
      if (queued === undefined) {
        if (this.#inputEnded) effects.push(...this.#close(false));
        break;
      }
      effects.push(...this.#take(queued, now));
    }
    return effects;
  }

  #take(queued: Queued, now: Milliseconds): TrackerEffect[] {
    if (queued.kind === 'unknown') return [answerError({ code: 'unknown-type', type: queued.type })];
    if (queued.kind === 'again') {
      if (this.#listed.length === 0) return [];
      this.#answering = null;
      return [{ do: 'enlist', claim: this.#claim!, addresses: this.#listed }];
    }
    const { request } = queued;
    const type = MESSAGE_TYPE[request.type];
    const refused = (code: ErrorCode, message: string): TrackerEffect[] => [
      answerError({ code, type, message }, 'song' in request ? request.song : NO_SONG),
    ];
    switch (request.type) {
      case 'PING':
        return [send({ type: 'PONG', value: request.value })];
      case 'HASHES':
        return refused('unknown-type', 'a host has the hashes');
      case 'INIT':
      case 'HELLO':
        return this.#register(request, now);
      case 'UPDATE':
        if (this.#state !== 'registered' || this.#claim?.port === 0)
          return refused('not-registered', 'INIT or HELLO with a port comes first');
        this.#answering = type;
        return [{ do: 'update', changes: request.changes }];
      case 'STOP':
      case 'QUIT':
        return [];
      default:
        this.#answering = type;
        this.#song = 'song' in request ? request.song : NO_SONG;
        return [{ do: 'answer', request }];
    }
  }

  #register(request: Registering, now: Milliseconds): TrackerEffect[] {
    const type = MESSAGE_TYPE[request.type];
    const wait = Math.ceil(this.#claimedAt + REREGISTER_MS - now);
    if (wait > 0) {
      const message = `once in ${REREGISTER_MS} ms`;
      return [answerError({ code: 'refused', type, message, retryAfterMs: wait })];
    }
    const { tsp: _, ...hello } = request.type === 'HELLO' ? request.hello : { tsp: 1 };
    this.#claim = { ...hello, port: request.port };
    this.#claimedAt = now;
    this.#answering = type;
    this.#proving = false;
    this.#retryAt = undefined;
    return [{ do: 'admit', claim: this.#claim }];
  }

  #begin(header: StreamHeader): TrackerEffect[] {
    const taken = TRACKER_TABLE[this.#state][header.type] === 'take the songs';
    if (!taken || this.#reading !== undefined)
      throw new RemoteProtocolError('bad-message', `${header.type} that nobody asked for`);
    if (header.length > this.#maxListBytes)
      throw new RemoteProtocolError(
        'too-large',
        `${header.length} bytes are more than ${this.#maxListBytes}`,
      );
    this.#songsBy = undefined;
    this.#reading = new RowReader();
    return [];
  }

  /** The songs have been told whole. */
  #end(): TrackerEffect[] {
    const rows = this.#reading instanceof RowReader ? this.#reading.end().map(parseOffer) : [];
    const skipped = this.#reading === 'skip';
    this.#reading = undefined;
    if (skipped) return [];
    this.#songsBy = undefined;
    this.#songsTaken = true;
    return [...offer(rows), ...this.#prove('proving')];
  }

  #prove(state: TrackerState): TrackerEffect[] {
    this.#state = state;
    this.#proving = true;
    this.#attempt += 1;
    return [{ do: 'prove', attempt: this.#attempt, claim: this.#claim! }];
  }

  #unreachable(retryInMs: number, now: Milliseconds): TrackerEffect[] {
    this.#retryAt = now + retryInMs;
    const error = {
      code: 'unreachable',
      type: this.#answering ?? MESSAGE_TYPE.INIT,
      message: 'your song server could not be reached at the address that you gave',
      retryAfterMs: Math.ceil(retryInMs),
    } as const;
    // An address that was proven before and is no more must not stay in the list.
    const effects: TrackerEffect[] = this.#listed.length > 0 ? [{ do: 'unlist' }] : [];
    return [...effects, answerError(error), ...this.#welcome(this.#list([]), now)];
  }

  #list(addresses: readonly string[]): readonly string[] {
    this.#listed = addresses;
    return addresses;
  }

  #welcome(listed: readonly string[], now: Milliseconds): TrackerEffect[] {
    const claim = this.#claim!;
    const effects: TrackerEffect[] = [];
    if (claim.port === 0 && this.#listed.length > 0) effects.push({ do: 'leave' });
    this.#list(listed);
    this.#state = 'registered';
    effects.push({ do: 'welcome', listed });
    if (!this.#subscribed && claim.broadcasts !== false) {
      this.#subscribed = true;
      effects.push({ do: 'subscribe', ...(claim.since === undefined ? {} : { since: claim.since }) });
    }
    return [...effects, ...this.#done(now)];
  }

  #done(now: Milliseconds): TrackerEffect[] {
    this.#answering = undefined;
    this.#song = NO_SONG;
    return this.#next(now);
  }

  /** Back to a light client; the rest of a LIST_INFO that is still coming is read past. */
  #forget(): void {
    this.#state = 'light';
    this.#claim = undefined;
    this.#songsTaken = false;
    this.#proving = false;
    this.#songsBy = undefined;
    this.#list([]);
    if (this.#reading !== undefined) this.#reading = 'skip';
  }

  #retry(now: Milliseconds): TrackerEffect[] {
    if (this.#retryAt === undefined || now < this.#retryAt || this.#state !== 'registered') return [];
    this.#retryAt = undefined;
    if (this.#listed.length === 0) return this.#prove('registered');
    this.#queue.push({ kind: 'again' });
    return this.#next(now);
  }

  #close(fatal: boolean): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    const effects: TrackerEffect[] = this.#state === 'light' ? [] : [{ do: 'leave' }];
    this.#state = 'closed';
    this.#queue.length = 0;
    return [...effects, { do: 'end', fatal }];
  }
}

const send = (message: PlainMessage | WholeMessage): TrackerEffect => ({ do: 'send', message });

const answerError = (error: ErrorBody, song: SongId | 0 = NO_SONG): TrackerEffect =>
  send({ type: 'ERROR', song, error });

const offer = (offers: readonly OfferRow[]): TrackerEffect[] =>
  offers.length === 0 ? [] : [{ do: 'offer', offers }];

function songIds(rows: readonly Uint8Array[]): TrackerEffect {
  const length = rows.reduce((sum, row) => sum + row.length, 0);
  return { do: 'send-rows', header: { type: 'SONG_IDS', length }, rows };
}
