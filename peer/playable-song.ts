/**
 * A listed song as the player wants it: opened from the disk cache, the library or its hosts, whichever is nearest; a live
 * feed from whoever broadcasts it.
 */
import type { SongId } from '../protocol/tsp/messages.js';
import type { ContentHash, OfferRow, SongFields, SongRow } from '../protocol/tsp/rows.js';
import type { SongStream, SongToFetch, Urgency } from './listening/song-stream.js';
import type { FeedToHear } from './live/live-stream.js';
import type { PlayableSong } from './playback/player-events.js';

export interface SongSources {
  readonly fetcher: {
    open(song: SongToFetch, options: { readonly fromByte?: number; readonly urgency?: Urgency }): SongStream;
    /** `described`: what the host says of the feed, at once and whenever its title changes. */
    listen(feed: FeedToHear, described: (row: OfferRow) => void): SongStream;
  };
  /** Addresses that can be dialled from here. */
  readonly hostsOf: (row: SongRow) => readonly string[];
  /** The tracker's present row of the song. */
  readonly info: (id: SongId) => Promise<readonly SongRow[]>;
  /** A live feed has another title. */
  readonly titled?: (row: SongRow) => void;
}

export function playableSong(row: SongRow, sources: SongSources): PlayableSong {
  return row.live === true ? liveSong(row, sources) : storedSong(row, sources);
}

/** Its row says what plays, as the host that is heard tells it. It is always opened at the present. */
function liveSong(row: SongRow, { fetcher, hostsOf, info, titled }: SongSources): PlayableSong {
  const rowsNow = async (): Promise<readonly SongRow[]> =>
    (await info(row.id)).filter(now => now.feed === row.feed);
  const feed: FeedToHear = {
    feed: row.feed as ContentHash,
    id: row.id,
    hosts: hostsOf(row),
    moreHosts: async () => (await rowsNow()).flatMap(hostsOf),
    titleNow: async () => (await rowsNow())[0],
  };
  let told: SongRow | undefined;
  const described = ({ title, artist, relay }: OfferRow): void => {
    const before = told;
    // The listed row is that of some other host, maybe.
    told = { ...row, ...(title && { title }), ...(artist && { artist }), relay: relay === true };
    if (before !== undefined && (before.title !== told.title || before.artist !== told.artist))
      titled?.(told);
  };
  return {
    get row() {
      return told ?? row;
    },
    open: () => fetcher.listen(feed, described),
  };
}

function storedSong(row: SongRow, { fetcher, hostsOf, info }: SongSources): PlayableSong {
  const song: SongToFetch = {
    hash: row.hash!,
    id: row.id,
    hosts: hostsOf(row),
    fields: fieldsOf(row),
    ...(row.size !== undefined && { size: row.size }),
    ...(row.bitrate !== undefined && { bitrate: row.bitrate }),
    moreHosts: async () => (await info(row.id)).filter(now => now.hash === row.hash).flatMap(hostsOf),
  };
  return {
    row,
    open: (fromByte, urgency) => fetcher.open(song, { fromByte, ...(urgency !== undefined && { urgency }) }),
  };
}

/** What the row says of the song itself, whoever hosts it. */
export function fieldsOf(row: SongRow): SongFields {
  const {
    id: _id,
    hash: _hash,
    hosts: _hosts,
    hostCount: _hostCount,
    live: _live,
    feed: _feed,
    ...fields
  } = row;
  return fields;
}
