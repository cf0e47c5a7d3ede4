/**
 * What a tracker must not forget: which content has which ID, and which hosts were listed with which songs.
 *
 *     putHost, putRow, assignId … ──▶ at once readable ──flushed()──▶ durable      only then may SONG_IDS say an ID
 *
 * The rule: an ID is given once and never again, not after a restart and not after a failed write (TSP §2.3). A write
 * may fail (the disk is full); then `flushed` rejects, what had been read from before stays, and writing may be tried
 * again. Every implementation passes `test/tracker/registry-contract.ts`.
 */
import { toHex } from '../../protocol/bytes.js';
import { RequestError } from '../../protocol/errors.js';
import type { RandomBytes } from '../../protocol/ports.js';
import { LAST_SONG_ID } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { asSongId } from '../../protocol/tsp/song-id.js';

/** A listed host. `key` grows with every host, so it says who stands longer. */
export interface StoredHost {
  readonly key: number;
  /** As they stand in the list. */
  readonly addresses: readonly string[];
  readonly instance?: string;
}

/** A run of the tracker: the list revisions from its first to its last, which may be earlier by the way round (TSP §3.1). */
export interface Run {
  readonly first: number;
  readonly last: number;
}

/** What readers were told, as `tracker/journal.ts` writes it down. */
export interface Told {
  /** Oldest first. */
  readonly runs: readonly Run[];
  /** By number; undefined: to be removed. */
  readonly blocks: Iterable<readonly [number, Buffer | undefined]>;
}

export interface Registry {
  /** 16 hex digits, made when the registry was: whose IDs these are (TSP §2.3). */
  readonly tracker: string;
  /** A list revision that no earlier run has reached. */
  readonly revision: number;
  /** How many IDs were ever given. */
  readonly idCount: number;

  idOf(hash: ContentHash): SongId | undefined;
  /** A new ID for a hash that has none. Throws RequestError `refused` at the end of the range. */
  assignId(hash: ContentHash): SongId;

  /** Greater than every key before it. */
  nextHostKey(): number;
  hosts(): Iterable<StoredHost>;
  /** What the host says of each of its songs, in the order of their IDs. */
  rows(hostKey: number): Iterable<readonly [SongId, OfferRow]>;
  putHost(host: StoredHost): void;
  /** The host and all its rows. */
  removeHost(hostKey: number): void;
  /** Of a host that was put before. */
  putRow(hostKey: number, id: SongId, row: OfferRow): void;
  removeRow(hostKey: number, id: SongId): void;

  /** All of it, as it was last durable. */
  told(): Told;
  /** The runs, and the blocks that changed: they become durable together, or not at all. The next run begins past the last revision. */
  saveTold(told: Told): void;

  /** Resolves when all that was written before is durable; rejects with RequestError `unavailable`, to be tried again, if it can't be. */
  flushed(): Promise<void>;
  /** Writes what is left, and lets go of the store. */
  close(): Promise<void>;
}

export interface RegistryOptions {
  readonly randomBytes: RandomBytes;
  /** The first ID of a registry that is new. */
  readonly firstSongId?: number;
}

/** 16 hex digits (TSP §3.3). */
const TRACKER_NAME_BYTES = 8;

export const makeTrackerName = (randomBytes: RandomBytes): string => toHex(randomBytes(TRACKER_NAME_BYTES));

/**
 * How far ahead a run reserves revisions, so that a crash can't make the next run repeat one. 65,536 restarts come
 * before the numbers go round.
 */
export const RESERVED_REVISIONS = 65_536;

/** The ID after `last`; throws RequestError `refused` when there is none (TSP §2.3: refuse, never wrap). */
export function nextSongId(last: number): SongId {
  if (last >= LAST_SONG_ID) throw new RequestError('refused', 'this tracker has given its last song ID');
  return asSongId(last + 1);
}
