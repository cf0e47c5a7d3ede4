/**
 * What hosting needs to know from the other rooms: which songs there are, what the tracker calls them, and who waits
 * for the echo of a proof. The library and the tracker link provide them; a test writes them down in three lines.
 */
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { HostedSong } from '../library/catalogue.js';
import type { LiveSong } from '../live/live-offers.js';

/** Part of the library's catalogue. */
export interface HostedSongs {
  get(hash: ContentHash): HostedSong | undefined;
  songs(): Iterable<HostedSong>;
}

/** What is on the air here. */
export interface LiveSongs {
  /** By the feed's ID. */
  get(id: ContentHash): LiveSong | undefined;
  songs(): Iterable<LiveSong>;
}

/** The tracker's IDs for own songs. */
export interface SongIdTable {
  hashOf(id: SongId): ContentHash | undefined;
  idOf(hash: ContentHash): SongId | undefined;
  /** SONG_IDS has not come yet: an unknown ID may be known in a moment (TSP §5.1). */
  readonly owed: boolean;
}

/** Told of every PING: while a registration is pending, its connection echoes the value (TSP §5.2). */
export interface ProofEcho {
  ping(value: number): void;
}
