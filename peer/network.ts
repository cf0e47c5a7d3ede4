/**
 * The tracker link and the song server as a configuration wants them. Made, not started; the server needs the link, which
 * knows own song IDs and echoes the tracker's proofs (TSP §5.2).
 */
import { addressScope } from '../protocol/ip.js';
import type { HostPort, ListeningAt } from '../protocol/tsp/addresses.js';
import { DEFAULT_PEER_PORT } from '../protocol/tsp/constants.js';
import type { Hello } from '../protocol/tsp/messages.js';
import type { ContentHash } from '../protocol/tsp/rows.js';
import { swarmFeature } from '../protocol/tsp/swarm-feature.js';
import type { PeerConfig } from './config.js';
import { listenError } from './failures/listen-error.js';
import type { LiveSongs } from './hosting/neighbours.js';
import type { SongSource } from './hosting/offered-songs.js';
import { SongServer } from './hosting/song-server.js';
import type { OfferSource } from './tracker-client/offers.js';
import { TrackerLink } from './tracker-client/tracker-link.js';
import type { World } from './world.js';

/** Memory for songs that are being sent: about thirty of 4 MB, whoever listens. */
const SONG_MEMORY_BYTES = 128 * 1024 * 1024;

export interface LinkParts {
  readonly tracker: HostPort;
  /** What the peer is known by besides what its configuration says. */
  readonly hello: Pick<Hello, 'instance' | 'broadcasts'>;
  /** Where songs can be had through swarms, once that is known; looked at with each registration. */
  readonly swarmPort?: () => number | undefined;
  /** Undefined: only listening. */
  readonly songs: OfferSource | undefined;
}

export function makeLink(
  config: PeerConfig,
  world: World,
  { tracker, hello, swarmPort, songs }: LinkParts,
): TrackerLink {
  const { host, name, advertise } = config;
  const { clock, logger, randomUnit, agent, trace } = world;
  return new TrackerLink({
    tracker,
    clock,
    logger: logger.child({ room: 'link' }),
    randomUnit,
    trace,
    get hello() {
      return {
        agent,
        ...hello,
        ...(name !== undefined && { name }),
        ...(isLoopback(host) && { local: true }),
        ...(advertise.length > 0 && { advertise }),
        ...swarmFeature(swarmPort?.()),
      };
    },
    songs,
  });
}

export interface ServerParts {
  readonly link: TrackerLink;
  readonly songs: SongSource;
  readonly live?: LiveSongs | undefined;
  /** Told when a file is not as it was hashed. */
  readonly recheck: (hash: ContentHash) => void;
}

export function makeServer(
  config: PeerConfig,
  world: World,
  { link, songs, live, recheck }: ServerParts,
): SongServer {
  const { slots, maxUploadBytesPerSecond, maxPerAddress, name } = config;
  const { clock, logger, agent, maxConnections, trace } = world;
  return new SongServer({
    catalogue: songs,
    live,
    songIds: link,
    proofs: link,
    slots,
    maxUploadBytesPerSecond,
    maxPerAddress,
    maxConnections,
    cacheBytes: SONG_MEMORY_BYTES,
    clock,
    logger: logger.child({ room: 'hosting' }),
    trace,
    recheck,
    agent,
    name,
  });
}

/** Listens where the configuration says. Rejects with CommandError. */
export async function listen(
  server: SongServer,
  { host, port }: Pick<PeerConfig, 'host' | 'port'>,
): Promise<ListeningAt> {
  try {
    return await server.start({ host, port });
  } catch (error) {
    throw listenError(error, host ?? '::', port ?? DEFAULT_PEER_PORT);
  }
}

const isLoopback = (host: string | undefined): boolean =>
  host === 'localhost' || (host !== undefined && addressScope(host) === 'loopback');
