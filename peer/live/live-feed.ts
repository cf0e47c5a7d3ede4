/**
 * One broadcast, from its first frame until it leaves the air, whoever publishes it meanwhile.
 *
 *     frames ─▶ ring ─▶ listeners           all played, and none for 500 ms: silence, at the pace of time
 *        └ none, and nobody publishes, for the grace: over
 *
 * The rule: the time line never breaks. While the publisher is away listeners hear silence in the feed's own format, and
 * the next publisher goes on where that ends.
 */
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import { TokenBucket } from '../../protocol/token-bucket.js';
import { type ContentHash, cleanText } from '../../protocol/tsp/rows.js';
import type { FrameHeader } from '../mpeg/frame-header.js';
import { FeedPlaces } from './feed-places.js';
import { durationMs, FrameRing, type LiveFrame, RingReader } from './frame-ring.js';
import { silenceLike } from './silence.js';

/** Longer than a frame of any rate and than the jitter of a good line, shorter than what a TSP listener holds. */
const SILENCE_AFTER_MS = 500;
/** What comes in blocks lasts until the next: a page of Ogg is a second of sound. Who joined late holds no more than this. */
const MAX_AHEAD_MS = 2_000;
/** How often a feed looks whether it has gone silent. */
const TICK_MS = 250;

/** Titles that are told at once, and how many a second after those: each goes to every listener and the tracker. */
const TITLES = { burst: 4, perSecond: 1 };

/** Before its first frame, bit/s. */
const USUAL_BITRATE = 128_000;

/** What is being played, as the publisher says. */
export interface LiveTitle {
  readonly title?: string | undefined;
  readonly artist?: string | undefined;
  /** What the feed is called where it comes from; of a relayed one. */
  readonly station?: string | undefined;
}

/** Told of a feed as it happens, never from within `join`. */
export interface FeedListener {
  /** There is something to read; once a batch. */
  frames(): void;
  /** `title` changed. */
  titled?(): void;
  /** Nothing comes any more; what is left may still be read. */
  ended(): void;
}

export interface LiveFeedOptions {
  /** As in `--live NAME`. */
  readonly name: string;
  /** TSP §5.5. */
  readonly id: ContentHash;
  /** It comes from another host (TSP §5.5). */
  readonly isRelay: boolean;
  readonly graceMs: number;
  /** To all listeners together; Infinity: nobody knows. */
  readonly maxUploadBytesPerSecond: number;
  readonly clock: Clock;
  /** Told before all listeners, of whom it is none. */
  readonly watcher: Required<FeedListener>;
}

export class LiveFeed {
  readonly name: string;
  readonly id: ContentHash;
  readonly isRelay: boolean;
  /** Of its listeners. */
  readonly places: FeedPlaces;
  readonly #graceMs: number;
  readonly #clock: Clock;
  readonly #ring = new FrameRing();
  readonly #watcher: FeedListener;
  readonly #listeners = new Set<FeedListener>();
  #title: LiveTitle = {};
  readonly #titles: TokenBucket;
  #cancelTitle: (() => void) | undefined;
  #isPublished = true;
  #isOver = false;
  /** When the last frame came that was not ours. */
  #heardAt: Milliseconds;
  /** When all that came will have been played, by those who heard the first of it at once. */
  #lastsUntil: Milliseconds = Number.NEGATIVE_INFINITY;
  /** Of silence since then. */
  #silentMs = 0;
  #cancelTick: (() => void) | undefined;

  constructor(options: LiveFeedOptions) {
    const { name, id, isRelay, graceMs, maxUploadBytesPerSecond, clock, watcher } = options;
    this.name = name;
    this.id = id;
    this.isRelay = isRelay;
    this.places = new FeedPlaces(maxUploadBytesPerSecond, () => this.format?.bitrate ?? USUAL_BITRATE);
    this.#watcher = watcher;
    this.#graceMs = graceMs;
    this.#clock = clock;
    this.#titles = new TokenBucket(TITLES, clock.now());
    this.#heardAt = clock.now();
  }

  get title(): LiveTitle {
    return this.#title;
  }

  /** Of the latest frame; undefined before the first. */
  get format(): FrameHeader | undefined {
    return this.#ring.latest?.header;
  }

