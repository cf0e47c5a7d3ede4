/**
 * The taking half of a channel: what was asked of the other side, what came, whether it is true, and what to say of it.
 *
 *     INTEGRITY ─▶ judge ◀─ DATA        verified ─▶ have, ACK, the engine
 *                                       unproven ─▶ dropped: it comes again
 *                                       wrong    ─▶ a strike; a few, and the channel is over
 *
 * A chunk that nobody can prove (method 0, PyPPSPP) is taken only if it was asked for, and never counts as had.
 */
import type { Milliseconds } from '../ports.js';
import { ChunkSet } from './chunk-set.js';
import { sayable } from './chunk-spec.js';
import { ONE_BY_ONE, type RunVerdict, type Verdict } from './claims.js';
import { LAST_CHUNK } from './constants.js';
import type { Dialect } from './handshake.js';
import type { Judge } from './integrity.js';
import type { ChunkRange, Claim, Message } from './messages.js';
import type { Swarm } from './swarm.js';
import { Wanted } from './wanted.js';

/** UDP's checksum lets an error through now and then, so one wrong chunk makes no liar … */
const MAX_STRIKES = 3;
/** … and so many true ones make up for it. Over a stream one is enough: what was to prove the next ones went with it, once. */
const CHUNKS_A_STRIKE = 64;

type Data = Extract<Message, { type: 'DATA' }>;

export type ChunkEvent =
  /**
   * Chunks that follow one another, sharing the datagram's memory. Not `isProven`: to be checked as a whole before they are
   * used or passed on.
   */
  | {
      readonly kind: 'chunks';
      readonly first: number;
      readonly chunks: readonly Uint8Array[];
      readonly isProven: boolean;
    }
  | { readonly kind: 'wrong'; readonly chunk: number };

export class Fetching {
  readonly wanted: Wanted;
  readonly #swarm: Swarm;
  readonly #dialect: Dialect;
  readonly #isReliable: boolean;
  readonly #judge: Judge;
  /** Came, and nobody can prove it. */
  readonly #taken = new ChunkSet();
  /** Delay of what is to be acknowledged, by chunk, in the order in which it came. */
  readonly #toAck = new Map<number, number>();
  readonly #toCancel: ChunkRange[] = [];
  #isChoked = false;
  #strikes = 0;

  constructor(options: {
    readonly swarm: Swarm;
    readonly dialect: Dialect;
    readonly isReliable: boolean;
  }) {
    this.#swarm = options.swarm;
    this.#dialect = options.dialect;
    this.#isReliable = options.isReliable;
    this.#judge = options.swarm.integrity.judge();
    this.wanted = new Wanted(options.isReliable);
  }

  get isChoked(): boolean {
    return this.#isChoked;
  }

  /** Too much of what came was false. */
  get hasLied(): boolean {
    return this.#strikes >= (this.#isReliable ? 1 : MAX_STRIKES);
  }

  get hasToSay(): boolean {
    return this.#toAck.size > 0 || this.#toCancel.length > 0 || this.wanted.hasUnsaid;
  }

  /** Not while choked. False: it may not be asked in so many pieces. */
  request(range: ChunkRange): boolean {
    return this.wanted.add(range);
  }

  cancel(range: ChunkRange): void {
    if (!this.wanted.chunks.touches(range)) return;
    this.wanted.delete(range);
    this.#toCancel.push(range);
  }

  /** All that was asked is dead (RFC 7574 §3.8): the ranges. */
  choked(): readonly ChunkRange[] {
    const dead = [...this.wanted.chunks.ranges];
    this.#isChoked = true;
    for (const range of dead) this.wanted.delete(range);
    return dead;
  }

  unchoked(): void {
    this.#isChoked = false;
  }

  /** False: the other side is at fault. */
  hear(claim: Claim, unixMs: number): boolean {
    return this.#judge.hear(claim, unixMs);
  }

