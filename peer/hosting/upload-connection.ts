/**
 * One listener's connection: bytes in, requests to the session, answers out in turn (TSP §5.3).
 *
 *     socket ─▶ Framer ─▶ UploadSession ─▶ effects ─▶ Answers ─▶ ListenerSocket ─▶ socket
 *                  └ not read on while 16 answers are owed       └ a turn ends when the kernel has its last byte
 *
 * Ends with a moment of listening on, so that no reset overtakes the last answer; or with a reset, when a song cannot
 * be sent on as promised.
 */
import type { Socket } from 'node:net';
import { RemoteProtocolError, RequestError } from '../../protocol/errors.js';
import { canonicalIp } from '../../protocol/ip.js';
import type { Milliseconds } from '../../protocol/ports.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import { DRAIN_BYTES, DRAIN_MS, MAX_REQUEST_BYTES } from '../../protocol/tsp/constants.js';
import { type FrameEvent, Framer } from '../../protocol/tsp/framing.js';
import { ReadingPace } from '../../protocol/tsp/reading-pace.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { type UploadEffect, UploadSession } from '../../protocol/tsp/upload.js';
import { Slice, type Turns } from '../../protocol/turns.js';
import { Answers, type AnswersWorld } from './answers.js';
import { ListenerSocket } from './listener-socket.js';
import type { ProofEcho } from './neighbours.js';
import type { SendQueues } from './send-queues.js';
import { BUSY_RETRY_MS, type Upload, type UploadSlots } from './slots.js';

/** What all connections of a server share. */
export interface UploadWorld extends AnswersWorld {
  readonly slots: UploadSlots;
  readonly turns: Turns;
  readonly proofs: ProofEcho;
}

export class UploadConnection {
  readonly remote: string;
  /** Resolves when the socket is closed and nothing is read for it any more. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #world: UploadWorld;
  readonly #heard: () => void;
  readonly #framer = new Framer({ maxPayloadBytes: MAX_REQUEST_BYTES });
  readonly #pace: ReadingPace;
  readonly #session: UploadSession;
  readonly #listener: ListenerSocket;
  readonly #slice: Slice;
  readonly #answers: Answers;
  /** What its slot is for. */
  #upload: Upload | undefined;
  #inputOver = false;
  /** The answer that is being made. */
  #turn: Promise<void> = Promise.resolve();
  /** Our side is closed; what still comes is discarded. */
  #lingering: { readonly until: Milliseconds; discarded: number } | undefined;

  /** `heard` is called when a request is whole. */
  constructor(socket: Socket, world: UploadWorld, heard: () => void) {
    const now = world.clock.now();
    this.remote = formatHostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    this.#socket = socket;
    this.#world = world;
    this.#heard = heard;
    this.#pace = new ReadingPace(now);
    this.#session = new UploadSession(now);
    this.#listener = new ListenerSocket(socket, world.clock, now => this.#session.progressed(now));
    this.#slice = new Slice(world.clock, world.turns);
    this.#answers = new Answers(world, this.#listener, this.remote, this.#slice, song =>
      this.#takeSlot(song),
    );
    this.closed = new Promise<void>(resolve => {
      socket.once('close', () => resolve());
    }).then(() => this.#turn);
  }

