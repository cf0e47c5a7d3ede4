/**
 * Whether the tracker, and so anybody, can reach this peer's song server: registers for a moment with nothing to offer,
 * and looks what the tracker's proof of address (TSP §5.2) said.
 */
import { addressScope } from '../../protocol/tsp/addresses.js';
import { DEFAULT_PEER_PORT, DEFAULT_TRACKER_PORT } from '../../protocol/tsp/constants.js';
import type { PeerConfig } from '../config.js';
import { SongServer } from '../hosting/song-server.js';
import { listenError } from '../listen-error.js';
import { TrackerLink } from '../listening/tracker-link.js';
import { OfferedSongs } from '../offered-songs.js';
import { wireTrace } from '../wire-trace.js';
import type { World } from '../world.js';

export interface Reachability {
  readonly port: number;
  /** Proven addresses; none: it can't be reached, and `why`. */
  readonly listed: readonly string[];
  readonly why: string;
}

/** Throws CommandError when the port can't be had. */
export async function reachability(config: PeerConfig, world: World): Promise<Reachability> {
  const { host, port, advertise, tracker = { host: '127.0.0.1', port: DEFAULT_TRACKER_PORT } } = config;
  const { clock, logger, randomUnit, agent } = world;
  const nothing = new OfferedSongs([]);
  const trace = wireTrace(config, world);
  const link = new TrackerLink({
    tracker,
    clock,
    logger,
    randomUnit,
    trace,
    hello: {
      agent,
      broadcasts: false,
      ...(host !== undefined && addressScope(host) === 'loopback' && { local: true }),
      ...(advertise.length > 0 && { advertise }),
    },
    songs: nothing,
  });
  const server = new SongServer({
    catalogue: nothing,
    songIds: link,
    proofs: link,
    slots: 0,
    maxUploadBytesPerSecond: Number.POSITIVE_INFINITY,
    maxPerAddress: config.maxPerAddress,
    maxConnections: world.maxConnections,
    cacheBytes: 0,
    clock,
    logger,
    trace,
    recheck: () => {},
  });
  let why = 'the tracker ended the registration';
  link.onEvent(event => {
    if (event.kind === 'unreachable' || event.kind === 'lost') why = event.why;
  });
  try {
    const at = await server.start({ host, port }).catch(error => {
      throw listenError(error, host ?? '::', port ?? DEFAULT_PEER_PORT);
    });
    await link.start(at.port);
    return { port: at.port, listed: link.status().listed, why };
  } finally {
    await link.stop();
    await server.stop();
  }
}
