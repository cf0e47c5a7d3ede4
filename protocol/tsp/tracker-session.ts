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
  MAX_REQUEST_BYTES,
  MESSAGE_TYPE,
  NO_SONG,
  REREGISTER_MS,
  SILENCE_MS,
  UNREACHABLE_RETRY_MS,
} from './constants.js';
import type { FrameEvent } from './framing.js';
import { breachBody } from './json.js';
import type { ErrorBody, PlainMessage, Request, StreamHeader, WholeMessage } from './messages.js';
import { OfferList } from './offer-list.js';
import { type Asked, type Question, QuestionLine } from './question-line.js';
import {
  type Claim,
  type Enlisted,
  offer,
  type Proved,
  send,
  sendError,
  songIds,
  type TrackerEffect,
  unreachable,
} from './tracker-effects.js';
import { TRACKER_TABLE, type TrackerState } from './tracker-table.js';

type Registering = Extract<Request, { type: 'INIT' | 'HELLO' }>;

export class TrackerSession {
  readonly #songs = new OfferList();
  #state: TrackerState = 'light';
  readonly #line = new QuestionLine();
  #inputEnded = false;
  #claim: Claim | undefined;
  #claimedAt = Number.NEGATIVE_INFINITY;
  /** The peer has told its songs on this connection, so it is not asked again. */
  #songsTaken = false;
  #subscribed = false;
  #attempt = 0;
  #proving = false;
  #listed: readonly string[] = [];
  #retryAt: Milliseconds | undefined;
  #songsBy: Milliseconds | undefined;
  #heardAt: Milliseconds;
  #spokeAt: Milliseconds;

  constructor(acceptedAt: Milliseconds) {
    this.#heardAt = acceptedAt;
    this.#spokeAt = acceptedAt;
  }

  get state(): TrackerState {
    return this.#state;
  }

  /** False: take nothing more from the framer until this is true again. */
  get reading(): boolean {
    return this.#state === 'closed' || !this.#line.isFull;
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
    this.#line.done();
    return this.#next(now);
  }

