/**
 * The peer's side of the audio process: starts it before it is needed, feeds it, and starts another when it dies.
 *
 *     launch ─▶ start ─▶ setup(output) ─▶ ready ─▶ songs …        died, hangs, output failed
 *       ▲                  ▲  └─ failed: the next output ─┘            │
 *       └──────────────────┴───────────────────────────────────────────┘ 'restarted' or, when no output is left, 'silent'
 *
 * A sound driver that aborts or crashes takes only that process with it. What is sent before it is ready waits here; data is
 * sent only as far as the window reaches, so what comes behind it is read at once.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Clock, Logger } from '../../protocol/ports.js';
import { encodeFrame, FrameReader, MAX_DATA_BYTES } from './audio-frames.js';
import type {
  AudioCommand,
  AudioEvent,
  AudioProcess,
  AudioReport,
  OutputSpec,
  SongBegin,
  VolumeSetting,
} from './audio-messages.js';
import { DecoderError, type DecoderName } from './decoders/decoder.js';
import { OutputChoice } from './output-choice.js';
import { OutputError, type OutputFault } from './outputs/output.js';
import { SendWindow } from './send-window.js';

const ENTRY = fileURLToPath(new URL('./audio-main.js', import.meta.url));
const PIPE = 3;
/** A warm-up takes 0.2 s and an output's trial up to 3; on a machine that is busy with something else, more. */
const SETUP_LIMIT_MS = 30_000;
/** While there are songs it reports five times a second. */
const HANG_LIMIT_MS = 5_000;
/** It gives itself 2 s to close its output. */
const QUIT_LIMIT_MS = 3_000;
const MAX_COMPLAINT_CHARS = 4_000;

export class ForkedAudio implements AudioProcess {
  readonly #choice: OutputChoice;
  readonly #decoder: DecoderName;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<(event: AudioEvent) => void>();
  readonly #window = new SendWindow();
  #child: ChildProcess | undefined;
  #state: 'stopped' | 'setting-up' | 'ready' | 'silent' = 'stopped';
  /** Said before it was ready. */
  #held: AudioCommand[] = [];
  #lastSong = 0;
  #volume: VolumeSetting = { percent: 100, muted: false };
  #complaint = '';
  /** While it is watched: only its own word begins that anew. */
  #cancelWatch: (() => void) | undefined;
  #settled: (() => void)[] = [];

