/**
 * How chunks are proven (RFC 7574 §5, §6), as a channel sees it, whichever the method: what goes before a chunk, and what
 * is made of one that came.
 *
 *     sender     proofOf(chunk, reader) ─▶ INTEGRITY, SIGNED_INTEGRITY … DATA
 *     reader     Judge, one a peer: hear(INTEGRITY) …  judge(DATA) ─▶ verified · unproven · wrong
 *
 * What is proven belongs to the swarm and what is claimed to the peer that claimed it.
 */
import { Claims, type RunVerdict, type Verdict } from './claims.js';
import type { HashTree } from './hash-tree.js';
import type { ChunkRange, Claim } from './messages.js';

/** What the sender may take the other side to have verified. */
export interface Reader {
  /** Any chunk of these. */
  knows(range: ChunkRange): boolean;
  /** What proves these went before `chunk`, in several datagrams: it need not go in each until somebody answers. */
  isTold?(range: ChunkRange, chunk: number): boolean;
  /** Any chunk at all. */
  readonly knowsAny: boolean;
}

export interface Integrity {
  /** How many chunks there are; undefined while nobody knows, Infinity while they are still being made. */
  readonly chunks: number | undefined;
  /** False: whatever comes is taken, and must be checked as a whole before it is used. */
  readonly proves: boolean;
  /** What goes before this chunk, which is proven here. */
  proofOf(chunk: number, reader: Reader): Claim[];
  /** What goes before 2 ** `layer` chunks that are judged at once, if they can be: what proves the node above them. */
  proofOfRun?(first: number, layer: number, reader: Reader): Claim[];
  /** What a newcomer is shown unasked: where a live swarm is now (RFC 7574 §6.1.2.3). Nothing when it knows. */
  tuneIn(reader: Reader): Claim[];
  judge(): Judge;
}

/** One peer's claims, and the verdict on its chunks. */
export interface Judge {
  /** False: it is false or makes no sense, and that is the peer's fault. `unixMs`: the time of day. */
  hear(claim: Claim, unixMs: number): boolean;
  judge(chunk: number, bytes: Uint8Array): Verdict;
  /** Several from this one on at once; those that are not verified so are judged one by one. */
  judgeRun?(first: number, chunks: readonly Uint8Array[]): RunVerdict;
}

/** Method 1: a tree whose root is the swarm's ID. */
export class MerkleIntegrity implements Integrity {
  readonly proves = true;

  constructor(readonly tree: HashTree) {}

  get chunks(): number | undefined {
    return this.tree.chunks;
  }

  proofOf(chunk: number, reader: Reader): Claim[] {
    const known = (range: ChunkRange): boolean =>
      reader.knows(range) || reader.isTold?.(range, chunk) === true;
    return this.tree.proofOf(chunk, !reader.knowsAny, known);
  }

  proofOfRun(first: number, layer: number, reader: Reader): Claim[] {
    return this.tree.proofOf(first, !reader.knowsAny, range => reader.knows(range), layer);
  }

  tuneIn(): Claim[] {
    return [];
  }

  judge(): Judge {
    const claims = new Claims();
    return {
      hear: claim =>
        claim.type === 'INTEGRITY' && (this.tree.proves(claim.range) || claims.add(claim.range, claim.hash)),
      judge: (chunk, bytes) => this.tree.verify(chunk, bytes, claims),
      judgeRun: (first, chunks) => this.tree.verifyRun(first, chunks, claims),
    };
  }
}

/** Method 0, for networks where nobody lies; `chunks` from the metadata. */
export class NoIntegrity implements Integrity {
  readonly proves = false;

  constructor(readonly chunks: number | undefined) {}

  proofOf(): Claim[] {
    return [];
  }

  tuneIn(): Claim[] {
    return [];
  }

  judge(): Judge {
    return { hear: () => false, judge: () => 'verified' };
  }
}
