/**
 * Carries a feed to one TCP listener, in whatever clothes its protocol has: frames in, as fast as the socket takes them.
 *
 *     FeedReader ─▶ encode ─▶ socket          full: nothing is pulled; what leaves the ring meanwhile is lost, oldest first
 *                                             nothing taken for 30 s: the connection is dropped
 */
import type { Socket } from 'node:net';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import type { LiveFrame } from './frame-ring.js';
import type { FeedReader, LiveFeed } from './live-feed.js';

/** What may lie in the socket beside what the kernel holds: six seconds of 320 kbit/s. */
const MAX_QUEUED_BYTES = 256 * 1024;
const STALL_MS = 30_000;
/** How often that is looked at. */
const LOOK_MS = 5_000;
/** Handed to `encode` at a time. */
const MAX_BATCH_FRAMES = 64;

export interface FeedPumpOptions {
  readonly feed: LiveFeed;
  readonly socket: Socket;
  readonly clock: Clock;
  /** How much of the past comes first. */
  readonly burstMs: number;
  /** The bytes of these frames on the wire; each frame's own Buffer is to be shared, not copied. */
  readonly encode: (frames: readonly LiveFrame[]) => readonly Uint8Array[];
  /** What is said when the feed's title changes. */
  readonly titled?: () => readonly Uint8Array[];
  /** Called once; the socket is still open but after `closed` and `stalled`. */
  readonly over: (how: 'ended' | 'stalled' | 'closed') => void;
}

export class FeedPump {
  readonly #options: FeedPumpOptions;
  readonly #reader: FeedReader;
  #isPaused = false;
  #isEnding = false;
  #isOver = false;
  /** When the socket last took what it had, and how much that left. */
  #progressAt: Milliseconds;
  #queued = 0;
  #cancelLook: (() => void) | undefined;
  readonly #drained = (): void => this.#run();
  readonly #closed = (): void => this.#finish('closed');

  /** Begins at once. The socket has an error listener already. */
  constructor(options: FeedPumpOptions) {
    const { feed, socket, clock, burstMs } = options;
    this.#options = options;
    this.#progressAt = clock.now();
    socket.on('drain', this.#drained).once('close', this.#closed);
    this.#reader = feed.join(burstMs, {
      frames: () => this.#run(),
      titled: () => this.#title(),
      ended: () => {
        this.#isEnding = true;
        this.#run();
      },
    });
    this.#look();
    this.#run();
  }

  /** Frames that were too old before the listener took them. */
  get lostFrames(): number {
    return this.#reader.lostFrames;
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** Joins at the present again. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#progressAt = this.#options.clock.now();
    this.#reader.rejoin(this.#options.burstMs);
    this.#run();
  }

  /** Nothing is said of it any more. */
  stop(): void {
    this.#detach();
  }

  #run(): void {
    if (this.#isOver) return;
    if (this.#isPaused) {
      if (this.#isEnding) this.#finish('ended');
      return;
    }
    const { socket, encode } = this.#options;
    while (socket.writableLength < MAX_QUEUED_BYTES) {
      const frames = this.#take();
      if (frames.length === 0) {
        if (this.#isEnding) this.#finish('ended');
        return;
      }
      this.#write(encode(frames));
    }
  }

  #take(): LiveFrame[] {
    const frames: LiveFrame[] = [];
    while (frames.length < MAX_BATCH_FRAMES) {
      const frame = this.#reader.next();
      if (frame === undefined) break;
      frames.push(frame);
    }
    return frames;
  }

  #title(): void {
    if (this.#isPaused || this.#isOver || this.#options.titled === undefined) return;
    this.#write(this.#options.titled());
  }

  #write(chunks: readonly Uint8Array[]): void {
    const { socket } = this.#options;
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    socket.uncork();
  }

  #look(): void {
    const { clock, socket } = this.#options;
    this.#cancelLook = clock.after(LOOK_MS, () => {
      const queued = socket.writableLength;
      if (queued === 0 || queued < this.#queued || this.#isPaused) this.#progressAt = clock.now();
      this.#queued = queued;
      if (clock.now() - this.#progressAt < STALL_MS) {
        this.#look();
        return;
      }
      socket.destroy();
      this.#finish('stalled');
    });
  }

  #finish(how: 'ended' | 'stalled' | 'closed'): void {
    if (this.#isOver) return;
    this.#detach();
    this.#options.over(how);
  }

  #detach(): void {
    this.#isOver = true;
    this.#reader.leave();
    this.#cancelLook?.();
    this.#options.socket.off('drain', this.#drained).off('close', this.#closed);
  }
}
