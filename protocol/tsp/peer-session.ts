/**
 * The peer's end of the registration connection (TSP §5.1, §5.2): HELLO until WELCOME, then list changes in, own
 * changes out, and questions between them.
 *
 *     greeting ──LIST──▶ proving ──WELCOME──▶ registered ──QUIT, ERROR replaced, silence──▶ closed
 *         └─────────────WELCOME (port 0)──────────▲
 *
 * The rule: whatever this end says comes out as effects, in order; it calls nothing and knows no socket. Questions are
 * answered in the order in which they were asked, and own changes wait until the songs before them were answered.
 */
import { isFatal, RemoteProtocolError, TransportError } from '../errors.js';
import type { Milliseconds } from '../ports.js';
import {
  KEEPALIVE_MS,
  MAX_PIPELINED_REQUESTS,
  MAX_PROOF_PINGS_PER_MINUTE,
  MESSAGE_TYPE,
  type MessageName,
  NO_SONG,
  SILENCE_MS,
} from './constants.js';
import type { FrameEvent } from './framing.js';
import type { JsonObject } from './json.js';
import type { ErrorBody, Hello, PlainMessage, StreamHeader, Welcome, WholeMessage } from './messages.js';
import { OfferQueue } from './offer-queue.js';
import { PEER_TABLE, type PeerEffect, type PeerState, type TrackerQuestion } from './peer-table.js';
import { roomForRows } from './row-room.js';
import {
  type BroadcastRow,
  type OfferChange,
  parseBroadcastRow,
  parseSongIdRow,
  parseSongRow,
  type RowReader,
  type SongRow,
} from './rows.js';

/** Two proofs of 3 + 5 s for each address, and until 50,000 new songs are on disk, with room to spare. */
export const REGISTRATION_MS = 60_000;
/** A LIST_INFO may be 1 s old, so asking again sooner could bring the same one (TSP §3.1). */
export const LIST_AGAIN_MS = 1_000;
/** One is on its way while the next is answered; more would only wait at the tracker. */
const MAX_UPDATES_OPEN = 2;

type Open =
  | { readonly kind: 'songs' }
  | { readonly kind: 'list' }
  | { readonly kind: 'update'; readonly changes: readonly OfferChange[] }
  | { readonly kind: 'ping'; readonly value: number }
  | { readonly kind: 'question'; readonly question: TrackerQuestion };

interface Reading {
  readonly header: StreamHeader;
  readonly rows: RowReader;
  readonly open: Open | undefined;
}

export class PeerSession {
  readonly #port: number;
  readonly #hello: Omit<Hello, 'tsp'> | undefined;
  #state: PeerState = 'greeting';
  /** Questions on the wire, oldest first, and those that wait for room. */
  readonly #open: Open[] = [];
  readonly #waiting: TrackerQuestion[] = [];
  readonly #offers = new OfferQueue();
  #reading: Reading | undefined;
  #heardAt: Milliseconds;
  #spokeAt: Milliseconds;
  #registerBy: Milliseconds | undefined;
  #listWanted = false;
  #listAskedAt = Number.NEGATIVE_INFINITY;
  #unproven = false;
  #echoes: { since: Milliseconds; count: number };

  /** `port` 0: only listening. Without `hello` it registers by INIT. */
  constructor(
    options: { readonly port: number; readonly hello?: Omit<Hello, 'tsp'> },
    connectedAt: Milliseconds,
  ) {
    this.#port = options.port;
    this.#hello = options.hello;
    this.#heardAt = connectedAt;
    this.#spokeAt = connectedAt;
    this.#registerBy = connectedAt + REGISTRATION_MS;
    this.#echoes = { since: connectedAt, count: 0 };
  }

  get state(): PeerState {
    return this.#state;
  }

