/**
 * ffmpeg as a transcoder: AAC and whatever else publishers send becomes MP3 of one format, 44.1 kHz stereo 128 kbit/s, so that
 * listeners notice nothing when a publisher changes its own.
 *
 *     units ─▶ stdin │ ffmpeg │ stdout ─▶ MP3           does not keep up: units are dropped; dies or hangs: another one,
 *                                                       which is given the head first; too often: past help
 */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import { type EncodedFormat, type OpenTranscoder, PublishRefused, type Transcoder } from './publication.js';

/** Of units that ffmpeg has not taken: some seconds of sound. */
const MAX_QUEUED_BYTES = 256 * 1024;
/** It is given sound and none comes out. */
const HUNG_MS = 5_000;
/** In a minute; then the publisher is sent away. */
const MAX_RESTARTS = 3;
const RESTARTS_WINDOW_MS = 60_000;
/** Each takes some hundredths of a core and 50 MB. */
const MAX_AT_ONCE = 8;
/** After its input has ended; it needs ten milliseconds. */
const KILL_AFTER_MS = 1_000;
const MAX_COMPLAINT_CHARS = 2_000;

const INPUT = ['-hide_banner', '-loglevel', 'error', '-threads', '1', '-fflags', 'nobuffer'];
/** The formats say what they are in their first bytes, and every second of probing is a second of delay. */
const PROBE = ['-probesize', '1024', '-analyzeduration', '0'];
/** Without a bit reservoir, so that who joins hears the first frame; without tags, and at once. */
const OUTPUT =
  '-vn -map 0:a:0 -c:a libmp3lame -b:a 128k -ar 44100 -ac 2 -reservoir 0 -write_xing 0 -id3v2_version 0 -flush_packets 1 -f mp3 pipe:1';

/** The first line of what it says of itself; undefined where there is none. */
export async function findFfmpeg(program = 'ffmpeg'): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, ['-hide_banner', '-version']);
    return stdout.split('\n', 1)[0]?.split(' Copyright', 1)[0];
  } catch {
    return undefined;
  }
}

export function ffmpegTranscoder({ clock, logger, program = 'ffmpeg' }: FfmpegOptions): OpenTranscoder {
  const running = new Set<Transcoder>();
  return (format, output) => {
    if (running.size >= MAX_AT_ONCE)
      throw new PublishRefused('too-many', `this peer encodes ${MAX_AT_ONCE} feeds already; publish MP3`);
    const ended = (): void => void running.delete(ffmpeg);
    const ffmpeg = new Ffmpeg(format, output, { clock, logger, program, ended });
    running.add(ffmpeg);
    return ffmpeg;
  };
}

export interface FfmpegOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: the one on PATH. */
  readonly program?: string;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;
type TranscoderOutput = Parameters<OpenTranscoder>[1];
type FfmpegWorld = Required<FfmpegOptions> & {
  /** Called once, when it is stopped or past help. */
  readonly ended: () => void;
};

class Ffmpeg implements Transcoder {
  readonly #format: EncodedFormat;
  readonly #output: TranscoderOutput;
  readonly #options: FfmpegWorld;
  #child: Child | undefined;
  #restarts: Milliseconds[] = [];
  /** When it was first given something after the last sound that came out. */
  #owesSince: Milliseconds | undefined;
  #cancelWatch: (() => void) | undefined;
  #isOver = false;
  #saidSlow = false;

  constructor(format: EncodedFormat, output: TranscoderOutput, options: FfmpegWorld) {
    this.#format = format;
    this.#output = output;
    this.#options = options;
    this.#start();
    this.#watch();
  }

  send(unit: Uint8Array): void {
    const { clock, logger } = this.#options;
    const child = this.#child;
    if (child?.stdin === undefined) return;
    if (child.stdin.writableLength + unit.length > MAX_QUEUED_BYTES) {
      if (!this.#saidSlow) logger.warn({}, 'ffmpeg does not keep up: sound is dropped');
      this.#saidSlow = true;
      return;
    }
    this.#owesSince ??= clock.now();
    child.stdin.write(unit);
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelWatch?.();
    this.#options.ended();
    this.#end();
  }

  #start(): void {
    const { program, logger } = this.#options;
    const demuxer = ['-f', this.#format.container, '-i', 'pipe:0'];
    const child = spawn(program, [...INPUT, ...PROBE, ...demuxer, ...OUTPUT.split(' ')], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#owesSince = undefined;
    let complaint = '';
    child.once('error', error => this.#gone(child, error.message));
    // Without descriptors left it has no pipes; its error says so.
    if (child.stdin === undefined) return;
    // A pipe that breaks shows in the end of the process.
    child.stdin.on('error', () => {});
    child.stdout.on('data', bytes => {
      if (this.#child !== child) return;
      this.#owesSince = undefined;
      this.#output.mp3(bytes);
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      complaint = (complaint + text).slice(-MAX_COMPLAINT_CHARS);
    });
    child.once('close', code => {
      logger.debug({ code, says: complaint.trim() }, 'an ffmpeg has ended');
      this.#gone(child, complaint.trim().split('\n').at(-1) || `it ended with ${code}`);
    });
    child.stdin.write(this.#format.head);
  }

  #gone(child: Child, why: string): void {
    if (this.#child === child) this.#again(why);
  }

  #watch(): void {
    const { clock } = this.#options;
    this.#cancelWatch = clock.after(HUNG_MS / 5, () => {
      this.#watch();
      if (this.#owesSince === undefined || clock.now() - this.#owesSince < HUNG_MS) return;
      this.#child?.kill('SIGKILL');
      this.#again(`no sound came out of it for ${HUNG_MS / 1_000} s`);
    });
  }

  #again(why: string): void {
    this.#child = undefined;
    if (this.#isOver) return;
    const { clock, logger } = this.#options;
    const now = clock.now();
    this.#restarts = [...this.#restarts.filter(at => now - at < RESTARTS_WINDOW_MS), now];
    if (this.#restarts.length > MAX_RESTARTS) {
      this.stop();
      this.#output.failed(`ffmpeg cannot make MP3 of this ${this.#format.codec}: ${why}`);
      return;
    }
    logger.warn({ why }, 'ffmpeg is started again');
    this.#start();
  }

  /** Its input ends, and it with that; else it is made to. */
  #end(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child?.stdin === undefined) return;
    const cancel = this.#options.clock.after(KILL_AFTER_MS, () => child.kill('SIGKILL'));
    child.once('close', cancel);
    child.stdin.end();
  }
}
