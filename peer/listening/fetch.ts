/**
 * Fetches songs: from this machine's own disks where they are there, else from the hosts that have them.
 *
 *     open(song) ─▶ SongFetch ─▶ FetchLogic        shared by all: connections, the book of hosts, the disk cache
 *
 * The rule: opening never waits. What goes wrong is told by the stream's reader, and why, by its report.
 */
import { LocalProtocolError } from '../../protocol/errors.js';
import type { Clock, Logger, RandomUnit } from '../../protocol/ports.js';
import { SWARM_FEATURE } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import type { Hello } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { swarmFeature } from '../../protocol/tsp/swarm-feature.js';
import type { FeedSwarms } from '../live/feed-swarm.js';
import { type FeedToHear, LiveStream } from '../live/live-stream.js';
import type { PeerRanking } from '../swarm/alto-ranking.js';
import type { OpenSocket } from '../wire/wire-connection.js';
import { HostBook } from './choose-host.js';
import { HostConnections } from './connections.js';
import type { SongCache } from './disk-cache.js';
import type { LocalSongs } from './local-song.js';
import type { PieceHashes } from './pieces.js';
import { SongFetch, type SongFetchDeps } from './song-fetch.js';
import type { OpenOptions, SongStream, SongToFetch } from './song-stream.js';
import type { SwarmAccess } from './song-swarm.js';

export interface SongFetcherOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomUnit: RandomUnit;
  readonly trace?: WireTrace | undefined;
  readonly openSocket?: OpenSocket | undefined;
  /** Said in HELLO. */
  readonly agent?: string | undefined;
  /** Absent: songs come by TSP alone. */
  readonly swarms?: (SwarmAccess & FeedSwarms) | undefined;
  /** Which hosts are near, as far as somebody knows; nobody waits for it. */
  readonly ranking?: PeerRanking | undefined;
  /** Already started. */
  readonly cache?: SongCache | undefined;
  /** Own songs: nobody else is asked for them. `recheck` hears of a file that is not what it was. */
  readonly library?: (LocalSongs & { recheck?(hash: ContentHash): void }) | undefined;
}

/** Proven nodes of so many songs are kept, 2 KiB each for a song of 4 MB, so that a seek needs no HASHES. */
const MAX_KNOWN_SONGS = 256;
/** When a song has begun, so many of its other hosts get a connection, in case that the first one fails. */
const SPARE_HOSTS = 1;

interface Known {
  readonly hashes: PieceHashes;
  readonly size: number | undefined;
}

export class SongFetcher {
  readonly #options: SongFetcherOptions;
  readonly #book: HostBook;
  readonly #connections: HostConnections;
  readonly #known = new Map<ContentHash, Known>();
  readonly #open = new Set<SongFetch>();
  readonly #feeds = new Set<LiveStream>();
  #stopped = false;

  constructor(options: SongFetcherOptions) {
    const { clock, logger, trace, openSocket } = options;
    this.#options = options;
    this.#book = new HostBook(options.randomUnit, options.ranking);
    this.#connections = new HostConnections({ book: this.#book, clock, logger, trace, openSocket });
  }

  /** LocalProtocolError when the fetcher is stopped, or `fromByte` is no offset. */
  open(song: SongToFetch, options: OpenOptions = {}): SongStream {
    const { fromByte = 0, urgency = 'now' } = options;
    if (this.#stopped) throw new LocalProtocolError('the fetcher has been stopped');
    if (!Number.isSafeInteger(fromByte) || fromByte < 0)
      throw new LocalProtocolError(`${fromByte} is no offset in a song`);
    this.#book.considerCosts(song.hosts);
    const known = this.#known.get(song.hash);
    const kept = this.#options.cache?.partly(song.hash);
    const hashes = known?.hashes ?? kept?.hashes;
    const size = known?.size ?? song.size;
    const fetch: SongFetch = new SongFetch(
      {
        song: size === undefined ? song : { ...song, size },
        fromByte,
        urgency,
        ...(hashes === undefined ? {} : { hashes }),
        ...(kept === undefined ? {} : { kept: kept.indexes }),
      },
      { ...this.#depsFor(song, () => this.#open.delete(fetch)), kept },
    );
    this.#open.add(fetch);
    fetch.start();
    return fetch;
  }

  /** A live feed from the present on. `described`: what the host says of it, at once and whenever its title changes. */
  listen(feed: FeedToHear, described?: (row: OfferRow) => void): SongStream {
    if (this.#stopped) throw new LocalProtocolError('the fetcher has been stopped');
    const { agent, swarms } = this.#options;
    // Its own port is opened when the swarm is joined.
    const hello = swarms && { ...helloOf(agent, swarms.port), features: [SWARM_FEATURE] };
    const stream = new LiveStream(feed, { ...this.#options, hello, described });
    this.#feeds.add(stream);
    stream.start(() => this.#feeds.delete(stream));
    return stream;
  }

  /** Connects to hosts that are likely to be asked soon, at most 16 in all; the likeliest last. */
  warm(hosts: readonly string[]): void {
    const now = this.#options.clock.now();
    this.#book.considerCosts(hosts);
    this.#connections.warm(hosts.filter(host => !this.#book.hasLied(host, now)));
  }

  /** Ends every stream and closes every connection. */
  stop(): Promise<void> {
    this.#stopped = true;
    for (const stream of [...this.#open, ...this.#feeds]) stream.cancel();
    return this.#connections.stop();
  }

  #depsFor(song: SongToFetch, ended: () => void): Omit<SongFetchDeps, 'kept'> {
    const { clock, logger, cache, agent, swarms } = this.#options;
    return {
      book: this.#book,
      connections: this.#connections,
      clock,
      logger,
      swarms,
      hello: helloOf(agent, swarms?.port),
      local: this.#localCopies(song.hash),
      keep: (index, piece, hashes) => cache?.keep(song, index, piece, hashes),
      learnt: (hashes, size) => {
        this.#learn(song.hash, hashes, size);
        this.warm(
          this.#book
            .rank(song.hosts, clock.now())
            .slice(0, 1 + SPARE_HOSTS)
            .reverse(),
        );
      },
      ended,
    };
  }

  #localCopies(hash: ContentHash): SongFetchDeps['local'] {
    const { cache, library } = this.#options;
    const own = library?.get(hash);
    const cached = cache?.get(hash);
    if (cached !== undefined) cache?.played(hash);
    return [
      ...(own === undefined ? [] : [{ name: 'library', song: own, spoiled: () => library?.recheck?.(hash) }]),
      ...(cached === undefined ? [] : [{ name: 'cache', song: cached, spoiled: () => cache?.drop(hash) }]),
    ];
  }

  #learn(hash: ContentHash, hashes: PieceHashes, size: number | undefined): void {
    const known = { hashes, size: size ?? this.#known.get(hash)?.size };
    this.#known.delete(hash);
    this.#known.set(hash, known);
    if (this.#known.size > MAX_KNOWN_SONGS) this.#known.delete(this.#known.keys().next().value!);
  }
}

const helloOf = (agent: string | undefined, swarmPort: number | undefined): Hello => ({
  tsp: 1,
  ...(agent === undefined ? {} : { agent }),
  ...swarmFeature(swarmPort),
});
