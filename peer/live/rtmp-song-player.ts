/**
 * Sends a stored song to one RTMP player, from where it wants to hear it, at the pace at which it wants to hear it.
 *
 *     SongStream ─▶ FrameScanner ─▶ frames from `startMs` on ─▶ due? ─▶ socket, one write at a time
 *
 * A seek ends this one and begins another. What is read was verified against the song's hash; when it can't be read, the
 * song ends for the player too. A player that takes nothing for a minute loses its connection, sooner if others wait for
 * its upload slot, as over TSP (TSP §5.3).
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../protocol/ports.js';
import { READER_STALL_CONTENDED_MS, READER_STALL_MS } from '../../protocol/tsp/constants.js';
import type { SongFields } from '../../protocol/tsp/rows.js';
import type { SharedUploads } from '../hosting/song-server.js';
import type { SongStream } from '../listening/song-stream.js';
import { type Frame, FrameScanner } from '../mpeg/frame-scanner.js';
import { parseInfoTag } from '../mpeg/info-tag.js';
import { OutlineReader, seekPoint } from '../playback/seek-map.js';
import { durationMs } from './frame-ring.js';
import { PlayPace } from './play-pace.js';
import { audioPieces, type TimedFrame } from './rtmp-media.js';

/** One write, and one look at the clock. */
const BATCH_FRAMES = 16;

/** What RTMP players have in common with TSP's listeners. */
export type PlayerUploads = Pick<SharedUploads, 'slots' | 'rate' | 'sent'>;

export interface RtmpSong {
  readonly fields: SongFields;
  /** Bytes. */
  readonly size: number;
  /** Verified bytes from there to the end. */
  open(fromByte: number): SongStream;
}

/** By the name in the URL. Undefined: this peer does not host it. */
export type FindSong = (name: string) => RtmpSong | undefined;

export interface SongPlayerOptions {
  readonly song: RtmpSong;
  readonly startMs: number;
  /** Undefined: to the end. */
  readonly lengthMs: number | undefined;
  /** What is 0 to the player: after a seek the song's beginning, else where it began to play. */
  readonly beginsMs: number;
  readonly bufferMs: number;
  /** The message stream. */
  readonly stream: number;
  readonly socket: Socket;
  readonly uploads: PlayerUploads;
  readonly clock: Clock;
  /** It begins then: whoever seeks faster than files are opened and closed has one open all the same. */
  readonly after: Promise<void>;
  /** The last frame was written. Not called after `stop`. */
  readonly ended: () => void;
  /** It could not be read. Likewise. */
  readonly failed: (error: unknown) => void;
}

export class RtmpSongPlayer {
  /** Resolves when it reads and writes no more. */
  readonly over: Promise<void>;
  readonly #options: SongPlayerOptions;
  readonly #pace: PlayPace;
  #reading: SongStream | undefined;
  #isStopped = false;
  /** Ends a wait before its time. */
  #wake: (() => void) | undefined;

  constructor(options: SongPlayerOptions) {
    this.#options = options;
    this.#pace = new PlayPace(options.startMs, options.clock.now());
    this.#pace.buffer(options.bufferMs);
    this.over = this.#run();
  }

  buffer(ms: number): void {
    this.#pace.buffer(ms);
    this.#wake?.();
  }

  pause(): void {
    this.#pace.pause(this.#options.clock.now());
    this.#wake?.();
  }

  resume(): void {
    this.#pace.resume(this.#options.clock.now());
    this.#wake?.();
  }

