/**
 * Where broadcasting software publishes and RTMP players listen: rtmp://HOST/live/…, songs/… and auth/….
 *
 *     accept ─▶ Doorkeeper ─▶ RtmpConnection … ─▶ closed            turned away: closed at once, RTMP has no words yet
 *
 * Constructing starts nothing. `stop` tells publishers and players, and resolves when every connection is closed.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock, Logger, RandomBytes } from '../../protocol/ports.js';
import { AdobeAuth } from '../../protocol/rtmp/adobe-auth.js';
import { addressKey, formatHostPort } from '../../protocol/tsp/addresses.js';
import { Doorkeeper } from '../../protocol/tsp/doorkeeper.js';
import { listenError } from '../failures/listen-error.js';
import { listenSomewhere } from '../listen-somewhere.js';
import { DEFAULT_RTMP_PORT } from './live-config.js';
import type { LiveDoor } from './live-door.js';
import type { LiveFeeds } from './live-feeds.js';
import { RtmpConnection, type RtmpWorld } from './rtmp-connection.js';
import type { FindSong } from './rtmp-song-player.js';

/** How often deadlines are looked at: they are of seconds. */
const SWEEP_MS = 250;
/** What was being sent when the peer stops has this long. */
const FINISH_MS = 1_000;

export interface RtmpServerOptions {
  readonly feeds: LiveFeeds;
  readonly findSong: FindSong;
  /** Without a host everywhere; port 0 takes a free one. */
  readonly at: { readonly host?: string; readonly port: number };
  readonly maxConnections: number;
  readonly maxPerAddress: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
}

export class RtmpServer implements LiveDoor {
  readonly #options: RtmpServerOptions;
  readonly #world: RtmpWorld;
  readonly #doorkeeper: Doorkeeper<RtmpConnection>;
  readonly #connections = new Set<RtmpConnection>();
  #server: Server | undefined;
  #port: number;
  #cancelSweep: (() => void) | undefined;

  constructor(options: RtmpServerOptions) {
    const { feeds, findSong, clock, logger, randomBytes } = options;
    this.#options = options;
    this.#port = options.at.port;
    this.#doorkeeper = new Doorkeeper(options);
    const auth = new AdobeAuth(user => feeds.secretOf(user), randomBytes);
    this.#world = { feeds, findSong, auth, clock, logger, randomBytes };
  }

  /** Rejects with CommandError. */
  async start(): Promise<void> {
    const { at, maxConnections, logger } = this.#options;
    const server = createServer({ noDelay: true, keepAlive: true }, socket => this.#accept(socket));
    if (Number.isFinite(maxConnections)) server.maxConnections = maxConnections;
    try {
      await listenSomewhere(server, at, DEFAULT_RTMP_PORT);
    } catch (error) {
      throw listenError(error, at.host ?? '::', at.port);
    }
    server.on('error', error => logger.error({ err: error }, 'the RTMP server cannot accept'));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const connection of this.#connections) connection.finish();
    const cancelFinish = this.#options.clock.after(FINISH_MS, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    await closed;
    cancelFinish();
    this.#cancelSweep?.();
  }

  /** Publishers, players, and those who have not said what they are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** The one that was asked for, or the free one that was found. */
  get port(): number {
    return this.#port;
  }

  publishUrl(_name: string, key: string): string {
    return `${this.#base}/live/${key}`;
  }

  listenUrl(name: string): string {
    return `${this.#base}/live/${name}`;
  }

  get #base(): string {
    const host = this.#options.at.host ?? 'localhost';
    const isUsual = this.#port === DEFAULT_RTMP_PORT;
    const address = formatHostPort(host, this.#port);
    return `rtmp://${isUsual ? address.replace(/:\d+$/, '') : address}`;
  }

  #accept(socket: Socket): void {
    // What went wrong shows in 'close' and in the writes that fail.
    socket.on('error', () => {});
    const address = socket.remoteAddress;
    const { clock } = this.#options;
    const key = addressKey(address ?? '');
    if (address === undefined || this.#server === undefined || this.#doorkeeper.refusal(key, clock.now())) {
      socket.destroy();
      return;
    }
    const connection = new RtmpConnection(socket, this.#world, () => this.#doorkeeper.greeted(connection));
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
    const { clock } = this.#options;
    const now = clock.now();
    for (const connection of this.#connections) connection.expire(now);
    this.#cancelSweep = this.#connections.size === 0 ? undefined : clock.after(SWEEP_MS, () => this.#sweep());
  }
}
