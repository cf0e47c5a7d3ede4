/**
 * The giving half of a channel: what the other side has and wants, and which chunk goes to it next, with which proofs.
 *
 *     REQUEST ─▶ queue ─▶ [proofs · DATA] ─▶ in flight ─ ACK, HAVE ─▶ it has them
 *                  ▲───────── lost ─────────────┘
 *
 * Over a stream nothing is lost and the stream itself says how much may be under way: there a chunk that was sent has
 * arrived, and its proofs serve those after it. Chunks of a whole subtree go together, with what proves the node above them.
 */
import type { Milliseconds } from '../ports.js';
import { ChunkSet } from './chunk-set.js';
import { LAST_CHUNK } from './constants.js';
import { FRAME_CHUNKS, frameBytesOf } from './frames.js';
import type { Dialect } from './handshake.js';
import { InFlight } from './in-flight.js';
import type { Reader } from './integrity.js';
import type { ChunkRange, Claim, Message } from './messages.js';
import { RequestQueue } from './request-queue.js';
import type { Swarm } from './swarm.js';

const EVERYTHING: ChunkRange = { start: 0, end: LAST_CHUNK };

/** It acknowledges eleven chunks at once, and not before. */
const PYPPSPP_CHUNKS_AN_ACK = 12;

/** What goes together: a chunk, or those of a whole frame, and what proves them. */
export interface ChunkUnit {
  readonly proof: readonly Claim[];
  readonly data: readonly Extract<Message, { type: 'DATA' }>[];
}

export class Serving implements Reader {
  /** What the other side said it has. */
  readonly peerHas = new ChunkSet();
  readonly #flight: InFlight;
  readonly #swarm: Swarm;
  readonly #isReliable: boolean;
  readonly #datagramBytes: number;
  /** Of a frame with its proofs; Infinity: chunks go one by one. */
  readonly #frameBytes: number;
  readonly #peerKeeps: number;
  readonly #queue = new RequestQueue();
  /** Over a stream: what has arrived because it was sent. */
  readonly #delivered = new ChunkSet();
  #isChoking = false;