  constructor(options: {
    /** In the order of preference; see parseOutput. */
    readonly outputs: readonly OutputSpec[];
    readonly decoder: DecoderName;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#choice = new OutputChoice(options.outputs);
    this.#decoder = options.decoder;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Lets the process load its code, before it is known whether anything is to sound. */
  launch(): void {
    this.#child ??= this.#spawn();
  }

  /**
   * Resolves when an output is ready, or none is left to try. Playing may begin before. `rehearse`: no song waits for it,
   * so it may take 0.2 s longer for the first song to begin a few milliseconds sooner.
   */
  async start({ rehearse = false } = {}): Promise<void> {
    if (this.#state === 'stopped') this.#setUp(rehearse);
    await this.#whenSettled();
  }

  /** Resolves when the process has ended, its output closed and whole. */
  async stop(): Promise<void> {
    const child = this.#child;
    const isSetUp = this.#state !== 'stopped';
    this.#state = 'stopped';
    this.#cancelWatch?.();
    this.#window.clear();
    this.#child = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
    if (isSetUp) this.#write(child, { do: 'quit' });
    else child.kill('SIGKILL');
    const cancel = this.#clock.after(QUIT_LIMIT_MS, () => child.kill('SIGKILL'));
    await ended;
    cancel();
  }

  begin(begin: SongBegin): number {
    if (this.#state === 'silent') {
      this.#choice.reset();
      this.#setUp();
    }
    const song = ++this.#lastSong;
    this.#window.open(song);
    this.#send({ do: 'begin', song, ...begin });
    if (this.#cancelWatch === undefined) this.#watch();
    return song;
  }

  async data(song: number, bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length; at += MAX_DATA_BYTES) {
      const piece = bytes.subarray(at, at + MAX_DATA_BYTES);
      if (!this.#window.take(song, piece.length)) return false;
      this.#send({ do: 'data', song, bytes: piece });
    }
    return this.#window.room(song);
  }

  end(song: number): void {
    this.#send({ do: 'end', song });
  }

  flush(song: number): void {
    this.#window.close(song);
    // What waits here for the process has not sounded.
    this.#held = this.#held.filter(command => !('song' in command) || command.song > song);
    this.#send({ do: 'flush', song });
  }

  pause(): void {
    this.#send({ do: 'pause' });
  }

  resume(): void {
    this.#send({ do: 'resume' });
  }

  volume(setting: VolumeSetting): void {
    this.#volume = setting;
    this.#send({ do: 'volume', ...setting });
  }

  waitingBytes(song: number): number {
    return this.#window.waiting(song);
  }

  /** The process's number, for status and tests; undefined when there is none. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  onEvent(listener: (event: AudioEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #emit(event: AudioEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #send(command: AudioCommand): void {
    if (this.#state === 'ready' && this.#child !== undefined) this.#write(this.#child, command);
    else if (this.#state === 'setting-up') this.#held.push(command);
  }

  #write(child: ChildProcess, command: AudioCommand): void {
    pipeOf(child)?.write(encodeFrame(command));
  }

  /** Sets the current output up, in a new process if there is none. */
  #setUp(rehearse = false): void {
    const output = this.#choice.current;
    if (output === undefined) {
      this.#fallSilent();
      return;
    }
    this.#state = 'setting-up';
    this.#child ??= this.#spawn();
    this.#write(this.#child, { do: 'setup', output, decoder: this.#decoder, rehearse });
    this.#watch();
  }

  #spawn(): ChildProcess {
    this.#complaint = '';
    const withStdout = this.#choice.current?.kind === 'stdout';
    const stdio = ['ignore', withStdout ? 'inherit' : 'ignore', 'pipe', 'pipe'] as const;
    const child = spawn(process.execPath, [ENTRY], { stdio: [...stdio], windowsHide: true });
    child.on('error', error => this.#died(child, error.message));
    const pipe = pipeOf(child);
    if (pipe === undefined) return child;
    const reader = new FrameReader<AudioReport>();
    pipe.on('data', (chunk: Buffer) => {
      for (const report of reader.push(chunk)) {
        if (child !== this.#child) continue;
        this.#receive(report);
        // After what it said was heeded: only then is it known whether more is owed.
        this.#watch();
      }
    });
    // A write to a process that has just died; its exit tells all.
    pipe.on('error', () => {});
    child.stderr?.on('data', data => {
      this.#complaint = (this.#complaint + String(data)).slice(-MAX_COMPLAINT_CHARS);
    });
    // 'close', not 'exit': by then stderr has been read.
    child.on('close', (code, signal) => this.#died(child, this.#lastWords(code, signal)));
    return child;
  }

  #receive(report: AudioReport): void {
    if ('outputBytes' in report && report.outputBytes !== undefined) this.#choice.holds(report.outputBytes);
    switch (report.is) {
      case 'ready':
        this.#ready(report.output, report.decoder, report.warmUpMs);
        break;
      case 'output-failed':
        this.#outputFailed(report.why, report.fault);
        break;
      case 'decoder-failed':
        // No other output would help.
        this.#silence(new DecoderError(report.why));
        break;
      case 'consumed':
        this.#window.consumed(report.song, report.bytes);
        break;
      case 'ended':
        if (this.#window.has(report.song)) this.#emitEnded(report);
        break;
      case 'started':
        if (this.#window.has(report.song)) this.#emit(report);
        this.#window.sounds(report.song);
        break;
      case 'position':
        if (this.#window.has(report.song)) this.#emit(report);
    }
  }

  #emitEnded(report: Extract<AudioReport, { is: 'ended' }>): void {
    this.#window.close(report.song);
    this.#emit(report);
  }

  #ready(output: string, decoder: string, warmUpMs: number): void {
    this.#state = 'ready';
    this.#logger.debug({ output, decoder, warmUpMs, pid: this.#child?.pid }, 'the audio process is ready');
    this.#send({ do: 'volume', ...this.#volume });
    const held = this.#held;
    this.#held = [];
    for (const command of held) this.#send(command);
    this.#emit({ is: 'output', name: output, why: this.#choice.why });
    this.#nowSettled();
  }

  #outputFailed(why: string, fault: OutputFault): void {
    this.#logger.info({ why, fault }, 'an audio output failed');
    if (this.#state === 'setting-up') {
      this.#choice.failed(why, fault);
      this.#setUp();
    } else {
      this.#choice.broke(why, fault, this.#clock.now());
      this.#again(why);
    }
  }

  /** What was playing is lost; whoever played it may begin again at once. */
  #again(why: string): void {
    this.#window.clear();
    this.#held = [];
    this.#setUp();
    if (this.#state !== 'silent') this.#emit({ is: 'restarted', why });
  }

  #died(child: ChildProcess, why: string): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    const facts = { why, output: this.#choice.current?.kind };
    // A song is told of its death. Before that an output that is only tried may abort it, and then it is the next one's turn;
    // or Ctrl-C did, which until its code is loaded it heeds.
    if (this.#state === 'ready') this.#logger.warn(facts, 'the audio process died');
    else this.#logger.debug(facts, 'the audio process died before it was ready');
    if (this.#state === 'setting-up') {
      this.#choice.failed(why, 'broken');
      this.#setUp();
    } else if (this.#state === 'ready') {
      this.#choice.broke(why, 'broken', this.#clock.now());
      this.#again(why);
    }
  }

  #fallSilent(): void {
    this.#silence(new OutputError(this.#choice.fault, this.#choice.why));
  }

  #silence(error: Error): void {
    this.#state = 'silent';
    this.#window.clear();
    this.#held = [];
    this.#emit({ is: 'silent', error });
    this.#nowSettled();
  }

  /** Kills a process that says nothing where it should; its death is then dealt with like any other. */
  #watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
    const child = this.#child;
    const limitMs = this.#state === 'setting-up' ? SETUP_LIMIT_MS : HANG_LIMIT_MS;
    if (child === undefined || this.#owesNothing) return;
    const kill = (): void => {
      this.#complaint = `it hangs: nothing heard for ${limitMs / 1_000} s`;
      child.kill('SIGKILL');
    };
    // In two halves: behind Ctrl-Z and fg the first is over before anything that was said could be heard.
    this.#cancelWatch = this.#clock.after(limitMs / 2, () => {
      this.#cancelWatch = this.#owesNothing ? undefined : this.#clock.after(limitMs / 2, kill);
    });
  }

  /** Without songs it says nothing, not even that the last was flushed. */
  get #owesNothing(): boolean {
    return this.#state === 'ready' && this.#window.isEmpty;
  }

  #lastWords(code: number | null, signal: NodeJS.Signals | null): string {
    const lines = this.#complaint.trim().split('\n');
    const line = lines.findLast(each => /error:/i.test(each)) ?? lines.at(-1) ?? '';
    const said = line.replace(/^.*error: */i, '').trim();
    const how = signal ?? `exit code ${code}`;
    return said === '' ? `its process died (${how})` : `${said} (its process died: ${how})`;
  }

  async #whenSettled(): Promise<void> {
    if (this.#state !== 'setting-up') return;
    await new Promise<void>(resolve => this.#settled.push(resolve));
  }

  #nowSettled(): void {
    for (const resolve of this.#settled.splice(0)) resolve();
  }
}

/** A child that could not be started for want of descriptors has none, and says so in its 'error'. */
const pipeOf = ({ stdio }: { readonly stdio?: ChildProcess['stdio'] }): Duplex | undefined =>
  stdio?.[PIPE] as Duplex | undefined;
