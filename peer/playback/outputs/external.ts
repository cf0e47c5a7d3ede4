/**
 * A player program found on PATH, fed raw samples on its standard input: PipeWire's, ALSA's, PulseAudio's, FFmpeg's.
 *
 * Started with the first sample of a format and ended when nothing follows. Whether it works here is tried with a moment of
 * silence: a program that is installed may still find no sound server.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../../../protocol/ports.js';
import { isRunnable } from '../../programs.js';
import { littleEndian, type PcmFormat } from '../pcm.js';
import { type Output, OutputError } from './output.js';

export type ExternalPlayer = 'pw-play' | 'aplay' | 'paplay' | 'ffplay';

type Player = ChildProcessByStdio<Writable, null, Readable>;

/** The pipe to it and what it buffers itself. */
const BUFFER_SECONDS = 2;
/** Trying it out: longer than a sound server takes to answer, short of annoying. */
const TRIAL_LIMIT_MS = 3_000;
const TRIAL_SECONDS = 0.05;
/** The sound that was written is out by then, or never will be. */
const SETTLE_LIMIT_MS = 5_000;
/** Who takes no sound any more ends soon, and says why. */
const LAST_WORDS_LIMIT_MS = 500;
const MAX_COMPLAINT_CHARS = 2_000;

function argumentsOf(
  player: ExternalPlayer,
  { sampleRate, channels }: PcmFormat,
  rawOption: boolean,
): string[] {
  switch (player) {
    case 'pw-play':
      // Before PipeWire 1.2 `-` alone means raw samples, and the option is unknown.
      return [
        ...(rawOption ? ['--raw'] : []),
        '--format=s16',
        `--rate=${sampleRate}`,
        `--channels=${channels}`,
        '-',
      ];
    case 'aplay':
      return ['-q', '-t', 'raw', '-f', 'S16_LE', '-r', `${sampleRate}`, '-c', `${channels}`, '-'];
    case 'paplay':
      return ['--raw', '--format=s16le', `--rate=${sampleRate}`, `--channels=${channels}`];
    case 'ffplay': {
      const layout = channels === 1 ? 'mono' : 'stereo';
      const quiet = ['-nodisp', '-autoexit', '-hide_banner', '-loglevel', 'error', '-fflags', 'nobuffer'];
      return [...quiet, '-f', 's16le', '-ar', `${sampleRate}`, '-ch_layout', layout, '-i', '-'];
    }
  }
}

export class ExternalOutput implements Output {
  readonly name: ExternalPlayer;
  readonly bufferSeconds = BUFFER_SECONDS;
  readonly formats = 'reopens';
  readonly #clock: Clock;
  #format: PcmFormat = { sampleRate: 44_100, channels: 2 };
  #rawOption = false;
  #player: Player | undefined;
  /** When the last one has ended, and what it said was heard. */
  #closed: Promise<void> = Promise.resolve();
  #complaint = '';
  #flushes = 0;

  constructor(name: ExternalPlayer, clock: Clock) {
    this.name = name;
    this.#clock = clock;
  }

  async prepare(): Promise<void> {
    if (!(await isRunnable(this.name))) throw new OutputError('missing', `${this.name} is not installed`);
    if (this.name === 'pw-play') this.#rawOption = await knowsRaw();
    await this.open({ sampleRate: 44_100, channels: 2 });
    const player = this.#start();
    const ended = this.#endOf(player);
    player.stdin.end(Buffer.alloc(TRIAL_SECONDS * 44_100 * 4));
    const code = await this.#atMost(TRIAL_LIMIT_MS, ended);
    this.#kill();
    // ffplay says on stderr that it found no device, and exits with 0.
    if (code === 0 && !/fail|error|refused/i.test(this.#complaint)) return;
    const why = code === undefined ? 'it hangs' : (lastLine(this.#complaint) ?? `it exits with ${code}`);
    throw new OutputError('refused', `${this.name} does not work here: ${why}`);
  }

  async open(format: PcmFormat): Promise<void> {
    this.#format = format;
  }

  async write(samples: Int16Array): Promise<void> {
    const flushes = this.#flushes;
    const player = this.#player ?? this.#start();
    const gone = await new Promise<Error | null | undefined>(resolve => {
      const closed = () => resolve(new Error('it ended'));
      player.once('close', closed);
      player.stdin.write(littleEndian(samples), error => {
        player.off('close', closed);
        resolve(error);
      });
    });
    if (gone == null) return;
    await this.#atMost(LAST_WORDS_LIMIT_MS, this.#closed);
    if (flushes !== this.#flushes) return;
    this.#kill();
    const why = lastLine(this.#complaint) ?? gone.message;
    throw new OutputError('broken', `${this.name} failed: ${why}`);
  }

  async flush(): Promise<void> {
    this.#flushes++;
    this.#kill();
  }

  async settle(): Promise<void> {
    const player = this.#player;
    if (player === undefined) return;
    const ended = this.#endOf(player);
    player.stdin.end();
    await this.#atMost(SETTLE_LIMIT_MS, ended);
    if (this.#player === player) this.#kill();
  }

  close(): Promise<void> {
    return this.flush();
  }

  #start(): Player {
    this.#complaint = '';
    const args = argumentsOf(this.name, this.#format, this.#rawOption);
    // Detached: a Ctrl-C at the terminal is the peer's to answer, not the player's.
    const player = spawn(this.name, args, { stdio: ['pipe', 'ignore', 'pipe'], detached: true });
    player.on('error', error => this.#complain(error.message));
    // Without a descriptor left there is no process, and none of its streams.
    if ((player.stdin as Writable | undefined) === undefined)
      throw new OutputError('broken', `${this.name} cannot be started`);
    this.#closed = new Promise(resolve => player.once('close', () => resolve()));
    player.stdin.on('error', () => {});
    player.stderr.on('data', data => this.#complain(String(data)));
    this.#player = player;
    return player;
  }

  #complain(text: string): void {
    this.#complaint = (this.#complaint + text).slice(-MAX_COMPLAINT_CHARS);
  }

  #kill(): void {
    this.#player?.kill('SIGKILL');
    this.#player = undefined;
  }

  async #endOf(player: Player): Promise<number> {
    if (player.exitCode !== null) return player.exitCode;
    const [code] = await once(player, 'close').catch(() => [-1]);
    return code ?? -1;
  }

  /** undefined when the time is up. */
  async #atMost<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
    let cancel = () => {};
    const late = new Promise<undefined>(resolve => {
      cancel = this.#clock.after(limitMs, () => resolve(undefined));
    });
    const first = await Promise.race([promise, late]);
    cancel();
    return first;
  }
}

async function knowsRaw(): Promise<boolean> {
  const help = spawn('pw-play', ['--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [help.stdout, help.stderr]) stream.on('data', data => (text += String(data)));
  await once(help, 'close').catch(() => {});
  return text.includes('--raw');
}

const lastLine = (text: string): string | undefined => text.trim().split('\n').at(-1)?.trim() || undefined;
