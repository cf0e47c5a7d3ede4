/**
 * A TSP connection that this peer opened, to a tracker or to a host: a socket, a framer and their deadlines.
 *
 *     send(message …) ──▶ socket ──▶ framer ──▶ owner.frame(event) … owner.closed(error), once
 *
 * The rule: whatever happens, `closed` comes exactly once, and nothing after it. What breaks the protocol, as framing
 * or as the owner (who throws RemoteProtocolError), is answered with ERROR before the connection closes (TSP §6).
 */
import { Socket } from 'node:net';
import { RemoteProtocolError, TransportError } from '../../protocol/errors.js';
import type { Clock } from '../../protocol/ports.js';
import { formatHostPort, type HostPort } from '../../protocol/tsp/addresses.js';
import { encode } from '../../protocol/tsp/codec.js';
import { DRAIN_BYTES, DRAIN_MS, NO_SONG } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import { type FrameEvent, Framer } from '../../protocol/tsp/framing.js';
import { breachBody } from '../../protocol/tsp/json.js';
import type { Message } from '../../protocol/tsp/messages.js';
import { ReadingPace } from '../../protocol/tsp/reading-pace.js';
import { DeadlineTimer } from '../deadline-timer.js';
import { breachOf, socketProblem } from './connect-error.js';

/** Who does not take a connection within this is not there; what a song waits for at the worst before the next host. */
export const DIAL_MS = 3_000;

/** What may wait to be taken while more is read: whoever makes us answer and does not listen is not heard for so long. */
const MAX_UNTAKEN_BYTES = 1024 * 1024;

export interface WireOwner {
  /** Requests may be sent before this; they wait for it. */
  opened(): void;
  frame(event: FrameEvent): void;
  /** Bytes came: called before the frames that they complete. */
  heard(): void;
  /**
   * Without an error the other side ended the connection between two messages. What the error says follows the name of the
   * other side, unless the owner closed it.
   */
  closed(error: Error | undefined): void;
}

/** A socket that is not connected yet. */
export type OpenSocket = () => Socket;

export interface WireOptions {
  readonly to: HostPort;
  /** Default: TCP. */
  readonly openSocket?: OpenSocket | undefined;
  readonly clock: Clock;
  readonly trace?: WireTrace | undefined;
}

export class WireConnection {
  readonly name: string;
  /** Resolves when the socket is closed, which is a moment after `closed` when something is still to be sent. */
  readonly over: Promise<void>;
  readonly #options: WireOptions;
  readonly #owner: WireOwner;
  readonly #socket: Socket;
  readonly #framer = new Framer();
  #pace: ReadingPace | undefined;
  #closed = false;
  #cancelDial: (() => void) | undefined;
  readonly #paceTimer: DeadlineTimer;
  #cancelYield: (() => void) | undefined;
  /** The other side ended it while there was still something to read. */
  #endedEarly = false;
  /** What came first, until a message came of it. */
  #opening: Buffer | undefined;
  #spokeTsp = false;

