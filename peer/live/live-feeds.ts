/**
 * The feeds that this peer broadcasts or relays, by name: where publishers come in and listeners find what is on the air.
 *
 *     publisher ─ key ─▶ StreamKeys ─▶ Channel ─▶ LiveFeed ─▶ any number of listeners
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { Channel } from './channel.js';
import type { LiveFeed, LiveTitle } from './live-feed.js';
import { type OpenTranscoder, type Publication, PublishRefused } from './publication.js';
import type { StreamKeys } from './stream-keys.js';

/** Of an open peer, where everybody may make one; who has a key is let in beside them. */
const MAX_FEEDS = 64;

export interface LiveFeedsOptions {
  readonly keys: StreamKeys;
  /** The feed's ID: the SHA-256 of its public key (TSP §5.5). */
  readonly idOf: (name: string) => ContentHash;
  /** The ID of this name is not needed any more. */
  readonly forget?: (name: string) => void;
  /** How long a feed waits for a publisher that was lost. */
  readonly graceMs: number;
  /** To all listeners together; Infinity: nobody knows. */
  readonly maxUploadBytesPerSecond: number;
  /** Undefined: there is no ffmpeg here. */
  readonly transcode: OpenTranscoder | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Publisher {
  readonly key: string;
  /** Where the protocol has it besides the key: then both must go together. */
  readonly name?: string;
  readonly via: 'RTMP' | 'Icecast';
  /** `address:port`, for the log. */
  readonly remote: string;
  /** It is to be disconnected; called at most once. */
  readonly dismissed: (why: string) => void;
}

export class LiveFeeds {
  readonly #options: LiveFeedsOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #listeners = new Set<() => void>();
  #isStopped = false;

  constructor(options: LiveFeedsOptions) {
    this.#options = options;
  }

  /** What is on the air under this name, also in its grace. */
  feed(name: string): LiveFeed | undefined {
    return this.#channels.get(name)?.feed;
  }

  /** Whether that is a feed's name, and so no secret. */
  has(name: string): boolean {
    return this.#channels.has(name) || this.#options.keys.keyOf(name) !== undefined;
  }

  /** All that is on the air. */
  *feeds(): Iterable<LiveFeed> {
    for (const { feed } of this.#channels.values()) if (feed !== undefined) yield feed;
  }

  /** Called when a feed came, went, or has another title. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The key of a feed, for a challenge. To be told to nobody. */
  secretOf(name: string): string | undefined {
    return this.#options.keys.keyOf(name);
  }

  /** Throws PublishRefused, and then nothing has happened. */
  publish({ key, name, via, remote, dismissed }: Publisher): Publication {
    const { keys, logger } = this.#options;
    const feed = this.#isStopped ? undefined : keys.feedOf(key, name);
    if (feed === undefined) {
      // Source clients knock without one first, to be asked for it.
      if (key !== '') logger.warn({ via, remote }, 'a publisher has a wrong key');
      throw new PublishRefused('wrong-key', 'this key opens no feed here');
    }
    const who = { via, remote, feed };
    try {
      const publication = this.#channel(feed).publish(
        why => {
          logger.info({ ...who, why }, 'a publisher was sent away');
          dismissed(why);
        },
        saidGoodbye => logger.info({ ...who, saidGoodbye }, 'a publisher is gone'),
      );
      logger.info(who, 'a publisher is here');
      return publication;
    } catch (error) {
      if (error instanceof PublishRefused)
        logger.info({ ...who, why: error.message }, 'a publisher was refused');
      throw error;
    }
  }

  /** For a publisher that tells its titles beside the music. False: the key opens no such feed, or it has no publisher. */
  retitle({ key, name }: { readonly key: string; readonly name: string }, title: LiveTitle): boolean {
    const feed = this.#options.keys.feedOf(key, name);
    const channel = feed === undefined ? undefined : this.#channels.get(feed);
    return channel !== undefined && !channel.isRelay && channel.retitle(title);
  }

  /** A feed that comes from elsewhere, under its own ID. What it publishes has been let in already, and nobody else's is. */
  relay(name: string, id: ContentHash): Channel {
    this.#channels.get(name)?.stop('a relay has this name');
    return this.#add(name, id, true);
  }

  /** All feeds end. */
  stop(): void {
    this.#isStopped = true;
    for (const channel of this.#channels.values()) channel.stop('this peer is stopping');
  }

  #channel(name: string): Channel {
    const channel = this.#channels.get(name);
    if (channel?.isRelay) throw new PublishRefused('already-live', `${name} comes from elsewhere`);
    if (channel !== undefined) return channel;
    if (this.#channels.size >= MAX_FEEDS && this.#options.keys.keyOf(name) === undefined) this.#makeRoom();
    return this.#add(name, this.#options.idOf(name), false);
  }

  /** Of names without a key, one that nobody uses goes. */
  #makeRoom(): void {
    const { keys, forget } = this.#options;
    for (const [name, { isIdle, isRelay }] of this.#channels) {
      if (!isIdle || isRelay || keys.keyOf(name) !== undefined) continue;
      this.#channels.delete(name);
      forget?.(name);
      return;
    }
    throw new PublishRefused('too-many', `this peer has ${MAX_FEEDS} feeds already`);
  }

  #add(name: string, id: ContentHash, isRelay: boolean): Channel {
    const { graceMs, maxUploadBytesPerSecond, clock, transcode } = this.#options;
    const changed = (): void => {
      for (const listener of [...this.#listeners]) listener();
    };
    const limits = { graceMs, maxUploadBytesPerSecond };
    const channel = new Channel({ name, id, isRelay, ...limits, clock, transcode, changed });
    this.#channels.set(name, channel);
    return channel;
  }
}
