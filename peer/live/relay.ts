/**
 * Another peer's feed, played here and offered to others (`--relay ID`; TSP §5.5).
 *
 *     source ─▶ LiveStream ─▶ Channel ─▶ listeners here             the tracker lists this peer as one more host of it
 *
 * The rule: a relay takes a feed from its source only. Two relays that fed each other would keep it alive for ever.
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow, SongRow } from '../../protocol/tsp/rows.js';
import type { SongStream } from '../listening/song-stream.js';
import { titleOf } from '../prompt/render-song.js';
import { safeText } from '../prompt/terminal-text.js';
import type { Channel } from './channel.js';
import type { LiveTitle } from './live-feed.js';
import type { LiveFeeds } from './live-feeds.js';
import type { FeedToHear } from './live-stream.js';
import type { Publication } from './publication.js';

/** When a feed is not there, or is over, so often it is looked for. */
const LOOK_AGAIN_MS = 2_000;

type News = 'waiting' | 'offered' | 'lost';

export interface RelayOptions {
  readonly id: SongId;
  readonly feeds: LiveFeeds;
  /** The tracker's present row; undefined while it lists none. */
  readonly rowOf: (id: SongId) => SongRow | undefined;
  /** Addresses that can be dialled from here, but for this peer's own. */
  readonly hostsOf: (row: SongRow) => readonly string[];
  /** Whether the tracker has said what it lists. */
  readonly isListKnown: () => boolean;
  readonly fetcher: { listen(feed: FeedToHear, described: (row: OfferRow) => void): SongStream };
  /** Something that a person should know, said once. */
  readonly notice: (message: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Relay {
  readonly #options: RelayOptions;
  #channel: Channel | undefined;
  #stream: SongStream | undefined;
  #isStopped = false;
  #cancelPause: (() => void) | undefined;
  /** What a person was last told of it. */
  #told: News | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  start(): void {
    const { id, rowOf, isListKnown } = this.#options;
    const row = rowOf(id);
    const obstacle = this.#obstacleOf(row);
    if (obstacle === undefined) {
      void this.#play(row!).then(() => this.#again());
      return;
    }
    if (this.#told === undefined && isListKnown()) this.#tell('waiting', obstacle);
    this.#again();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelPause?.();
    this.#stream?.cancel();
  }

  /** Why it cannot be relayed. */
  #obstacleOf(row: SongRow | undefined): string | undefined {
    if (row === undefined) return 'no feed with this ID is on the air; it is waited for.';
    if (row.live !== true) return `${titleOf(row)} is a song, and only feeds are relayed.`;
    for (const { id, isRelay } of this.#options.feeds.feeds())
      if (id === row.feed && !isRelay)
        return `${titleOf(row)} is broadcast here, and only feeds of others are relayed.`;
    return undefined;
  }

  #again(): void {
    if (this.#isStopped) return;
    this.#cancelPause = this.#options.clock.after(LOOK_AGAIN_MS, () => this.start());
  }

  #tell(what: News, message: string): void {
    if (this.#told === what || this.#isStopped) return;
    this.#told = what;
    this.#options.notice(`Relay ${this.#options.id}: ${message}`);
  }

  /** Resolves when it is over, or lost. */
  async #play(row: SongRow): Promise<void> {
    const { id, feeds, rowOf, hostsOf, fetcher, logger } = this.#options;
    let lost: string | undefined;
    this.#channel ??= feeds.relay(`relay-${id}`, row.feed as ContentHash);
    const channel = this.#channel;
    let publication: Publication | undefined;
    let about: LiveTitle = {};
    const name = (): string => safeText(publication?.feed.title.station ?? '') || titleOf(row);
    const feed: FeedToHear = {
      feed: row.feed as ContentHash,
      id,
      hosts: hostsOf(row),
      moreHosts: async () => {
        const now = rowOf(id);
        return now === undefined ? [] : hostsOf(now);
      },
      titleNow: async () => rowOf(id),
      sourceOnly: true,
    };
    const stream = fetcher.listen(feed, ({ title, artist, album }) => {
      about = { title, artist, station: album };
      publication?.titled(about);
    });
    this.#stream = stream;
    try {
      for await (const run of stream) {
        if (publication === undefined) {
          // Not before: in its grace a feed waits as long as somebody publishes it.
          publication = channel.publish(why => {
            lost = why;
            stream.cancel();
          });
          publication.titled(about);
        }
        publication.send(run);
        this.#tell('offered', `${name()} is offered to others now.`);
      }
      publication?.end();
    } catch (error) {
      lost = (error as Error).message;
      publication?.lost();
    }
    if (lost !== undefined) logger.info({ id, why: lost }, 'a relayed feed was lost');
    const why = lost === undefined ? 'is over' : `was lost (${lost})`;
    this.#tell('lost', `${name()} ${why}; it is waited for.`);
  }
}
