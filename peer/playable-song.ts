/**
 * A listed song as the player wants it: opened from the disk cache, the library or its hosts, whichever is nearest.
 */
import type { SongId } from '../protocol/tsp/messages.js';
import type { SongFields, SongRow } from '../protocol/tsp/rows.js';
import type { SongStream, SongToFetch, Urgency } from './listening/song-stream.js';
import type { PlayableSong } from './playback/player-events.js';

export interface SongSources {
  readonly fetcher: {
    open(song: SongToFetch, options: { readonly fromByte?: number; readonly urgency?: Urgency }): SongStream;
  };
  /** Addresses that can be dialled from here. */
  readonly hostsOf: (row: SongRow) => readonly string[];
  /** The tracker's present row of the song. */
  readonly info: (id: SongId) => Promise<readonly SongRow[]>;
}

/** `row` must not be a live feed. */
export function playableSong(row: SongRow, { fetcher, hostsOf, info }: SongSources): PlayableSong {
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
