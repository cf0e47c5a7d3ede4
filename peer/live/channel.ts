/**
 * One feed of this peer, on the air or not: who may publish it, and who does.
 *
 *     publish ─▶ Publication ─▶ LiveFeed ── first frame ─▶ on the air ── over ─▶ off
 *        └ a second publisher is refused, unless the first has gone silent: then that one is dismissed
 */
import type { Clock } from '../../protocol/ports.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { LiveFeed, type LiveTitle } from './live-feed.js';
import { type OpenTranscoder, Publication, PublishRefused } from './publication.js';

/** A publisher whose connection died without a word is back sooner than its machine's TCP gives up. */
const TAKEOVER_AFTER_MS = 3_000;
/** Longer than any encoder needs for its first frame. */
const IDLE_PUBLISHER_MS = 10_000;

export interface ChannelOptions {
  readonly name: string;
  readonly id: ContentHash;
  readonly isRelay: boolean;
  readonly graceMs: number;
  readonly maxUploadBytesPerSecond: number;
  readonly clock: Clock;
  readonly transcode: OpenTranscoder | undefined;
  /** It came on the air, left it, or has another title. */
  readonly changed: () => void;
}

export class Channel {
  readonly name: string;
  readonly id: ContentHash;
  readonly #options: ChannelOptions;
  #feed: LiveFeed | undefined;
  #publication: Publication | undefined;
  #cancelWatch: (() => void) | undefined;

  constructor(options: ChannelOptions) {
    this.name = options.name;
    this.id = options.id;
    this.#options = options;
  }

  get isRelay(): boolean {
    return this.#options.isRelay;
  }

  /** While it is on the air, also in its grace. */
  get feed(): LiveFeed | undefined {
    return this.#feed?.isOnAir ? this.#feed : undefined;
  }

  /** It is off the air, and nobody is about to publish it. */
  get isIdle(): boolean {
    return this.#feed === undefined;
  }

  /** `left`: by its own doing. Throws PublishRefused `already-live`. */
  publish(dismissed: (why: string) => void, left = (_saidGoodbye: boolean): void => {}): Publication {
    const before = this.#publication;
    if (before !== undefined && before.quietMs < TAKEOVER_AFTER_MS)
      throw new PublishRefused('already-live', `somebody is publishing ${this.name} already`);
    before?.dismiss('another publisher took over');
    this.#feed ??= this.#open();
    this.#feed.published();
    const { clock, transcode } = this.#options;
    const publication: Publication = new Publication({
      feed: this.#feed,
      clock,
      transcode,
      over: orderly => {
        left(orderly);
        this.#over(publication, orderly);
      },
      dismissed,
    });
    this.#publication = publication;
    this.#watch(publication, IDLE_PUBLISHER_MS);
    return publication;
  }

  /** False: nobody publishes it. */
  retitle(title: LiveTitle): boolean {
    this.#publication?.titled(title);
    return this.#publication !== undefined;
  }

  /** The feed ends, and whoever publishes it is told to go. */
  stop(why: string): void {
    this.#publication?.dismiss(why);
    this.#publication = undefined;
    this.#cancelWatch?.();
    this.#feed?.end();
  }

  #open(): LiveFeed {
    const { changed } = this.#options;
    let isListed = false;
    const watcher = {
      frames: () => {
        if (isListed) return;
        isListed = true;
        changed();
      },
      titled: () => {
        if (isListed) changed();
      },
      ended: () => {
        this.#feed = undefined;
        this.#publication?.dismiss('the feed is over');
        this.#publication = undefined;
        this.#cancelWatch?.();
        if (isListed) changed();
      },
    };
    return new LiveFeed({ ...this.#options, watcher });
  }

  #over(publication: Publication, orderly: boolean): void {
    if (publication !== this.#publication) return;
    this.#publication = undefined;
    this.#cancelWatch?.();
    if (orderly) this.#feed?.end();
    else this.#feed?.abandoned();
  }

  /** A publisher of whom nothing is heard for too long has left without a word. */
  #watch(publication: Publication, inMs: number): void {
    this.#cancelWatch?.();
    this.#cancelWatch = this.#options.clock.after(inMs, () => {
      const { quietMs } = publication;
      if (quietMs < IDLE_PUBLISHER_MS) {
        this.#watch(publication, IDLE_PUBLISHER_MS - quietMs);
        return;
      }
      publication.dismiss(`no sound came for ${IDLE_PUBLISHER_MS / 1_000} s`);
      this.#over(publication, false);
    });
  }
}
