/**
 * One song's swarm as a fetch sees it: pieces are left to it, and come back whole and proven (TSP §5.6).
 *
 *     want(pieces) ─▶ chunks from whoever has them ─▶ gathered ─ 64 of 64 ─▶ brought
 *     gather(piece that came by RANGE) ─┐
 *     pieces that were brought ─────────┴─▶ given to whoever asks, unless nothing is to be served
 *
 * The rule: a chunk is proven before it gets here, so a gathered piece is proven too. What is here in memory or on disk is
 * told to others; what is forgotten is not told any more.
 */
import { fromHex } from '../../protocol/bytes.js';
import { CHUNK_BYTES, PIECE_BYTES, PIECE_LEVEL } from '../../protocol/merkle.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import type { ChunkRange } from '../../protocol/ppspp/messages.js';
import { formatHostPort, parseHostPort } from '../../protocol/tsp/addresses.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { PeerRanking } from '../swarm/alto-ranking.js';
import type { JoinedSwarm } from '../swarm/joined-swarm.js';
import type { ChunkStore } from '../swarm/joining.js';
import { staticMetadata, staticSwarm } from '../swarm/static-swarm.js';
import type { SwarmNode } from '../swarm/swarm-node.js';
import type { ProvenPiece } from './piece-order.js';
import type { PieceHashes } from './pieces.js';

const PIECE_CHUNKS = 2 ** PIECE_LEVEL;
/** Pieces in memory, for others: 16 MiB, four times what is fetched ahead of the reader. */
const MAX_KEPT_PIECES = 256;

export interface SongSwarmOptions {
  readonly node: Pick<SwarmNode, 'join' | 'leave'>;
  readonly hash: ContentHash;
  readonly hashes: PieceHashes;
  /** Proven; with it the size is known. */
  readonly lastPiece: Uint8Array;
  readonly serves: boolean;
  readonly ranking: PeerRanking | undefined;
  /** Where to begin where all is equal, 0 … 1. */
  readonly place: number;
  /** Proven bytes came from somebody. */
  readonly heard: (host: string, bytes: number) => void;
  readonly brought: (piece: ProvenPiece) => void;
  readonly lied: (host: string, why: string) => void;
}

/** A song on its way into its swarm. */
export type SongToJoin = Omit<SongSwarmOptions, 'node' | 'serves' | 'ranking' | 'place'>;

/** The swarms that a fetch may join. */
export interface SwarmAccess {
  /** Of our own socket, once it is open. */
  readonly port: number | undefined;
  /** Rejects with TransportError when there is no socket to be had. */
  join(song: SongToJoin): Promise<SongSwarm>;
}

interface Gathered {
  readonly bytes: Uint8Array;
  missing: number;
  readonly from: Map<string, number>;
}

export class SongSwarm implements ChunkStore {
  readonly isFull = false;
  readonly #options: SongSwarmOptions;
  readonly #size: number;
  readonly #tree: HashTree;
  readonly #joined: JoinedSwarm;
  readonly #gathering = new Map<number, Gathered>();
  /** Least recently used first. */
  readonly #kept = new Map<number, Uint8Array>();
  /** Hosts by where they speak PPSPP. */
  readonly #hosts = new Map<string, string>();

