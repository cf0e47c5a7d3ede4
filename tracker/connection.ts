/**
 * One connection at the tracker: bytes in, session, effects out, deadlines armed (TSP §2.2, §3, §6).
 *
 *     socket ─▶ Framer ─▶ TrackerSession ─▶ effects ─▶ Outbox ─▶ socket
 *                 ReadingPace · deadlines ┘     └─▶ Answers, Registrar, Prover, FanOut; their results come back here
 *
 * It reads no faster than it can answer: with 16 questions waiting, or 64 KiB of its own unsent, it stops reading. What
 * goes wrong in here ends this connection and no other.
 */
import type { Socket } from 'node:net';
import { isFatal, RemoteProtocolError, RequestError, TransportError } from '../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../protocol/ports.js';
import { formatHostPort } from '../protocol/tsp/addresses.js';
import { encode } from '../protocol/tsp/codec.js';
import { DRAIN_BYTES, DRAIN_MS, NO_SONG } from '../protocol/tsp/constants.js';
import { describe, nameOf } from '../protocol/tsp/describe.js';
import { type FrameEvent, Framer } from '../protocol/tsp/framing.js';
import type {
  ErrorBody,
  Hello,
  Message,
  PlainMessage,
  StreamHeader,
  Welcome,
  WholeMessage,
} from '../protocol/tsp/messages.js';
import { ReadingPace } from '../protocol/tsp/reading-pace.js';
import type { Claim, TrackerEffect } from '../protocol/tsp/tracker-effects.js';
import { TrackerSession } from '../protocol/tsp/tracker-session.js';
import type { Answer, Answers } from './answers.js';
import type { FanOut, Reader } from './fan-out.js';
import { Member } from './member.js';
import { Outbox, type OwnBytes } from './outbox.js';
import type { Attempt, Prover } from './proof.js';
import type { Registrar } from './registrar.js';

/** Of its own unsent bytes; with more, a connection is not read. */
const MAX_UNSENT_BYTES = 64 * 1024;

/** What every connection works with. */
export interface Services {
  readonly answers: Answers;
  readonly registrar: Registrar;
  readonly prover: Prover;
  readonly fanOut: FanOut;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace: ((line: string) => void) | undefined;
  readonly maxListBytes: number;
  readonly ownBytes: OwnBytes;
  /** Bytes of its own were queued: maybe too many, over all. */
  ownBytesGrew(connection: Connection): void;
  /** `tracker`, `agent` and the like; and the revision at this moment. */
  welcome(): { readonly revision: number; readonly welcome: Welcome };
  /** Undefined: the registration may go on. */
  refusal(connection: Connection): ErrorBody | undefined;
}

export interface ConnectionEvents {
  /** The first header is whole. */
  greeted(connection: Connection): void;
  closed(connection: Connection): void;
}

export class Connection implements Reader {
  next = 0;
  readonly #socket: Socket;
  readonly #observed: string;
  readonly #remote: string;
  readonly #services: Services;
  readonly #events: ConnectionEvents;
  readonly #framer = new Framer();
  #pace: ReadingPace;
  readonly #session: TrackerSession;
  readonly #outbox: Outbox;
  #member: Member;
  #attempt: Attempt | undefined;
  #isPumping = false;
  #hasGreeted = false;
  #inputEnded = false;
  #isPaused = false;
  #ending: { until: Milliseconds | undefined; discarded: number } | undefined;
  #isClosed = false;
  #armedFor: Milliseconds = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | undefined;

  /** `observed`: the other side's IP address. */
  constructor(socket: Socket, observed: string, services: Services, events: ConnectionEvents) {
    this.#socket = socket;
    this.#remote = formatHostPort(observed, socket.remotePort ?? 0);
    this.#services = services;
    this.#events = events;
    const now = services.clock.now();
    this.#pace = new ReadingPace(now);
    this.#session = new TrackerSession({ maxListBytes: services.maxListBytes }, now);
    this.#outbox = new Outbox(socket, services.ownBytes);
    this.#observed = observed;
    this.#member = this.#newMember();
  }

