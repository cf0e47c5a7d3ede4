/**
 * No sound, in real time: a song takes as long as it would aloud. For machines without a sound device, and for tests.
 *
 *     written │ sounded (silently) │ pending ≤ 0.5 s │
 */
import type { Clock } from '../../../protocol/ports.js';
import type { PcmFormat } from '../pcm.js';
import type { Output } from './output.js';

/** As much as a sound card usually holds. */
const BUFFER_SECONDS = 0.5;

export class NullOutput implements Output {
  readonly name = 'null';
  readonly bufferSeconds = BUFFER_SECONDS;
  readonly formats = 'reopens';
  readonly #clock: Clock;
  #samplesPerMs = 0;
  /** When all that was written will have sounded. */
  #emptyAt = 0;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async prepare(): Promise<void> {}

  async open(format: PcmFormat): Promise<void> {
    this.#samplesPerMs = (format.sampleRate * format.channels) / 1_000;
  }

  async write(samples: Int16Array): Promise<void> {
    this.#emptyAt = Math.max(this.#emptyAt, this.#clock.now()) + samples.length / this.#samplesPerMs;
    await this.#sleepUntil(this.#emptyAt - BUFFER_SECONDS * 1_000);
  }

  async flush(): Promise<void> {
    this.#emptyAt = 0;
    this.#wake?.();
  }

  settle(): Promise<void> {
    return this.#sleepUntil(this.#emptyAt);
  }

  close(): Promise<void> {
    return this.flush();
  }

  async #sleepUntil(at: number): Promise<void> {
    const delayMs = at - this.#clock.now();
    if (delayMs <= 0) return;
    await new Promise<void>(resolve => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
