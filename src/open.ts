/**
 * The rooms of the house for other programs: a tracker, a peer and a client in the real world, with sensible defaults.
 *
 *     const client = openClient({ tracker: 'music.example' });
 *     const tracker = openTracker();      await tracker.start() → { address, port }
 *     const peer = openPeer({ tracker: '127.0.0.1', library: ['/music'], dataDir: '/var/lib/me' });
 *     await peer.start();
 *
 * Nothing is begun by opening. Nothing is logged unless a logger is given, and nothing is printed.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { DEFAULT_PEER_CONFIG, type PeerConfig } from '../peer/config.js';
import { SongFetcher } from '../peer/listening/fetch.js';
import type { SongStream } from '../peer/listening/song-stream.js';
import { Peer } from '../peer/peer.js';
import { playableSong } from '../peer/playable-song.js';
import { LightClient } from '../peer/tracker-client/light-client.js';
import type { World } from '../peer/world.js';
import { ConfigError, RequestError } from '../protocol/errors.js';
import type { Logger } from '../protocol/ports.js';
import { type HostPort, parseHostPort } from '../protocol/tsp/addresses.js';
import { DEFAULT_TRACKER_PORT } from '../protocol/tsp/constants.js';
import type { SongId } from '../protocol/tsp/messages.js';
import type { SongRow } from '../protocol/tsp/rows.js';
import { DEFAULT_TRACKER_CONFIG, type TrackerConfig } from '../tracker/config.js';
import { Tracker } from '../tracker/tracker.js';
import { anyHost } from './any-host.js';
import { systemClock } from './clock.js';
import { openDisk } from './disk.js';
import { agent } from './version.js';

export interface ClientOptions {
  /** `host`, `host:port`, or both apart. */
  readonly tracker: string | HostPort;
  readonly logger?: Logger;
}

/** Asks a tracker and fetches from hosts; registers nowhere. */
export class Client {
  readonly #asking: LightClient;
  readonly #fetcher: SongFetcher;

  constructor({ tracker, logger = silent }: ClientOptions) {
    this.#asking = new LightClient({ tracker: addressOf(tracker), clock: systemClock });
    this.#fetcher = new SongFetcher({ clock: systemClock, logger, randomUnit: Math.random });
  }

  /** The whole list. Rejects with TransportError, RemoteProtocolError or RequestError, as do the others. */
  list(): Promise<readonly SongRow[]> {
    return this.#asking.list();
  }

  /** Everything known of a song; RequestError `no-such-song` if there is none. */
  async info(id: SongId | number): Promise<SongRow> {
    const rows = await this.#asking.info(id as SongId);
    const row = rows.find(candidate => candidate.id === id);
    if (row === undefined) throw new RequestError('no-such-song', `there is no song ${id}`);
    return row;
  }

  /** The tracker's search, best match first, at most 50. */
  find(words: string): Promise<readonly SongRow[]> {
    return this.#asking.find(words);
  }

  /** The song's verified bytes from `fromByte` on, from whichever host is best; reading is what fetches. */
  fetch(song: SongRow, fromByte = 0): SongStream {
    return playableSong(song, {
      fetcher: this.#fetcher,
      hostsOf: row => this.#asking.hostsOf(row),
      info: id => this.#asking.info(id),
    }).open(fromByte);
  }

  /** Resolves when every connection is closed. */
  async close(): Promise<void> {
    this.#asking.close();
    await this.#fetcher.stop();
  }
}

export const openClient = (options: ClientOptions): Client => new Client(options);

/** By default on all addresses, port 7460, and kept in memory only: give `dataDir` for IDs that outlive it. */
export function openTracker(options: Partial<TrackerConfig> & { readonly logger?: Logger } = {}): Tracker {
  const { logger = silent, ...config } = options;
  return new Tracker({
    ...DEFAULT_TRACKER_CONFIG,
    host: anyHost(),
    ...config,
    clock: systemClock,
    logger,
    randomBytes,
    openDisk,
    agent: agent(),
  });
}

export interface PeerOptions extends Partial<Omit<PeerConfig, 'tracker'>> {
  readonly tracker: string | HostPort;
  /** What the peer keeps, its cache within. Only one peer at a time may use it. */
  readonly dataDir: string;
  readonly logger?: Logger;
}

/** By default it only listens, on a free port of all addresses, and plays to whatever sound output there is. */
export function openPeer({ tracker, logger = silent, ...options }: PeerOptions): Peer {
  const config: PeerConfig = {
    ...DEFAULT_PEER_CONFIG,
    port: 0,
    stateDir: options.dataDir,
    cacheDir: join(options.dataDir, 'cache'),
    // Nobody waits at a prompt: the audio process is started by the first song.
    headless: true,
    ...options,
    tracker: addressOf(tracker),
  };
  return new Peer(config, quietWorld(logger));
}

function addressOf(tracker: string | HostPort): HostPort {
  const address = typeof tracker === 'string' ? parseHostPort(tracker, DEFAULT_TRACKER_PORT) : tracker;
  if (address === undefined) throw new ConfigError('tracker', tracker, 'HOST or HOST:PORT');
  return address;
}

/** Without a terminal, signals or a tracker inside: those are the program's own affair. */
function quietWorld(logger: Logger): World {
  return {
    clock: systemClock,
    logger,
    randomBytes,
    openDisk,
    randomUnit: Math.random,
    stdin: new PassThrough(),
    stdout: new PassThrough().resume(),
    stderr: new PassThrough().resume(),
    isTerminal: { stdin: false, stdout: false, stderr: false },
    env: {},
    maxConnections: Number.POSITIVE_INFINITY,
    agent: agent(),
    signal: new AbortController().signal,
    openEmbeddedTracker: () => Promise.resolve(undefined),
  };
}

const silent: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silent,
};