  stop(): void {
    this.#isStopped = true;
    this.#reading?.cancel();
    this.#options.uploads.rate.cancel(this);
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { after, ended, failed } = this.#options;
    try {
      await after;
      if (!this.#isStopped) await this.#send();
      if (!this.#isStopped) ended();
    } catch (error) {
      if (!this.#isStopped) failed(error);
    }
  }

  async #send(): Promise<void> {
    const { startMs, lengthMs = Number.POSITIVE_INFINITY } = this.#options;
    let batch: TimedFrame[] = [];
    for await (const frame of this.#frames()) {
      if (this.#isStopped || frame.atMs >= startMs + lengthMs) break;
      batch.push(frame);
      if (batch.length < BATCH_FRAMES) continue;
      await this.#write(batch);
      batch = [];
    }
    await this.#write(batch);
  }

  /** Music from `startMs` on; times are those of the song. */
  async *#frames(): AsyncGenerator<TimedFrame> {
    const { startMs } = this.#options;
    const { fromByte, firstMs } = startMs === 0 ? { fromByte: 0, firstMs: 0 } : await this.#seek(startMs);
    const scanner = new FrameScanner();
    let atMs = firstMs;
    let isFirst = fromByte === 0;
    const timed = function* (frames: readonly Frame[]): Generator<TimedFrame> {
      for (const frame of frames) {
        const isTag = isFirst && parseInfoTag(frame) !== undefined;
        isFirst = false;
        if (isTag) continue;
        const { header, bytes } = frame;
        if (atMs + durationMs(header) > startMs) yield { bytes, header, atMs };
        atMs += durationMs(header);
      }
    };
    for await (const bytes of this.#open(fromByte)) yield* timed(scanner.push(bytes));
    yield* timed(scanner.end());
  }

  /** The song's first bytes tell where a moment of it is. */
  async #seek(startMs: number): Promise<{ fromByte: number; firstMs: number }> {
    const { fields, size } = this.#options.song;
    const reader = new OutlineReader();
    for await (const bytes of this.#open(0)) {
      reader.push(bytes);
      if (reader.outline !== undefined) break;
    }
    const { fromByte, begin } = seekPoint(startMs / 1_000, reader.outline, fields, size);
    return { fromByte, firstMs: fromByte === 0 ? 0 : startMs - (begin.preRollSeconds ?? 0) * 1_000 };
  }

  #open(fromByte: number): SongStream {
    this.#reading = this.#options.song.open(fromByte);
    return this.#reading;
  }

  async #write(batch: readonly TimedFrame[]): Promise<void> {
    const [first] = batch;
    if (first === undefined || !(await this.#whenDue(first.atMs))) return;
    const { socket, stream, beginsMs, uploads } = this.#options;
    const pieces = audioPieces(batch, { stream, beginsMs });
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    await uploads.rate.takeAll(this, bytes);
    if (this.#isStopped) return;
    uploads.sent(bytes);
    await this.#taken(() => {
      socket.cork();
      const last = pieces.length - 1;
      const written = new Promise<void>(resolve => {
        for (const [index, piece] of pieces.entries())
          socket.write(piece, index === last ? () => resolve() : undefined);
      });
      socket.uncork();
      return written;
    });
  }

  /** False: it was stopped meanwhile. */
  async #whenDue(ms: number): Promise<boolean> {
    const { clock } = this.#options;
    while (!this.#isStopped) {
      const dueAt = this.#pace.dueAt(ms);
      if (dueAt !== undefined && dueAt <= clock.now()) return true;
      await new Promise<void>(resolve => {
        const cancel = dueAt === undefined ? () => {} : clock.after(dueAt - clock.now(), resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
    return false;
  }

  /** Resolves when the kernel has taken it, or the connection is gone. */
  async #taken(write: () => Promise<void>): Promise<void> {
    const { socket } = this.#options;
    const cancel = this.#watchStall();
    await write();
    cancel();
    if (socket.destroyed) this.stop();
  }

  #watchStall(): () => void {
    const { socket, clock, uploads } = this.#options;
    const began = clock.now();
    let cancel = (): void => {};
    const look = (): void => {
      const now = clock.now();
      if (now - began >= READER_STALL_MS || uploads.slots.contended(now)) socket.destroy();
      else cancel = clock.after(READER_STALL_CONTENDED_MS, look);
    };
    cancel = clock.after(READER_STALL_CONTENDED_MS, look);
    return () => cancel();
  }
}
