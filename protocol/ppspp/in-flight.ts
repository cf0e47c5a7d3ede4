/**
 * Chunks that were sent and not acknowledged, and when they count as lost: what LEDBAT is told, and what is sent again.
 *
 *     sent: 4 5 6 7 8      ACK 6 · 7 · 8  ─▶  4 and 5 are lost: three later ones have arrived
 *                          ACK 4 all the same  ─▶  from now on only if those were sent some time later, too
 *     sent: 9              nothing for the timeout  ─▶  9 is lost, and the window is one segment (the tail)
 *
 * A chunk is counted once, however often and in whatever ranges it is acknowledged; one that was never sent, never.
 */
import type { Milliseconds } from '../ports.js';
import { Ledbat } from './ledbat.js';
import type { ChunkRange } from './messages.js';

/** RFC 5681 §3.2: fewer may be mere reordering. */
const REORDERED_SEGMENTS = 3;
/** Who still has not said that it has a chunk is not interested, or speaks a dialect that never says so of the last ones. */
export const MAX_SENDS = 10;
/** What goes with so many chunks in a row comes with one of them … */
const TELLING_CHUNKS = 8;
/** … and once so many have arrived without a loss, what goes once comes too: a tenth of all bytes less … */
const CALM_CHUNKS = 64;
/** … but where that was wrong it takes twice as many: who often sees datagrams overtake one another loses a window a time. */
const MOST_CALM_CHUNKS = 512;

interface Sent {
  readonly order: number;
  readonly bytes: number;
  readonly at: Milliseconds;
  /** Sent before: its ACK says nothing of the round trip. */
  readonly again: boolean;
}

export class InFlight {
  readonly ledbat: Ledbat;
  /** In the order of sending. */
  readonly #sent = new Map<number, Sent>();
  /** How often each was lost. */
  readonly #losses = new Map<number, number>();
  #order = 0;
  #last = -1;
  /** Chunks in a row that were sent for the first time, up to the last one, since something was last lost. */
  #run = 0;
  /** Acknowledged since something was last lost. */
  #calm = 0;
  #calmAfter = CALM_CHUNKS;
  #newestArrived = -1;
  #newestSentAt: Milliseconds = 0;
  /** What was sent so long before something that has arrived may still be on its way: nothing, until that was seen. */
  #overtakenMs: Milliseconds = 0;
  /** When something was last acknowledged, or sent into silence. */
  #quietSince: Milliseconds = 0;

  /** As `Ledbat`. */
  constructor(segmentBytes: number, segmentsAnAck = 1) {
    this.ledbat = new Ledbat(segmentBytes, segmentsAnAck);
  }

  get chunks(): number {
    return this.#sent.size;
  }

  has(chunk: number): boolean {
    return this.#sent.has(chunk);
  }