  /** The registration may go on. */
  admitted(now: Milliseconds): TrackerEffect[] {
    const claim = this.#claim;
    if (this.#state === 'closed' || claim === undefined) return [];
    if (claim.port === 0) return [...this.#hostNothing(), ...this.#welcome([], now)];
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
      this.#listed = addresses;
      return [{ do: 'enlist', claim: this.#claim!, addresses }];
    }
    if (addresses.length === 0) this.#retryAt = now + retry;
    else {
      this.#listed = addresses;
      this.#line.add({ kind: 'again' });
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
    if (this.#state === 'registered') return [...said, ...this.answered(now)];
    return [...said, ...this.#welcome(this.#listed, now)];
  }

  /** The changes of an UPDATE are durable. `retryInMs`: some of them had to wait. */
  updated({ rows, retryInMs }: Enlisted, now: Milliseconds): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    if (retryInMs !== undefined) this.#retryAt = Math.min(this.#retryAt ?? Infinity, now + retryInMs);
    return [songIds(rows), { do: 'publish' }, ...this.answered(now)];
  }

  /** What is being answered, or the registration under way, can't be done: ERROR stands in its place (TSP §6). */
  refuse(error: ErrorBody, now: Milliseconds): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    // Nobody asked for what the tracker tries again by itself.
    const isOwn = this.#line.isBusy && this.#line.type === undefined;
    const said: TrackerEffect[] = isOwn ? [] : [sendError(this.#line.asAnswer(error), this.#line.song)];
    if (isFatal(error.code)) return [...said, ...this.#close(true)];
    if (isOwn) this.#retryAt = now + UNREACHABLE_RETRY_MS;
    else if (REGISTERING.includes(this.#line.type)) said.push(...this.#forget());
    return [...said, ...this.answered(now)];
  }

  /** The other side broke the protocol, was replaced, or took too long: ERROR, and the end. */
  fail(error: RemoteProtocolError): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    return [sendError(breachBody(error)), ...this.#close(true)];
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
    if (this.#line.isBusy || !this.#line.isEmpty) return undefined;
    return Math.max(this.#heardAt, this.#spokeAt) + CONNECTION_IDLE_MS;
  }

  #receive(event: FrameEvent, now: Milliseconds): TrackerEffect[] {
    switch (event.kind) {
      case 'unknown':
        this.#line.add({ kind: 'unknown', type: event.type });
        return this.#next(now);
      case 'stream':
        return this.#begin(event.header);
      case 'data':
        return offer(this.#songs.push(event.bytes));
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
        return this.#songs.isOpen ? [] : this.#end();
      default:
        this.#line.add({ kind: 'request', request: message as Asked });
        return this.#next(now);
    }
  }

  /** Takes up what waits, unless something is being answered. */
  #next(now: Milliseconds): TrackerEffect[] {
    const effects: TrackerEffect[] = [];
    while (!this.#line.isBusy && this.#state !== 'closed') {
      const question = this.#line.next();
      if (question === undefined) return this.#inputEnded ? [...effects, ...this.#close(false)] : effects;
      effects.push(...this.#take(question, now));
    }
    return effects;
  }

  #take(question: Question, now: Milliseconds): TrackerEffect[] {
    if (question.kind === 'unknown') return [sendError({ code: 'unknown-type', type: question.type })];
    if (question.kind === 'again') {
      if (this.#listed.length === 0) return [];
      this.#line.begin(undefined);
      return [{ do: 'enlist', claim: this.#claim!, addresses: this.#listed }];
    }
    const { request } = question;
    const type = MESSAGE_TYPE[request.type];
    const refused = (code: ErrorCode, message: string): TrackerEffect[] => [
      sendError({ code, type, message }, 'song' in request ? request.song : NO_SONG),
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
        this.#line.begin(type);
        return [{ do: 'update', changes: request.changes }];
      default:
        this.#line.begin(type, 'song' in request ? request.song : NO_SONG);
        return [{ do: 'answer', request }];
    }
  }

  #register(request: Registering, now: Milliseconds): TrackerEffect[] {
    const type = MESSAGE_TYPE[request.type];
    const wait = Math.ceil(this.#claimedAt + REREGISTER_MS - now);
    if (wait > 0) {
      const message = `once in ${REREGISTER_MS} ms`;
      return [sendError({ code: 'refused', type, message, retryAfterMs: wait })];
    }
    const { tsp: _, ...hello } = request.type === 'HELLO' ? request.hello : { tsp: 1 };
    this.#claim = { ...hello, port: request.port };
    this.#claimedAt = now;
    this.#line.begin(type);
    this.#proving = false;
    this.#retryAt = undefined;
    return [{ do: 'admit', claim: this.#claim }];
  }

  #begin(header: StreamHeader): TrackerEffect[] {
    const isTaken = TRACKER_TABLE[this.#state][header.type] === 'take the songs';
    if (!isTaken || this.#songs.isOpen)
      throw new RemoteProtocolError('bad-message', `${header.type} that nobody asked for`);
    this.#songs.begin(header);
    this.#songsBy = undefined;
    return [];
  }

  /** The songs have been told whole. */
  #end(): TrackerEffect[] {
    const rows = this.#songs.end();
    if (rows === undefined) return [];
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
    const error = unreachable(this.#line.type, retryInMs);
    return [{ do: 'unlist' }, sendError(error), ...this.#welcome([], now)];
  }

  #welcome(listed: readonly string[], now: Milliseconds): TrackerEffect[] {
    const claim = this.#claim!;
    const effects: TrackerEffect[] = [{ do: 'welcome', listed }];
    this.#listed = listed;
    this.#state = 'registered';
    if (!this.#subscribed && claim.broadcasts !== false) {
      this.#subscribed = true;
      effects.push({ do: 'subscribe', ...(claim.since === undefined ? {} : { since: claim.since }) });
    }
    return [...effects, ...this.answered(now)];
  }

  /** From a host to a listener: what it hosted, and its place among the readers, are given up. */
  #hostNothing(): TrackerEffect[] {
    if (!this.#songsTaken) return [];
    this.#songsTaken = false;
    this.#subscribed = false;
    return [{ do: 'leave' }];
  }

  /** Back to a light client; the rest of a LIST_INFO that is still coming is read past. */
  #forget(): TrackerEffect[] {
    this.#state = 'light';
    this.#claim = undefined;
    this.#songsTaken = false;
    this.#subscribed = false;
    this.#proving = false;
    this.#songsBy = undefined;
    this.#listed = [];
    this.#songs.skip();
    return [{ do: 'leave' }];
  }

  #retry(now: Milliseconds): TrackerEffect[] {
    if (this.#retryAt === undefined || now < this.#retryAt || this.#state !== 'registered') return [];
    this.#retryAt = undefined;
    if (this.#listed.length === 0) return this.#prove('registered');
    this.#line.add({ kind: 'again' });
    return this.#next(now);
  }

  #close(fatal: boolean): TrackerEffect[] {
    if (this.#state === 'closed') return [];
    const effects: TrackerEffect[] = this.#state === 'light' ? [] : [{ do: 'leave' }];
    this.#state = 'closed';
    this.#line.clear();
    return [...effects, { do: 'end', fatal }];
  }
}

const REGISTERING: readonly (number | undefined)[] = [MESSAGE_TYPE.INIT, MESSAGE_TYPE.HELLO];
