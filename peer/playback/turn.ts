/**
 * One song's turn: from when it is opened until its sound has ended, through seeks and new beginnings.
 *
 *     open ─▶ handOver ─▶ sounds ─▶ moved … ─▶ close        open again (seek, restart): the same turn goes on elsewhere
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { FetchReport, SongShare, Urgency } from '../listening/song-stream.js';
import type { AudioProcess, Position } from './audio-messages.js';
import type { PlayableSong } from './player-events.js';
import { type SongOutline, seekPoint, songSeconds } from './seek-map.js';
import { SongFeed } from './song-feed.js';

/** When neither the row nor the song tells its bitrate. */
const USUAL_BITRATE = 192_000;

export class Turn {
  readonly song: PlayableSong;
  readonly #audio: AudioProcess;
  /** When it was asked for, or became its turn by itself. */
  askedAt: Milliseconds;
  /** How often the audio process died in it. */
  restarts = 0;
  #feed: SongFeed | undefined;
  #handedOver = false;
  #outline: SongOutline | undefined;
  #size: number | undefined;
  #position: Position = { seconds: 0, stutters: 0, starving: false };
  #heard = false;
  #startedInMs: number | undefined;
  /** Of what was played before the last opening. */
  #earlierStutters = 0;
  readonly #reports: FetchReport[] = [];

  constructor(options: {
    readonly song: PlayableSong;
    readonly audio: AudioProcess;
    readonly askedAt: Milliseconds;
  }) {
    this.song = options.song;
    this.#audio = options.audio;
    this.askedAt = options.askedAt;
  }

  /** Opens the song's bytes, at `seconds` into it; what was open is closed. */
  open({ urgency, seconds = 0 }: { readonly urgency: Urgency; readonly seconds?: number }): void {
    this.#closeFeed();
    const point = seekPoint(seconds, this.#outline, this.song.row, this.#size);
    this.#earlierStutters += this.#position.stutters;
    this.#position = { seconds: point.begin.startSeconds, stutters: 0, starving: false };
    this.#heard = false;
    this.#handedOver = false;
    const stream = this.song.open(point.fromByte, urgency);
    this.#feed = new SongFeed({ stream, audio: this.#audio, point });
  }

  /** Resolves when all its bytes are handed over; with false if they are not wanted any more. */
  handOver(): Promise<boolean> {
    this.#handedOver = true;
    return this.#feed?.run() ?? Promise.resolve(false);
  }

  /** Handing over has begun. */
  get handedOver(): boolean {
    return this.#handedOver;
  }

  /** All its bytes are handed over. */
  get whole(): boolean {
    return this.#feed?.whole === true;
  }

  /** Its number at the audio process. */
  get audioSong(): number | undefined {
    return this.#feed?.song;
  }

  get streamError(): unknown {
    return this.#feed?.error;
  }

  /** The first sample of this opening sounded. True if it is the first of all. */
  sounds(at: Milliseconds): boolean {
    this.#heard = true;
    if (this.#startedInMs !== undefined) return false;
    // In tenths: what is beyond is not the song's but the clock's.
    this.#startedInMs = Math.round(Math.max(0, at - this.askedAt) * 10) / 10;
    return true;
  }

  moved({ seconds, stutters, starving }: Position): void {
    this.#position = { seconds, stutters, starving };
  }

  /** The count at the end, which may have changed since the last position. */
  stuttered(stutters: number): void {
    this.#position = { ...this.#position, stutters };
  }

  get startedInMs(): number | undefined {
    return this.#startedInMs;
  }

  get sounding(): boolean {
    return this.#heard && !this.#position.starving;
  }

  get positionSeconds(): number {
    return this.#position.seconds;
  }

  get stutters(): number {
    return this.#earlierStutters + this.#position.stutters;
  }

  get durationSeconds(): number | undefined {
    this.#learn();
    return songSeconds(this.#outline, this.song.row);
  }

  /** Infinity when the duration is not known. */
  get secondsLeft(): number {
    return (this.durationSeconds ?? Number.POSITIVE_INFINITY) - this.positionSeconds;
  }

  /** Of sound that was handed over and is not decoded. */
  get bufferedSeconds(): number {
    const { bitrate = this.#outline?.header.bitrate || USUAL_BITRATE } = this.song.row;
    return this.audioSong === undefined ? 0 : (this.#audio.waitingBytes(this.audioSong) * 8) / bitrate;
  }

  /** What keeps it from sounding, for a person. */
  get waiting(): string {
    const host = this.#feed?.stream.report().waiting;
    return host ?? (this.bufferedSeconds > 0 ? 'opening the sound' : 'loading');
  }

  close(): void {
    this.#closeFeed();
  }

  /** Of all its streams together. */
  report(): FetchReport {
    const reports = this.#feed === undefined ? this.#reports : [...this.#reports, this.#feed.stream.report()];
    const shares = new Map<string, SongShare>();
    for (const share of reports.flatMap(report => report.sources))
      shares.set(share.host, { ...share, bytes: (shares.get(share.host)?.bytes ?? 0) + share.bytes });
    const delivered = reports.filter(report => report.sources.length > 0);
    const verifiedBytes = reports.reduce((sum, report) => sum + (report.verifiedBytes ?? 0), 0);
    const firstByteMs = reports[0]?.firstByteMs;
    return {
      sources: [...shares.values()],
      failed: reports.flatMap(report => report.failed),
      verified: delivered.length > 0 && delivered.every(report => report.verified),
      ...(verifiedBytes > 0 && { verifiedBytes }),
      ...(reports.some(report => report.relayed) && { relayed: true }),
      ...(firstByteMs !== undefined && { firstByteMs }),
    };
  }

  /** Keeps what the bytes told, for seeks and for the end. */
  #learn(): void {
    this.#outline ??= this.#feed?.outline;
    this.#size ??= this.#feed?.size;
  }

  #closeFeed(): void {
    this.#learn();
    if (this.#feed === undefined) return;
    this.#feed.cancel();
    this.#reports.push(this.#feed.stream.report());
    this.#feed = undefined;
  }
}
