/**
 * What a tracker answers to anybody (TSP §3, §5.4): LIST, INFO, FIND, and PLAY or RANGE, which here mean «who has it?».
 *
 *     LIST    the shared segments of the last batch          INFO 0   a snapshot, made in slices, shared for a second
 *     INFO n  one row                                        FIND     at most 50 rows, best first
 */
import { RequestError } from '../protocol/errors.js';
import type { Clock } from '../protocol/ports.js';
import { encode } from '../protocol/tsp/codec.js';
import { NO_SONG } from '../protocol/tsp/constants.js';
import type { SongId, StreamHeader } from '../protocol/tsp/messages.js';
import { encodeRow } from '../protocol/tsp/rows.js';
import type { LightRequest } from '../protocol/tsp/tracker-effects.js';
import type { Broadcast } from './broadcast.js';
import { SEGMENT_BYTES } from './list-segments.js';
import type { SearchIndex } from './search.js';
import type { Song, SongTable } from './song-table.js';

/** About 5 ms of this thread. */
const SLICE_ROWS = 1_000;
/** As old as a LIST_INFO may be (TSP §3.1). */
const SNAPSHOT_MS = 1_000;

export interface Answer {
  readonly header: StreamHeader;
  /** The whole message, header and all. */
  readonly bytes: readonly Uint8Array[];
  /** The bytes are everybody's, so it costs no memory that they wait. */
  readonly shared: boolean;
}

export interface AnswersOptions {
  readonly table: SongTable;
  readonly broadcast: Broadcast;
  readonly search: SearchIndex;
  readonly clock: Clock;
  readonly pause: () => Promise<void>;
}

export class Answers {
  readonly #table: SongTable;
  readonly #broadcast: Broadcast;
  readonly #search: SearchIndex;
  readonly #clock: Clock;
  readonly #pause: () => Promise<void>;
  #snapshot: Promise<readonly Buffer[]> | undefined;
  #disarm: (() => void) | undefined;

  constructor({ table, broadcast, search, clock, pause }: AnswersOptions) {
    this.#table = table;
    this.#broadcast = broadcast;
    this.#search = search;
    this.#clock = clock;
    this.#pause = pause;
  }

  /** Throws RequestError `no-such-song` or `song-changed`. */
  answer(request: LightRequest): Answer | Promise<Answer> {
    switch (request.type) {
      case 'LIST': {
        const { segments, length } = this.#broadcast.list();
        return shared({ type: 'LIST_INFO', revision: this.#broadcast.revision, length }, segments);
      }
      case 'FIND':
        return this.#songInfo(
          NO_SONG,
          this.#search.find(request.words).map(id => this.#table.song(id)),
        );
      case 'INFO':
        if (request.song === NO_SONG) return this.#everything();
        return this.#songInfo(request.song, [this.#song(request.song)]);
      case 'PLAY':
        return this.#songInfo(request.song, [this.#song(request.song)]);
      case 'RANGE':
        return this.#songInfo(request.song, [this.#song(request.song, request.hash)]);
    }
  }

  stop(): void {
    this.#disarm?.();
  }

  #song(id: SongId | 0, hash?: string): Song {
    const song =
      id === NO_SONG && hash !== undefined
        ? this.#table.songOf(hash as Song['hash'])
        : this.#table.song(id as SongId);
    if (song === undefined) throw new RequestError('no-such-song', 'nobody hosts that song');
    if (hash !== undefined && song.hash !== hash)
      throw new RequestError('song-changed', 'that ID stands for another content');
    return song;
  }

  #songInfo(id: SongId | 0, songs: readonly (Song | undefined)[]): Answer {
    const rows = songs.filter(song => song !== undefined).map(song => encodeRow(this.#table.infoRow(song)));
    const payload = Buffer.concat(rows);
    const header: StreamHeader = { type: 'SONG_INFO', song: id, length: payload.length };
    return { header, bytes: [encode(header), payload], shared: false };
  }

  async #everything(): Promise<Answer> {
    this.#snapshot ??= this.#takeSnapshot();
    const segments = await this.#snapshot;
    const length = segments.reduce((sum, segment) => sum + segment.length, 0);
    return shared({ type: 'SONG_INFO', song: NO_SONG, length }, segments);
  }

  async #takeSnapshot(): Promise<readonly Buffer[]> {
    const segments: Buffer[] = [];
    let rows: Buffer[] = [];
    let bytes = 0;
    let count = 0;
    const join = (): void => {
      if (rows.length > 0) segments.push(Buffer.concat(rows));
      rows = [];
      bytes = 0;
    };
    // After a restart songs stand as the store has them. Numbers sort in 10 ms where 200,000 songs would take 100.
    for (const id of Uint32Array.from(this.#table.songs(), song => song.id).sort()) {
      const song = this.#table.song(id as SongId);
      // It may have left while others were written down.
      if (song !== undefined) {
        const row = encodeRow(this.#table.infoRow(song));
        if (bytes + row.length > SEGMENT_BYTES) join();
        rows.push(row);
        bytes += row.length;
      }
      count += 1;
      if (count % SLICE_ROWS === 0) await this.#pause();
    }
    join();
    this.#disarm = this.#clock.after(SNAPSHOT_MS, () => {
      this.#snapshot = undefined;
    });
    return segments;
  }
}

const shared = (header: StreamHeader, segments: readonly Buffer[]): Answer => ({
  header,
  bytes: [encode(header), ...segments],
  shared: true,
});
