/**
 * The audio process: pipe in, sound out. Started by audio-process.ts with the pipe as descriptor 3.
 *
 * It exists so that what native audio code does to a process is done to this one. It ends when told to or when the pipe
 * ends, and heeds no signal of the terminal, which are the peer's to answer.
 */
import { Socket } from 'node:net';
import type { Clock } from '../../protocol/ports.js';
import { AudioEngine } from './audio-engine.js';
import { encodeFrame, FrameReader } from './audio-frames.js';
import type { AudioCommand, AudioReport } from './audio-messages.js';
import { createDecoder } from './decoders/auto.js';
import type { Decoder, DecoderName } from './decoders/decoder.js';
import { createOutput } from './outputs/create-output.js';
import { OutputError } from './outputs/output.js';
import { warmUpEngine } from './warm-up-engine.js';

const PIPE = 3;
/** An output that can't be closed in this time (a full pipe that nobody reads) is left. */
const CLOSE_LIMIT_MS = 2_000;

const clock: Clock = {
  now: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

type Setup = Extract<AudioCommand, { do: 'setup' }>;

class AudioMain {
  readonly #pipe = new Socket({ fd: PIPE, readable: true, writable: true });
  readonly #reader = new FrameReader<AudioCommand>();
  #decoder: { readonly name: DecoderName; readonly ready: Promise<Decoder> } | undefined;
  #engine: AudioEngine | undefined;
  #ending = false;

  start(): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
    this.#pipe.on('data', chunk => {
      for (const command of this.#reader.push(chunk)) this.#receive(command);
    });
    this.#pipe.on('error', () => void this.#end());
    this.#pipe.on('end', () => void this.#end());
  }

  #receive(command: AudioCommand): void {
    if (command.do === 'setup') void this.#setUp(command);
    else if (command.do === 'quit') void this.#end();
    else this.#engine?.receive(command);
  }

  async #setUp({ output: spec, decoder: name, rehearse }: Setup): Promise<void> {
    const beganAt = clock.now();
    await this.#engine?.stop();
    this.#engine = undefined;
    if (this.#decoder?.name !== name) this.#decoder = { name, ready: readyDecoder(name, rehearse) };
    const output = createOutput(spec, clock);
    try {
      const decoder = await this.#decoder.ready;
      await output.prepare();
      this.#engine = new AudioEngine({ decoder, output, clock, report: report => this.#report(report) });
      this.#engine.start();
      const warmUpMs = clock.now() - beganAt;
      this.#report({ is: 'ready', output: output.name, decoder: decoder.name, warmUpMs });
    } catch (error) {
      const why = (error as Error).message;
      if (!(error instanceof OutputError)) this.#report({ is: 'decoder-failed', why });
      else this.#report({ is: 'output-failed', output: output.name, fault: error.fault, why });
    }
  }

  #report(report: AudioReport): void {
    if (!this.#ending) this.#pipe.write(encodeFrame(report));
  }

  async #end(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    clock.after(CLOSE_LIMIT_MS, () => process.exit(1));
    await this.#engine?.stop().catch(() => {});
    process.exit(0);
  }
}

async function readyDecoder(name: DecoderName, rehearse: boolean): Promise<Decoder> {
  const decoder = createDecoder(name);
  await decoder.load();
  if (rehearse) await warmUpEngine(decoder, clock);
  return decoder;
}

// The decoder's WebAssembly prints what it thinks of a song, and standard output may be where the samples go.
console.log = console.error = () => {};

new AudioMain().start();
