/**
 * A peer's song server: accepts listeners and trackers that prove its address, within its limits (TSP §5.3).
 *
 *     accept ─▶ Doorkeeper ─▶ UploadConnection … ─▶ closed
 *                     └ turned away: ERROR too-many, half-close, a second to read it
 *
 * Constructing starts nothing. `stop` gives the songs that are being sent ten seconds, and resolves when every
 * connection and file is closed.
 */
import type { createServer, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import type { ListeningAt } from '../../protocol/tsp/addresses.js';
import { encode } from '../../protocol/tsp/codec.js';
import { DEFAULT_PEER_PORT, DRAIN_MS, NO_SONG } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import { MAX_TURNED_AWAY } from '../../protocol/tsp/doorkeeper.js';
import type { ErrorBody, Welcome } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { swarmFeature } from '../../protocol/tsp/swarm-feature.js';
import { Turns } from '../../protocol/turns.js';
import type { HostedSong } from '../library/catalogue.js';
import type { WhereToListen } from '../listen-somewhere.js';
import { TcpServer } from '../tcp-server.js';
import { Host } from './host.js';
import type { HostedSongs, LiveSongs, ProofEcho, SongIdTable } from './neighbours.js';
import { openPageArena, type PageArena } from './page-arena.js';
import { RateLimit } from './rate-limit.js';
import { readSendQueues, type SendQueues } from './send-queues.js';
import { UploadSlots } from './slots.js';
import { SongCache } from './song-cache.js';
import { type SongFiles, songFiles } from './song-files.js';
import { SongLists } from './song-lists.js';
import { UploadConnection, type UploadWorld } from './upload-connection.js';

/** How often the kernel is asked about slow listeners: twice within the shortest patience. */
const LOOK_UP_MS = 4_500;
/** How long songs that are being sent may take when the peer stops. */
const FINISH_MS = 10_000;

export interface SongServerOptions {
  readonly catalogue: HostedSongs;
  /** Default: nothing is on the air here. */
  readonly live?: LiveSongs | undefined;
  readonly songIds: SongIdTable;
  readonly proofs: ProofEcho;
  /** Connections that are sent songs at a time; Infinity: no limit. Likewise the next three. */
  readonly slots: number;
  readonly maxUploadBytesPerSecond: number;
  readonly maxPerAddress: number;
  /** In all: what the process's descriptors allow. */
  readonly maxConnections: number;
  /** Memory for songs, shared by all listeners. */
  readonly cacheBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace?: WireTrace | undefined;
  /** Told when a file was seen to differ from what was hashed. */
  readonly recheck: (hash: ContentHash) => void;
  /** Said in WELCOME. */
  readonly agent?: string | undefined;
  readonly name?: string | undefined;
  readonly files?: SongFiles;
  /** Default: TCP. */
  readonly createServer?: typeof createServer;
  /** Default: asks the kernel. */
  readonly sendQueues?: () => Promise<SendQueues>;
  /** Songs are copied on their way even where they need not be. */
  readonly copying?: boolean;
}

export interface SongServerStatus {
  readonly connections: number;
  /** Upload slots that are taken. */
  readonly uploads: number;
  /** Bytes of songs sent since the start. */
  readonly sentBytes: number;
  /** What all songs in memory take. */
  readonly cachedBytes: number;
}

/** What listeners over other protocols share with TSP's: those of swarms (TSP §5.6), and players of RTMP and Icecast. */
export interface SharedUploads {
  readonly slots: UploadSlots;
  readonly rate: RateLimit;
  /** Bytes of songs that were handed to the kernel. */
  sent(bytes: number): void;
  /** A piece of a song, from the memory that all share; rejects when the file is not what was hashed. */
  read(song: HostedSong, offset: number, length: number): Promise<Uint8Array>;
}

export class SongServer {
  readonly #options: SongServerOptions;
  readonly #slots: UploadSlots;
  readonly #rate: RateLimit;
  readonly #cache: SongCache;
  readonly #world: UploadWorld;
  readonly #server: TcpServer<UploadConnection>;
  readonly #refused = new Set<Socket>();
  #arena: PageArena | undefined;
  #lookedUpAt = Number.NEGATIVE_INFINITY;
  #sentBytes = 0;
  #welcome: Welcome;

  constructor(options: SongServerOptions) {
    const { catalogue, songIds, proofs, clock, logger, trace } = options;
    this.#options = options;
    this.#slots = new UploadSlots(options.slots);
    this.#rate = new RateLimit(options.maxUploadBytesPerSecond, clock);
    this.#welcome = welcomeOf(options);
    this.#cache = new SongCache({
      files: options.files ?? songFiles,
      budgetBytes: options.cacheBytes,
      clock,
      recheck: options.recheck,
    });
    const own = { songs: catalogue, live: options.live ?? OFF_THE_AIR };
    this.#world = {
      host: new Host(own, songIds),
      lists: new SongLists(own, songIds, clock),
      cache: this.#cache,
      arena: () => this.#arena,
      slots: this.#slots,
      turns: new Turns(clock, () => nextTurn()),
      rate: this.#rate,
      proofs,
      welcome: () => this.#welcome,
      clock,
      logger,
      trace,
      sent: bytes => {
        this.#sentBytes += bytes;
      },
    };
    this.#server = new TcpServer({
      ...options,
      name: 'song server',
      connect: (socket, greeted) => {
        this.#world.turns.newcomer();
        return new UploadConnection(socket, this.#world, greeted);
      },
      refuse: (socket, why) => this.#refuse(socket, why),
      swept: now => this.#watchSlow(now),
      finishMs: FINISH_MS,
      sockets: { allowHalfOpen: true },
    });
  }

  /**
   * Listens. Without `host`: on `::` with IPv4, or where there is no IPv6 on 0.0.0.0. Without `port`: on 7461, or if that
   * is taken on a free one. Rejects with TransportError, whose cause is Node's error.
   */
  async start(at: WhereToListen = {}): Promise<ListeningAt> {
    await this.#prepareMemory();
    const { address, port } = await this.#server.start(at, DEFAULT_PEER_PORT);
    if (at.port === undefined && port !== DEFAULT_PEER_PORT)
      this.#options.logger.info({ port }, `port ${DEFAULT_PEER_PORT} is taken, so another was chosen`);
    return { address, port };
  }

  get uploads(): SharedUploads {
    return {
      slots: this.#slots,
      rate: this.#rate,
      sent: this.#world.sent,
      read: (song, offset, length) => this.#read(song, offset, length),
    };
  }

  /** Listeners are told from now on that its songs can be had through swarms. */
  offersSwarms(swarmPort: number): void {
    this.#welcome = { ...this.#welcome, ...swarmFeature(swarmPort) };
  }

  async stop(): Promise<void> {
    const connections = [...this.#server.connections];
    const stopped = this.#server.stop();
    for (const socket of this.#refused) socket.destroy();
    await stopped;
    await Promise.all(connections.map(connection => connection.closed));
    await this.#cache.stop();
    this.#arena?.close();
    this.#arena = undefined;
  }

  status(): SongServerStatus {
    return {
      connections: this.#server.connections.size,
      uploads: this.#slots.used,
      sentBytes: this.#sentBytes,
      cachedBytes: this.#cache.status().heldBytes,
    };
  }

  async #read(song: HostedSong, offset: number, length: number): Promise<Uint8Array> {
    const reader = await this.#cache.open(song);
    try {
      const { bytes, release } = await reader.read(offset, length);
      // A copy: the memory is the cache's, and a swarm keeps its pieces for a while.
      const piece = Uint8Array.from(bytes);
      release();
      return piece;
    } finally {
      reader.close();
    }
  }

  async #prepareMemory(): Promise<void> {
    if (this.#options.copying) return;
    try {
      this.#arena = await openPageArena(this.#options.cacheBytes);
      this.#cache.useRoom(this.#arena);
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'songs are copied on their way to the kernel');
    }
  }

  #refuse(socket: Socket, error: ErrorBody): void {
    this.#world.turns.newcomer();
    if (this.#refused.size >= MAX_TURNED_AWAY) {
      socket.destroy();
      return;
    }
    this.#refused.add(socket);
    const cancel = this.#options.clock.after(DRAIN_MS, () => socket.destroy());
    socket.once('close', () => {
      cancel();
      this.#refused.delete(socket);
    });
    socket.resume();
    socket.end(encode({ type: 'ERROR', song: NO_SONG, error }));
  }

  #watchSlow(now: Milliseconds): void {
    if (now - this.#lookedUpAt < LOOK_UP_MS) return;
    const slow = [...this.#server.connections].filter(connection => connection.isSlow(now));
    if (slow.length === 0) return;
    this.#lookedUpAt = now;
    void this.#lookUp(slow);
  }

  async #lookUp(slow: readonly UploadConnection[]): Promise<void> {
    const queues = await (this.#options.sendQueues ?? readSendQueues)();
    for (const connection of slow) connection.lookedUp(queues);
  }
}

const OFF_THE_AIR: LiveSongs = { get: () => undefined, songs: () => [] };

function welcomeOf({ agent, name }: SongServerOptions): Welcome {
  return { tsp: 1, ...(agent === undefined ? {} : { agent }), ...(name === undefined ? {} : { name }) };
}