  /** Whether IDs of our songs may be on their way (TSP §5.1). */
  get idsOwed(): boolean {
    if (this.#state === 'greeting') return this.#port !== 0;
    return this.#open.some(open => open.kind === 'songs' || open.kind === 'update') || this.#offers.size > 0;
  }

  start(): PeerEffect[] {
    if (this.#hello === undefined) return [send({ type: 'INIT', port: this.#port })];
    return [send({ type: 'HELLO', port: this.#port, hello: { tsp: 1, ...this.#hello } })];
  }

  /** Bytes came, maybe in the middle of a message. */
  heard(now: Milliseconds): void {
    this.#heardAt = now;
  }

  /** Bytes were sent. */
  spoke(now: Milliseconds): void {
    this.#spokeAt = now;
  }

  /** Throws RemoteProtocolError when the tracker said what it may not say here. */
  receive(event: FrameEvent, now: Milliseconds): PeerEffect[] {
    this.#heardAt = now;
    if (this.#state === 'closed') return [];
    switch (event.kind) {
      case 'message':
        return this.#message(event.message, now);
      case 'stream':
        return this.#begin(event.header);
      case 'data':
        return this.#rows(this.#reading!.rows.push(event.bytes), this.#reading!);
      case 'end':
        return this.#end(now);
      case 'unknown':
        return [send({ type: 'ERROR', song: NO_SONG, error: { code: 'unknown-type', type: event.type } })];
    }
  }

  /** Own songs that came, changed or went. Those from before `send-songs` are in the list that it sends. */
  offer(changes: Iterable<OfferChange>, now: Milliseconds): PeerEffect[] {
    if (this.#port === 0 || this.#state === 'greeting' || this.#state === 'closed') return [];
    this.#offers.add(changes);
    return this.#flush(now);
  }

  ask(question: TrackerQuestion, now: Milliseconds): PeerEffect[] {
    this.#waiting.push(question);
    return this.#flush(now);
  }

  /** Asks for the whole list, unless that is being done already. */
  askList(now: Milliseconds): PeerEffect[] {
    this.#listWanted ||= !this.#open.some(open => open.kind === 'list');
    return this.#flush(now);
  }

  /** A PING came to our song server: while our address awaits its proof, the tracker hears of it (TSP §5.2). */
  echo(value: number, now: Milliseconds): PeerEffect[] {
    const pending = this.#state === 'greeting' || this.#state === 'proving' || this.#unproven;
    if (this.#port === 0 || !pending || this.#state === 'closed') return [];
    if (now - this.#echoes.since >= 60_000) this.#echoes = { since: now, count: 0 };
    if (this.#echoes.count === MAX_PROOF_PINGS_PER_MINUTE) return [];
    this.#echoes.count += 1;
    return [send({ type: 'PONG', value })];
  }

  quit(): PeerEffect[] {
    if (this.#state === 'closed') return [];
    this.#state = 'closed';
    return [send({ type: 'QUIT' })];
  }

  nextDeadline(): Milliseconds | undefined {
    if (this.#state === 'closed') return undefined;
    return Math.min(
      this.#heardAt + SILENCE_MS,
      this.#spokeAt + KEEPALIVE_MS,
      this.#registerBy ?? Number.POSITIVE_INFINITY,
      this.#listWanted ? this.#listAskedAt + LIST_AGAIN_MS : Number.POSITIVE_INFINITY,
      this.#offers.heldUntil ?? Number.POSITIVE_INFINITY,
    );
  }

  expire(now: Milliseconds): PeerEffect[] {
    if (this.#state === 'closed') return [];
    if (now >= this.#heardAt + SILENCE_MS) return this.#close(silent(SILENCE_MS));
    if (this.#registerBy !== undefined && now >= this.#registerBy)
      return this.#close(new TransportError(`did not finish the registration within ${REGISTRATION_MS} ms`));
    const effects = this.#flush(now);
    if (now < this.#spokeAt + KEEPALIVE_MS) return effects;
    this.#spokeAt = now;
    if (effects.length > 0 || this.#room === 0) return effects;
    const value = Math.trunc(now) >>> 0;
    this.#open.push({ kind: 'ping', value });
    return [send({ type: 'PING', value })];
  }

  get #room(): number {
    return MAX_PIPELINED_REQUESTS - this.#open.length;
  }

  /** Says what waits, as far as the tracker would read it. */
  #flush(now: Milliseconds): PeerEffect[] {
    const effects: PeerEffect[] = [];
    if (this.#state !== 'registered') return effects;
    if (this.#listWanted && this.#room > 0 && now >= this.#listAskedAt + LIST_AGAIN_MS) {
      this.#listWanted = false;
      this.#listAskedAt = now;
      this.#open.push({ kind: 'list' });
      effects.push(send({ type: 'LIST' }));
    }
    while (this.#waiting.length > 0 && this.#room > 0) {
      const question = this.#waiting.shift()!;
      this.#open.push({ kind: 'question', question });
      effects.push(send(question));
    }
    while (this.#room > 0 && this.#open.filter(open => open.kind === 'update').length < MAX_UPDATES_OPEN) {
      const changes = this.#offers.takeBatch(now);
      if (changes.length === 0) break;
      this.#open.push({ kind: 'update', changes });
      effects.push(send({ type: 'UPDATE', changes }));
    }
    return effects;
  }

  #message(message: PlainMessage | WholeMessage, now: Milliseconds): PeerEffect[] {
    const expected = PEER_TABLE[this.#state][message.type] === undefined ? undefined : message;
    switch (expected?.type) {
      case 'PING':
        return [send({ type: 'PONG', value: expected.value })];
      case 'LIST':
        return this.#sendSongs();
      case 'WELCOME':
        return this.#welcome(expected.revision, expected.welcome, now);
      case 'PONG':
        return this.#pong(expected.value, now);
      case 'ERROR':
        return this.#error(expected.error, now);
      default:
        throw unexpected(message.type, this.#state);
    }
  }

  #sendSongs(): PeerEffect[] {
    if (this.#port === 0) throw new RemoteProtocolError('bad-message', 'LIST to a peer that hosts nothing');
    this.#state = 'proving';
    this.#open.push({ kind: 'songs' });
    return [{ do: 'send-songs' }];
  }

  #welcome(revision: number, welcome: Welcome, now: Milliseconds): PeerEffect[] {
    if (isOfHost(welcome)) return this.#close(new TransportError('is a host, not a tracker'));
    // Songs that no SONG_IDS answered: their ERROR `unreachable` was the answer.
    if (this.#open[0]?.kind === 'songs') this.#open.shift();
    this.#state = 'registered';
    this.#registerBy = undefined;
    if ((welcome.listed?.length ?? 0) > 0) this.#unproven = false;
    return [{ do: 'welcomed', revision, welcome }, ...this.#flush(now)];
  }

  #pong(value: number, now: Milliseconds): PeerEffect[] {
    // Until WELCOME the songs are no question of ours, and a PONG may come before or after what they bring.
    const at = this.#state === 'proving' ? this.#open.findIndex(open => open.kind === 'ping') : 0;
    const open = this.#open[at];
    if (open?.kind !== 'ping' || open.value !== value)
      throw new RemoteProtocolError('bad-message', `PONG ${value} that nobody asked for`);
    this.#open.splice(at, 1);
    return this.#flush(now);
  }

  #error(error: ErrorBody, now: Milliseconds): PeerEffect[] {
    if (isFatal(error.code)) return this.#close(error);
    const ofGreeting =
      error.type === undefined || error.type === MESSAGE_TYPE.HELLO || error.type === MESSAGE_TYPE.INIT;
    if (error.code === 'unreachable' && ofGreeting) {
      this.#unproven = true;
      return [{ do: 'unreachable', error }];
    }
    if (error.type === undefined) return [{ do: 'warned', error }];
    if (this.#state !== 'registered') return this.#close(error);
    const open = this.#open[0];
    if (open === undefined || error.type !== typeOf(open))
      throw new RemoteProtocolError('bad-message', 'an error of a request that nobody made');
    this.#open.shift();
    const effects: PeerEffect[] = [];
    if (open.kind === 'question') effects.push({ do: 'refused', question: open.question, error });
    if (open.kind === 'update' && !this.#offers.putBack(open.changes, error.retryAfterMs, now))
      effects.push({ do: 'changes-refused', changes: open.changes, error });
    return [...effects, ...this.#flush(now)];
  }

  #begin(header: StreamHeader): PeerEffect[] {
    if (PEER_TABLE[this.#state][header.type] === undefined) throw unexpected(header.type, this.#state);
    const open = this.#answers(header, this.#open[0]) ? this.#open[0] : undefined;
    const question = open?.kind === 'question' ? open.question : undefined;
    this.#reading = { header, rows: roomForRows(header, question), open };
    if (header.type !== 'LIST_INFO' && header.type !== 'BROADCAST_LIST') return [];
    return [{ do: 'list-begin', revision: header.revision, whole: header.type === 'LIST_INFO' }];
  }

  /** Whether `header` begins the answer to `open`; throws when it is an answer to nothing. */
  #answers(header: StreamHeader, open: Open | undefined): boolean {
    if (header.type === 'BROADCAST_LIST') return false;
    // Also unasked: of songs whose proof or whose ID had to wait. The rows themselves say which songs they are about.
    if (header.type === 'SONG_IDS' && this.#port !== 0)
      return open?.kind === 'songs' || open?.kind === 'update';
    const wanted =
      header.type === 'LIST_INFO' ? 'list' : header.type === 'SONG_INFO' ? 'question' : undefined;
    if (open === undefined || open.kind !== wanted)
      throw new RemoteProtocolError('bad-message', `${header.type} that nobody asked for`);
    return true;
  }

  #rows(rows: readonly JsonObject[], { header, open }: Reading): PeerEffect[] {
    if (rows.length === 0) return [];
    switch (header.type) {
      case 'BROADCAST_LIST':
        return [{ do: 'list-rows', rows: rows.map(parseBroadcastRow) }];
      case 'LIST_INFO':
        return [{ do: 'list-rows', rows: rows.map(parseSongRow).map(asBroadcast) }];
      case 'SONG_IDS':
        return [{ do: 'song-ids', rows: rows.map(parseSongIdRow) }];
      default:
        if (open?.kind !== 'question') return [];
        return [{ do: 'rows', question: open.question, rows: rows.map(parseSongRow) }];
    }
  }

  #end(now: Milliseconds): PeerEffect[] {
    const reading = this.#reading!;
    const effects = this.#rows(reading.rows.end(), reading);
    this.#reading = undefined;
    if (reading.open !== undefined) this.#open.shift();
    if (reading.open?.kind === 'question') effects.push({ do: 'answered', question: reading.open.question });
    const { type } = reading.header;
    if (type === 'LIST_INFO' || type === 'BROADCAST_LIST') effects.push({ do: 'list-end' });
    return [...effects, ...this.#flush(now)];
  }

  #close(error: ErrorBody | TransportError): PeerEffect[] {
    this.#state = 'closed';
    return [{ do: 'close', error }];
  }
}

const send = (message: PlainMessage | WholeMessage): PeerEffect => ({ do: 'send', message });

const asBroadcast = ({ id, ...change }: SongRow): BroadcastRow => ({ kind: 'song', id, change });

/** TSP §3.3: a host greets, too, and has none of what a tracker says of itself. */
const isOfHost = ({ tracker, listed, maxSongs }: Welcome): boolean =>
  tracker === undefined && listed === undefined && maxSongs === undefined;

const silent = (ms: number): TransportError => new TransportError(`was silent for ${ms} ms`);

const unexpected = (type: MessageName, state: PeerState): RemoteProtocolError =>
  new RemoteProtocolError('bad-message', `${type} while ${state}`);

function typeOf(open: Open): number {
  switch (open.kind) {
    case 'songs':
    case 'update':
      return MESSAGE_TYPE.UPDATE;
    case 'list':
      return MESSAGE_TYPE.LIST;
    case 'ping':
      return MESSAGE_TYPE.PING;
    case 'question':
      return MESSAGE_TYPE[open.question.type];
  }
}
