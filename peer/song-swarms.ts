/**
 * A peer's part in the swarms of songs and of feeds: one UDP socket, where its songs are given to whoever asks and those that it fetches
 * come from many at once (TSP §5.6).
 *
 *     library, cache ─▶ offered ─┐
 *     song server: slots, rate ──┼─▶ SwarmNode ◀── UDP
 *     fetches, feeds ─▶ join ────┘
 *
 * A socket that cannot be had ends none of it but swarms: songs go on by TSP alone.
 */
import { fromHex } from '../protocol/bytes.js';
import { asContentHash } from '../protocol/tsp/rows.js';
import type { HostedSongs } from './hosting/neighbours.js';
import type { SharedUploads } from './hosting/song-server.js';
import { SongSwarm, type SongToJoin } from './listening/song-swarm.js';
import type { FeedSwarmPart, FeedToJoin } from './live/feed-swarm.js';
import type { PeerRanking } from './swarm/alto-ranking.js';
import type { OfferedContent } from './swarm/offered-content.js';
import { SwarmNode } from './swarm/swarm-node.js';
import { UdpWire } from './swarm/udp-wire.js';
import type { World } from './world.js';

export interface SongSwarmsOptions {
  readonly world: Pick<World, 'clock' | 'logger' | 'randomBytes' | 'randomUnit'>;
  /** What is here of a song is given to others while it is fetched. */
  readonly serves: boolean;
  /** Whom to dial first; absent: whoever is known first. */
  readonly ranking?: PeerRanking | undefined;
  /** What the song server has: upload slots, a rate, songs in memory. */
  readonly uploads?: SharedUploads;
  /** Given to whoever asks. */
  readonly songs?: HostedSongs;
}

export class SongSwarms {
  readonly #options: SongSwarmsOptions;
  readonly #node: SwarmNode;
  #port: number | undefined;

  constructor(options: SongSwarmsOptions) {
    const { world, uploads } = options;
    const { clock, logger, randomBytes } = world;
    this.#options = options;
    this.#node = new SwarmNode({
      clock,
      logger: logger.child({ room: 'swarm' }),
      randomBytes,
      wire: new UdpWire(),
      offered: id => this.#offered(id),
      ...(uploads && { rate: uploads.rate, slots: uploads.slots }),
    });
  }

  /** The UDP port, once it is open. */
  get port(): number | undefined {
    return this.#port;
  }

  get sentBytes(): number {
    return this.#node.sentBytes;
  }

  /** Rejects with TransportError. */
  async start(at: { readonly host?: string; readonly port: number }): Promise<number> {
    const { port } = await this.#node.start(at);
    this.#port = port;
    return port;
  }

  joinFeed(options: FeedToJoin): FeedSwarmPart {
    const { serves, world } = this.#options;
    const joined = this.#node.join({ ...options, serves, place: world.randomUnit() });
    return { joined, wake: () => this.#node.wake(), leave: () => this.#node.leave(joined) };
  }

  join(song: SongToJoin): SongSwarm {
    const { serves, ranking, world } = this.#options;
    return new SongSwarm({ ...song, node: this.#node, serves, ranking, place: world.randomUnit() });
  }

  stop(): Promise<void> {
    return this.#node.stop();
  }

  /** Asked for strangers: it looks a song up, and no more. */
  #offered(id: string): OfferedContent | undefined {
    const { songs, uploads } = this.#options;
    const hash = asContentHash(id);
    const song = hash && songs?.get(hash);
    if (song === undefined || uploads === undefined) return undefined;
    return {
      swarmId: fromHex(song.hash)!,
      size: song.size,
      get nodes() {
        return song.nodes;
      },
      read: (offset, length) => uploads.read(song, offset, length),
    };
  }
}
