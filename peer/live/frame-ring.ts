/**
 * The last eight seconds of a live feed, as whole MPEG frames on a time line of its own. Pure.
 *
 *     push ─▶ │ 412 │ 413 │ 414 │ … │ 718 │          a frame is one Buffer, whoever listens
 *               └ oldest        ▲ reader ─▶ next()
 *
 * The rule: a reader that is too slow loses whole frames, the oldest first, and nobody waits for it. It holds nothing but
 * its place.
 */
import type { FrameHeader } from '../mpeg/frame-header.js';

/** Players probe up to six seconds before they start; the rest is patience with the slow. */
export const RING_MS = 8_000;

export interface LiveFrame {
  /** Shared by all who listen: never written to. */
  readonly bytes: Buffer;
  readonly header: FrameHeader;
  /** 0, 1, 2 … */
  readonly seq: number;
  /** Where it begins on the feed's time line: counted in samples from its first frame on, through silence too. */
  readonly atMs: number;
  /** And how many bytes of frames came before it. */
  readonly atByte: number;
}

export const durationMs = ({ samples, sampleRate }: FrameHeader): number => (samples * 1_000) / sampleRate;

export class FrameRing {
  readonly #frames: LiveFrame[] = [];
  #endMs = 0;
  #endByte = 0;
  #nextSeq = 0;

  /** Where the next frame will begin. */
  get endMs(): number {
    return this.#endMs;
  }

  get endByte(): number {
    return this.#endByte;
  }

  get latest(): LiveFrame | undefined {
    return this.#frames.at(-1);
  }

  push(bytes: Buffer, header: FrameHeader): void {
    const place = { seq: this.#nextSeq, atMs: this.#endMs, atByte: this.#endByte };
    this.#frames.push({ bytes, header, ...place });
    this.#nextSeq += 1;
    this.#endByte += bytes.length;
    this.#endMs += durationMs(header);
    while (this.#endMs - this.#frames[0]!.atMs > RING_MS) this.#frames.shift();
  }

  /** The frame of this number, or the oldest that is left after it. */
  at(seq: number): LiveFrame | undefined {
    const oldest = this.#frames[0]?.seq ?? 0;
    return this.#frames[Math.max(0, seq - oldest)];
  }

  /** The number of the frame in which the last `ms` begin. */
  seqBefore(ms: number): number {
    const from = this.#endMs - ms;
    return this.#frames.find(({ atMs, header }) => atMs + durationMs(header) > from)?.seq ?? this.#nextSeq;
  }
}

/** A listener's place in the ring. */
export class RingReader {
  readonly #ring: FrameRing;
  #seq: number;
  #lost = 0;

  /** Begins with the frame in which the last `burstMs` begin. */
  constructor(ring: FrameRing, burstMs: number) {
    this.#ring = ring;
    this.#seq = ring.seqBefore(burstMs);
  }

  /** What `next` would give. */
  peek(): LiveFrame | undefined {
    return this.#ring.at(this.#seq);
  }

  next(): LiveFrame | undefined {
    const frame = this.#ring.at(this.#seq);
    if (frame === undefined) return undefined;
    this.#lost += frame.seq - this.#seq;
    this.#seq = frame.seq + 1;
    return frame;
  }

  /** Goes on as a listener that joins now, but never back. What lies between is not lost, it was not wanted. */
  rejoin(burstMs: number): void {
    this.#seq = Math.max(this.#seq, this.#ring.seqBefore(burstMs));
  }

  /** Frames that left the ring before this reader came to them. */
  get lostFrames(): number {
    return this.#lost;
  }
}