  /** `bytes`: of the datagram. A chunk that is still on its way is not sent again (false). */
  sent(chunk: number, bytes: number, now: Milliseconds): boolean {
    if (this.#sent.has(chunk)) return false;
    if (this.#sent.size === 0) this.#quietSince = now;
    const again = this.#losses.has(chunk);
    this.#sent.set(chunk, { order: this.#order++, bytes, at: now, again });
    if (again) this.#run = 0;
    else this.#run = chunk === this.#last + 1 ? this.#run + 1 : 1;
    this.#last = chunk;
    this.ledbat.sent(bytes);
    return true;
  }

  /**
   * Whether what proves the chunks from `start` on can be taken to be known over there when `chunk` comes: it went just
   * before, and nothing seems lost (RFC 7574 §5.3). What is sent again is sent with all its proofs, so a wrong guess costs a
   * window and no more.
   */
  tells(start: number, chunk: number): boolean {
    const telling = this.#isCalm ? 1 : TELLING_CHUNKS;
    return (
      this.#run >= telling && chunk === this.#last + 1 && start <= chunk - telling && !this.#losses.has(chunk)
    );
  }

  /** An ACK; the chunks that are now taken for lost. A range of any size costs what is in flight at most. */
  acked(range: ChunkRange, delayUs: number, now: Milliseconds): number[] {
    let bytes = 0;
    let newest: Sent | undefined;
    for (const chunk of this.#within(range)) {
      const sent = this.#sent.get(chunk);
      if (this.#losses.delete(chunk) && this.#cameFirst(sent, now)) this.#bePatient();
      if (sent === undefined) continue;
      this.#sent.delete(chunk);
      this.#calm += 1;
      bytes += sent.bytes;
      if (newest === undefined || sent.order > newest.order) newest = sent;
    }
    if (newest === undefined) return [];
    this.#quietSince = now;
    if (newest.order > this.#newestArrived) {
      this.#newestArrived = newest.order;
      this.#newestSentAt = newest.at;
    }
    const roundTrip = newest.again ? {} : { roundTripMs: now - newest.at };
    this.ledbat.acked({ bytes, delayUs, now, ...roundTrip });
    return this.#giveUp(
      ({ order, at }) =>
        order + REORDERED_SEGMENTS <= this.#newestArrived && at + this.#overtakenMs <= this.#newestSentAt,
      sent => this.ledbat.lost(sent.bytes, now),
    );
  }

  /** When `expire` has something to do; undefined when nothing is on its way. */
  nextDeadline(): Milliseconds | undefined {
    return this.#sent.size === 0 ? undefined : this.#quietSince + this.ledbat.timeoutMs;
  }

  /** After a timeout everything counts as lost: what to send again, the oldest first. */
  expire(now: Milliseconds): number[] {
    const deadline = this.nextDeadline();
    if (deadline === undefined || now < deadline) return [];
    this.ledbat.timedOut();
    return this.#giveUp(() => true);
  }

  /** The other side has them after all, or wants them no more: they are not sent again. */
  forget(range: ChunkRange): void {
    for (const chunk of this.#within(range)) {
      this.ledbat.forgotten(this.#sent.get(chunk)?.bytes ?? 0);
      this.#sent.delete(chunk);
      this.#losses.delete(chunk);
    }
  }

  /** Whether a chunk that was taken for lost arrived all the same, and not as it was sent again, if it was by now. */
  #cameFirst(again: Sent | undefined, now: Milliseconds): boolean {
    return again === undefined || now - again.at < (this.ledbat.roundTripMs ?? 0) / 2;
  }

  /** As RFC 8985 §6.2 widens its window of reordering: up to a round trip. */
  #bePatient(): void {
    const roundTripMs = this.ledbat.roundTripMs ?? 0;
    this.#overtakenMs = Math.min(roundTripMs, Math.max(2 * this.#overtakenMs, roundTripMs / 4));
  }

  get #isCalm(): boolean {
    return this.#calm >= this.#calmAfter;
  }

  /** Those of a range that may be on their way or lost: at most what is. */
  *#within({ start, end }: ChunkRange): Iterable<number> {
    if (end - start < this.#sent.size + this.#losses.size)
      for (let chunk = start; chunk <= end; chunk += 1) yield chunk;
    else
      for (const chunks of [this.#sent, this.#losses])
        for (const chunk of chunks.keys()) if (chunk >= start && chunk <= end) yield chunk;
  }

  /** From the oldest on, as long as they are lost. */
  #giveUp(isLost: (sent: Sent) => boolean, tell: (sent: Sent) => void = () => {}): number[] {
    const lost: number[] = [];
    for (const [chunk, sent] of this.#sent) {
      if (!isLost(sent)) break;
      this.#sent.delete(chunk);
      this.#run = 0;
      if (this.#isCalm) this.#calmAfter = Math.min(MOST_CALM_CHUNKS, 2 * this.#calmAfter);
      this.#calm = 0;
      tell(sent);
      const losses = (this.#losses.get(chunk) ?? 0) + 1;
      if (losses < MAX_SENDS) {
        this.#losses.set(chunk, losses);
        lost.push(chunk);
      } else this.#losses.delete(chunk);
    }
    return lost;
  }
}
