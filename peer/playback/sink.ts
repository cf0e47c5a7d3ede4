/**
 * One output with what every output needs: volume, pause, one format after another, and the knowledge of where the sound is.
 *
 *     play(pcm) ─▶ convert ─▶ (gate: paused?) ─▶ scale ─▶ output.write ─▶ PlayHead
 *                                  ▲                          │
 *                              backlog ◀── rewind on pause ── tail: what the output may still hold
 *
 * A pause is silence at once: the output forgets what it holds, and on resuming that is written again. Writes follow one
 * another; pause, resume and flush come at any time.
 */
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import { Converter } from './convert.js';
import type { Output } from './outputs/output.js';
import { gainOf, type Pcm, type PcmFormat, pcmSeconds, sameFormat, scale } from './pcm.js';
import { type Mark, PlayHead } from './play-head.js';

interface Written {
  /** Seconds written before it. */
  readonly at: number;
  readonly pcm: Pcm;
}

/** Kept beyond what the output holds at most, since that is only reckoned. */
const SPARE_TAIL_SECONDS = 1;

export class Sink {
  readonly output: Output;
  readonly head: PlayHead;
  readonly #clock: Clock;
  #gain = 1;
  #paused = false;
  /** Counts flushes: what began before one is dropped. */
  #flushes = 0;
  #format: PcmFormat | undefined;
  #converter: Converter | undefined;
  /** The next write follows silence that was meant. */
  #fresh = true;
  #stutters = 0;
  #tail: Written[] = [];
  #backlog: Pcm[] = [];
  /** Where to go on after a pause, in seconds written. */
  #resumeAt: number | undefined;
  #silenced: Promise<void> = Promise.resolve();
  #lastWrite: Promise<unknown> = Promise.resolve();
  #wakers = new Set<() => void>();

  constructor(options: { readonly output: Output; readonly clock: Clock }) {
    this.output = options.output;
    this.#clock = options.clock;
    this.head = new PlayHead(options.output.bufferSeconds);
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** How often the sound has stopped for want of samples, so far. */
  get stutters(): number {
    return this.#stutters;
  }

  /** Seconds that have sounded; stands still while paused. */
  sounded(now: Milliseconds): number {
    return this.#resumeAt ?? this.head.sounded(now);
  }

  /** What the sound has passed since the last time. */
  passed(now: Milliseconds): Mark[] {
    return this.#resumeAt === undefined ? this.head.passed(now) : [];
  }

  /** Milliseconds until the sound reaches the next mark; undefined: it does not. */
  untilNextMark(now: Milliseconds): number | undefined {
    return this.#resumeAt === undefined ? this.head.untilNextMark(now) : undefined;
  }

  setVolume(percent: number, muted: boolean): void {
    this.#gain = muted ? 0 : gainOf(percent);
  }

  /** Resolves when the output wants more. Rejects with OutputError. A flush meanwhile drops it. */
  play(pcm: Pcm): Promise<void> {
    return this.#serially(async flushes => {
      for (const block of this.#convert(pcm)) await this.#put(block, flushes);
    });
  }

  /** Bytes of a song as they are, worth `seconds`; for an output that takes them. */
  playMp3(bytes: Uint8Array, seconds: number): Promise<void> {
    return this.#serially(async flushes => {
      await this.#ready();
      if (flushes !== this.#flushes) return;
      const beganAt = this.#clock.now();
      await this.output.writeMp3!(bytes);
      this.head.wrote(seconds, beganAt, this.#clock.now());
    });
  }

