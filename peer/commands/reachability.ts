/**
 * Whether the tracker, and so anybody, can reach this peer's song server: registers for a moment with nothing to offer,
 * and looks what the tracker's proof of address (TSP §5.2) said.
 */
import { LOCAL_TRACKER, type PeerConfig } from '../config.js';
import { OfferedSongs } from '../hosting/offered-songs.js';
import { listen, makeLink, makeServer } from '../network.js';
import type { World } from '../world.js';

export interface Reachability {
  readonly port: number;
  /** Proven addresses; none: it can't be reached, and `why`. */
  readonly listed: readonly string[];
  readonly why: string;
}

/** Throws CommandError when the port can't be had. */
export async function reachability(config: PeerConfig, world: World): Promise<Reachability> {
  const { tracker = LOCAL_TRACKER } = config;
  const songs = new OfferedSongs([]);
  const link = makeLink(config, world, { tracker, hello: { broadcasts: false }, songs });
  const server = makeServer(config, world, { link, songs, recheck: () => {} });
  let why = 'the tracker ended the registration';
  link.onEvent(event => {
    if (event.kind === 'unreachable') why = event.why;
    else if (event.kind === 'lost') why = `the tracker is gone: ${event.why}`;
  });
  try {
    const at = await listen(server, config);
    await link.start(at.port);
    return { port: at.port, listed: link.status().listed, why };
  } finally {
    await link.stop();
    await server.stop();
  }
}
