/** What `tsp-peer swarm …` takes besides words and the options of every command. */
import type { HashName } from '../../protocol/merkle.js';
import type { Dialect } from '../../protocol/ppspp/handshake.js';
import type { HostPort } from '../../protocol/tsp/addresses.js';
import type { AltoRankingOptions } from '../swarm/alto-ranking.js';
import type { ListenAt } from '../swarm/datagram-wire.js';
import type { OneShot } from './one-shot.js';

/** As in the RFC's examples (RFC 7574 §3.1); nobody has assigned one. */
export const USUAL_PORT = 6_778;

export interface SwarmArguments {
  /** `--peer`, as often as it was given. */
  readonly peers: readonly HostPort[];
  /** Absent: `seed` takes the usual port of all addresses, `get` a free one. */
  readonly listen?: ListenAt;
  /** Absent: what the length of a swarm ID says, or `usualHash`. */
  readonly hash?: HashName;
  readonly chunkBytes: number;
  /** `hash` makes the file, of `size` bytes. */
  readonly create: boolean;
  readonly size?: number;
  readonly maxPeers: number;
  /** A server that knows whom to dial first. */
  readonly alto?: Pick<AltoRankingOptions, 'url' | 'costType'>;
  readonly tcp: boolean;
  /** A stream instead of a file. */
  readonly live: boolean;
  /** Allowed ones, the first to be tried first. */
  readonly dialects: readonly Dialect[];
  /** `get` takes what nobody can prove, and checks it as a whole. */
  readonly allowUnverified: boolean;
  /** `get` gives what it has already. */
  readonly serves: boolean;
  /** Of `get -o -`. */
  readonly bufferBytes?: number;
  readonly aheadBytes?: number;
  readonly skipMs?: number;
}

/** `swarm hash`, `seed` or `get`; `words` without that. */
export interface SwarmCommand {
  readonly session: OneShot;
  readonly words: readonly string[];
  readonly swarm: SwarmArguments;
  /** `-o`. */
  readonly out?: string;
}

/** What all that speak the first of these dialects can check: libswift and PyPPSPP know SHA-1 alone. */
export const usualHash = ([first]: readonly Dialect[]): HashName => (first === 'rfc7574' ? 'sha256' : 'sha1');
