/**
 * The sound card through the `speaker` package (ALSA on Linux, CoreAudio, WinMM).
 *
 * Where there is no device, merely loading it aborts the process; so it is loaded only in the audio process, and only when
 * that process is asked to prepare it. What ALSA is handed can't be handed to it twice at a time: a flush waits for the
 * piece under way, at most a quarter of the device's half second.
 */
import { installLine } from '../../failures/install-line.js';
import type { PcmFormat } from '../pcm.js';
import { littleEndian } from '../pcm.js';
import { type Output, OutputError } from './output.js';

type SpeakerClass = typeof import('speaker');
type Speaker = InstanceType<SpeakerClass>;

/** The package asks ALSA for so much. */
const BUFFER_SECONDS = 0.5;
/** Frames of samples handed over at once: 23 ms at 44.1 kHz. */
const PIECE_FRAMES = 1_024;

export class SpeakerOutput implements Output {
  readonly name = 'speaker';
  readonly bufferSeconds = BUFFER_SECONDS;
  readonly formats = 'reopens';
  #Speaker: SpeakerClass | undefined;
  #speaker: Speaker | undefined;
  #format: PcmFormat | undefined;
  #flushes = 0;
  #failure: Error | undefined;
  #underWay: Promise<void> = Promise.resolve();

  async prepare(): Promise<void> {
    if (this.#Speaker !== undefined) return;
    const loaded = await import('speaker').catch(error => {
      const mend = `${installLine('speaker-build')}, then npm ci again`;
      throw new OutputError('missing', `the speaker package is not installed; ${mend}`, { cause: error });
    });
    this.#Speaker = (loaded as unknown as { default: SpeakerClass }).default;
  }

  async open(format: PcmFormat): Promise<void> {
    await this.prepare();
    this.#format = format;
  }

  async write(samples: Int16Array): Promise<void> {
    const flushes = this.#flushes;
    const bytes = littleEndian(samples);
    const pieceBytes = PIECE_FRAMES * 2 * this.#format!.channels;
    for (let at = 0; at < bytes.length && flushes === this.#flushes; at += pieceBytes) {
      this.#underWay = this.#hand(bytes.subarray(at, at + pieceBytes));
      await this.#underWay;
      if (this.#failure !== undefined) throw this.#lost(this.#failure);
    }
  }

  async flush(): Promise<void> {
    this.#flushes++;
    await this.#underWay;
    // Closing also drops what the device holds; the next write opens it again, which takes about a millisecond.
    this.#speaker?.close(true);
    this.#speaker = undefined;
  }

  async settle(): Promise<void> {}

  close(): Promise<void> {
    return this.flush();
  }

  /** Resolves when the device has taken it; a failure is kept for the caller. */
  #hand(piece: Buffer): Promise<void> {
    return new Promise(resolve => {
      this.#speaker ??= this.#connect();
      this.#speaker.once('error', resolve);
      this.#speaker.write(piece, error => {
        if (error instanceof Error) this.#failure = error;
        this.#speaker?.off('error', resolve);
        resolve();
      });
    });
  }

  #connect(): Speaker {
    const options = { ...this.#format!, bitDepth: 16, signed: true, samplesPerFrame: PIECE_FRAMES };
    const speaker = new this.#Speaker!(options);
    speaker.on('error', error => {
      this.#failure = error;
    });
    return speaker;
  }

  #lost(error: Error): OutputError {
    this.#failure = undefined;
    this.#speaker = undefined;
    return new OutputError('broken', `the sound device failed: ${error.message}`, { cause: error });
  }
}
