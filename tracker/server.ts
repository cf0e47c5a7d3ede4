/**
 * The tracker's sockets: accepts, turns away, and keeps its connections until they end.
 *
 *     listen ─▶ Doorkeeper ─▶ Connection …        turned away: ERROR too-many, half-close, a second to read it
 *
 * Every socket has an error listener from birth, so a reset at any moment ends only itself.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { addressKey, canonicalIp } from '../protocol/ip.js';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import { encode } from '../protocol/tsp/codec.js';
import { DRAIN_MS, NO_SONG } from '../protocol/tsp/constants.js';
import { Doorkeeper, LISTEN_BACKLOG, MAX_TURNED_AWAY } from '../protocol/tsp/doorkeeper.js';
import type { ErrorBody } from '../protocol/tsp/messages.js';
import type { TrackerConfig } from './config.js';
import { Connection, type Services } from './connection.js';
import { MAX_OWN_BYTES, OwnBytes } from './outbox.js';

const TURNED_AWAY_SHARE = 0.1;
const FULL_RETRY_MS = 30_000;
/** How long answers and changes that are on their way may take when the tracker ends. */
const FINISH_MS = 10_000;

export interface ServerOptions {
  readonly config: Pick<TrackerConfig, 'host' | 'port' | 'maxPeers' | 'maxConnections' | 'maxPerAddress'>;
  readonly services: Omit<Services, 'greeted' | 'closed' | 'refusal' | 'ownBytes' | 'ownBytesGrew'>;
  /** Default: TCP. */
  readonly createServer?: typeof createServer | undefined;
}

export class TrackerServer {
  readonly #config: ServerOptions['config'];
  readonly #services: Services;
  readonly #server: Server;
  readonly #doorkeeper: Doorkeeper<Connection>;
  readonly #connections = new Set<Connection>();
  readonly #registered = new Set<Connection>();
  readonly #turnedAway = new Set<Socket>();
  /** The last one has left. */
  #deserted: (() => void) | undefined;
  readonly #ownBytes = new OwnBytes();
  #refused = 0;

  constructor({ config, services, createServer: make = createServer }: ServerOptions) {
    this.#config = config;
    const turnedAway = Math.min(MAX_TURNED_AWAY, Math.floor(config.maxConnections * TURNED_AWAY_SHARE));
    this.#services = {
      ...services,
      ownBytes: this.#ownBytes,
      ownBytesGrew: () => this.#relieve(),
      greeted: connection => this.#doorkeeper.greeted(connection),
      closed: connection => this.#closed(connection),
      refusal: connection => this.#refusal(connection),
    };
    this.#doorkeeper = new Doorkeeper({
      maxConnections: config.maxConnections - turnedAway,
      maxPerAddress: config.maxPerAddress,
    });
    this.#server = make({ allowHalfOpen: true, noDelay: true }, socket => this.#accept(socket));
    if (Number.isFinite(config.maxConnections)) this.#server.maxConnections = config.maxConnections;
  }

  /** Rejects with Node's error when it can't listen there. */
  async start(): Promise<ListeningAt> {
    const { host, port } = this.#config;
    this.#server.listen({ host, port, backlog: LISTEN_BACKLOG });
    await once(this.#server, 'listening');
    this.#server.on('error', error =>
      this.#services.logger.error({ err: error }, 'the server socket failed'),
    );
    return this.#server.address() as AddressInfo;
  }

  /** Resolves when every socket is closed: those at rest at once, the others when what they are sent is whole. */
  async stop(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    for (const socket of this.#turnedAway) socket.destroy();
    for (const connection of this.#connections) connection.finish();
    const disarm = this.#services.clock.after(FINISH_MS, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    await closed;
    if (this.#connections.size > 0) await new Promise<void>(resolve => (this.#deserted = resolve));
    disarm();
  }

  get counts(): { connections: number; registered: number; refused: number; ownBytes: number } {
    return {
      connections: this.#connections.size,
      registered: this.#registered.size,
      refused: this.#refused,
      ownBytes: this.#ownBytes.total,
    };
  }

  #accept(socket: Socket): void {
    socket.on('error', survive);
    this.#services.turns.newcomer();
    const { remoteAddress = '', remoteFamily } = socket;
    // Node writes IPv4 as we do, and each is counted by itself.
    const isIpv4 = remoteFamily === 'IPv4';
    const observed = isIpv4 ? remoteAddress : canonicalIp(remoteAddress);
    // Gone already.
    if (observed === '') {
      socket.destroy();
      return;
    }
    const key = isIpv4 ? observed : addressKey(observed);
    const refusal = this.#doorkeeper.refusal(key, this.#services.clock.now());
    if (refusal !== undefined) {
      this.#turnAway(socket, observed, refusal);
      return;
    }
    const connection = new Connection(socket, observed, key, this.#services);
    this.#connections.add(connection);
    this.#doorkeeper.entered(key, connection)?.destroy();
    connection.start();
  }

  #closed(connection: Connection): void {
    this.#doorkeeper.left(connection.key, connection);
    this.#registered.delete(connection);
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#deserted?.();
  }

  #turnAway(socket: Socket, remote: string, error: ErrorBody): void {
    this.#refused += 1;
    const { clock, logger } = this.#services;
    logger.debug({ remote, why: error.message }, 'turned away');
    if (this.#turnedAway.size === MAX_TURNED_AWAY) {
      socket.destroy();
      return;
    }
    this.#turnedAway.add(socket);
    const disarm = clock.after(DRAIN_MS, () => socket.destroy());
    socket.on('close', () => {
      disarm();
      this.#turnedAway.delete(socket);
    });
    socket.resume();
    socket.end(encode({ type: 'ERROR', song: NO_SONG, error }));
  }

  /** A new registration, if there is room for a peer more. */
  #refusal(connection: Connection): ErrorBody | undefined {
    const { maxPeers } = this.#config;
    if (!this.#registered.has(connection) && this.#registered.size >= maxPeers)
      return {
        code: 'too-many',
        message: `this tracker has its ${maxPeers} peers`,
        retryAfterMs: FULL_RETRY_MS,
      };
    this.#registered.add(connection);
    return undefined;
  }

  /** When all together hold too much, whoever holds most is dropped. */
  #relieve(): void {
    if (this.#ownBytes.total <= MAX_OWN_BYTES) return;
    let largest: Connection | undefined;
    for (const connection of this.#connections)
      if (largest === undefined || connection.ownBytes > largest.ownBytes) largest = connection;
    this.#services.logger.warn(
      { remote: largest?.remote, bytes: largest?.ownBytes },
      'too much unsent: dropped',
    );
    largest?.destroy();
  }
}

/** What went wrong shows in 'close'. */
function survive(): void {}
