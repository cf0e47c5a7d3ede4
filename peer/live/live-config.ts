/** What an operator can decide about broadcasting; absent from a peer's configuration, it broadcasts nothing. */
import type { SongId } from '../../protocol/tsp/messages.js';

export interface ListenAt {
  /** Default: everywhere. */
  readonly host?: string;
  readonly port: number;
}

export interface LiveConfig {
  /** Feeds that this peer broadcasts. */
  readonly names: readonly string[];
  /** Where their keys are; those that it does not have are made. */
  readonly keysFile?: string;
  /** Anybody may publish, under the name that is given as the key. */
  readonly isOpen: boolean;
  /** How long a feed waits for a publisher that was lost. */
  readonly graceMs: number;
  readonly rtmp?: ListenAt;
  readonly icecast?: ListenAt;
  /** Feeds of others, to be offered too. */
  readonly relays: readonly SongId[];
}

export const DEFAULT_RTMP_PORT = 1935;
export const DEFAULT_ICECAST_PORT = 8000;
/** An encoder that lost its line is back by then. */
export const DEFAULT_GRACE_MS = 12_000;
