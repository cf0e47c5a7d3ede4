/**
 * Asks a tracker and registers nowhere (TSP §1): one connection, opened by the first question, questions pipelined:
 * as many as it holds (TSP §3), the others wait their turn.
 *
 *     list() info(10) find('moon') ──▶ LIST INFO FIND ──▶ tracker ──▶ rows, in the order of the questions
 *
 * What the tracker may say when is `protocol/tsp/download.ts`'s. A failed connection fails every open question; the
 * next question opens a new one.
 */
import {
  isFatal,
  LocalProtocolError,
  RemoteProtocolError,
  RequestError,
  TransportError,
} from '../../protocol/errors.js';
import type { Clock } from '../../protocol/ports.js';
import { formatHostPort, type HostPort } from '../../protocol/tsp/addresses.js';
import { encode } from '../../protocol/tsp/codec.js';
import { HEADER_BYTES, LENGTH_BYTES, MAX_REQUEST_BYTES } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import { Download, type DownloadEvent, type Question } from '../../protocol/tsp/download.js';
import type { FrameEvent } from '../../protocol/tsp/framing.js';
import type { ErrorBody, SongId } from '../../protocol/tsp/messages.js';
import { parseSongRow, type SongRow } from '../../protocol/tsp/rows.js';
import { DeadlineTimer } from '../deadline-timer.js';
import { WireConnection, type WireOwner } from '../wire/wire-connection.js';
import { resolveHost } from './song-list.js';

/** A tracker that is asked and says nothing for this long is none. FIND takes it 2 ms, a list is cached. */
const PATIENCE_MS = 10_000;

export interface LightClientOptions {
  readonly tracker: HostPort;
  readonly clock: Clock;
  readonly trace?: WireTrace | undefined;
}

export class LightClient {
  readonly #options: LightClientOptions;
  #inquiry: Inquiry | undefined;

  constructor(options: LightClientOptions) {
    this.#options = options;
  }

  /** `host:port` of the tracker, as given. */
  get tracker(): string {
    return formatHostPort(this.#options.tracker.host, this.#options.tracker.port);
  }

  /** The whole list. Rejects with TransportError, RemoteProtocolError or RequestError, as do the others. */
  list(): Promise<readonly SongRow[]> {
    return this.#ask({ type: 'LIST' });
  }

  /** Everything known of a song, or of all (0). */
  info(song: SongId | 0): Promise<readonly SongRow[]> {
    return this.#ask({ type: 'INFO', song });
  }

  /** Best match first, at most 50. */
  find(words: string): Promise<readonly SongRow[]> {
    return this.#ask({ type: 'FIND', words });
  }

  /** The row's hosts, ready to be dialled from here; `:7461` is at the address at which the tracker was reached. */
  hostsOf(row: Pick<SongRow, 'hosts'>): string[] {
    return row.hosts.flatMap(host => resolveHost(host, this.#inquiry?.trackerAddress) ?? []);
  }

  /** Open questions fail. */
  close(): void {
    this.#inquiry?.close();
  }

  async #ask(question: Asked): Promise<readonly SongRow[]> {
    checkSayable(question);
    if (this.#inquiry === undefined || this.#inquiry.isClosed) this.#inquiry = new Inquiry(this.#options);
    return await this.#inquiry.ask(question);
  }
}

type Asked = Extract<Question, { type: 'LIST' | 'INFO' | 'FIND' }>;

/** Once it waits its turn, others depend on it: what is not sent is not answered, and too much ends the connection. */
function checkSayable(question: Asked): void {
  const bytes = encode(question).length - HEADER_BYTES - LENGTH_BYTES;
  if (bytes > MAX_REQUEST_BYTES)
    throw new LocalProtocolError(`${bytes} bytes are more than the ${MAX_REQUEST_BYTES} of a question`);
}

interface Waiting {
  readonly rows: SongRow[];
  readonly resolve: (rows: readonly SongRow[]) => void;
  readonly reject: (error: unknown) => void;
}

/** One connection and the questions on it. */
class Inquiry implements WireOwner {
  readonly #clock: Clock;
  readonly #wire: WireConnection;
  readonly #download = new Download({ patienceMs: PATIENCE_MS });
  readonly #waiting = new Map<Question, Waiting>();
  /** Of those that wait: not sent yet. */
  readonly #unasked: Asked[] = [];
  #warning: ErrorBody | undefined;
  /** Gives up when an owed answer shows no sign of life. */
  readonly #timer: DeadlineTimer;
  isClosed = false;
  /** Kept after the end: rows that came over this connection still name hosts by it. */
  trackerAddress: string | undefined;

  constructor({ tracker, clock, trace }: LightClientOptions) {
    this.#clock = clock;
    this.#wire = new WireConnection({ to: tracker, clock, trace }, this);
    this.#timer = new DeadlineTimer(
      clock,
      () => (this.isClosed ? undefined : this.#download.nextDeadline()),
      now => this.#wire.close(new TransportError('does not answer', { cause: this.#download.expire(now) })),
    );
    this.#wire.open();
  }

  ask(question: Asked): Promise<readonly SongRow[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(question, { rows: [], resolve, reject });
      this.#unasked.push(question);
      this.#askOn();
    });
  }

  close(): void {
    const why = new TransportError('the client was closed');
    this.#fail(why);
    this.#wire.close(why);
  }

  opened(): void {
    this.trackerAddress = this.#wire.remoteAddress;
  }

  heard(): void {}

  frame(event: FrameEvent): void {
    for (const told of this.#download.receive(event, this.#clock.now())) this.#perform(told);
    this.#askOn();
  }

  closed(error: Error | undefined): void {
    this.isClosed = true;
    this.#timer.cancel();
    const { name } = this.#wire;
    this.#fail(this.#warning === undefined ? named(error, name) : errorOf(this.#warning, name));
  }

  #fail(why: Error): void {
    for (const { reject } of this.#waiting.values()) reject(why);
    this.#waiting.clear();
  }

  #askOn(): void {
    if (this.isClosed) return;
    for (const question of this.#unasked.splice(0, this.#download.room)) {
      this.#download.ask(question, this.#clock.now());
      this.#wire.send(question);
    }
    this.#timer.arm();
  }

  #perform(told: DownloadEvent): void {
    if (told.kind === 'send') this.#wire.send(told.message);
    else if (told.kind === 'warned') this.#warning = told.error;
    else this.#progress(told, this.#waiting.get(told.question)!);
  }

  #progress(told: Exclude<DownloadEvent, { kind: 'send' | 'warned' }>, waiting: Waiting): void {
    if (told.kind === 'rows') {
      for (const row of told.rows) waiting.rows.push(parseSongRow(row));
    } else if (told.kind === 'answered') {
      this.#waiting.delete(told.question);
      waiting.resolve(waiting.rows);
    } else if (told.kind === 'refused') {
      this.#waiting.delete(told.question);
      waiting.reject(errorOf(told.error, this.#wire.name));
    }
  }
}

function errorOf({ code, message, retryAfterMs }: ErrorBody, name: string): Error {
  const text = message ?? code;
  if (isFatal(code)) return new TransportError(`${name} ended the connection: ${text}`);
  return new RequestError(code, text, { retryAfterMs });
}

function named(error: Error | undefined, name: string): Error {
  const text = `${name} ${error?.message ?? 'ended the connection without an answer'}`;
  if (error instanceof RemoteProtocolError) return new RemoteProtocolError(error.code, text, error.type);
  const isBug = error !== undefined && !(error instanceof TransportError);
  return isBug ? error : new TransportError(text, { cause: error?.cause });
}
