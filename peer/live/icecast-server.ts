/**
 * Where source clients of Icecast (butt, ices, liquidsoap, ffmpeg) publish, and players of Internet radio listen.
 *
 *     accept ─▶ Doorkeeper ─▶ IcecastConnection … ─▶ closed
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { addressKey, formatHostPort } from '../../protocol/tsp/addresses.js';
import { Doorkeeper } from '../../protocol/tsp/doorkeeper.js';
import { listenError } from '../failures/listen-error.js';
import { listenSomewhere } from '../listen-somewhere.js';
import { IcecastConnection, type IcecastWorld } from './icecast-connection.js';
import { DEFAULT_ICECAST_PORT, type ListenAt } from './live-config.js';
import type { LiveDoor } from './live-door.js';

export interface IcecastServerOptions extends IcecastWorld {
  readonly at: ListenAt;
  readonly maxConnections: number;
  readonly maxPerAddress: number;
}

export class IcecastServer implements LiveDoor {
  readonly #options: IcecastServerOptions;
  readonly #doorkeeper: Doorkeeper<IcecastConnection>;
  readonly #connections = new Set<IcecastConnection>();
  #server: Server | undefined;
  #port: number;

  constructor(options: IcecastServerOptions) {
    this.#options = options;
    this.#doorkeeper = new Doorkeeper(options);
    this.#port = options.at.port;
  }

  async start(): Promise<void> {
    const { at, maxConnections, logger } = this.#options;
    // Who asked for a feed and half-closes wants to hear it.
    const server = createServer({ noDelay: true, allowHalfOpen: true }, socket => this.#accept(socket));
    if (Number.isFinite(maxConnections)) server.maxConnections = maxConnections;
    try {
      await listenSomewhere(server, at, DEFAULT_ICECAST_PORT);
    } catch (error) {
      throw listenError(error, at.host ?? '::', at.port);
    }
    server.on('error', error => logger.error({ err: error }, 'the Icecast server cannot accept'));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  /** The one that was asked for, or the free one that was found. */
  get port(): number {
    return this.#port;
  }

  publishUrl(name: string, key: string): string {
    return `icecast://source:${key}@${this.#address}/${name}`;
  }

  listenUrl(name: string): string {
    return `http://${this.#address}/${name}`;
  }

  get #address(): string {
    return formatHostPort(this.#options.at.host ?? 'localhost', this.#port);
  }

  #accept(socket: Socket): void {
    // What went wrong shows in 'close' and in the writes that fail.
    socket.on('error', () => {});
    const key = addressKey(socket.remoteAddress ?? '');
    const { clock } = this.#options;
    if (
      socket.remoteAddress === undefined ||
      this.#server === undefined ||
      this.#doorkeeper.refusal(key, clock.now())
    ) {
      socket.destroy();
      return;
    }
    const connection = new IcecastConnection(socket, this.#options, () =>
      this.#doorkeeper.greeted(connection),
    );
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      this.#doorkeeper.left(key, connection);
    });
    connection.start();
    this.#doorkeeper.entered(key, connection)?.destroy();
  }
}