  /** Begins to read. */
  start(): void {
    const socket = this.#socket;
    socket.on('data', chunk => this.#guard(() => this.#received(chunk)));
    socket.on('end', () => this.#guard(() => this.#ended()));
    socket.on('drain', () => this.#guard(() => this.#drained()));
    socket.on('error', error =>
      this.#services.logger.debug({ remote: this.#remote, err: error }, 'connection failed'),
    );
    socket.on('close', () => this.#closed());
    this.#arm();
  }

  get remote(): string {
    return this.#remote;
  }

  get ownBytes(): number {
    return this.#outbox.ownBytes;
  }

  get isRegistered(): boolean {
    return this.#session.state !== 'light' && this.#session.state !== 'closed';
  }

  get isReady(): boolean {
    return this.#outbox.isEmpty && this.#ending === undefined;
  }

  deliver(headers: readonly StreamHeader[], bytes: readonly Uint8Array[]): void {
    for (const header of headers) this.#trace('→', header);
    this.#send(bytes, { shared: true });
  }

  /** At once, without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  #received(chunk: Buffer): void {
    if (this.#ending !== undefined) {
      this.#ending.discarded += chunk.length;
      if (this.#ending.discarded > DRAIN_BYTES) this.#socket.destroy();
      return;
    }
    this.#session.heard(this.#now);
    this.#framer.push(chunk);
    this.#pump();
  }

  #ended(): void {
    this.#inputEnded = true;
    if (this.#ending === undefined) this.#pump();
  }

  #drained(): void {
    this.#outbox.drained(this.#now);
    this.#afterWriting();
    this.#pump();
  }

  /** Reads what has come, as far as it can be answered. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#mayRead) {
        this.#framer.maxPayloadBytes = this.#session.maxPayloadBytes;
        const event = this.#framer.next();
        if (event === undefined) break;
        this.#traceEvent(event);
        this.#perform(this.#session.receive(event, this.#now));
      }
      if (this.#framer.messages > 0) this.#greeted();
      this.#pace.received(this.#framer, this.#now);
      if (this.#inputEnded && this.#mayRead) {
        this.#framer.end();
        this.#perform(this.#session.inputEnded(this.#now));
      }
    } finally {
      this.#isPumping = false;
    }
    this.#pauseOrResume();
    this.#arm();
  }

  #greeted(): void {
    if (this.#hasGreeted) return;
    this.#hasGreeted = true;
    this.#events.greeted(this);
  }

  get #mayRead(): boolean {
    return this.#ending === undefined && this.#session.reading && this.#outbox.ownBytes <= MAX_UNSENT_BYTES;
  }

  #pauseOrResume(): void {
    const pause = this.#ending === undefined && !this.#mayRead;
    if (pause === this.#isPaused) return;
    this.#isPaused = pause;
    if (pause) this.#socket.pause();
    else {
      // The time in which it was not read is not the sender's.
      this.#pace = new ReadingPace(this.#now);
      this.#pace.received(this.#framer, this.#now);
      this.#session.heard(this.#now);
      this.#socket.resume();
    }
  }

  #perform(effects: readonly TrackerEffect[]): void {
    for (const effect of effects) this.#do(effect);
  }

  #do(effect: TrackerEffect): void {
    const { registrar, answers } = this.#services;
    const member = this.#member;
    const session = this.#session;
    switch (effect.do) {
      case 'send':
        this.#say(effect.message);
        break;
      case 'send-rows':
        this.#trace('→', effect.header);
        this.#send([encode(effect.header), Buffer.concat(effect.rows)]);
        break;
      case 'answer':
        this.#settle(
          () => answers.answer(effect.request),
          answer => this.#answer(answer),
        );
        break;
      case 'admit':
        this.#admit();
        break;
      case 'offer':
        this.#settle(
          () => registrar.offer(member, effect.offers),
          () => undefined,
        );
        break;
      case 'prove':
        this.#prove(effect.attempt, effect.claim);
        break;
      case 'echo':
        this.#attempt?.echo(effect.value);
        break;
      case 'enlist':
        this.#settle(
          () => registrar.enlist(member, effect.claim, effect.addresses),
          enlisted => this.#perform(session.enlisted(enlisted, this.#now)),
        );
        break;
      case 'update':
        this.#settle(
          () => registrar.update(member, effect.changes),
          updated => this.#perform(session.updated(updated, this.#now)),
        );
        break;
      case 'publish':
        registrar.publish(member);
        break;
      case 'welcome':
        this.#welcome(effect.listed);
        break;
      case 'subscribe':
        this.#subscribe(effect.since);
        break;
      case 'unlist':
        registrar.unlist(member);
        break;
      case 'leave':
        this.#leave();
        break;
      case 'end':
        this.#end();
        break;
    }
  }

  /** `make`, now or later, then `then`; what it can't make is refused in its place (TSP §6). */
  #settle<T>(make: () => T | Promise<T>, then: (made: T) => void): void {
    const refuse = (error: unknown): void => {
      if (!(error instanceof RequestError)) throw error;
      const { code, message, retryAfterMs } = error;
      const body = { code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
      this.#perform(this.#session.refuse(body, this.#now));
    };
    let made: T | Promise<T>;
    try {
      made = make();
    } catch (error) {
      refuse(error);
      return;
    }
    if (made instanceof Promise) {
      made.then(
        value => this.#later(() => then(value)),
        error => this.#later(() => refuse(error)),
      );
    } else then(made);
  }

  /** Something that came back from elsewhere: then there may be room to read on. */
  #later(work: () => void): void {
    if (this.#isClosed) return;
    this.#guard(() => {
      work();
      this.#pump();
    });
  }

  #admit(): void {
    const refusal = this.#services.refusal(this);
    const session = this.#session;
    this.#perform(refusal === undefined ? session.admitted(this.#now) : session.refuse(refusal, this.#now));
  }

  #prove(attempt: number, claim: Claim): void {
    this.#attempt?.cancel();
    this.#attempt = this.#services.prover.prove(this.#member.observed, claim, outcome =>
      this.#later(() => this.#perform(this.#session.proved(attempt, outcome, this.#now))),
    );
  }

  #answer({ header, bytes, shared }: Answer): void {
    this.#trace('→', header);
    this.#send(bytes, {
      shared,
      written: () => this.#perform(this.#session.answered(this.#now)),
    });
  }

  #welcome(listed: readonly string[]): void {
    const { revision, welcome } = this.#services.welcome();
    this.#say({ type: 'WELCOME', revision, welcome: { ...welcome, listed } });
    const { host } = this.#member;
    if (listed.length > 0)
      this.#services.logger.info({ remote: this.#remote, listed, songs: host?.songs.size }, 'registered');
    else this.#services.logger.debug({ remote: this.#remote }, 'registered as a listener');
  }

  #subscribe(since: Hello['since']): void {
    const isOurs = since?.tracker === this.#services.welcome().welcome.tracker;
    this.#services.fanOut.subscribe(this, isOurs ? since : undefined);
  }

  #newMember(): Member {
    return new Member(this.#observed, () => this.#perform(this.#session.fail(REPLACED)));
  }

  #leave(): void {
    this.#attempt?.cancel();
    this.#services.fanOut.unsubscribe(this);
    this.#services.registrar.leave(this.#member);
    if (!this.#isClosed) this.#member = this.#newMember();
  }

  #say(message: PlainMessage | WholeMessage): void {
    this.#trace('→', message);
    if (message.type === 'ERROR' && isFatal(message.error.code)) {
      const { code, message: why } = message.error;
      this.#services.logger.info({ remote: this.#remote, code, why }, 'connection ended');
    }
    this.#send([encode(message)]);
  }

  #send(
    bytes: readonly Uint8Array[],
    options: { readonly shared?: boolean; readonly written?: () => void } = {},
  ): void {
    this.#session.spoke(this.#now);
    this.#outbox.send(bytes, this.#now, options);
    this.#services.ownBytesGrew(this);
  }

  /** The last word has been said: half-close when it is written, discard what comes, and close (TSP §6). */
  #end(): void {
    this.#ending ??= { until: undefined, discarded: 0 };
    this.#socket.resume();
    this.#afterWriting();
  }

  #afterWriting(): void {
    if (!this.#outbox.isEmpty) return;
    if (this.#ending === undefined) this.#services.fanOut.catchUp(this);
    else if (this.#ending.until === undefined) {
      this.#ending.until = this.#now + DRAIN_MS;
      this.#socket.end();
      this.#arm();
    }
  }

  #closed(): void {
    this.#isClosed = true;
    this.#disarm?.();
    this.#outbox.clear();
    this.#leave();
    this.#events.closed(this);
  }

  /** Wakes this connection at its next deadline. A timer that is early enough stays. */
  #arm(): void {
    const at = this.#nextDeadline();
    if (this.#socket.destroyed || at >= this.#armedFor) return;
    this.#disarm?.();
    this.#armedFor = at;
    this.#disarm = this.#services.clock.after(Math.max(0, at - this.#now), () => {
      this.#armedFor = Number.POSITIVE_INFINITY;
      this.#guard(() => this.#expire());
      this.#arm();
    });
  }

  #nextDeadline(): Milliseconds {
    const isReading = this.#ending === undefined;
    return Math.min(
      this.#outbox.stalledAt ?? Number.POSITIVE_INFINITY,
      this.#ending?.until ?? Number.POSITIVE_INFINITY,
      (isReading && !this.#isPaused ? this.#pace.nextDeadline() : undefined) ?? Number.POSITIVE_INFINITY,
      (isReading ? this.#session.nextDeadline() : undefined) ?? Number.POSITIVE_INFINITY,
    );
  }

  #expire(): void {
    const now = this.#now;
    if (now >= (this.#outbox.stalledAt ?? Number.POSITIVE_INFINITY)) {
      this.#services.logger.info({ remote: this.#remote }, 'reader stalled');
      this.#socket.destroy();
    } else if (now >= (this.#ending?.until ?? Number.POSITIVE_INFINITY)) this.#socket.destroy();
    else if (this.#ending === undefined) {
      const late = this.#isPaused ? undefined : this.#pace.expired(now);
      this.#perform(late === undefined ? this.#session.expire(now) : this.#session.fail(late));
    }
  }

  /** Whatever goes wrong inside ends here. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof RemoteProtocolError) this.#perform(this.#session.fail(error));
      else if (error instanceof TransportError) this.#socket.destroy();
      else this.#broken(error);
    }
  }

  /** A bug of ours. */
  #broken(error: unknown): void {
    this.#services.logger.error({ remote: this.#remote, err: error }, 'internal error');
    this.#leave();
    if (this.#ending !== undefined) return;
    this.#send([encode({ type: 'ERROR', song: NO_SONG, error: { code: 'internal' } })]);
    this.#end();
  }

  get #now(): Milliseconds {
    return this.#services.clock.now();
  }

  #traceEvent(event: FrameEvent): void {
    if (event.kind === 'message') this.#trace('←', event.message);
    else if (event.kind === 'stream') this.#trace('←', event.header);
    else if (event.kind === 'unknown') this.#services.trace?.(`${this.#remote} ← ${nameOf(event.type)}`);
  }

  #trace(arrow: '←' | '→', message: Message): void {
    this.#services.trace?.(`${this.#remote} ${arrow} ${describe(message)}`);
  }
}

const REPLACED = new RemoteProtocolError(
  'replaced',
  'a newer registration has proven this address or instance',
);
