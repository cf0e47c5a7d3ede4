/**
 * What the audio process does: plays the songs that were begun, one after the other, into one output.
 *
 *     data ─▶ Inbox ─▶ SongFrames ─▶ Decoder ─▶ GaplessTrim ─▶ Sink ─▶ output
 *
 * The next song is decoded as soon as the last sample of this one was written, while the output still holds sound, so
 * nothing comes between them. Knows no pipe and no process: commands come in, reports go out.
 */
import type { Clock } from '../../protocol/ports.js';
import { FrameScanner } from '../mpeg/frame-scanner.js';
import type { AudioCommand, AudioReport, SongBegin } from './audio-messages.js';
import type { Decoder } from './decoders/decoder.js';
import { GaplessTrim } from './gapless.js';
import { Inbox } from './inbox.js';
import { type Output, OutputError } from './outputs/output.js';
import { Sink } from './sink.js';
import { SongFrames } from './song-frames.js';

interface Song {
  readonly number: number;
  readonly begin: SongBegin;
  readonly inbox: Inbox;
  /** Seconds written to the output before its first sample; undefined until then. */
  beganAt?: number;
  /** The output's stutters before it. */
  stuttersBefore: number;
  failure?: string;
  flushed: boolean;
}

/** How often the position is told while it moves. */
const POSITION_MS = 200;
/** A sound device that is not played on for so long is left to others. */
const IDLE_CLOSE_MS = 5_000;
/** Taken bytes are reported in portions, not chunk by chunk. */
const CONSUMED_PORTION_BYTES = 16_384;

type SongCommand = Exclude<AudioCommand, { do: 'setup' | 'quit' }>;

export class AudioEngine {
  readonly #decoder: Decoder;
  readonly #sink: Sink;
  readonly #clock: Clock;
  readonly #report: (report: AudioReport) => void;
  /** Begun and not yet ended; the first sounds or is about to. */
  #songs: Song[] = [];
  #wakePlayer: (() => void) | undefined;
  #cancelTick: (() => void) | undefined;
  #closed = false;
  #playing: Promise<void> = Promise.resolve();

  constructor(options: {
    readonly decoder: Decoder;
    readonly output: Output;
    readonly clock: Clock;
    readonly report: (report: AudioReport) => void;
  }) {
    this.#decoder = options.decoder;
    this.#clock = options.clock;
    this.#report = options.report;
    this.#sink = new Sink({ output: options.output, clock: options.clock });
  }

  start(): void {
    this.#playing = this.#run();
  }

  /** Resolves when the output is closed; a file is whole then. */
  async stop(): Promise<void> {
    this.#closed = true;
    this.#forget(Number.POSITIVE_INFINITY);
    this.#cancelTick?.();
    await this.#playing;
    await this.#sink.close();
  }

  receive(command: SongCommand): void {
    switch (command.do) {
      case 'begin':
        this.#begin(command.song, command);
        break;
      case 'data':
        this.#songs.find(song => song.number === command.song)?.inbox.push(command.bytes);
        break;
      case 'end':
        this.#songs.find(song => song.number === command.song)?.inbox.end();
        break;
      case 'flush':
        this.#forget(command.song);
        break;
      case 'pause':
        this.#sink.pause();
        break;
      case 'resume':
        this.#sink.resume();
        this.#tick();
        break;
      case 'volume':
        this.#sink.setVolume(command.percent, command.muted);
    }
  }

  #begin(number: number, begin: SongBegin): void {
    let unreported = 0;
    const inbox = new Inbox(bytes => {
      unreported += bytes;
      if (unreported < CONSUMED_PORTION_BYTES && inbox.hasChunk) return;
      this.#report({ is: 'consumed', song: number, bytes: unreported });
      unreported = 0;
    });
    this.#songs.push({ number, begin, inbox, stuttersBefore: 0, flushed: false });
    this.#wakePlayer?.();
    this.#sink.wake();
    // From now on the position is told, also while there is nothing to play: it is the sign of life.
    if (this.#cancelTick === undefined) this.#tick();
  }

