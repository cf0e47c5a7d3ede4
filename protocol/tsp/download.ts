/**
 * The asking end of a connection to a host (or, for a light client, to a tracker): what was asked, in order, and what
 * may therefore come (TSP §3, §5.3).
 *
 *     ask(HASHES) ask(RANGE) ask(RANGE) ─▶ [ HASHES │ RANGE │ RANGE ] ◀─ answers, strictly in this order
 *
 * The rule: only the announced length tells a finished answer, and bytes that nobody asked for are `bad-message`. It opens
 * nothing and knows no time but what it is told; the shell writes the requests, feeds it the framer's events, and wakes it
 * at `nextDeadline()`.
 */
import { ByteCollector } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError, TransportError } from '../errors.js';
import type { Milliseconds } from '../ports.js';
import {
  MAX_PIPELINED_REQUESTS,
  MAX_RUN_BYTES,
  MAX_SONG_DATA_BYTES,
  MESSAGE_TYPE,
  type MessageName,
  NO_SONG,
} from './constants.js';
import type { FrameEvent } from './framing.js';
import type { JsonObject } from './json.js';
import type { ErrorBody, PlainMessage, Request, StreamHeader, Welcome, WholeMessage } from './messages.js';
import { roomForRows } from './row-room.js';
import type { RowReader } from './rows.js';

/** What a listener or a light client asks. The object itself names the question when its answer comes. */
export type Question = Extract<
  Request,
  { type: 'LIST' | 'INFO' | 'FIND' | 'PLAY' | 'RANGE' | 'HASHES' | 'PING' | 'HELLO' }
>;

export type DownloadEvent =
  /** The answer's header: `length` bytes follow. */
  | { readonly kind: 'begun'; readonly question: Question; readonly header: StreamHeader }
  /** MP3 bytes, as they came; shares the memory of the chunk that the framer was given. */
  | { readonly kind: 'data'; readonly question: Question; readonly bytes: Uint8Array }
  | { readonly kind: 'rows'; readonly question: Question; readonly rows: readonly JsonObject[] }
  /** The answer is whole. `nodes` are those of a HASH_LIST, not yet proven. */
  | {
      readonly kind: 'answered';
      readonly question: Question;
      readonly nodes?: Uint8Array;
      readonly welcome?: Welcome;
    }
  | { readonly kind: 'refused'; readonly question: Question; readonly error: ErrorBody }
  /** An ERROR that answers nothing: the other side is about to close. */
  | { readonly kind: 'warned'; readonly error: ErrorBody }
  | { readonly kind: 'send'; readonly message: PlainMessage | WholeMessage };

type Step = 'answer' | 'run' | 'news' | 'answer the PING' | 'refusal' | 'warning';

/** What comes unasked, between answers. */
const UNASKED = { PING: 'answer the PING', ERROR: 'warning' } as const;
const ASKED = { PING: 'answer the PING', ERROR: 'refusal' } as const;

/**
 * State × message (TSP §3): the state is the oldest question without an answer. What is not in a row is `bad-message`.
 * An ERROR without `type` is a warning in every state.
 */
export const DOWNLOAD_TABLE: Readonly<
  Record<'idle' | Question['type'] | 'live PLAY', Readonly<Partial<Record<MessageName, Step>>>>
> = {
  idle: UNASKED,
  LIST: { ...ASKED, LIST_INFO: 'answer' },
  INFO: { ...ASKED, SONG_INFO: 'answer' },
  FIND: { ...ASKED, SONG_INFO: 'answer' },
  // A tracker has no bytes: it says which hosts have them (TSP §5.4).
  PLAY: { ...ASKED, SONG_DATA: 'answer', SONG_INFO: 'answer' },
  // One run after the other, until one is empty (TSP §5.5).
  'live PLAY': { ...ASKED, SONG_DATA: 'run', SONG_INFO: 'news' },
  RANGE: { ...ASKED, SONG_DATA: 'answer', SONG_INFO: 'answer' },
  HASHES: { ...ASKED, HASH_LIST: 'answer' },
  PING: { ...ASKED, PONG: 'answer' },
  // A host greets back; what a tracker makes of a HELLO is a registration, and that is none of a listener's questions.
  HELLO: { ...ASKED, WELCOME: 'answer' },
};

/** 32 bytes for each 64 KiB of a song of 4 GiB, which is as long as SONG_DATA can say. */
export const MAX_HASH_LIST_BYTES = 2 * 1024 * 1024;

interface Asked {
  readonly question: Question;
  readonly least: number;
  readonly live: boolean;
}

export class Download {
  readonly #patienceMs: number;
  readonly #asked: Asked[] = [];
  #rows: RowReader | undefined;
  #nodes: ByteCollector | undefined;
  /** Of a live feed: what is being read is not its end. */
  #goesOn = false;
  #quietSince: Milliseconds = 0;

  /** `patienceMs`: how long an owed answer may show no sign of life before `expire` gives the connection up. */
  constructor(options: { readonly patienceMs: number }) {
    this.#patienceMs = options.patienceMs;
  }

  /** Questions without a whole answer. */
  get owed(): number {
    return this.#asked.length;
  }

  /** How many more may be asked before the other side stops reading. */
  get room(): number {
    return MAX_PIPELINED_REQUESTS - this.#asked.length;
  }

