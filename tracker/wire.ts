/**
 * One socket as messages: cut, paced, queued, traced, and closed in good order (TSP §2.2, §6).
 *
 *     socket ─▶ Framer, ReadingPace ─▶ user.receive        user ─▶ send ─▶ Outbox ─▶ socket        end ─▶ FIN, 1 s, closed
 *
 * It reads no faster than its user can answer: while the user is not `reading`, or 64 KiB of its own are unsent, the
 * socket is paused; and after a millisecond's work others have their turn. One timer wakes it at the next deadline of
 * pace, reader or user. What goes wrong in a callback is told to the user and ends this connection and no other.
 */
import type { Socket } from 'node:net';
import { RemoteProtocolError, TransportError } from '../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../protocol/ports.js';
import { encode } from '../protocol/tsp/codec.js';
import { DRAIN_BYTES, DRAIN_MS } from '../protocol/tsp/constants.js';
import type { WireTrace } from '../protocol/tsp/describe.js';
import { type FrameEvent, Framer } from '../protocol/tsp/framing.js';
import type { Message, PlainMessage, WholeMessage } from '../protocol/tsp/messages.js';
import { ReadingPace } from '../protocol/tsp/reading-pace.js';
import { SLICE_MS, type Turns } from '../protocol/turns.js';
import { Outbox, type OwnBytes } from './outbox.js';

/** Of its own unsent bytes; with more, a connection is not read. */
const MAX_UNSENT_BYTES = 64 * 1024;

/** Rows are handed on in pieces of which each is well within a slice. */
const PIECE_BYTES = 8 * 1024;

/** Whoever speaks through a wire. */
export interface WireUser {
  /** False: nothing can be taken now. */
  readonly reading: boolean;
  /** `address:port`, for people. */
  readonly remote: string;
  /** What may be held whole just now. */
  readonly maxPayloadBytes: number;
  receive(event: FrameEvent): void;
  /** The other side half-closed, and all that it said has been received. */
  inputEnded(): void;
  heard(now: Milliseconds): void;
  spoke(now: Milliseconds): void;
  nextDeadline(): Milliseconds | undefined;
  expire(now: Milliseconds): void;
  /** The first header is whole. */
  greeted(): void;
  /** All that was sent has been handed to the system. */
  written(): void;
  /** The other side broke the protocol. */
  failed(error: RemoteProtocolError): void;
  /** A bug of ours. */
  broken(error: unknown): void;
  closed(): void;
}

/** What all wires share. */
export interface WireWorld {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turns: Turns;
  readonly trace: WireTrace | undefined;
  readonly ownBytes: OwnBytes;
}

export class Wire {
  readonly #world: WireWorld;
  readonly #socket: Socket;
  readonly #user: WireUser;
  readonly #framer = new Framer({ maxPieceBytes: PIECE_BYTES });
  readonly #outbox: Outbox;
  #pace: ReadingPace;
  #isPumping = false;
  #isPaused = false;
  /** Has had its turn. */
  #isResting = false;
  /** Not begun anew when the socket drains, which it mostly does before anybody else has a turn. */
  #sliceEndsAt: Milliseconds = 0;
  #hasGreeted = false;
  #inputHasEnded = false;
  #ending: { until: Milliseconds; discarded: number } | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | undefined;

  constructor(socket: Socket, world: WireWorld, user: WireUser) {
    this.#world = world;
    this.#socket = socket;
    this.#user = user;
    this.#outbox = new Outbox(socket, world.ownBytes);
    this.#pace = new ReadingPace(this.#now);
  }

