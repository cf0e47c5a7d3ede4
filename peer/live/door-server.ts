/**
 * What the doors have in common: a server at the place that was asked for, which says where that is.
 */
import type { createServer, Socket } from 'node:net';
import type { Clock, Logger } from '../../protocol/ports.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import { bothIn, listenError } from '../failures/listen-error.js';
import { type ServedConnection, TcpServer } from '../tcp-server.js';
import type { ListenAt } from './live-config.js';

/** What was being said when the peer stops has this long. */
const FINISH_MS = 1_000;

export interface DoorOptions {
  readonly at: ListenAt;
  readonly maxConnections: number;
  readonly maxPerAddress: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: TCP. */
  readonly createServer?: typeof createServer;
}

/** What is spoken at a door. */
export interface DoorKind<Connection> {
  /** `RTMP server`. */
  readonly name: string;
  /** By which it was asked for: `--rtmp`. */
  readonly option: string;
  /** Who half-closes still wants to hear. */
  readonly allowHalfOpen: boolean;
  readonly connect: (socket: Socket, greeted: () => void) => Connection;
}

export class DoorServer<Connection extends ServedConnection> {
  readonly #at: ListenAt;
  readonly #option: string;
  readonly #server: TcpServer<Connection>;
  #port: number;

  constructor(
    { at, ...options }: DoorOptions,
    { name, option, allowHalfOpen, connect }: DoorKind<Connection>,
  ) {
    this.#at = at;
    this.#option = option;
    this.#port = at.port;
    const sockets = { keepAlive: true, allowHalfOpen };
    this.#server = new TcpServer({ ...options, name, connect, sockets, finishMs: FINISH_MS });
  }

  /** Rejects with CommandError. */
  async start(): Promise<void> {
    const { host, port } = this.#at;
    try {
      this.#port = (await this.#server.start(this.#at, port)).port;
    } catch (error) {
      throw listenError(error, host ?? '::', port, bothIn(this.#option, port));
    }
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  get connections(): number {
    return this.#server.connections.size;
  }

  /** The one that was asked for, or the free one that was found. */
  get port(): number {
    return this.#port;
  }

  /** `host:port` as somebody would type it. */
  get address(): string {
    return formatHostPort(this.#at.host ?? 'localhost', this.#port);
  }
}
