/**
 * Everything that an operator can decide about a peer, already checked and in plain units.
 *
 * `src/` fills it from flags, environment and files, in that order of precedence. Where the command line says 0 for
 * «no limit», this says Infinity, so that no room needs to know the convention; `cacheBytes` 0 is really none.
 */
import type { HostPort } from '../protocol/tsp/addresses.js';
import { DEFAULT_TRACKER_PORT } from '../protocol/tsp/constants.js';
import type { LiveConfig } from './live/live-config.js';
import type { AltoRankingOptions } from './swarm/alto-ranking.js';

/** Where this machine's tracker is, if it has one. */
export const LOCAL_TRACKER: HostPort = { host: '127.0.0.1', port: DEFAULT_TRACKER_PORT };

export interface PeerConfig {
  /** Absent: 127.0.0.1:7460, and when nobody is there, a tracker inside this process. */
  readonly tracker?: HostPort;
  /** Folders to host; none: this peer only listens (and hosts its cache with `shareCache`). */
  readonly library: readonly string[];
  /** Of the song server. Absent: 7461 or else a free one. 0: any. */
  readonly port?: number;
  /** Where the song server (and an embedded tracker) listens. Absent: `::` with IPv4, else `0.0.0.0`. */
  readonly host?: string;
  /** `host:port` under which others reach this peer; what the tracker proves instead of what it sees. */
  readonly advertise: readonly string[];
  /** Shown to people. */
  readonly name?: string;
  /** `auto`, `speaker`, `pw-play`, `aplay`, `paplay`, `ffplay`, `null`, `stdout`, or `file:PATH`. */
  readonly output: string;
  /** `auto`, `lame` or `mpg123`. */
  readonly decoder: string;
  /** With output `stdout`: the MP3 as it is, not PCM. */
  readonly raw: boolean;
  /** With output `auto`: where there is no sound device songs play in silence, for a person to see, and do not fail. */
  readonly orSilence?: boolean;
  /** Songs come from many peers at once and are given so, by PPSPP. False: TSP alone. */
  readonly swarm: boolean;
  /** UDP. Absent: the song server's number, or, where there is none, any. 0: any. */
  readonly swarmPort?: number;
  /** An ALTO server that knows which hosts and peers are near. Absent: nobody is asked. */
  readonly alto?: Pick<AltoRankingOptions, 'url' | 'costType'>;
  /** What is here of a song is given to others while it is fetched. */
  readonly serve: boolean;
  /** Uploads at a time. */
  readonly slots: number;
  readonly maxUploadBytesPerSecond: number;
  /** Connections to the song server, and new ones a second, from one address. */
  readonly maxPerAddress: number;
  readonly dataDir: string;
  /** Where the prompt's history is kept. */
  readonly stateDir: string;
  /** The disk cache and its size; 0: none. */
  readonly cacheDir: string;
  readonly cacheBytes: number;
  readonly shareCache: boolean;
  readonly encode: boolean;
  /** Absent: nothing is broadcast. */
  readonly live?: LiveConfig;
  /** No prompt: host until a signal ends it. */
  readonly headless: boolean;
  readonly json: boolean;
  /** False after `--no-color`; NO_COLOR and a stdout that is no terminal are looked at separately. */
  readonly color: boolean;
}

/** Of an operator who says nothing. Where things are kept has no default here. */
export const DEFAULT_PEER_CONFIG = {
  library: [],
  advertise: [],
  output: 'auto',
  decoder: 'auto',
  raw: false,
  swarm: true,
  serve: true,
  slots: 8,
  maxUploadBytesPerSecond: Number.POSITIVE_INFINITY,
  maxPerAddress: 64,
  cacheBytes: 2e9,
  shareCache: false,
  encode: false,
  headless: false,
  json: false,
  color: true,
} as const satisfies Omit<PeerConfig, 'dataDir' | 'stateDir' | 'cacheDir'>;
