/**
 * This host's own songs as rows: LIST_INFO (TSP §3.1) and SONG_INFO of all (§3.2), with the ID where it is known.
 *
 *     songs ──▶ rows ──▶ segments of ≤ 64 KiB ──▶ every listener that asks within a second
 *
 * Fifty thousand rows take longer than one turn of the event loop may, so they are made in steps, once for all who ask.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { toHex } from '../../protocol/bytes.js';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { encodeRow, identityOf, type OfferRow } from '../../protocol/tsp/rows.js';
import type { HostedSongs, LiveSongs, SongIdTable } from './neighbours.js';

/** TSP §3.1: a list may be this old. */
const LIST_FRESH_MS = 1_000;
/** About a millisecond's worth. */
const ROWS_A_TURN = 250;
const SEGMENT_BYTES = 64 * 1024;

export interface RowSegments {
  /** Shared by all who are sent them; never written to. */
  readonly segments: readonly Buffer[];
  readonly length: number;
}

/** A stored song, or a live feed, which has no size. */
interface Listed {
  readonly offer: OfferRow;
  readonly size?: number;
  readonly swarm?: { readonly source: { readonly swarmId: Uint8Array } } | undefined;
}
type RowOf = (song: Listed, id: SongId | undefined) => object;

export interface OwnSongs {
  readonly songs: HostedSongs;
  readonly live: LiveSongs;
}

export class SongLists {
  readonly #list: SharedRows;
  readonly #infos: SharedRows;

  constructor({ songs, live }: OwnSongs, songIds: SongIdTable, clock: Clock) {
    const all = (): readonly Listed[] => [...live.songs(), ...songs.songs()];
    this.#list = new SharedRows(listRow, all, songIds, clock);
    this.#infos = new SharedRows(infoRow, all, songIds, clock);
  }

  /** Payload of LIST_INFO. */
  list(): Promise<RowSegments> {
    return this.#list.take();
  }

  /** Payload of SONG_INFO for song 0. */
  infos(): Promise<RowSegments> {
    return this.#infos.take();
  }
}

/** What a list says of a song; INFO says the rest. */
const listRow: RowOf = ({ offer }, id) => {
  const { title, artist, duration, vbr } = offer;
  return { id, ...identityOf(offer), title, artist, duration, vbr };
};

export const infoRow: RowOf = ({ offer: { hash, live, ...fields }, size, swarm }, id) => ({
  id,
  ...identityOf({ hash, live }),
  ...fields,
  size,
  ...(swarm && { swarm: toHex(swarm.source.swarmId) }),
});

class SharedRows {
  readonly #rowOf: RowOf;
  readonly #songs: () => readonly Listed[];
  readonly #songIds: SongIdTable;
  readonly #clock: Clock;
  #rows: Promise<RowSegments> | undefined;
  #madeAt: Milliseconds = Number.NEGATIVE_INFINITY;

  constructor(rowOf: RowOf, songs: () => readonly Listed[], songIds: SongIdTable, clock: Clock) {
    this.#rowOf = rowOf;
    this.#songs = songs;
    this.#songIds = songIds;
    this.#clock = clock;
  }

  take(): Promise<RowSegments> {
    const now = this.#clock.now();
    if (this.#rows === undefined || now - this.#madeAt >= LIST_FRESH_MS) {
      this.#madeAt = now;
      this.#rows = this.#make();
    }
    return this.#rows;
  }

  async #make(): Promise<RowSegments> {
    const segments: Buffer[] = [];
    let rows: Buffer[] = [];
    let rowBytes = 0;
    let length = 0;
    let count = 0;
    // A snapshot: a song that comes or goes meanwhile is in the next list.
    for (const song of this.#songs()) {
      const row = encodeRow(this.#rowOf(song, this.#songIds.idOf(song.offer.hash)));
      if (rowBytes + row.length > SEGMENT_BYTES) {
        segments.push(Buffer.concat(rows));
        rows = [];
        rowBytes = 0;
      }
      rows.push(row);
      rowBytes += row.length;
      length += row.length;
      count += 1;
      if (count % ROWS_A_TURN === 0) await nextTurn();
    }
    segments.push(Buffer.concat(rows));
    return { segments, length };
  }
}
