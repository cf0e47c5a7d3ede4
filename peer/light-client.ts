/**
 * Asks a tracker and registers nowhere (TSP §1): one connection, opened by the first question, questions pipelined.
 *
 *     list() info(10) find('moon') ──▶ LIST INFO FIND ──▶ tracker ──▶ rows, in the order of the questions
 *
 * What the tracker may say when is `protocol/tsp/download.ts`'s; this is the socket around it. A failed connection
 * fails every open question; the next question opens a new one.
 */
import { connect, type Socket } from 'node:net';
import {
  type FatalCode,
  isFatal,
  RemoteProtocolError,
  RequestError,
  TransportError,
} from '../protocol/errors.js';
import type { Clock } from '../protocol/ports.js';
import { formatHostPort, type HostPort } from '../protocol/tsp/addresses.js';
import { encode } from '../protocol/tsp/codec.js';
import { describe } from '../protocol/tsp/describe.js';
import { Download, type DownloadEvent, type Question } from '../protocol/tsp/download.js';
import { Framer } from '../protocol/tsp/framing.js';
import type { ErrorBody, Message, SongId } from '../protocol/tsp/messages.js';
import { ReadingPace } from '../protocol/tsp/reading-pace.js';
import { parseSongRow, type SongRow } from '../protocol/tsp/rows.js';

/** A tracker that does not take a connection within this is not there. */
export const CONNECT_MS = 5_000;
/** A tracker that is asked and says nothing for this long is none. FIND takes it 2 ms, a list is cached. */
export const PATIENCE_MS = 10_000;

export interface LightClientOptions {
  readonly tracker: HostPort;
  readonly clock: Clock;
  /** Told each message, as one readable line. */
  readonly trace?: (line: string) => void;
}

export class LightClient {
  readonly #options: LightClientOptions;
  #connection: Connection | undefined;

  constructor(options: LightClientOptions) {
    this.#options = options;
  }

  /** `host:port` of the tracker, as given. */
  get tracker(): string {
    return formatHostPort(this.#options.tracker.host, this.#options.tracker.port);
  }

  /** The address at which the tracker was reached, to which hosts listed as `:7461` belong; once connected. */
  get trackerAddress(): string | undefined {
    return this.#connection?.remoteAddress;
  }

  /** The whole list. Rejects with TransportError, RemoteProtocolError or RequestError, as do the others. */
  list(): Promise<readonly SongRow[]> {
    return this.ask({ type: 'LIST' });
  }

  /** Everything known of a song, or of all (0). */
  info(song: SongId | 0): Promise<readonly SongRow[]> {
    return this.ask({ type: 'INFO', song });
  }

  /** Best match first, at most 50. */
  find(words: string): Promise<readonly SongRow[]> {
    return this.ask({ type: 'FIND', words });
  }

  ask(question: Extract<Question, { type: 'LIST' | 'INFO' | 'FIND' }>): Promise<readonly SongRow[]> {
    if (this.#connection === undefined || this.#connection.ended) {
      this.#connection = new Connection(this.#options, this.tracker);
    }
    return this.#connection.ask(question);
  }

  /** Open questions fail. */
  close(): void {
    this.#connection?.fail(new TransportError('the client was closed'));
  }
}

interface Waiting {
  readonly rows: SongRow[];
  readonly resolve: (rows: readonly SongRow[]) => void;
  readonly reject: (error: unknown) => void;
}

class Connection {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #socket: Socket;
  readonly #framer = new Framer();
  readonly #download = new Download({ patienceMs: PATIENCE_MS });
  #pace: ReadingPace | undefined;
  readonly #waiting = new Map<Question, Waiting>();
  #cancelTimer: () => void;
  #warning: ErrorBody | undefined;
  ended = false;
  remoteAddress: string | undefined;