  /** Begins to read. The socket has an error listener already. */
  start(): void {
    this.#socket
      .on('data', chunk => this.#take(chunk))
      .on('end', () => {
        this.#inputOver = true;
        this.#read();
      })
      .once('close', () => {
        this.#answers.cancel();
        this.#perform(this.#session.lost());
      });
  }

  /** Answers what was asked, then closes. */
  finish(): void {
    this.#perform(this.#session.finish());
    this.#pauseOrResume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** To be called some times a second. */
  expire(now: Milliseconds): void {
    if (this.#lingering !== undefined) {
      if (now >= this.#lingering.until) this.#socket.destroy();
      return;
    }
    // Whatever keeps the listener waiting now, it is not the listener.
    if (!this.#listener.isWriting) this.#session.progressed(now);
    const tooSlow = this.#session.wantsInput ? this.#pace.expired(now) : undefined;
    this.#perform(
      tooSlow === undefined
        ? this.#session.expire(now, this.#world.slots.contended(now))
        : this.#session.fail(tooSlow, now),
    );
    this.#pauseOrResume();
  }

  /** Nothing is known of what the listener takes: `lookedUp` would help. */
  isSlow(now: Milliseconds): boolean {
    return this.#listener.isSlow(now);
  }

  lookedUp(queues: SendQueues): void {
    this.#listener.lookedUp(queues);
  }

  #take(chunk: Buffer): void {
    if (this.#lingering !== undefined) {
      this.#lingering.discarded += chunk.length;
      if (this.#lingering.discarded > DRAIN_BYTES) this.#socket.destroy();
      return;
    }
    this.#framer.push(chunk);
    if (!this.#session.busy) this.#slice.begin();
    this.#read();
  }

  /** Reads requests until one is not whole, or enough are waiting. */
  #read(): void {
    const { clock, logger } = this.#world;
    try {
      while (this.#session.wantsInput) {
        const event = this.#framer.next();
        if (event === undefined) break;
        this.#received(event);
        this.#perform(this.#session.receive(event, clock.now()));
      }
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      logger.info({ remote: this.remote, code: error.code }, error.message);
      this.#perform(this.#session.fail(error, clock.now()));
    }
    this.#pace.received(this.#framer, clock.now());
    // With fewer than 16 owed, the loop has read all that came.
    if (this.#inputOver && this.#session.wantsInput) this.#perform(this.#session.finish());
    this.#pauseOrResume();
  }

  #received(event: FrameEvent): void {
    this.#heard();
    this.#world.trace?.said(this.remote, event);
  }

  #pauseOrResume(): void {
    if (this.#session.wantsInput || this.#lingering !== undefined) this.#socket.resume();
    else this.#socket.pause();
  }

  #perform(effects: readonly UploadEffect[]): void {
    for (const effect of effects) {
      switch (effect.do) {
        case 'answer':
          this.#turn = this.#takeTurn(() => this.#answers.answer(effect.request));
          break;
        case 'send':
          this.#turn = this.#takeTurn(() => this.#answers.send(effect.message));
          break;
        case 'echo':
          this.#world.proofs.ping(effect.value);
          break;
        case 'release-slot':
          this.#world.slots.release(this.#upload);
          break;
        case 'end':
          this.#linger();
          break;
        case 'abort':
          if (effect.why === 'stopped') this.#socket.destroy();
          else this.#dropStalled();
          break;
      }
    }
  }

  async #takeTurn(answer: () => Promise<void>): Promise<void> {
    try {
      await answer();
    } catch (error) {
      if (!this.#listener.isGone) this.#break(error);
      return;
    }
    const others = this.#slice.over();
    if (others !== undefined) await others;
    this.#perform(this.#session.answered(this.#world.clock.now()));
    this.#read();
  }

  /** An answer was begun and cannot be ended. */
  #break(error: unknown): void {
    const fields = { remote: this.remote, err: error };
    if (error instanceof RequestError) this.#world.logger.warn(fields, 'a song changed while it was sent');
    else this.#world.logger.error(fields, 'an answer failed');
    this.#socket.resetAndDestroy();
  }

  /** The kernel would keep megabytes for it, and for minutes, if this were an end in good order. */
  #dropStalled(): void {
    this.#world.logger.info({ remote: this.remote }, 'a listener that takes nothing was dropped');
    this.#socket.resetAndDestroy();
  }

  #linger(): void {
    this.#lingering = { until: this.#world.clock.now() + DRAIN_MS, discarded: 0 };
    this.#socket.end();
  }

  #takeSlot(song: ContentHash): void {
    const { slots, clock } = this.#world;
    if (this.#upload?.song === song && this.#session.holdsSlot) return;
    const upload: Upload = { to: canonicalIp(this.#socket.remoteAddress ?? ''), song, way: 'connection' };
    if (this.#session.holdsSlot) {
      this.#upload = slots.turn(this.#upload!, upload);
      return;
    }
    if (!slots.take(clock.now(), upload))
      throw new RequestError('busy', slots.whyFull, { retryAfterMs: BUSY_RETRY_MS });
    this.#upload = upload;
    this.#session.slotTaken();
  }
}
