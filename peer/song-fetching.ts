/**
 * What fetches songs for a peer, or for one command: the fetcher, the swarms that it may join, and who says which hosts are
 * near. Made together, ended together; neither waits for anything.
 */
import type { PeerConfig } from './config.js';
import { LazySwarms } from './lazy-swarms.js';
import type { SongCache } from './listening/disk-cache.js';
import { SongFetcher, type SongFetcherOptions } from './listening/fetch.js';
import { AltoRanking } from './swarm/alto-ranking.js';
import type { World } from './world.js';

export class SongFetching {
  readonly fetcher: SongFetcher;
  /** Absent with `--no-swarm`. */
  readonly swarms: LazySwarms | undefined;
  readonly #ranking: AltoRanking | undefined;

  constructor(
    config: PeerConfig,
    world: World,
    { cache, library }: { readonly cache: SongCache } & Pick<SongFetcherOptions, 'library'>,
  ) {
    const { clock, agent, randomUnit, trace } = world;
    const logger = world.logger.child({ room: 'listening' });
    const ranking = config.alto && new AltoRanking({ clock, logger, ...config.alto });
    const swarms = config.swarm ? new LazySwarms(config, world, ranking) : undefined;
    this.fetcher = new SongFetcher({
      clock,
      logger,
      randomUnit,
      trace,
      agent,
      swarms,
      ranking,
      cache,
      library,
    });
    this.swarms = swarms;
    this.#ranking = ranking;
  }

  /** Ends every stream and closes every connection; whoever is in a swarm with us is told. */
  async stop(): Promise<void> {
    this.#ranking?.stop();
    await this.fetcher.stop();
    await this.swarms?.stop();
  }
}
