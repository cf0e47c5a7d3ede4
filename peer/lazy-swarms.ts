/**
 * Swarms that are opened when they are first needed, so that sound waits neither for their socket nor for their code.
 *
 *     a song joins ─▶ open: any port                  a peer hosts ─▶ open: the port that WELCOME names, songs to give
 */
import type { Logger } from '../protocol/ports.js';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import type { PeerConfig } from './config.js';
import type { HostedSongs } from './hosting/neighbours.js';
import type { SongServer } from './hosting/song-server.js';
import type { SongSwarm, SongToJoin, SwarmAccess } from './listening/song-swarm.js';
import type { FeedSwarmPart, FeedSwarms, FeedToJoin } from './live/feed-swarm.js';
import type { SongSwarms, SongSwarmsOptions } from './song-swarms.js';
import type { PeerRanking } from './swarm/alto-ranking.js';
import type { World } from './world.js';

/** What a peer gives, and where its song server is. */
interface SwarmHosting {
  readonly server: Pick<SongServer, 'uploads' | 'offersSwarms'>;
  readonly songs: HostedSongs;
  readonly address: string;
  readonly port: number;
}

export class LazySwarms implements SwarmAccess, FeedSwarms {
  readonly #config: Pick<PeerConfig, 'swarmPort' | 'serve'>;
  readonly #world: SongSwarmsOptions['world'];
  readonly #logger: Logger;
  readonly #ranking: PeerRanking | undefined;
  #hosting: SwarmHosting | undefined;
  #opening: Promise<SongSwarms> | undefined;
  #swarms: SongSwarms | undefined;

  constructor(
    config: Pick<PeerConfig, 'swarmPort' | 'serve'>,
    world: Pick<World, 'clock' | 'logger' | 'randomBytes' | 'randomUnit'>,
    ranking?: PeerRanking,
  ) {
    this.#ranking = ranking;
    this.#config = config;
    this.#world = world;
    this.#logger = world.logger;
  }

  get port(): number | undefined {
    return this.#swarms?.port;
  }

  /** Where songs are given; undefined while none are. */
  get hostingPort(): number | undefined {
    return this.#hosting && this.port;
  }

  get sentBytes(): number {
    return this.#swarms?.sentBytes ?? 0;
  }

  async join(song: SongToJoin): Promise<SongSwarm> {
    return (await this.#opened()).join(song);
  }

  async joinFeed(options: FeedToJoin): Promise<FeedSwarmPart> {
    return (await this.#opened()).joinFeed(options);
  }

  /**
   * Gives songs, too, and has the song server say so. To be called before anything joins. A port that cannot be had is
   * logged: TSP goes on alone, and the next that joins tries again.
   */
  async host(server: SwarmHosting['server'], songs: HostedSongs, at: ListeningAt): Promise<void> {
    this.#hosting = { server, songs, ...at };
    try {
      await this.#opened();
    } catch (error) {
      this.#logger.warn({ err: error }, 'songs cannot be given through swarms');
    }
  }

  async stop(): Promise<void> {
    const swarms = await this.#opening?.catch(() => undefined);
    await swarms?.stop();
  }

  /** What could not be opened for want of a port or a descriptor may be another time. */
  #opened(): Promise<SongSwarms> {
    this.#opening ??= this.#open().catch(error => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<SongSwarms> {
    const { SongSwarms } = await import('./song-swarms.js');
    const { swarmPort, serve } = this.#config;
    const hosting = this.#hosting;
    const swarms = new SongSwarms({
      world: this.#world,
      serves: serve,
      ranking: this.#ranking,
      ...(hosting && { uploads: hosting.server.uploads, songs: hosting.songs }),
    });
    const start = (port: number) => swarms.start({ ...(hosting && { host: hosting.address }), port });
    const port = await start(swarmPort ?? hosting?.port ?? 0).catch(error => {
      // The same number over UDP is only a habit.
      if (swarmPort !== undefined || hosting === undefined) throw error;
      return start(0);
    });
    hosting?.server.offersSwarms(port);
    this.#swarms = swarms;
    return swarms;
  }
}
