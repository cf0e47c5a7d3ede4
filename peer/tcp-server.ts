/**
 * A TCP server of the peer, whatever is spoken there: who may come in, whose time is up, how it ends.
 *
 *     accept ─▶ Doorkeeper ─▶ connection: start, expire four times a second ─▶ closed
 *                   └ turned away: `refuse`, or closed without a word
 *
 * Constructing starts nothing. `stop` lets connections finish, for a while, and resolves when every socket is closed.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type ServerOpts, type Socket } from 'node:net';
import { addressKey } from '../protocol/ip.js';
import type { Clock, Logger, Milliseconds } from '../protocol/ports.js';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import { Doorkeeper, type DoorkeeperOptions } from '../protocol/tsp/doorkeeper.js';
import type { ErrorBody } from '../protocol/tsp/messages.js';
import { listenSomewhere, type WhereToListen } from './listen-somewhere.js';

/** How often deadlines are looked at: they are of seconds, and a timer a connection would cost more. */
const SWEEP_MS = 250;

export interface ServedConnection {
  start(): void;
  /** The server stops: what is being said may end, nothing else begins. */
  finish(): void;
  destroy(): void;
  /** Absent: it has timers of its own. */
  expire?(now: Milliseconds): void;
}

export interface TcpServerOptions<C> extends DoorkeeperOptions {
  /** `song server`. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `greeted`: to be called when the other end has said its first header. */
  readonly connect: (socket: Socket, greeted: () => void) => C;
  /** Says why a newcomer can't come in, and closes. */
  readonly refuse?: (socket: Socket, why: ErrorBody) => void;
  /** After each look at the deadlines. */
  readonly swept?: (now: Milliseconds) => void;
  /** What is being said when the server stops has this long. */
  readonly finishMs: Milliseconds;
  readonly sockets?: Pick<ServerOpts, 'allowHalfOpen' | 'keepAlive'>;
  /** Default: TCP. */
  readonly createServer?: typeof createServer | undefined;
}

export class TcpServer<C extends ServedConnection> {
  readonly #options: TcpServerOptions<C>;
  readonly #doorkeeper: Doorkeeper<C>;
  readonly #connections = new Set<C>();
  #server: Server | undefined;
  #cancelSweep: (() => void) | undefined;

  constructor(options: TcpServerOptions<C>) {
    this.#options = options;
    this.#doorkeeper = new Doorkeeper(options);
  }

  get connections(): ReadonlySet<C> {
    return this.#connections;
  }

  /** Listens as `listenSomewhere` does. Rejects with TransportError, whose cause is Node's error. */
  async start(at: WhereToListen, usualPort: number): Promise<ListeningAt> {
    const { maxConnections, name, logger, sockets } = this.#options;
    const make = this.#options.createServer ?? createServer;
    const server = make({ noDelay: true, ...sockets }, socket => this.#accept(socket));
    if (Number.isFinite(maxConnections)) server.maxConnections = maxConnections;
    await listenSomewhere(server, at, usualPort);
    server.on('error', error => logger.error({ err: error }, `the ${name} cannot accept`));
    this.#server = server;
    return server.address() as AddressInfo;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const connection of this.#connections) connection.finish();
    const cancelFinish = this.#options.clock.after(this.#options.finishMs, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    await closed;
    cancelFinish();
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #accept(socket: Socket): void {
    // What went wrong shows in 'close' and in the writes that fail.
    socket.on('error', () => {});
    const address = socket.remoteAddress;
    if (address === undefined || this.#server === undefined) {
      socket.destroy();
      return;
    }
    const { clock, connect, refuse } = this.#options;
    const key = addressKey(address);
    const refusal = this.#doorkeeper.refusal(key, clock.now());
    if (refusal !== undefined) {
      if (refuse === undefined) socket.destroy();
      else refuse(socket, refusal);
      return;
    }
    const connection = connect(socket, () => this.#doorkeeper.greeted(connection));
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      this.#doorkeeper.left(key, connection);
    });
    connection.start();
    this.#doorkeeper.entered(key, connection)?.destroy();
    this.#cancelSweep ??= clock.after(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    const { clock, swept } = this.#options;
    const now = clock.now();
    for (const connection of this.#connections) connection.expire?.(now);
    swept?.(now);
    this.#cancelSweep = this.#connections.size === 0 ? undefined : clock.after(SWEEP_MS, () => this.#sweep());
  }
}