  constructor(options: {
    readonly swarm: Swarm;
    readonly dialect: Dialect;
    readonly isReliable: boolean;
    readonly maxDatagramBytes: number;
    /** How many chunks the other side keeps (RFC 7574 §6.2); Infinity: all. */
    readonly peerKeeps: number;
  }) {
    this.#swarm = options.swarm;
    this.#isReliable = options.isReliable;
    this.#peerKeeps = options.peerKeeps;
    this.#datagramBytes = options.maxDatagramBytes;
    const { metadata, integrity } = options.swarm;
    const frameBytes = frameBytesOf(metadata.chunkBytes);
    const isFramed =
      options.isReliable && options.dialect === 'rfc7574' && integrity.proofOfRun !== undefined;
    this.#frameBytes =
      isFramed && frameBytes <= options.maxDatagramBytes ? frameBytes : Number.POSITIVE_INFINITY;
    this.#flight = new InFlight(
      options.maxDatagramBytes,
      options.dialect === 'pyppspp' ? PYPPSPP_CHUNKS_AN_ACK : 1,
    );
  }

  get isChoking(): boolean {
    return this.#isChoking;
  }

  get roundTripMs(): Milliseconds | undefined {
    return this.#flight.ledbat.roundTripMs;
  }

  /** Chunks are asked for, or on their way. */
  get isAsked(): boolean {
    return !this.#queue.isEmpty || this.#flight.chunks > 0;
  }

  /** Chunks are asked for, and the way is free. */
  get isReady(): boolean {
    if (this.#queue.isEmpty) return false;
    return this.#isReliable || this.#flight.chunks === 0 || this.#flight.ledbat.maySend(this.#datagramBytes);
  }

  /** It has all there is. */
  get peerIsComplete(): boolean {
    const { chunks } = this.#swarm.integrity;
    return chunks !== undefined && chunks > 0 && this.peerHas.covers({ start: 0, end: chunks - 1 });
  }

  knows(range: ChunkRange): boolean {
    return this.peerHas.touches(range) || this.#delivered.touches(range);
  }

  get knowsAny(): boolean {
    return !this.peerHas.isEmpty || !this.#delivered.isEmpty;
  }

  isTold({ start }: ChunkRange, chunk: number): boolean {
    return this.#flight.tells(start, chunk);
  }

  /** What it had and has no more, if it doesn't keep everything. */
  get peerForgot(): ChunkRange | undefined {
    const end = (this.peerHas.ranges.at(-1)?.end ?? 0) - this.#peerKeeps;
    return end >= 0 ? { start: 0, end } : undefined;
  }

  asked(range: ChunkRange): void {
    if (!this.#isChoking) this.#queue.add(range);
  }

  cancelled(range: ChunkRange): void {
    this.#queue.delete(range);
    this.#flight.forget(range);
  }

  /** A HAVE: also an answer to what was sent, and the end of all wish for it (RFC 7574 §3.2). */
  announced(range: ChunkRange): void {
    this.#has(range);
    this.cancelled(range);
  }

  acked(range: ChunkRange, delayUs: number, now: Milliseconds): void {
    this.#has(range);
    this.#queue.delete(range);
    this.#sendAgain(this.#flight.acked(range, delayUs, now));
  }

  /** What was asked is dead on both sides (RFC 7574 §3.8). */
  choke(): void {
    this.#isChoking = true;
    this.#queue.clear();
    this.#flight.forget(EVERYTHING);
  }

  unchoke(): void {
    this.#isChoking = false;
  }

  /** The next chunk, or frame if `budgetBytes` has room for it, with its proofs, if one may go now. It is to be reported as `sent`. */
  next(timestampUs: number, budgetBytes: number): ChunkUnit | undefined {
    while (this.isReady) {
      const chunk = this.#queue.take(this.#swarm.have);
      if (chunk === undefined) return undefined;
      if (this.#flight.has(chunk)) continue;
      const frame = budgetBytes >= this.#frameBytes ? this.#frameFrom(chunk) : undefined;
      const chunks = frame ?? this.#read(chunk, 1);
      if (chunks === undefined) {
        this.#queue.addFirst(chunk);
        return undefined;
      }
      const { integrity } = this.#swarm;
      const proof =
        frame === undefined
          ? integrity.proofOf(chunk, this)
          : integrity.proofOfRun!(chunk, Math.log2(FRAME_CHUNKS), this);
      const data = chunks.map((bytes, i) => ({
        type: 'DATA' as const,
        chunk: chunk + i,
        timestampUs,
        bytes,
      }));
      return { proof, data };
    }
    return undefined;
  }

  /** `bytes`: of the datagrams that it took. */
  sent({ data }: ChunkUnit, bytes: number, now: Milliseconds): void {
    const { chunk } = data[0]!;
    if (this.#isReliable) this.#delivered.add({ start: chunk, end: chunk + data.length - 1 });
    else this.#flight.sent(chunk, bytes, now);
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#flight.nextDeadline();
  }

  expire(now: Milliseconds): void {
    this.#sendAgain(this.#flight.expire(now));
  }

  /** The chunks of the frame that begins with this one, if all of them are asked for and at hand. */
  #frameFrom(chunk: number): readonly Uint8Array[] | undefined {
    const { have, integrity } = this.#swarm;
    const rest = { start: chunk + 1, end: chunk + FRAME_CHUNKS - 1 };
    // The last chunk of the content may be shorter, and is judged for its length.
    if (chunk % FRAME_CHUNKS !== 0 || rest.end >= (integrity.chunks ?? 0) - 1) return undefined;
    if (!this.#queue.covers(rest) || !have.covers(rest)) return undefined;
    const chunks = this.#read(chunk, FRAME_CHUNKS);
    if (chunks !== undefined) this.#queue.delete(rest);
    return chunks;
  }

  #read(first: number, count: number): readonly Uint8Array[] | undefined {
    const chunks: Uint8Array[] = [];
    for (let chunk = first; chunk < first + count; chunk += 1) {
      const bytes = this.#swarm.source.read(chunk);
      if (bytes === undefined) return undefined;
      chunks.push(bytes);
    }
    return chunks;
  }

  /** And no longer what lies before its window, which ends at the last that it has. */
  #has(range: ChunkRange): void {
    this.peerHas.add(range);
    const { peerForgot } = this;
    if (peerForgot !== undefined) this.peerHas.delete(peerForgot);
  }

  #sendAgain(lost: readonly number[]): void {
    for (const chunk of lost.toReversed()) this.#queue.addFirst(chunk);
  }
}