  /** The song has no more samples; what is still under way of it is written. */
  songEnds(): Promise<void> {
    return this.#serially(async flushes => {
      for (const block of this.#converter?.end() ?? []) await this.#put(block, flushes);
      this.#fresh = true;
      if (this.output.bufferSeconds === 0) await this.output.settle();
    });
  }

  /** Resolves with true when all that was written has sounded and the output has settled, with false when woken before. */
  async drain(cancelled: () => boolean): Promise<boolean> {
    for (;;) {
      await this.#serially(() => this.#ready());
      if (cancelled()) return false;
      const ms = this.head.pending(this.#clock.now()) * 1_000;
      if (ms <= 0 && !this.#paused) break;
      await this.#sleep(ms);
    }
    await this.output.settle();
    this.#fresh = true;
    return !cancelled();
  }

  /** Makes sleepers look again. */
  wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.output.bufferSeconds > 0) {
      this.#resumeAt ??= this.head.sounded(this.#clock.now());
      this.#silence();
    }
    this.wake();
  }

  resume(): void {
    this.#paused = false;
    this.wake();
  }

  /** Silence, and nothing of what was played before comes back. */
  flush(): void {
    this.#flushes++;
    this.#silence();
    this.#tail = [];
    this.#backlog = [];
    this.#resumeAt = undefined;
    this.#fresh = true;
    // The output's format stays; what the converter held belongs to what is forgotten.
    if (this.#converter !== undefined) this.#converter = new Converter(this.#converter.to);
    this.head.rewind(this.head.written);
    this.head.forgetMarks();
    this.wake();
  }

  async close(): Promise<void> {
    this.flush();
    await this.#lastWrite.catch(() => {});
    await this.#silenced;
    await this.output.close();
    if (this.output.formats === 'reopens') this.#format = undefined;
  }

  #silence(): void {
    const flushing = this.output.flush().catch(() => {});
    this.#silenced = this.#silenced.then(() => flushing);
  }

  /** Runs `task` after those before it; `flushes` tells it whether it is still wanted. */
  #serially<T>(task: (flushes: number) => Promise<T>): Promise<T> {
    const flushes = this.#flushes;
    const run = this.#lastWrite.then(() => task(flushes));
    this.#lastWrite = run.catch(() => {});
    return run;
  }

  #convert(pcm: Pcm): Pcm[] {
    if (this.output.formats === 'reopens') return [pcm];
    this.#converter ??= new Converter(this.output.fixedFormat ?? pcm);
    return this.#converter.push(pcm).filter(block => block.samples.length > 0);
  }

  async #put(pcm: Pcm, flushes: number): Promise<void> {
    await this.#ready();
    if (flushes !== this.#flushes) return;
    if (this.#format === undefined || !sameFormat(this.#format, pcm)) await this.#open(pcm);
    if (flushes !== this.#flushes) return;
    await this.#write(pcm);
  }

  /** Waits while paused, then writes again what the pause cut off. */
  async #ready(): Promise<void> {
    const flushes = this.#flushes;
    for (;;) {
      while (this.#paused && flushes === this.#flushes) await this.#sleep();
      await this.#silenced;
      if (flushes !== this.#flushes) return;
      this.#takeBack();
      const next = this.#backlog.shift();
      if (next === undefined) return;
      await this.#write(next);
    }
  }

  /** Moves what a pause cut off from the tail to the backlog. */
  #takeBack(): void {
    if (this.#resumeAt === undefined) return;
    const from = this.#resumeAt;
    this.#resumeAt = undefined;
    const lost = this.#tail.filter(({ at, pcm }) => at + pcmSeconds(pcm) > from);
    this.#tail = [];
    this.#backlog.unshift(
      ...lost.map(({ at, pcm }) => {
        const cut = Math.max(0, Math.round((from - at) * pcm.sampleRate));
        return { ...pcm, samples: pcm.samples.subarray(cut * pcm.channels) };
      }),
    );
    this.head.rewind(from);
    this.#fresh = true;
  }

  async #write(pcm: Pcm): Promise<void> {
    const flushes = this.#flushes;
    const beganAt = this.#clock.now();
    const seconds = pcmSeconds(pcm);
    if (!this.#fresh && this.head.isDry(beganAt)) this.#stutters++;
    this.#fresh = false;
    if (this.output.bufferSeconds > 0) this.#keep(pcm);
    await this.output.write(scale(pcm.samples, this.#gain));
    if (flushes !== this.#flushes) return;
    if (this.#resumeAt === undefined) this.head.wrote(seconds, beganAt, this.#clock.now());
    else this.head.tookInVain(seconds);
  }

  #keep(pcm: Pcm): void {
    const needed = this.head.written - this.output.bufferSeconds - SPARE_TAIL_SECONDS;
    this.#tail = this.#tail.filter(({ at, pcm: kept }) => at + pcmSeconds(kept) > needed);
    this.#tail.push({ at: this.head.written, pcm });
  }

  async #open(format: PcmFormat): Promise<void> {
    if (this.#format !== undefined) {
      await this.#sleep(this.head.pending(this.#clock.now()) * 1_000);
      await this.output.settle();
      await this.output.close();
      this.#fresh = true;
    }
    await this.output.open(format);
    this.#format = { sampleRate: format.sampleRate, channels: format.channels };
  }

  /** At most `ms`, or until woken. */
  async #sleep(ms?: number): Promise<void> {
    await new Promise<void>(resolve => {
      const cancel = ms === undefined ? () => {} : this.#clock.after(ms, () => wake());
      const wake = () => {
        cancel();
        this.#wakers.delete(wake);
        resolve();
      };
      this.#wakers.add(wake);
    });
  }
}
