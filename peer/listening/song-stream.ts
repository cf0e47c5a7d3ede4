/**
 * What a listener asks for and what it gets: a song by its content, as bytes that are already verified.
 *
 *     SongToFetch ──▶ SongFetcher.open() ──▶ SongStream ──▶ player, file, cache
 *
 * The rule: nothing leaves a SongStream that was not checked against the song's hash (TSP §4), and a stream that ends
 * without throwing has delivered every byte. Where the bytes came from, and who failed on the way, is in the report.
 */
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, SongFields } from '../../protocol/tsp/rows.js';

export interface SongToFetch {
  readonly hash: ContentHash;
  /** The tracker's ID. Only a label on the wire: what is asked for is always the hash. */
  readonly id?: SongId;
  /** `host:port`, ready to be dialled (SongList resolves `":7461"`). */
  readonly hosts: readonly string[];
  /** Bytes, as somebody claimed; what the hash proves counts more. */
  readonly size?: number;
  /** bit/s; a host slower than this is exchanged while little is buffered. */
  readonly bitrate?: number;
  /** What is known of the song; a cached copy keeps it, so that it can be offered to others. */
  readonly fields?: SongFields;
  /** Fresh hosts, asked for when those above are used up. */
  readonly moreHosts?: () => Promise<readonly string[]>;
}

/** `now`: somebody waits to hear it. `ahead`: the next song; it asks no second host only to begin sooner. */
export type Urgency = 'now' | 'ahead';

export interface OpenOptions {
  /** Default 0. */
  readonly fromByte?: number;
  /** Default `now`. */
  readonly urgency?: Urgency;
}

export interface SongStream {
  /** Bytes of the whole song: claimed by a host until the last piece proves it. Rejects when the stream fails first. */
  readonly size: Promise<number>;
  /**
   * Verified bytes in order, from `fromByte` to the end; the chunks are the reader's to keep, not to change.
   * Throws TransportError when hosts could not be reached or failed, RequestError `busy` when all were busy,
   * RequestError `no-such-song` or `song-changed` when none has this content. One reader only; leaving the loop cancels.
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array>;
  /** Ends it; a waiting reader sees the end. */
  cancel(): void;
  /** As it stands now; final once the stream has ended. */
  report(): FetchReport;
}

/** What somebody gave of a song. */
export interface SongShare {
  /** `host:port`; `cache` and `library` stand for this machine's own disk. */
  readonly host: string;
  readonly bytes: number;
  /** As it calls itself, where it was asked. */
  readonly name?: string;
}

export interface FetchReport {
  /** In the order in which they first helped. */
  readonly sources: readonly SongShare[];
  readonly failed: readonly { readonly host: string; readonly why: string; readonly lied?: boolean }[];
  /** Every byte that was delivered agreed with the song's hash. False only while nothing was delivered. */
  readonly verified: boolean;
  /** Of a live feed: so much of it came through its swarm, signed by the source. Absent: nothing. */
  readonly verifiedBytes?: number;
  /** Of a live feed: some of it came from a host that has it from another one. */
  readonly relayed?: boolean;
  /** From open() to the first verified piece. */
  readonly firstByteMs?: number;
  /** Why nothing comes at the moment, for a person; absent while bytes flow or none are owed. */
  readonly waiting?: string;
}
