/** How a swarm is joined: what it is, where its chunks go, who gives and who is given. */
import type { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { ChunkSource, Swarm } from '../../protocol/ppspp/swarm.js';
import type { PeerRanking } from './alto-ranking.js';
import type { NamedPeer } from './neighbours.js';
import type { Slots } from './served-neighbours.js';
import type { Failed } from './tally.js';

/** Where chunks are kept. */
export interface ChunkStore extends ChunkSource {
  /** Proven chunks that follow one another; the bytes are to be copied. `from`: `host:port`. */
  write(first: number, chunks: readonly Uint8Array[], from: string): void;
  /** Nothing more is to be fetched just now. */
  readonly isFull: boolean;
}

export interface JoinOptions {
  readonly swarm: Swarm;
  /** Where chunks go; absent: it only gives. */
  readonly store?: ChunkStore;
  /** Who is dialled, and dialled again. */
  readonly peers?: readonly NamedPeer[];
  readonly maxPeers?: number;
  /** Whom to dial first, where there are more. */
  readonly ranking?: PeerRanking;
  /** False: nobody is given anything. */
  readonly serves?: boolean;
  /** Chunks that nobody can prove are taken too, and are in this set with the proven ones. Absent: they are not. */
  readonly unproven?: ChunkSet;
  /** True: peers come by themselves, and are waited for as long as it takes. */
  readonly waits?: boolean;
  /** True: only what is `want`ed is asked for. */
  readonly onDemand?: boolean;
  /** Where to begin where all is equal, 0 … 1. */
  readonly place?: number;
  /** How many are asked at a time, so that there are places for everybody; absent: all. */
  readonly maxFeeders?: number;
  /** How many of its neighbours are sent chunks at a time; absent: as the node has it for all. */
  readonly slots?: Slots;
  /** Something changed that its owner may want to know: a chunk came, somebody came or went. */
  readonly onChange?: () => void;
  /** Somebody was caught lying, and is left alone from now on. Absent: it is logged. */
  readonly onLiar?: (liar: Failed) => void;
}

/** What has to come before chunks can: a peer, one that has more than is here, or a place at one that has. */
export type Lack = 'peer' | 'chunks' | 'place';

/** What is used, from where on. */
export interface Playing {
  readonly byte: number;
  /** Chunks further on are needed so much later. */
  readonly bytesPerSecond?: number;
  /** How far beyond it is fetched; absent: everything. */
  readonly aheadBytes?: number;
}