  /**
   * Notes that `question` is being sent. `least`: a SONG_DATA that announces less is refused. `live`: it is a feed that is
   * to PLAY.
   */
  ask(question: Question, now: Milliseconds, { least = 0, live = false } = {}): void {
    if (this.room === 0) throw new LocalProtocolError(`${MAX_PIPELINED_REQUESTS} questions are open already`);
    if (this.#asked.length === 0) this.#quietSince = now;
    this.#asked.push({ question, least, live });
  }

  /** Throws RemoteProtocolError when the other side said what it may not say here. */
  receive(event: FrameEvent, now: Milliseconds): DownloadEvent[] {
    if (this.#isProgress(event)) this.#quietSince = now;
    switch (event.kind) {
      case 'message':
        return this.#message(event.message);
      case 'stream':
        return this.#begin(event.header);
      case 'data':
        return this.#data(event.bytes);
      case 'end':
        return this.#end();
      case 'unknown':
        return [{ kind: 'send', message: unknownType(event.type) }];
    }
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#asked.length === 0 ? undefined : this.#quietSince + this.#patienceMs;
  }

  expire(now: Milliseconds): TransportError | undefined {
    const deadline = this.nextDeadline();
    if (deadline === undefined || now < deadline) return undefined;
    return new TransportError(`sent nothing for ${this.#patienceMs} ms`);
  }

  /** To say PING for ever is no answer; but a feed may have nothing else to say for a while. */
  #isProgress(event: FrameEvent): boolean {
    if (event.kind !== 'message') return event.kind !== 'unknown';
    const { message } = event;
    if (message.type === 'ERROR') return message.error.type !== undefined;
    return message.type !== 'PING' || this.#asked[0]?.live === true;
  }

  #message(message: PlainMessage | WholeMessage): DownloadEvent[] {
    if (message.type === 'ERROR' && message.error.type === undefined)
      return [{ kind: 'warned', error: message.error }];
    const step = this.#step(message.type);
    if (message.type === 'PING') return [{ kind: 'send', message: { type: 'PONG', value: message.value } }];
    const question = this.#asked[0]?.question;
    if (question === undefined) throw new RemoteProtocolError('bad-message', 'an error of no request');
    if (message.type === 'ERROR' && step === 'refusal') {
      if (message.error.type !== MESSAGE_TYPE[question.type])
        throw new RemoteProtocolError('bad-message', `an error of another request, not of ${question.type}`);
      this.#asked.shift();
      return [{ kind: 'refused', question, error: message.error }];
    }
    if (message.type === 'PONG' && question.type === 'PING' && message.value !== question.value)
      throw new RemoteProtocolError('bad-message', `PONG ${message.value} to PING ${question.value}`);
    this.#asked.shift();
    if (message.type === 'WELCOME') return [{ kind: 'answered', question, welcome: message.welcome }];
    return [{ kind: 'answered', question }];
  }

  #begin(header: StreamHeader): DownloadEvent[] {
    this.#step(header.type);
    const { question, least, live } = this.#asked[0]!;
    if (header.type === 'SONG_DATA')
      checkSongData(header, question, live ? { least, most: MAX_RUN_BYTES } : { least });
    else if (header.type === 'HASH_LIST') this.#nodes = roomForNodes(header.length);
    else this.#rows = roomForRows(header, question);
    this.#goesOn = live && (header.type === 'SONG_INFO' || header.length > 0);
    return [{ kind: 'begun', question, header }];
  }

  #data(bytes: Uint8Array): DownloadEvent[] {
    const { question } = this.#asked[0]!;
    if (this.#nodes !== undefined) {
      this.#nodes.add(bytes);
      return [];
    }
    if (this.#rows === undefined) return [{ kind: 'data', question, bytes }];
    const rows = this.#rows.push(bytes);
    return rows.length === 0 ? [] : [{ kind: 'rows', question, rows }];
  }

  #end(): DownloadEvent[] {
    const { question } = this.#asked[0]!;
    const rows = this.#rows?.end() ?? [];
    const nodes = this.#nodes?.take();
    if (!this.#goesOn) this.#asked.shift();
    this.#rows = undefined;
    this.#nodes = undefined;
    if (nodes !== undefined) return [{ kind: 'answered', question, nodes }];
    const told: DownloadEvent[] = rows.length === 0 ? [] : [{ kind: 'rows', question, rows }];
    return this.#goesOn ? told : [...told, { kind: 'answered', question }];
  }

  #step(type: MessageName): Step {
    const [asked] = this.#asked;
    const state = asked === undefined ? 'idle' : asked.live ? 'live PLAY' : asked.question.type;
    const step = DOWNLOAD_TABLE[state][type];
    if (step === undefined) {
      const place = state === 'idle' ? 'that nobody asked for' : `in place of the answer to ${state}`;
      throw new RemoteProtocolError('bad-message', `${type} ${place}`);
    }
    return step;
  }
}

function checkSongData(
  header: Extract<StreamHeader, { type: 'SONG_DATA' }>,
  question: Question,
  { least, most = mostOf(question) }: { readonly least: number; readonly most?: number },
): void {
  const song = 'song' in question ? question.song : NO_SONG;
  // Asked by hash alone, a host may say which ID it knows for it.
  if (song !== NO_SONG && header.song !== song)
    throw new RemoteProtocolError('bad-message', `the data of song ${header.song}, not of ${song}`);
  if (header.length > most || header.length < least) {
    const asked = least === most ? `${most}` : `${least} to ${most}`;
    throw new RemoteProtocolError('bad-message', `${header.length} bytes announced, ${asked} asked for`);
  }
}

const mostOf = (question: Question): number =>
  question.type === 'RANGE' && question.count !== 0 ? question.count : MAX_SONG_DATA_BYTES;

function roomForNodes(length: number): ByteCollector {
  if (length > MAX_HASH_LIST_BYTES)
    throw new RemoteProtocolError('too-large', `a HASH_LIST of ${length} bytes`);
  return new ByteCollector(length);
}

const unknownType = (type: number): WholeMessage => ({
  type: 'ERROR',
  song: NO_SONG,
  error: { code: 'unknown-type', type },
});
