/**
 * A feed as a PPSPP live swarm (TSP §5.6): what its source and its listeners take for granted of each other.
 *
 *     frames ─▶ ┆ 1,024 bytes ┆ 1,024 bytes ┆ …  ─▶ four of them a signature ─▶ who has them gives them
 *               └ byte n of the stream lies in chunk n / 1,024: one numbering for PLAY and for the swarm
 */
import { createHash } from 'node:crypto';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { JoinedSwarm } from '../swarm/joined-swarm.js';
import type { JoinOptions } from '../swarm/joining.js';
import { type LiveSwarm, liveSwarm } from '../swarm/live-swarm.js';

export const FEED_CHUNK_BYTES = 1_024;
/** A quarter of a second of 128 kbit/s: what waits for its signature is heard so much later. */
export const FEED_CHUNKS_PER_SIGNATURE = 4;
/** A minute of 128 kbit/s, 26 s of 320: nobody is further behind. */
const FEED_WINDOW_CHUNKS = 1_024;

/** RemoteProtocolError when that is no live swarm's ID. */
export const feedSwarm = (swarmId: Uint8Array): LiveSwarm =>
  liveSwarm(swarmId, {
    chunkBytes: FEED_CHUNK_BYTES,
    dialects: ['rfc7574'],
    windowChunks: FEED_WINDOW_CHUNKS,
    chunksPerSignature: FEED_CHUNKS_PER_SIGNATURE,
  });

/** A feed's ID is the SHA-256 of its swarm's (TSP §5.5), so nobody can name another swarm for it. */
export const feedIdOf = (swarmId: Uint8Array): ContentHash =>
  createHash('sha256').update(swarmId).digest('hex') as ContentHash;

/** The part in one live swarm that a peer has until it leaves. */
export interface FeedSwarmPart {
  readonly joined: JoinedSwarm;
  /** There is something new to give. */
  wake(): void;
  leave(): void;
}

/** Where live swarms are joined. */
export interface FeedSwarms {
  /** Rejects with TransportError when there is no socket to be had. */
  joinFeed(options: FeedToJoin): Promise<FeedSwarmPart>;
}

/** A feed's swarm on its way into a node. */
export type FeedToJoin = Omit<JoinOptions, 'serves' | 'place'>;