  constructor({ tracker, clock, trace }: LightClientOptions, name: string) {
    this.#name = name;
    this.#clock = clock;
    this.#trace = trace;
    this.#socket = connect({ host: tracker.host, port: tracker.port, noDelay: true });
    this.#cancelTimer = clock.after(CONNECT_MS, () =>
      this.fail(new TransportError(`${name} did not take the connection within ${CONNECT_MS / 1_000} s`)),
    );
    this.#socket
      .on('connect', () => this.#connected())
      .on('data', chunk => this.#received(chunk))
      .on('end', () => this.fail(this.#endError()))
      .on('error', error => this.fail(connectError(name, error)))
      .on('close', () => this.fail(this.#endError()));
  }

  ask(question: Question): Promise<readonly SongRow[]> {
    return new Promise((resolve, reject) => {
      // The same question may be open twice: the object tells them apart, so each needs its own.
      const own = { ...question };
      this.#download.ask(own, this.#clock.now());
      this.#waiting.set(own, { rows: [], resolve, reject });
      this.#send(own);
      if (this.remoteAddress !== undefined) this.#arm();
    });
  }

  fail(error: Error): void {
    if (this.ended) return;
    this.ended = true;
    this.#cancelTimer();
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #connected(): void {
    this.remoteAddress = this.#socket.remoteAddress;
    this.#arm();
  }

  #send(message: Message): void {
    this.#trace?.(`${this.#name} < ${describe(message)}`);
    this.#socket.write(encode(message));
  }

  #received(chunk: Uint8Array): void {
    const now = this.#clock.now();
    this.#pace ??= new ReadingPace(now);
    try {
      this.#framer.push(chunk);
      for (let event = this.#framer.next(); event !== undefined; event = this.#framer.next()) {
        if (event.kind === 'message') this.#trace?.(`${this.#name} > ${describe(event.message)}`);
        if (event.kind === 'stream') this.#trace?.(`${this.#name} > ${describe(event.header)}`);
        for (const effect of this.#download.receive(event, now)) this.#perform(effect);
      }
      this.#pace.received(this.#framer, now);
      this.#arm();
    } catch (error) {
      this.fail(explainProtocol(this.#name, error));
    }
  }

  #perform(effect: DownloadEvent): void {
    if (effect.kind === 'send') this.#send(effect.message);
    else if (effect.kind === 'warned') this.#warning = effect.error;
    else this.#progress(effect, this.#waiting.get(effect.question)!);
  }

  #progress(effect: Exclude<DownloadEvent, { kind: 'send' | 'warned' }>, waiting: Waiting): void {
    if (effect.kind === 'rows') {
      for (const row of effect.rows) waiting.rows.push(parseSongRow(row));
    } else if (effect.kind === 'answered') {
      this.#waiting.delete(effect.question);
      waiting.resolve(waiting.rows);
    } else if (effect.kind === 'refused') {
      this.#waiting.delete(effect.question);
      waiting.reject(errorOf(effect.error, this.#name));
    }
  }

  #endError(): Error {
    if (this.#warning !== undefined) return errorOf(this.#warning, this.#name);
    return new TransportError(`${this.#name} closed the connection without an answer`);
  }

  /** Wakes at the next deadline of the answer that is owed, if one is. */
  #arm(): void {
    this.#cancelTimer();
    const now = this.#clock.now();
    const next = Math.min(
      this.#download.nextDeadline() ?? Number.POSITIVE_INFINITY,
      this.#pace?.nextDeadline() ?? Number.POSITIVE_INFINITY,
    );
    if (next === Number.POSITIVE_INFINITY || this.ended) return;
    this.#cancelTimer = this.#clock.after(next - now, () => {
      const late = this.#download.expire(this.#clock.now()) ?? this.#pace?.expired(this.#clock.now());
      if (late === undefined) this.#arm();
      else this.fail(new TransportError(`${this.#name} does not answer`, { cause: late }));
    });
  }
}

function errorOf({ code, message, retryAfterMs }: ErrorBody, name: string): Error {
  const text = message ?? code;
  if (isFatal(code)) return new TransportError(`${name} ended the connection: ${text}`);
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new RequestError(code as Exclude<ErrorBody['code'], FatalCode>, text, options);
}

function explainProtocol(name: string, error: unknown): Error {
  if (!(error instanceof RemoteProtocolError))
    return error instanceof Error ? error : new Error(String(error));
  return new RemoteProtocolError(
    error.code,
    `${name} does not speak TSP as it should: ${error.message}`,
    error.type,
  );
}

/** Node's error in words. */
export function connectError(name: string, error: NodeJS.ErrnoException): TransportError {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: `nobody listens on ${name}`,
    ENOTFOUND: `${name}: there is no such host`,
    EAI_AGAIN: `${name}: the name could not be looked up`,
    EHOSTUNREACH: `${name} cannot be reached from here`,
    ENETUNREACH: `${name} cannot be reached from here`,
    ETIMEDOUT: `${name} does not answer`,
    ECONNRESET: `${name} ended the connection`,
    EPIPE: `${name} ended the connection`,
  };
  return new TransportError(words[error.code ?? ''] ?? `${name}: ${error.message}`, { cause: error });
}
