/**
 * One connection at the tracker: its session between a wire and all that a tracker does (TSP §3, §5.1).
 *
 *     Wire ─▶ TrackerSession ─▶ effects ─┬▶ Wire
 *                    ▲                   └▶ Answers · Registrar · Prover · FanOut ─┐
 *                    └─────────────── answered, enlisted, proved … ───────────────┘
 */
import type { Socket } from 'node:net';
import { isFatal, RemoteProtocolError, RequestError } from '../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../protocol/ports.js';
import { formatHostPort } from '../protocol/tsp/addresses.js';
import { encode } from '../protocol/tsp/codec.js';
import { NO_SONG } from '../protocol/tsp/constants.js';
import type { WireTrace } from '../protocol/tsp/describe.js';
import type { FrameEvent } from '../protocol/tsp/framing.js';
import type {
  ErrorBody,
  Hello,
  PlainMessage,
  StreamHeader,
  Welcome,
  WholeMessage,
} from '../protocol/tsp/messages.js';
import type { Claim, TrackerEffect } from '../protocol/tsp/tracker-effects.js';
import { TrackerSession } from '../protocol/tsp/tracker-session.js';
import type { Turns } from '../protocol/turns.js';
import type { Answer, Answers } from './answers.js';
import type { FanOut, Reader } from './fan-out.js';
import { Member } from './member.js';
import type { OwnBytes } from './outbox.js';
import type { Attempt, Prover } from './proof.js';
import type { Registrar } from './registrar.js';
import { Wire, type WireUser } from './wire.js';

/** What every connection works with. */
export interface Services {
  readonly answers: Answers;
  readonly registrar: Registrar;
  readonly prover: Prover;
  readonly fanOut: FanOut;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turns: Turns;
  readonly trace: WireTrace | undefined;
  readonly ownBytes: OwnBytes;
  /** Bytes of its own were queued: maybe too many, over all. */
  ownBytesGrew(connection: Connection): void;
  /** `tracker`, `agent` and the like; and the revision at this moment. */
  welcome(): { readonly revision: number; readonly welcome: Welcome };
  /** The first header of a connection is whole. */
  greeted(connection: Connection): void;
  closed(connection: Connection): void;
  /** Undefined: the registration may go on. */
  refusal(connection: Connection): ErrorBody | undefined;
}

export class Connection implements Reader, WireUser {
  revision: number | undefined;
  /** The other side's IP address. */
  readonly observed: string;
  /** Who it counts as in limits per address. */
  readonly key: string;
  readonly #services: Services;
  readonly #session: TrackerSession;
  readonly #wire: Wire;
  /** None before it first says anything that is more than a question. */
  #member: Member | undefined;
  #attempt: Attempt | undefined;

  constructor(socket: Socket, observed: string, key: string, services: Services) {
    this.observed = observed;
    this.key = key;
    this.#services = services;
    this.#session = new TrackerSession(services.clock.now());
    this.#wire = new Wire(socket, services, this);
  }

