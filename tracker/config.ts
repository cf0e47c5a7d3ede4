/**
 * What a tracker is told at its start: plain data, checked by whoever built it, units in the names.
 *
 *     flags, TSP_*, files ──▶ src/tracker-options.ts ──▶ TrackerConfig ──▶ new Tracker({ ...config, clock, logger, … })
 *
 * Limits are counts; «no limit» is `Infinity`, so that a comparison needs no special case.
 */
import type { Clock, Logger, OpenDisk, RandomBytes } from '../protocol/ports.js';
import { DEFAULT_TRACKER_PORT } from '../protocol/tsp/constants.js';
import type { WireTrace } from '../protocol/tsp/describe.js';

export interface TrackerConfig {
  /** Address to listen on: `::` (with IPv4), `0.0.0.0`, `127.0.0.1`, or any one address of this machine. */
  readonly host: string;
  /** 0 takes a free one; `start()` says which. */
  readonly port: number;
  /** Folder of the registry (IDs, known hosts, what was told). It is the caller who locks it. undefined: kept in memory only. */
  readonly dataDir: string | undefined;
  /** Shown in WELCOME. */
  readonly name: string | undefined;
  readonly maxPeers: number;
  readonly maxSongs: number;
  readonly maxSongsPerPeer: number;
  /** Connections from one address (IPv6: one /64), and the base of how many new ones it may open in a second. */
  readonly maxPerAddress: number;
  /** Song IDs that may ever be given (TSP §2.3: none is used twice). */
  readonly maxIds: number;
  /** Sockets at once, all told: what the system allows this process, less what files need. */
  readonly maxConnections: number;
}

/** What the world lends a tracker. */
export interface TrackerWorld {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly openDisk: OpenDisk;
  /** `torero/1.0.0`, as said in WELCOME. */
  readonly agent: string;
  /** `--trace-wire`: shows every message. */
  readonly trace?: WireTrace | undefined;
}

/** 10,000 peers and 200,000 songs are what 512 MB hold. */
export const DEFAULT_TRACKER_CONFIG: TrackerConfig = {
  host: '::',
  port: DEFAULT_TRACKER_PORT,
  dataDir: undefined,
  name: undefined,
  maxPeers: 10_000,
  maxSongs: 200_000,
  maxSongsPerPeer: 50_000,
  maxPerAddress: 64,
  maxIds: 10_000_000,
  maxConnections: Number.POSITIVE_INFINITY,
};