  /** The first frame has come, and the end has not. */
  get isOnAir(): boolean {
    return this.#ring.latest !== undefined && !this.#isOver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** How long no frame has come from a publisher. */
  get quietMs(): number {
    return this.#clock.now() - this.#heardAt;
  }

  /** Where the next frame will begin on the time line. */
  get endMs(): number {
    return this.#ring.endMs;
  }

  /** The same in bytes. */
  get endByte(): number {
    return this.#ring.endByte;
  }

  /** Begins so long before now, with a whole frame, and goes on with whatever comes. */
  join(burstMs: number, listener: FeedListener): FeedReader {
    if (!this.#isOver) this.#listeners.add(listener);
    return new FeedReader(this.#ring, burstMs, () => this.#listeners.delete(listener));
  }

  /** Whole frames from the publisher. `bytes` are kept: they are nobody else's. */
  receive(frames: readonly { readonly bytes: Buffer; readonly header: FrameHeader }[]): void {
    if (this.#isOver || frames.length === 0) return;
    const now = this.#clock.now();
    const before = this.#ring.endMs;
    for (const { bytes, header } of frames) this.#ring.push(bytes, header);
    const lasts = Math.max(now, this.#lastsUntil) + this.#ring.endMs - before;
    this.#lastsUntil = Math.min(lasts, now + MAX_AHEAD_MS);
    this.#heardAt = now;
    this.#silentMs = 0;
    this.#cancelTick ??= this.#clock.after(TICK_MS, () => this.#tick());
    this.#tell(listener => listener.frames());
  }

  /** Absent keys stay as they are, but for the artist of another title. Of changes that come too fast the last is told. */
  setTitle(change: LiveTitle): void {
    const before = this.#title;
    for (const key of ['title', 'artist', 'station'] as const) {
      const text = change[key] === undefined ? undefined : cleanText(change[key]);
      if (text !== undefined && text !== before[key]) this.#title = { ...this.#title, [key]: text };
    }
    if (this.#title.title !== before.title && change.artist === undefined)
      this.#title = { ...this.#title, artist: undefined };
    if (this.#title !== before && this.#cancelTitle === undefined) this.#tellTitle();
  }

  /** Somebody publishes it, for the first time or again. */
  published(): void {
    this.#isPublished = true;
  }

  /** Nobody publishes it: the grace begins, or has begun with the last frame. */
  abandoned(): void {
    this.#isPublished = false;
    if (!this.isOnAir || this.quietMs >= this.#graceMs) this.end();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTick?.();
    this.#cancelTitle?.();
    this.#tell(listener => listener.ended());
    this.#listeners.clear();
  }

  #tick(): void {
    this.#cancelTick = undefined;
    const { quietMs } = this;
    if (!this.#isPublished && quietMs >= this.#graceMs) {
      this.end();
      return;
    }
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick());
    const lackMs = this.#clock.now() - this.#lastsUntil;
    if (lackMs >= SILENCE_AFTER_MS) this.#fill(lackMs);
  }

  /** Silence up to the present, as if the publisher had sent it. */
  #fill(lackMs: number): void {
    const model = this.#ring.latest as LiveFrame;
    const silence = silenceLike(model.bytes);
    const frameMs = durationMs(model.header);
    if (this.#silentMs + frameMs > lackMs) return;
    for (; this.#silentMs + frameMs <= lackMs; this.#silentMs += frameMs)
      this.#ring.push(silence, model.header);
    this.#tell(listener => listener.frames());
  }

  #tellTitle(): void {
    this.#cancelTitle = undefined;
    const now = this.#clock.now();
    if (this.#titles.take(1, now)) this.#tell(listener => listener.titled?.());
    else
      this.#cancelTitle = this.#clock.after(Math.ceil(this.#titles.waitFor(1, now)), () => this.#tellTitle());
  }

  #tell(what: (listener: FeedListener) => void): void {
    for (const listener of [this.#watcher, ...this.#listeners]) what(listener);
  }
}

export class FeedReader extends RingReader {
  readonly leave: () => void;

  /** `leave`: nothing is told any more; what is in the ring can still be read. */
  constructor(ring: FrameRing, burstMs: number, leave: () => void) {
    super(ring, burstMs);
    this.leave = leave;
  }
}
