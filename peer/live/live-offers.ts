/**
 * What is on the air as songs on offer: told to the tracker as it comes, goes and changes its title, and served by the
 * song server.
 *
 *     LiveFeeds ─▶ rows by feed ID ─▶ tracker link, song server
 */
import { encode } from '../../protocol/tsp/codec.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import type { OfferChanges, OfferSource } from '../tracker-client/offers.js';
import type { OwnSwarm } from './feed-sources.js';
import type { LiveFrame } from './frame-ring.js';
import type { LiveFeed } from './live-feed.js';
import type { LiveFeeds } from './live-feeds.js';
import { SharedRuns } from './live-runs.js';

export interface LiveSong {
  /** As it is now. */
  readonly offer: OfferRow;
  readonly feed: LiveFeed;
  /** Where this peer is the source of its swarm. */
  readonly swarm?: OwnSwarm | undefined;
  /** A run as SONG_DATA, shared by all who are sent it. */
  runBytes(song: SongId | 0, run: readonly LiveFrame[]): Buffer;
}

export class LiveOffers implements OfferSource {
  readonly #feeds: LiveFeeds;
  readonly #swarmOf: (feed: LiveFeed) => OwnSwarm | undefined;
  readonly #runs = new SharedRuns(songData);

  constructor(feeds: LiveFeeds, swarmOf: (feed: LiveFeed) => OwnSwarm | undefined = () => undefined) {
    this.#feeds = feeds;
    this.#swarmOf = swarmOf;
  }

  get(id: ContentHash): LiveSong | undefined {
    for (const song of this.songs()) if (song.feed.id === id) return song;
    return undefined;
  }

  *songs(): Iterable<LiveSong> {
    for (const feed of this.#feeds.feeds()) {
      yield {
        get offer() {
          return offerOf(feed);
        },
        feed,
        swarm: this.#swarmOf(feed),
        runBytes: (song, run) => this.#runs.bytes(feed, run, song),
      };
    }
  }

  onChange(listener: (change: OfferChanges) => void): () => void {
    let told = this.#rows();
    return this.#feeds.onChange(() => {
      const now = this.#rows();
      const changed = [...now].filter(([id, row]) => told.get(id)?.text !== row.text);
      const removed = [...told.keys()].filter(id => !now.has(id));
      told = now;
      if (changed.length + removed.length > 0) listener({ changed: changed.map(([, row]) => row), removed });
    });
  }

  #rows(): Map<ContentHash, { readonly offer: OfferRow; readonly text: string }> {
    return new Map(
      [...this.songs()].map(({ offer }) => [offer.hash, { offer, text: JSON.stringify(offer) }]),
    );
  }
}

function songData(run: readonly LiveFrame[], song: SongId | 0): Buffer {
  const length = run.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return Buffer.concat([encode({ type: 'SONG_DATA', song, length }), ...run.map(({ bytes }) => bytes)]);
}

/** What plays is the title; the feed's own name, by which it is found whatever plays, stands where an album's would. */
function offerOf({
  id,
  name,
  title: { title, artist, station = name },
  format,
  isRelay,
}: LiveFeed): OfferRow {
  return {
    hash: id,
    live: true,
    title: title ?? station,
    album: station,
    ...(artist && { artist }),
    ...(format && { bitrate: format.bitrate, sampleRate: format.sampleRate, channels: format.channels }),
    ...(isRelay && { relay: true }),
  };
}
