/**
 * node-lame's stream: the `lame` program as a decoder, in a process of its own for each song.
 *
 *     frames ──▶ stdin │ lame --decode │ stdout ──▶ 44-byte WAV header, samples
 *
 * One process is started ahead, waiting for its first frame. node-lame is an optional dependency that brings or finds the
 * program; both may be missing.
 */
import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { installLine, NO_NODE_LAME } from '../../failures/install-line.js';
import { type Pcm, remix } from '../pcm.js';
import { type Decoder, DecoderError, type FrameRun } from './decoder.js';
import { warmUpFrames } from './warm-up.js';

const WAV_HEADER_BYTES = 44;
const WAV_CHANNELS_AT = 22;
/**
 * lame drops the decoder's 529 samples and as many more as this says. GaplessTrim does that for every decoder alike, so
 * lame must drop nothing.
 */
const DROP_NOTHING = -529;
const MEND = `npm rebuild node-lame, or install the lame program: ${installLine('lame')}`;

export class LameDecoder implements Decoder {
  readonly name = 'lame';
  #open: (() => Duplex) | undefined;
  #spare: Duplex | undefined;

  /** Runs it, for only that shows whether it can be had. */
  async load(): Promise<void> {
    this.#open ??= await load();
    try {
      let samples = 0;
      for await (const pcm of this.decode(each(warmUpFrames()))) samples += pcm.samples.length;
      if (samples === 0) throw new DecoderError('lame gives no sound');
    } catch (error) {
      throw new DecoderError(`${(error as Error).message}; ${MEND}`, { cause: error });
    }
  }

  close(): void {
    this.#spare?.destroy();
    this.#spare = undefined;
  }

  async *decode(frames: AsyncIterable<FrameRun>): AsyncGenerator<Pcm> {
    const runs = frames[Symbol.asyncIterator]();
    let next = await runs.next();
    // One process cannot change its sample rate.
    while (next.done !== true) {
      const { sampleRate, channels } = next.value;
      const lame = await this.#process();
      const fed = feed(runs, next.value, lame);
      try {
        for await (const pcm of samplesOf(lame)) {
          yield remix({ ...pcm, sampleRate }, channels);
          // For the next song; not sooner, since starting it would hold up this one's first sound.
          this.#spare ??= this.#open?.();
        }
        next = await fed;
      } catch (error) {
        throw new DecoderError(`lame: ${(error as Error).message}`, { cause: error });
      } finally {
        lame.destroy();
      }
    }
  }

  async #process(): Promise<Duplex> {
    this.#open ??= await load();
    const ready = this.#spare?.destroyed === false ? this.#spare : this.#open();
    this.#spare = undefined;
    return ready;
  }
}

async function load(): Promise<() => Duplex> {
  const { LameStream } = await import('node-lame').catch(error => {
    throw new DecoderError(NO_NODE_LAME, { cause: error });
  });
  return () => {
    const stream = new LameStream({
      mode: 'decode',
      mp3Input: true,
      quiet: true,
      'decode-mp3delay': DROP_NOTHING,
    });
    // An error that nobody listens for ends this process, and node-lame gives it out three times: by the stream (whose
    // reader is told anyway), by its emitter, and, where a write is under way when it has taken its listeners off, by
    // the program's standard input.
    stream.on('error', () => {});
    stream.getEmitter().on('error', () => {});
    const { child } = stream as unknown as { child?: ChildProcess };
    const stdin = child?.stdin;
    if (stdin != null) stdin.removeAllListeners = () => stdin;
    return stream;
  };
}

/** Feeds runs of one sample rate. Resolves with what comes after them. */
async function feed(
  runs: AsyncIterator<FrameRun>,
  first: FrameRun,
  lame: Duplex,
): Promise<IteratorResult<FrameRun>> {
  let next: IteratorResult<FrameRun> = { value: first, done: false };
  while (next.done !== true && next.value.sampleRate === first.sampleRate && !lame.destroyed) {
    const { bytes } = next.value;
    await new Promise<void>(resolve => lame.write(bytes, () => resolve()));
    next = await runs.next();
  }
  lame.end();
  return next;
}

async function* samplesOf(lame: Duplex): AsyncGenerator<Omit<Pcm, 'sampleRate'>> {
  let held = Buffer.alloc(0);
  let channels: 1 | 2 | undefined;
  for await (const chunk of lame) {
    held = Buffer.concat([held, chunk]);
    if (channels === undefined) {
      if (held.length < WAV_HEADER_BYTES) continue;
      channels = held.readUInt16LE(WAV_CHANNELS_AT) === 1 ? 1 : 2;
      held = held.subarray(WAV_HEADER_BYTES);
    }
    const bytes = held.length - (held.length % (2 * channels));
    const samples = new Int16Array(bytes / 2);
    for (let i = 0; i < samples.length; i++) samples[i] = held.readInt16LE(2 * i);
    held = held.subarray(bytes);
    if (samples.length > 0) yield { channels, samples };
  }
}

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
