/**
 * Carries a feed to one TCP listener, in whatever clothes its protocol has: run after run, as fast as the socket takes them.
 *
 *     FeedReader ─▶ run ─▶ encode ─▶ upload rate ─▶ socket
 *                                                   full: nothing is pulled; what leaves the ring meanwhile is lost, oldest
 *                                                   first; nothing taken for 30 s: the connection is dropped
 */
import type { Socket } from 'node:net';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import type { SharedUploads } from '../hosting/song-server.js';
import type { LiveFrame } from './frame-ring.js';
import type { FeedReader, LiveFeed } from './live-feed.js';
import { takeRun } from './live-runs.js';

/** What may lie in the socket beside what the kernel holds: six seconds of 320 kbit/s. */
const MAX_QUEUED_BYTES = 256 * 1024;
const STALL_MS = 30_000;
/** How often that is looked at. */
const LOOK_MS = 5_000;

/** `enough`: all that was wanted has been sent. */
type Over = 'ended' | 'enough' | 'stalled' | 'closed';

export interface FeedPumpOptions {
  /** One of its places was taken for this listener, and is given back in the end. */
  readonly feed: LiveFeed;
  readonly socket: Socket;
  readonly uploads: Pick<SharedUploads, 'rate' | 'sent'>;
  readonly clock: Clock;
  /** How much of the past comes first. */
  readonly burstMs: number;
  /** How much is wanted in all; undefined: to the feed's end. */
  readonly lengthMs?: number | undefined;
  /** A run on the wire (live-runs.ts); whatever is the same for all listeners is to be shared, not copied. */
  readonly encode: (run: readonly LiveFrame[]) => readonly Uint8Array[];
  /** What is said when the feed's title changes. */
  readonly titled?: () => readonly Uint8Array[];
  /** Called once; the socket is still open but after `closed` and `stalled`. */
  readonly over: (how: Over) => void;
}

export class FeedPump {
  readonly #options: FeedPumpOptions;
  readonly #reader: FeedReader;
  /** Of the first frame sent, on the feed's time line. */
  #beginsMs: number | undefined;
  #isPaused = false;
  /** For its share of the upload rate. */
  #isWaiting = false;
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

  /** Joins at the present again, and is told what plays there. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#progressAt = this.#options.clock.now();
    this.#reader.rejoin(this.#options.burstMs);
    this.#title();
    this.#run();
  }

  /** Nothing is said of it any more. */
  stop(): void {
    this.#detach();
  }

  #run(): void {
    if (this.#isOver || this.#isWaiting) return;
    if (this.#isPaused) {
      if (this.#isEnding) this.#finish('ended');
      return;
    }
    const { feed, socket, encode, uploads, lengthMs = Number.POSITIVE_INFINITY } = this.#options;
    while (socket.writableLength < MAX_QUEUED_BYTES) {
      const run = takeRun(this.#reader, { endMs: feed.endMs, isOver: this.#isEnding });
      if (run.length === 0) {
        if (this.#isEnding) this.#finish('ended');
        return;
      }
      const { atMs } = run[0]!;
      this.#beginsMs ??= atMs;
      if (atMs >= this.#beginsMs + lengthMs) {
        this.#finish('enough');
        return;
      }
      const chunks = encode(run);
      const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
      const waiting = uploads.rate.takeAll(this, bytes);
      if (waiting !== undefined) {
        void this.#sendWhen(waiting, chunks, bytes);
        return;
      }
      this.#send(chunks, bytes);
    }
  }

  async #sendWhen(granted: Promise<boolean>, chunks: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#isWaiting = true;
    const isGranted = await granted;
    this.#isWaiting = false;
    if (!isGranted || this.#isOver) return;
    this.#send(chunks, bytes);
    this.#run();
  }

  #send(chunks: readonly Uint8Array[], bytes: number): void {
    this.#write(chunks);
    this.#options.uploads.sent(bytes);
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

  #finish(how: Over): void {
    if (this.#isOver) return;
    this.#detach();
    this.#options.over(how);
  }

  #detach(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reader.leave();
    this.#options.feed.places.releaseFromPlay();
    this.#cancelLook?.();
    this.#options.uploads.rate.cancel(this);
    this.#options.socket.off('drain', this.#drained).off('close', this.#closed);
  }
}
