/**
 * LEDBAT (RFC 6817): how much may be in flight so that others on the way are not delayed. Pure: told times and delays.
 *
 *     queueing delay = least of the last delays − least of the last ten minutes
 *     window += GAIN · (TARGET − queueing delay) / TARGET · acked · MSS / window        halved by a loss, once a round trip
 *
 * Delays are differences of two clocks that need not agree: only their changes count. Bytes and milliseconds; one-way
 * delays in microseconds, as the wire has them.
 */
import type { Milliseconds } from '../ports.js';

/** RFC 6817 §2.4.2: at most 100 ms. */
const TARGET_US = 100_000;
const GAIN = 1;
const ALLOWED_INCREASE_SEGMENTS = 1;
/** RFC 6817 §2.4.2: the window at the start, and the least one. */
const MIN_SEGMENTS = 2;
const BASE_HISTORY_MINUTES = 10;
const MINUTE_MS = 60_000;
/** CURRENT_FILTER: the least of so many samples. */
const CURRENT_SAMPLES = 4;
/** What was carried longer ago says nothing; a round trip, if that is longer. */
const ROUND_MS = 100;
/** RFC 6298: before the first sample, and the bounds of the timeout. */
const FIRST_TIMEOUT_MS = 1_000;
const MIN_TIMEOUT_MS = 200;
const MAX_TIMEOUT_MS = 60_000;

export class Ledbat {
  readonly #segmentBytes: number;
  /** The window after silence, and the least one otherwise. */
  readonly #leastBytes: number;
  readonly #minBytes: number;
  #window: number;
  #flight = 0;
  /** The most that was in flight, in this round and in the one before. */
  #most = 0;
  #mostBefore = 0;
  #roundEndsAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** Least delay of each of the last minutes, the present one last. */
  readonly #base: number[] = [];
  #minute: number | undefined;
  readonly #current: number[] = [];
  #smoothedMs: number | undefined;
  #variationMs = 0;
  #timeoutMs = FIRST_TIMEOUT_MS;
  #lossAt: Milliseconds | undefined;

  /**
   * `segmentBytes`: the largest datagram that is sent. `segmentsAnAck`: as many must be able to go before an answer can be
   * expected; more than 1 is no LEDBAT, but the only way with who answers so rarely.
   */
  constructor(segmentBytes: number, segmentsAnAck = 1) {
    this.#segmentBytes = segmentBytes;
    this.#leastBytes = segmentsAnAck * segmentBytes;
    this.#minBytes = MIN_SEGMENTS * this.#leastBytes;
    this.#window = this.#minBytes;
  }

  get windowBytes(): number {
    return this.#window;
  }

  get flightBytes(): number {
    return this.#flight;
  }

  /** How long to wait for an ACK before all that is in flight counts as lost. */
  get timeoutMs(): Milliseconds {
    return this.#timeoutMs;
  }

  get roundTripMs(): Milliseconds | undefined {
    return this.#smoothedMs;
  }

  maySend(bytes: number): boolean {
    return this.#flight + bytes <= this.#window;
  }

  sent(bytes: number): void {
    this.#flight += bytes;
    this.#most = Math.max(this.#most, this.#flight);
  }

  /** It is not waited for any more, and nothing is learnt from it. */
  forgotten(bytes: number): void {
    this.#flight = Math.max(0, this.#flight - bytes);
  }

  /** `roundTripMs` only of what was sent once (Karn). `bytes`: what this ACK acknowledges for the first time. */
  acked(ack: {
    readonly bytes: number;
    readonly delayUs: number;
    readonly roundTripMs?: Milliseconds;
    readonly now: Milliseconds;
  }): void {
    if (ack.roundTripMs !== undefined) this.#measure(ack.roundTripMs);
    // Whatever it answers, the path lives: who waits on as long as in the silence before stalls where much is lost.
    this.#timeoutMs = this.#measuredTimeoutMs;
    this.#noteDelay(ack.delayUs, ack.now);
    const queueing = Math.min(...this.#current) - Math.min(...this.#base);
    const off = (TARGET_US - queueing) / TARGET_US;
    const segment = this.#segmentBytes;
    // A forged or wild delay takes back no more than the ACK could have given.
    this.#window += (GAIN * Math.max(-1, off) * ack.bytes * segment) / this.#window;
    this.#window = Math.min(this.#window, this.#carried(ack.now) + ALLOWED_INCREASE_SEGMENTS * segment);
    this.#window = Math.max(this.#window, this.#minBytes);
    this.#flight = Math.max(0, this.#flight - ack.bytes);
  }

  /** A datagram is taken for lost. The window shrinks at most once a round trip. */
  lost(bytes: number, now: Milliseconds): void {
    this.#flight = Math.max(0, this.#flight - bytes);
    if (this.#lossAt !== undefined && now - this.#lossAt < (this.#smoothedMs ?? FIRST_TIMEOUT_MS)) return;
    this.#lossAt = now;
    this.#window = Math.min(this.#window, Math.max(this.#window / 2, this.#minBytes));
  }

  /** No ACK for `timeoutMs`: nothing is in flight any more, the least may go, and the next wait is twice as long. */
  timedOut(): void {
    this.#flight = 0;
    this.#window = this.#leastBytes;
    this.#timeoutMs = Math.min(MAX_TIMEOUT_MS, this.#timeoutMs * 2);
  }

  /**
   * What the path has carried lately, beyond which the window may grow by a segment.
   * Deviation: RFC 6817 §2.4.2 takes what is in flight at this ACK; but many
   * come at once, or while the disk is waited for, and each would take the window down with it.
   */
  #carried(now: Milliseconds): number {
    if (now >= this.#roundEndsAt) {
      this.#mostBefore = this.#most;
      this.#most = this.#flight;
      this.#roundEndsAt = now + Math.max(ROUND_MS, this.#smoothedMs ?? 0);
    }
    return Math.max(this.#most, this.#mostBefore);
  }

  #measure(sampleMs: Milliseconds): void {
    if (this.#smoothedMs === undefined) {
      this.#smoothedMs = sampleMs;
      this.#variationMs = sampleMs / 2;
    } else {
      this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.#smoothedMs - sampleMs);
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * sampleMs;
    }
  }

  get #measuredTimeoutMs(): Milliseconds {
    if (this.#smoothedMs === undefined) return FIRST_TIMEOUT_MS;
    return Math.min(MAX_TIMEOUT_MS, Math.max(MIN_TIMEOUT_MS, this.#smoothedMs + 4 * this.#variationMs));
  }

  #noteDelay(delayUs: number, now: Milliseconds): void {
    this.#current.push(delayUs);
    if (this.#current.length > CURRENT_SAMPLES) this.#current.shift();
    const minute = Math.floor(now / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#base.push(delayUs);
      if (this.#base.length > BASE_HISTORY_MINUTES) this.#base.shift();
    } else {
      this.#base.push(Math.min(this.#base.pop()!, delayUs));
    }
  }
}
