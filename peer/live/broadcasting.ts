/**
 * What a peer does on the air, as the peer sees it: its own feeds, the doors to them, and the feeds of others that it relays.
 *
 *     open ─▶ offers ─▶ start(link) ─▶ doors listen, relays look for their feeds ─▶ stop: listeners hear the end
 */
import { LocalProtocolError } from '../../protocol/errors.js';
import type { OfferRow, SongRow } from '../../protocol/tsp/rows.js';
import type { PeerConfig } from '../config.js';
import type { HostedSongs } from '../hosting/neighbours.js';
import type { SongServer } from '../hosting/song-server.js';
import type { OpenOptions, SongStream, SongToFetch } from '../listening/song-stream.js';
import type { TrackerLink } from '../tracker-client/tracker-link.js';
import type { World } from '../world.js';
import type { FeedSwarms } from './feed-swarm.js';
import type { LiveConfig } from './live-config.js';
import { makeDoors } from './live-doors.js';
import type { LiveOffers } from './live-offers.js';
import { LiveRoom } from './live-room.js';
import type { FeedToHear } from './live-stream.js';
import { Relay } from './relay.js';
import { hostedSongFinder } from './rtmp-songs.js';

export interface BroadcastingParts {
  /** For RTMP players. */
  readonly songs: Pick<HostedSongs, 'get'>;
  readonly fetcher: {
    open(song: SongToFetch, options: OpenOptions): SongStream;
    listen(feed: FeedToHear, described: (row: OfferRow) => void): SongStream;
  };
  readonly notice: (message: string, hint?: string) => void;
}

/** What feeds share with songs. */
export interface Through {
  readonly server: Pick<SongServer, 'uploads'>;
  /** Absent: TSP alone. */
  readonly swarms: FeedSwarms | undefined;
}

export class Broadcasting {
  readonly #live: LiveConfig;
  readonly #config: PeerConfig;
  readonly #world: World;
  readonly #parts: BroadcastingParts;
  #room: LiveRoom | undefined;
  #relays: readonly Relay[] = [];

  constructor(live: LiveConfig, config: PeerConfig, world: World, parts: BroadcastingParts) {
    this.#live = live;
    this.#config = config;
    this.#world = world;
    this.#parts = parts;
  }

  /** Rejects with ConfigError for keys that can't be read. */
  async open(): Promise<void> {
    const { dataDir, maxUploadBytesPerSecond } = this.#config;
    const { notice } = this.#parts;
    const common = { config: this.#live, world: this.#world, notice };
    this.#room = await LiveRoom.open({ ...common, dataDir, maxUploadBytesPerSecond });
  }

  get offers(): LiveOffers {
    return this.#opened.offers;
  }

  /** On all feeds, whatever they speak; of those in a feed's swarm the ones that are fed from here. */
  get listeners(): number {
    let sum = 0;
    for (const { places } of this.#room?.feeds.feeds() ?? []) sum += places.used;
    return sum;
  }

  /** Rejects with CommandError when a door cannot listen. */
  async start(link: TrackerLink, { server, swarms }: Through): Promise<void> {
    const room = this.#opened;
    const { feeds } = room;
    const { songs, fetcher, notice } = this.#parts;
    const findSong = hostedSongFinder({ songs, ids: link, fetcher });
    const parts = { feeds, findSong, uploads: server.uploads };
    const doors = makeDoors(this.#live, this.#config, this.#world, parts);
    await room.start(doors, swarms);
    const { clock, logger } = this.#world;
    const rowOf = (id: SongRow['id']): SongRow | undefined => link.list.get(id);
    const hostsOf = (row: SongRow): readonly string[] => {
      const own = new Set(link.list.hostsOf({ hosts: link.status().listed }));
      return link.list.hostsOf(row).filter(host => !own.has(host));
    };
    const isListKnown = (): boolean => link.list.revision !== undefined;
    const common = { feeds, rowOf, hostsOf, isListKnown, fetcher, notice, clock };
    this.#relays = this.#live.relays.map(
      id => new Relay({ ...common, id, logger: logger.child({ room: 'relay' }) }),
    );
    for (const relay of this.#relays) relay.start();
  }

  async stop(): Promise<void> {
    for (const relay of this.#relays) relay.stop();
    await this.#room?.stop();
  }

  get #opened(): LiveRoom {
    if (this.#room === undefined) throw new LocalProtocolError('broadcasting has not been opened');
    return this.#room;
  }
}