  /** Drops the songs up to this number, sounding or not. */
  #forget(upTo: number): void {
    const forgotten = this.#songs.filter(song => song.number <= upTo);
    this.#songs = this.#songs.filter(song => song.number > upTo);
    if (forgotten.length > 0) this.#sink.flush();
    for (const song of forgotten) {
      song.flushed = true;
      song.inbox.abort();
    }
    this.#wakePlayer?.();
  }

  async #run(): Promise<void> {
    let decoded = 0;
    while (!this.#closed) {
      const song = this.#songs.find(each => each.number > decoded);
      if (song === undefined) {
        await this.#sleep();
        continue;
      }
      decoded = song.number;
      try {
        await this.#play(song);
        await this.#outlast(song);
      } catch (error) {
        this.#broken(error);
      }
    }
  }

  async #play(song: Song): Promise<void> {
    try {
      await (this.#sink.output.takesMp3 === true ? this.#pass(song) : this.#decode(song));
    } catch (error) {
      if (error instanceof OutputError) throw error;
      song.failure ??= (error as Error).message;
    }
    song.inbox.abort();
    if (song.flushed) return;
    await this.#sink.songEnds();
    // Behind a seek there may be none left.
    const isWhole = song.begin.startSeconds === 0;
    if (song.beganAt === undefined && isWhole) song.failure ??= 'there is no MP3 in it';
  }

  async #decode(song: Song): Promise<void> {
    const frames = new SongFrames(song.inbox);
    let trim: GaplessTrim | undefined;
    for await (const pcm of this.#decoder.decode(frames)) {
      trim ??= GaplessTrim.of(song.begin, frames, pcm.sampleRate);
      for (const block of trim.push(pcm)) await this.#put(song, () => this.#sink.play(block));
      if (song.flushed) return;
    }
    for (const block of trim?.end() ?? []) await this.#put(song, () => this.#sink.play(block));
  }

  /** Bytes as they came; only whole frames count as time. */
  async #pass(song: Song): Promise<void> {
    const scanner = new FrameScanner();
    for await (const chunk of song.inbox) {
      const frames = scanner.push(chunk);
      const seconds = frames.reduce((sum, { header }) => sum + header.samples / header.sampleRate, 0);
      await this.#put(song, () => this.#sink.playMp3(chunk, seconds));
      if (song.flushed) return;
    }
  }

  async #put(song: Song, write: () => Promise<void>): Promise<void> {
    if (song.flushed) return;
    if (song.beganAt === undefined) song.stuttersBefore = this.#sink.stutters;
    const at = this.#sink.head.written;
    await write();
    if (song.flushed || song.beganAt !== undefined) return;
    song.beganAt = at;
    this.#sink.head.mark(song.number, 'begins', at);
    this.#tick();
  }

  /** Until the song's sound has ended, or another is there to be decoded meanwhile. */
  async #outlast(song: Song): Promise<void> {
    const another = () => song.flushed || this.#songs.some(each => each.number > song.number);
    this.#tick();
    const settled = !another() && (await this.#sink.drain(another));
    // The last song ends when the output has settled, one before it where its sound does.
    if (!settled && !song.flushed) this.#sink.head.mark(song.number, 'ends');
    this.#tick();
    if (!settled) return;
    if (this.#songs.includes(song)) this.#ended(song);
    const cancel = this.#clock.after(IDLE_CLOSE_MS, () => this.#closeWhenIdle());
    await this.#sleep();
    cancel();
  }

  #closeWhenIdle(): void {
    if (this.#songs.length > 0 || this.#sink.output.formats !== 'reopens') return;
    this.#sink.close().catch(error => this.#broken(error));
  }

  /** Tells what the sound has passed since the last time, and where it is; comes again as long as there is sound. */
  #tick(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    const now = this.#clock.now();
    for (const { song: number, kind } of this.#sink.passed(now)) {
      const song = this.#songs.find(each => each.number === number);
      if (song === undefined) continue;
      if (kind === 'begins') this.#started(song, now);
      else this.#ended(song);
    }
    this.#tellPosition(now);
    if (this.#songs.length === 0 || this.#closed) return;
    const untilMark = this.#sink.untilNextMark(now);
    this.#cancelTick = this.#clock.after(Math.min(POSITION_MS, untilMark ?? POSITION_MS), () => this.#tick());
  }

  #started(song: Song, now: number): void {
    const agoMs = Math.max(0, (this.#sink.sounded(now) - song.beganAt!) * 1_000);
    const ago = this.#sink.output.bufferSeconds === 0 ? 0 : agoMs;
    this.#report({ is: 'started', song: song.number, agoMs: ago });
  }

  #tellPosition(now: number): void {
    const song = this.#songs[0];
    if (song === undefined) return;
    const { head, stutters } = this.#sink;
    const played = song.beganAt === undefined ? 0 : Math.max(0, this.#sink.sounded(now) - song.beganAt);
    this.#report({
      is: 'position',
      song: song.number,
      seconds: song.begin.startSeconds + played,
      ...this.#outputBytes(),
      stutters: song.beganAt === undefined ? 0 : stutters - song.stuttersBefore,
      starving: song.inbox.starving && !this.#sink.paused && head.pending(now) === 0,
    });
  }

  #outputBytes(): { outputBytes?: number } {
    const { keptBytes } = this.#sink.output;
    return keptBytes === undefined ? {} : { outputBytes: keptBytes };
  }

  #ended(song: Song): void {
    this.#songs = this.#songs.filter(each => each !== song);
    const stutters = song.beganAt === undefined ? 0 : this.#sink.stutters - song.stuttersBefore;
    const failure = song.failure;
    this.#report({
      is: 'ended',
      song: song.number,
      stutters,
      ...this.#outputBytes(),
      ...(failure !== undefined && { failure }),
    });
  }

  /** The output failed: nothing can sound. What was begun is forgotten; whoever began it is told. */
  #broken(error: unknown): void {
    const fault = error instanceof OutputError ? error.fault : 'broken';
    this.#forget(Number.POSITIVE_INFINITY);
    this.#report({
      is: 'output-failed',
      output: this.#sink.output.name,
      fault,
      why: (error as Error).message,
    });
  }

  async #sleep(): Promise<void> {
    if (this.#closed || this.#songs.length > 0) return;
    await new Promise<void>(resolve => {
      this.#wakePlayer = resolve;
    });
    this.#wakePlayer = undefined;
  }
}