  /** Begins to read. */
  start(): void {
    const socket = this.#socket;
    socket.on('data', chunk => this.guard(() => this.#received(chunk)));
    socket.on('end', () => this.guard(() => this.#inputEnded()));
    socket.on('drain', () => this.guard(() => this.#drained()));
    socket.on('error', error =>
      this.#world.logger.debug({ remote: this.#user.remote, err: error }, 'connection failed'),
    );
    socket.on('close', () => this.#closed());
    this.#arm();
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  /** Unsent bytes that are held for this connection alone. */
  get ownBytes(): number {
    return this.#outbox.ownBytes;
  }

  /** Everything is written, and more may be said. */
  get isIdle(): boolean {
    return this.#outbox.isEmpty && this.#ending === undefined;
  }

  say(message: PlainMessage | WholeMessage): void {
    this.trace(message);
    this.send([encode(message)]);
  }

  /** Whole messages; `shared` bytes are everybody's. `written`: the last of them was handed to the socket. */
  send(
    bytes: readonly Uint8Array[],
    options: { readonly shared?: boolean; readonly written?: () => void } = {},
  ): void {
    this.#user.spoke(this.#now);
    this.#outbox.send(bytes, this.#now, options);
    this.#arm();
  }

  /** The last word has been said: half-close when it is written, discard what comes, and close (TSP §6). */
  end(): void {
    this.#ending ??= { until: Number.POSITIVE_INFINITY, discarded: 0 };
    this.#socket.resume();
    this.#finish();
  }

  /** At once, without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Does work of the user's that came from elsewhere, unless the last word is said, and reads on if there is room for it now. */
  later(work: () => void): void {
    if (this.#socket.destroyed || this.#ending !== undefined) return;
    this.guard(() => {
      work();
      this.#pump();
    });
  }

  /** Whatever goes wrong inside ends here. What is sent inside goes out together, in one write. */
  guard(work: () => void): void {
    this.#socket.cork();
    try {
      work();
    } catch (error) {
      if (error instanceof RemoteProtocolError) this.#user.failed(error);
      else if (error instanceof TransportError) this.#socket.destroy();
      else this.#user.broken(error);
    } finally {
      this.#socket.uncork();
    }
  }

  /** Shows what is sent. */
  trace(message: Message): void {
    this.#world.trace?.told(this.#user.remote, message);
  }

  #received(chunk: Buffer): void {
    if (this.#ending !== undefined) {
      this.#ending.discarded += chunk.length;
      if (this.#ending.discarded > DRAIN_BYTES) this.#socket.destroy();
      return;
    }
    this.#user.heard(this.#now);
    this.#framer.push(chunk);
    this.#beginSlice();
    this.#pump();
  }

  #rest(): void {
    this.#isResting = true;
    void this.#world.turns.pause().then(() =>
      this.later(() => {
        this.#isResting = false;
        this.#beginSlice();
      }),
    );
  }

  #beginSlice(): void {
    this.#sliceEndsAt = this.#now + SLICE_MS;
  }

  #inputEnded(): void {
    this.#inputHasEnded = true;
    this.#pump();
  }

  #drained(): void {
    this.#outbox.drained(this.#now);
    this.#finish();
    if (this.isIdle) this.#user.written();
    this.#pump();
  }

  /** Reads what has come, as far as it can be answered. */
  #pump(): void {
    if (this.#isPumping || this.#ending !== undefined) return;
    this.#isPumping = true;
    try {
      while (this.#mayRead) {
        this.#framer.maxPayloadBytes = this.#user.maxPayloadBytes;
        const event = this.#framer.next();
        if (event === undefined) break;
        this.#world.trace?.said(this.#user.remote, event);
        this.#user.receive(event);
        if (this.#framer.buffered > 0 && this.#now >= this.#sliceEndsAt) this.#rest();
      }
      this.#greet();
      this.#pace.received(this.#framer, this.#now);
      if (this.#inputHasEnded && this.#mayRead) {
        this.#framer.end();
        this.#user.inputEnded();
      }
    } finally {
      this.#isPumping = false;
    }
    this.#pauseOrResume();
    this.#arm();
  }

  get #mayRead(): boolean {
    return (
      this.#ending === undefined &&
      !this.#isResting &&
      this.#user.reading &&
      this.#outbox.ownBytes <= MAX_UNSENT_BYTES
    );
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
      this.#user.heard(this.#now);
      this.#socket.resume();
    }
  }

  #greet(): void {
    if (this.#hasGreeted || !this.#framer.hasGreeted) return;
    this.#hasGreeted = true;
    this.#user.greeted();
  }

  /** When the last word is written. */
  #finish(): void {
    if (this.#ending?.until !== Number.POSITIVE_INFINITY || !this.#outbox.isEmpty) return;
    this.#ending.until = this.#now + DRAIN_MS;
    this.#socket.end();
    this.#arm();
  }

  #closed(): void {
    this.#disarm?.();
    this.#outbox.clear();
    this.#user.closed();
  }

  /** Wakes this connection at its next deadline. A timer that is early enough stays. */
  #arm(): void {
    const at = this.#nextDeadline();
    if (this.#socket.destroyed || at >= this.#armedFor) return;
    this.#disarm?.();
    this.#armedFor = at;
    const { clock, turns } = this.#world;
    this.#disarm = clock.after(Math.max(0, at - this.#now), () => {
      // Thousands that came together, and said nothing, end together: in turns.
      turns.soon(() => this.#wake());
    });
  }

  #wake(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    if (this.#socket.destroyed) return;
    this.guard(() => this.#expire());
    this.#arm();
  }

  #nextDeadline(): Milliseconds {
    const stalled = this.#outbox.stalledAt ?? Number.POSITIVE_INFINITY;
    if (this.#ending !== undefined) return Math.min(stalled, this.#ending.until);
    const pace = this.#isPaused ? undefined : this.#pace.nextDeadline();
    return Math.min(
      stalled,
      pace ?? Number.POSITIVE_INFINITY,
      this.#user.nextDeadline() ?? Number.POSITIVE_INFINITY,
    );
  }

  #expire(): void {
    const now = this.#now;
    if (now >= (this.#outbox.stalledAt ?? Number.POSITIVE_INFINITY)) {
      this.#world.logger.info({ remote: this.#user.remote }, 'reader stalled');
      this.#socket.destroy();
    } else if (this.#ending !== undefined) {
      if (now >= this.#ending.until) this.#socket.destroy();
    } else {
      const late = this.#isPaused ? undefined : this.#pace.expired(now);
      if (late === undefined) this.#user.expire(now);
      else this.#user.failed(late);
    }
  }

  get #now(): Milliseconds {
    return this.#world.clock.now();
  }
}