  /** `address:port`, for people. */
  get remote(): string {
    return formatHostPort(this.observed, this.#wire.remotePort);
  }

  /** Begins to read. */
  start(): void {
    this.#wire.start();
  }

  get ownBytes(): number {
    return this.#wire.ownBytes;
  }

  /** At once, without a word. */
  destroy(): void {
    this.#wire.destroy();
  }

  /** When what it is being sent is whole; nothing more is taken from it. */
  finish(): void {
    if (this.#wire.isIdle) this.#wire.destroy();
    else this.#wire.end();
  }

  get isReady(): boolean {
    return this.#wire.isIdle;
  }

  deliver(headers: readonly StreamHeader[], bytes: readonly Uint8Array[]): void {
    for (const header of headers) this.#wire.trace(header);
    this.#wire.send(bytes, { shared: true });
  }

  get reading(): boolean {
    return this.#session.reading;
  }

  get maxPayloadBytes(): number {
    return this.#session.maxPayloadBytes;
  }

  receive(event: FrameEvent): void {
    this.#perform(this.#session.receive(event, this.#now));
  }

  inputEnded(): void {
    this.#perform(this.#session.inputEnded(this.#now));
  }

  heard(now: Milliseconds): void {
    this.#session.heard(now);
  }

  spoke(now: Milliseconds): void {
    this.#session.spoke(now);
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#session.nextDeadline();
  }

  expire(now: Milliseconds): void {
    this.#perform(this.#session.expire(now));
  }

  greeted(): void {
    this.#services.greeted(this);
  }

  written(): void {
    this.#services.fanOut.catchUp(this);
  }

  failed(error: RemoteProtocolError): void {
    this.#perform(this.#session.fail(error));
  }

  broken(error: unknown): void {
    this.#services.logger.error({ remote: this.remote, err: error }, 'internal error');
    this.#leave();
    this.#wire.say({ type: 'ERROR', song: NO_SONG, error: { code: 'internal' } });
    this.#wire.end();
  }

  closed(): void {
    this.#leave();
    this.#services.closed(this);
  }

  #perform(effects: readonly TrackerEffect[]): void {
    for (const effect of effects) this.#do(effect);
  }

  #do(effect: TrackerEffect): void {
    const { registrar, answers } = this.#services;
    const session = this.#session;
    switch (effect.do) {
      case 'send':
        this.#say(effect.message);
        break;
      case 'send-rows':
        this.#wire.trace(effect.header);
        this.#send([encode(effect.header), ...effect.rows]);
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
          () => registrar.offer(this.#asMember, effect.offers),
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
          () => registrar.enlist(this.#asMember, effect.claim, effect.addresses),
          enlisted => this.#perform(session.enlisted(enlisted, this.#now)),
        );
        break;
      case 'update':
        this.#settle(
          () => registrar.update(this.#asMember, effect.changes),
          updated => this.#perform(session.updated(updated, this.#now)),
        );
        break;
      case 'publish':
        registrar.publish(this.#asMember);
        break;
      case 'welcome':
        this.#welcome(effect.listed);
        break;
      case 'subscribe':
        this.#subscribe(effect.since);
        break;
      case 'unlist':
        registrar.unlist(this.#asMember);
        break;
      case 'leave':
        this.#leave();
        break;
      case 'end':
        this.#wire.end();
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
        value => this.#wire.later(() => then(value)),
        error => this.#wire.later(() => refuse(error)),
      );
    } else then(made);
  }

  #admit(): void {
    const refusal = this.#services.refusal(this);
    const session = this.#session;
    this.#perform(refusal === undefined ? session.admitted(this.#now) : session.refuse(refusal, this.#now));
  }

  #prove(attempt: number, claim: Claim): void {
    this.#attempt?.cancel();
    this.#attempt = this.#services.prover.prove(this.observed, claim, outcome =>
      this.#wire.later(() => this.#perform(this.#session.proved(attempt, outcome, this.#now))),
    );
  }

  #answer({ header, bytes, shared }: Answer): void {
    this.#wire.trace(header);
    this.#send(bytes, {
      shared,
      written: () => this.#perform(this.#session.answered(this.#now)),
    });
  }

  #welcome(listed: readonly string[]): void {
    const { revision, welcome } = this.#services.welcome();
    this.#say({ type: 'WELCOME', revision, welcome: { ...welcome, listed } });
    const songs = this.#member?.host?.songs.size;
    if (listed.length > 0) this.#services.logger.info({ remote: this.remote, listed, songs }, 'registered');
    else this.#services.logger.debug({ remote: this.remote }, 'registered as a listener');
  }

  #subscribe(since: Hello['since']): void {
    const isOurs = since?.tracker === this.#services.welcome().welcome.tracker;
    this.#services.fanOut.subscribe(this, isOurs ? since : undefined);
  }

  get #asMember(): Member {
    this.#member ??= new Member(this.observed, this.key, () => this.#perform(this.#session.fail(REPLACED)));
    return this.#member;
  }

  #leave(): void {
    this.#attempt?.cancel();
    this.#services.fanOut.unsubscribe(this);
    if (this.#member !== undefined) this.#services.registrar.leave(this.#member);
    this.#member = undefined;
  }

  #say(message: PlainMessage | WholeMessage): void {
    if (message.type === 'ERROR' && isFatal(message.error.code)) {
      const { code, message: why } = message.error;
      this.#services.logger.info({ remote: this.remote, code, why }, 'connection ended');
    }
    this.#wire.say(message);
  }

  #send(
    bytes: readonly Uint8Array[],
    options: { readonly shared?: boolean; readonly written?: () => void } = {},
  ): void {
    this.#wire.send(bytes, options);
    this.#services.ownBytesGrew(this);
  }

  get #now(): Milliseconds {
    return this.#services.clock.now();
  }
}

const REPLACED = new RemoteProtocolError(
  'replaced',
  'a newer registration has proven this address or instance',
);