  constructor(options: WireOptions, owner: WireOwner) {
    const { to, openSocket = () => new Socket() } = options;
    this.name = formatHostPort(to.host, to.port);
    this.#options = options;
    this.#owner = owner;
    this.#socket = openSocket();
    this.#paceTimer = new DeadlineTimer(
      options.clock,
      () => (this.#closed ? undefined : this.#pace?.nextDeadline()),
      now => this.close(this.#pace?.expired(now)),
    );
    this.over = new Promise(resolve => {
      this.#socket.once('close', () => resolve());
    });
  }

  open(): void {
    const { to, clock } = this.#options;
    this.#cancelDial = clock.after(DIAL_MS, () =>
      this.close(new TransportError(`did not take the connection within ${DIAL_MS / 1_000} s`)),
    );
    this.#socket
      .on('connect', () => this.#connected())
      .on('data', chunk => this.#received(chunk))
      .on('end', () => this.#ended())
      .on('error', cause => this.close(new TransportError(socketProblem(cause), { cause })))
      .on('close', () => this.#ended())
      .connect({ host: to.host, port: to.port, noDelay: true });
  }

  /** The other side's IP address, once connected. */
  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  /** All in one write. Returns false when the other side is slower than we are; `drained` tells when it caught up. */
  send(...messages: readonly Message[]): boolean {
    for (const message of messages) this.#options.trace?.told(this.name, message);
    return this.write(messages.length === 1 ? encode(messages[0]!) : Buffer.concat(messages.map(encode)));
  }

  write(bytes: Uint8Array): boolean {
    return this.#closed || this.#socket.write(bytes);
  }

  /** Resolves when what was written has left, or the connection is over. */
  drained(): Promise<void> {
    if (this.#closed || !this.#socket.writableNeedDrain) return Promise.resolve();
    return new Promise(resolve => {
      const done = (): void => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.once('drain', done).once('close', done);
    });
  }

  /** Ends it. A RemoteProtocolError is told to the other side; otherwise what was sent before still arrives. */
  close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelDial?.();
    this.#paceTimer.cancel();
    this.#cancelYield?.();
    if (error instanceof RemoteProtocolError) this.#sayGoodbye(error);
    else if (error === undefined && !this.#socket.connecting) this.#leave();
    else this.#socket.destroy();
    this.#owner.closed(error instanceof RemoteProtocolError ? breachOf(error, this.#opening) : error);
  }

  #connected(): void {
    this.#cancelDial?.();
    if (!this.#closed) this.#owner.opened();
  }

  #received(chunk: Buffer): void {
    if (this.#closed) return;
    // The other side owes nothing before it is asked, so its first deadline begins with its first byte.
    this.#pace ??= new ReadingPace(this.#options.clock.now());
    if (!this.#spokeTsp) this.#opening ??= chunk;
    this.#owner.heard();
    this.#framer.push(chunk);
    if (this.#cancelYield === undefined) this.#readFrames(this.#pace);
    if (!this.#closed && this.#socket.writableLength > MAX_UNTAKEN_BYTES) {
      this.#socket.pause();
      void this.drained().then(() => this.#socket.resume());
    }
  }

  /**
   * After a whole answer others get their turn before the next one is read: the first piece of a song is on its way to
   * the ear while the pieces behind it, which came in the same chunk, are still being hashed.
   */
  #readFrames(pace: ReadingPace): void {
    try {
      for (let event = this.#framer.next(); event !== undefined; event = this.#framer.next()) {
        this.#options.trace?.said(this.name, event);
        if (!this.#spokeTsp && event.kind !== 'unknown') this.#begun();
        this.#owner.frame(event);
        if (this.#closed) return;
        if (event.kind === 'end' && this.#framer.buffered > 0) {
          this.#yield(pace);
          break;
        }
      }
    } catch (error) {
      this.close(error as Error);
      return;
    }
    pace.received(this.#framer, this.#options.clock.now());
    this.#paceTimer.arm();
  }

  #begun(): void {
    this.#spokeTsp = true;
    this.#opening = undefined;
  }

  #yield(pace: ReadingPace): void {
    const turn = setImmediate(() => {
      this.#cancelYield = undefined;
      this.#readFrames(pace);
      if (this.#endedEarly && this.#cancelYield === undefined) this.#ended();
    });
    this.#cancelYield = () => clearImmediate(turn);
  }

  #ended(): void {
    if (this.#closed) return;
    if (this.#cancelYield !== undefined) {
      this.#endedEarly = true;
      return;
    }
    try {
      this.#framer.end();
      this.close();
    } catch (cause) {
      this.close(new TransportError('ended the connection inside a message', { cause }));
    }
  }

  /** What was said last still leaves, unless the other side does not take it. */
  #leave(): void {
    const cancel = this.#options.clock.after(DRAIN_MS, () => this.#socket.destroy());
    this.#socket.once('close', cancel).end(() => this.#socket.destroy());
  }

  /** Half-closes and discards what still comes, so that the ERROR is not lost in a reset (TSP §6). */
  #sayGoodbye(error: RemoteProtocolError): void {
    const message: Message = { type: 'ERROR', song: NO_SONG, error: breachBody(error) };
    this.#options.trace?.told(this.name, message);
    this.#socket.end(encode(message));
    const cancel = this.#options.clock.after(DRAIN_MS, () => this.#socket.destroy());
    let discarded = 0;
    this.#socket
      .on('data', chunk => {
        discarded += chunk.length;
        if (discarded > DRAIN_BYTES) this.#socket.destroy();
      })
      .once('close', cancel);
  }
}
