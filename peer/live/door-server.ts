/**
 * What the doors have in common: a TCP server that lets connections in within its limits, and knows those that are open.
 *
 *     accept ─▶ Doorkeeper ─▶ connection … ─▶ closed            turned away: closed at once, without a word
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock, Logger } from '../../protocol/ports.js';
import { addressKey, formatHostPort } from '../../protocol/tsp/addresses.js';
import { Doorkeeper } from '../../protocol/tsp/doorkeeper.js';
import { listenError } from '../failures/listen-error.js';
import { listenSomewhere } from '../listen-somewhere.js';
import type { ListenAt } from './live-config.js';

export interface DoorOptions {
  readonly at: ListenAt;
  readonly maxConnections: number;
  readonly maxPerAddress: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface DoorConnection {
  /** The socket has an error listener already. */
  start(): void;
  destroy(): void;
}

/** `greeted`: to be called when the other side has said what it wants. */
type Welcome<Connection> = (socket: Socket, greeted: () => void) => Connection;

export class DoorServer<Connection extends DoorConnection> {
  readonly #options: DoorOptions;
  readonly #welcome: Welcome<Connection>;
  readonly #doorkeeper: Doorkeeper<Connection>;
  readonly #connections = new Set<Connection>();
  #server: Server | undefined;
  #port: number;

  constructor(options: DoorOptions, welcome: Welcome<Connection>) {
    this.#options = options;
    this.#welcome = welcome;
    this.#doorkeeper = new Doorkeeper(options);
    this.#port = options.at.port;
  }

  /** `allowHalfOpen`: who half-closes still wants to hear. Rejects with CommandError. */
  async start(allowHalfOpen: boolean): Promise<void> {
    const { at, maxConnections, logger } = this.#options;
    const server = createServer({ noDelay: true, keepAlive: true, allowHalfOpen }, socket =>
      this.#accept(socket),
    );
    if (Number.isFinite(maxConnections)) server.maxConnections = maxConnections;
    try {
      await listenSomewhere(server, at, at.port);
    } catch (error) {
      throw listenError(error, at.host ?? '::', at.port);
    }
    server.on('error', error => logger.error({ err: error }, 'nobody can be let in'));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  /** The one that was asked for, or the free one that was found. */
  get port(): number {
    return this.#port;
  }

  /** `host:port` as somebody would type it. */
  get address(): string {
    return formatHostPort(this.#options.at.host ?? 'localhost', this.#port);
  }

  /** Lets nobody in any more; `end` what is open. Resolves when every connection is closed. */
  async stop(end: (connection: Connection) => void): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const connection of this.#connections) end(connection);
    await closed;
  }

  #accept(socket: Socket): void {
    // What went wrong shows in 'close' and in the writes that fail.
    socket.on('error', () => {});
    const address = socket.remoteAddress;
    const key = addressKey(address ?? '');
    const isRefused = this.#doorkeeper.refusal(key, this.#options.clock.now()) !== undefined;
    if (address === undefined || this.#server === undefined || isRefused) {
      socket.destroy();
      return;
    }
    const connection: Connection = this.#welcome(socket, () => this.#doorkeeper.greeted(connection));
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      this.#doorkeeper.left(key, connection);
    });
    connection.start();
    this.#doorkeeper.entered(key, connection)?.destroy();
  }
}