  /** Chunks that follow one another, as a large frame has them: those of whole subtrees are judged together. */
  run(messages: readonly Data[], unixUs: number): ChunkEvent[] {
    const events: ChunkEvent[] = [];
    for (let i = 0; i < messages.length; ) {
      const { verdict, count } = this.#judgeRun(messages.slice(i));
      if (verdict === 'verified') events.push(...this.#had(messages.slice(i, i + count), unixUs));
      else {
        const event = this.data(messages[i]!, unixUs, verdict);
        if (event !== undefined) events.push(event);
      }
      i += verdict === 'verified' ? count : 1;
    }
    return events;
  }

  /** Chunks that follow one another and are true: what is new of them. */
  #had(messages: readonly Data[], unixUs: number): ChunkEvent[] {
    const first = messages[0]!.chunk;
    const range = { start: first, end: first + messages.length - 1 };
    this.wanted.came(range);
    const missing = this.#swarm.have.gaps(range, messages.length);
    this.#swarm.have.add(range);
    this.#strikes = Math.max(0, this.#strikes - messages.length / CHUNKS_A_STRIKE);
    if (!this.#isReliable)
      for (const { chunk, timestampUs } of messages) this.#toAck.set(chunk, unixUs - timestampUs);
    return missing.map(({ start, end }) => ({
      kind: 'chunks',
      first: start,
      chunks: messages.slice(start - first, end + 1 - first).map(({ bytes }) => bytes),
      isProven: true,
    }));
  }

  /** `ofRun`: the verdict on those with which it came. Where one of them is false it is this one if nothing speaks for it. */
  data(
    { chunk, bytes, timestampUs }: Data,
    unixUs: number,
    ofRun: Verdict = 'unproven',
  ): ChunkEvent | undefined {
    const isProven = this.#swarm.integrity.proves;
    const isNew = !this.#swarm.have.has(chunk) && !this.#taken.has(chunk);
    if (isNew && !isProven && !this.wanted.chunks.has(chunk)) return undefined;
    const verdict = isNew ? this.#judge.judge(chunk, bytes) : 'verified';
    if (verdict === 'unproven' && ofRun !== 'wrong') return undefined;
    if (verdict !== 'verified') {
      this.#strikes += 1;
      return { kind: 'wrong', chunk };
    }
    this.wanted.came({ start: chunk, end: chunk });
    if (!this.#isReliable) this.#toAck.set(chunk, unixUs - timestampUs);
    if (!isNew) return undefined;
    this.#strikes = Math.max(0, this.#strikes - 1 / CHUNKS_A_STRIKE);
    (isProven ? this.#swarm.have : this.#taken).add({ start: chunk, end: chunk });
    return { kind: 'chunks', first: chunk, chunks: [bytes], isProven };
  }

  /** What is to be said now, and is taken for said. */
  say(now: Milliseconds): Message[] {
    return [
      ...this.#toCancel.splice(0).flatMap(range => this.#ranged('CANCEL', range)),
      ...this.#requests(now),
      ...this.#acks(),
    ];
  }

  /** What we have already need not be judged again, but where what is new is proven only with it. */
  #judgeRun(messages: readonly Data[]): RunVerdict {
    const first = messages[0]!.chunk;
    const { have } = this.#swarm;
    if (messages.length < 2 || have.covers({ start: first, end: first + messages.length - 1 }))
      return ONE_BY_ONE;
    return (
      this.#judge.judgeRun?.(
        first,
        messages.map(({ bytes }) => bytes),
      ) ?? ONE_BY_ONE
    );
  }

  /** While nobody knows how much there is, chunk 0 alone is asked for: with it comes the size (RFC 7574 §5.6). */
  #requests(now: Milliseconds): Message[] {
    const isSized = this.#swarm.integrity.chunks !== undefined;
    return this.wanted.due(now, { start: 0, end: isSized ? LAST_CHUNK : 0 }).flatMap(range => {
      // PyPPSPP takes a wish for chunk 0 alone for none.
      const end = this.#dialect === 'pyppspp' ? Math.max(range.end, 1) : range.end;
      return this.#ranged('REQUEST', { start: range.start, end });
    });
  }

  /** The biggest range around each chunk, once (RFC 7574 §4.3.2); one by one for those who expect it so. */
  #acks(): Message[] {
    const acks = new Map<number, Message>();
    for (const [chunk, delayUs] of this.#toAck) {
      const around = this.#dialect === 'rfc7574' ? this.#swarm.have.rangeAround(chunk) : undefined;
      const range = sayable(around ?? { start: chunk, end: chunk }, this.#swarm.metadata.addressing).find(
        ({ end }) => end >= chunk,
      )!;
      acks.set(range.start, { type: 'ACK', range, delayUs });
    }
    this.#toAck.clear();
    return [...acks.values()];
  }

  #ranged(type: 'REQUEST' | 'CANCEL', range: ChunkRange): Message[] {
    return sayable(range, this.#swarm.metadata.addressing).map(piece => ({ type, range: piece }));
  }
}
