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
import type { Channel } from './channel.js';
import type { LiveFeeds } from './live-feeds.js';
import type { FeedToHear } from './live-stream.js';

/** When a feed is not there, or is over, so often it is looked for. */
const LOOK_AGAIN_MS = 2_000;

export interface RelayOptions {
  readonly id: SongId;
  readonly feeds: LiveFeeds;
  /** The tracker's present row; undefined while it lists none. */
  readonly rowOf: (id: SongId) => SongRow | undefined;
  /** Addresses that can be dialled from here, but for this peer's own. */
  readonly hostsOf: (row: SongRow) => readonly string[];
  readonly fetcher: { listen(feed: FeedToHear, described: (row: OfferRow) => void): SongStream };
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Relay {
  readonly #options: RelayOptions;
  #channel: Channel | undefined;
  #stream: SongStream | undefined;
  #isStopped = false;
  #cancelPause: (() => void) | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  start(): void {
    const row = this.#options.rowOf(this.#options.id);
    if (row?.live === true) void this.#play(row).then(() => this.#again());
    else this.#again();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelPause?.();
    this.#stream?.cancel();
  }

  #again(): void {
    if (this.#isStopped) return;
    this.#cancelPause = this.#options.clock.after(LOOK_AGAIN_MS, () => this.start());
  }

  /** Resolves when it is over, or lost. */
  async #play(row: SongRow): Promise<void> {
    const { id, feeds, rowOf, hostsOf, fetcher, logger } = this.#options;
    this.#channel ??= feeds.relay(`relay-${id}`, row.feed as ContentHash);
    const publication = this.#channel.publish(() => this.#stream?.cancel());
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
    this.#stream = fetcher.listen(feed, ({ title, artist, album }) =>
      publication.titled({ title, artist, station: album }),
    );
    try {
      for await (const run of this.#stream) publication.send(run);
      publication.end();
    } catch (error) {
      logger.info({ id, why: (error as Error).message }, 'a relayed feed was lost');
      publication.lost();
    }
  }
}
