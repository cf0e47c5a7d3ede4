/**
 * The feeds of this peer that are sources of live swarms: each that is on the air and its own.
 *
 *     LiveFeeds ─ on the air ─▶ FeedSource ─▶ swarm        over: its swarm lives on for those who are a little behind
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import { FeedSource } from './feed-source.js';
import type { FeedIdentity } from './feed-store.js';
import type { FeedSwarms } from './feed-swarm.js';
import type { LiveFeed } from './live-feed.js';
import type { LiveFeeds } from './live-feeds.js';

/** The last chunks go to those who lack them, and the end is said again to those who did not hear it. */
const LINGER_MS = 10_000;

export interface FeedSourcesOptions {
  readonly feeds: LiveFeeds;
  readonly identityOf: (name: string) => FeedIdentity;
  readonly swarms: FeedSwarms;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds since 1970; absent: what this machine says. */
  readonly unixMs?: () => number;
}

/** What a song server knows of a feed's swarm. */
export interface OwnSwarm {
  readonly source: Pick<FeedSource, 'swarmId' | 'positionOf'>;
}

interface Running extends OwnSwarm {
  readonly source: FeedSource;
  cancelLinger(): void;
}

export class FeedSources {
  readonly #options: FeedSourcesOptions;
  readonly #running = new Map<LiveFeed, Running>();
  #unwatch = (): void => {};

  constructor(options: FeedSourcesOptions) {
    this.#options = options;
  }

  of(feed: LiveFeed): OwnSwarm | undefined {
    return this.#running.get(feed);
  }

  start(): void {
    this.#unwatch = this.#options.feeds.onChange(() => this.#look());
    this.#look();
  }

  stop(): void {
    this.#unwatch();
    for (const feed of [...this.#running.keys()]) this.#leave(feed);
  }

  #look(): void {
    for (const feed of this.#options.feeds.feeds())
      if (!feed.isRelay && !this.#running.has(feed)) void this.#give(feed);
  }

  async #give(feed: LiveFeed): Promise<void> {
    // One that is over makes way for the next of the same name: they have one swarm.
    for (const other of [...this.#running.keys()]) if (other.id === feed.id) this.#leave(other);
    const { clock, logger } = this.#options;
    try {
      const running = this.#sourceOf(feed);
      this.#running.set(feed, running);
      await running.source.run();
      if (this.#running.get(feed) === running)
        running.cancelLinger = clock.after(LINGER_MS, () => this.#leave(feed));
    } catch (error) {
      logger.warn({ err: error, feed: feed.name }, 'a feed is not given through a swarm');
      this.#leave(feed);
    }
  }

  #sourceOf(feed: LiveFeed): Running {
    const { identityOf, swarms, unixMs = Date.now } = this.#options;
    const { places } = feed;
    places.hasSwarm = true;
    const source = new FeedSource({
      feed,
      identity: identityOf(feed.name),
      join: ({ swarm }) => swarms.joinFeed({ swarm, slots: places }),
      unixMs,
    });
    return { source, cancelLinger() {} };
  }

  #leave(feed: LiveFeed): void {
    const running = this.#running.get(feed);
    if (running === undefined) return;
    this.#running.delete(feed);
    running.cancelLinger();
    running.source.leave();
    feed.places.hasSwarm = false;
  }
}