  constructor(options: SongSwarmOptions) {
    const { node, hash, hashes, lastPiece, serves, ranking, place } = options;
    this.#options = options;
    this.#size = hashes.lastPieceAt + lastPiece.length;
    const root = fromHex(hash)!;
    this.#tree = new HashTree({ root, size: this.#size });
    this.#tree.proveLevel(hashes.nodes, PIECE_LEVEL, lastPiece);
    const metadata = staticMetadata(root, 'sha256', CHUNK_BYTES);
    const swarm = staticSwarm({ metadata, tree: this.#tree, have: new ChunkSet(), source: this });
    this.#joined = node.join({
      swarm,
      store: this,
      serves,
      place,
      ...(ranking && { ranking }),
      onDemand: true,
      onLiar: ({ host: at, why }) => options.lied(this.#hosts.get(at) ?? at, why),
    });
  }

  /** `host` has the song, and speaks PPSPP on this port. */
  meet(host: string, port: number): void {
    const address = parseHostPort(host)?.host;
    if (address === undefined) return;
    const peer: PeerAddress = { address, port };
    this.#hosts.set(formatHostPort(address, port), host);
    this.#joined.addPeers([peer]);
  }

  want(pieces: readonly number[]): void {
    for (const piece of pieces) this.#joined.want(this.#chunksOf(piece));
  }

  /** What came of them is forgotten. */
  unwant(pieces: readonly number[]): void {
    for (const piece of pieces) {
      const range = this.#chunksOf(piece);
      if (this.#gathering.delete(piece)) this.#joined.swarm.have.delete(range);
      this.#joined.unwant(range);
    }
  }

  /** A proven piece that came some other way: it is for others too. */
  gather(piece: number, bytes: Uint8Array): void {
    if (!this.#options.serves || this.#kept.has(piece)) return;
    if (!this.#tree.verifyPiece(piece * PIECE_CHUNKS, bytes, PIECE_LEVEL)) return;
    this.#gathering.delete(piece);
    this.#keep(piece, bytes);
    this.#joined.took(this.#chunksOf(piece));
  }

  read(chunk: number): Uint8Array | undefined {
    const piece = Math.floor(chunk / PIECE_CHUNKS);
    const bytes = this.#kept.get(piece) ?? this.#gathering.get(piece)?.bytes;
    const at = (chunk % PIECE_CHUNKS) * CHUNK_BYTES;
    return bytes?.subarray(at, at + CHUNK_BYTES);
  }

  write(first: number, chunks: readonly Uint8Array[], from: string): void {
    const host = this.#hosts.get(from) ?? from;
    for (const [i, bytes] of chunks.entries()) this.#write(first + i, bytes, host);
  }

  leave(): void {
    this.#options.node.leave(this.#joined);
    this.#kept.clear();
    this.#gathering.clear();
  }

  #write(chunk: number, bytes: Uint8Array, host: string): void {
    const piece = Math.floor(chunk / PIECE_CHUNKS);
    const gathered = this.#gathering.get(piece) ?? this.#begin(piece);
    gathered.bytes.set(bytes, (chunk % PIECE_CHUNKS) * CHUNK_BYTES);
    gathered.missing -= 1;
    gathered.from.set(host, (gathered.from.get(host) ?? 0) + bytes.length);
    this.#options.heard(host, bytes.length);
    if (gathered.missing > 0) return;
    this.#gathering.delete(piece);
    this.#keep(piece, gathered.bytes);
    const shares = [...gathered.from].map(([name, count]) => ({ host: name, bytes: count }));
    this.#options.brought({ index: piece, bytes: gathered.bytes, from: shares });
  }

  #begin(piece: number): Gathered {
    const length = Math.min(PIECE_BYTES, this.#size - piece * PIECE_BYTES);
    const { start, end } = this.#chunksOf(piece);
    const gathered = { bytes: new Uint8Array(length), missing: end - start + 1, from: new Map() };
    this.#gathering.set(piece, gathered);
    return gathered;
  }

  #chunksOf(piece: number): ChunkRange {
    const start = piece * PIECE_CHUNKS;
    return { start, end: Math.min(Math.ceil(this.#size / CHUNK_BYTES), start + PIECE_CHUNKS) - 1 };
  }

  #keep(piece: number, bytes: Uint8Array): void {
    this.#kept.set(piece, bytes);
    if (this.#kept.size <= MAX_KEPT_PIECES) return;
    const [oldest] = this.#kept.keys();
    this.#kept.delete(oldest!);
    this.#joined.swarm.have.delete(this.#chunksOf(oldest!));
  }
}
