/**
 * What a host answers (TSP §3, §4, §5.3), without a socket and without a byte of a file.
 *
 *     ID ──▶ the tracker's table ──▶ hash ──▶ the library ──▶ song           a hash that comes along goes before the ID
 *
 * What cannot be answered is a RequestError with the code of TSP §6.
 */
import { fromHex } from '../../protocol/bytes.js';
import { RequestError } from '../../protocol/errors.js';
import { heightOf, nodesAbove } from '../../protocol/merkle.js';
import { CHUNK_BYTES, MAX_SONG_DATA_BYTES, PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import type { Message, SongId } from '../../protocol/tsp/messages.js';
import { type ContentHash, encodeRow } from '../../protocol/tsp/rows.js';
import type { HostedSong } from '../library/catalogue.js';
import type { LiveSong } from '../live/live-offers.js';
import type { SongIdTable } from './neighbours.js';
import { infoRow, type OwnSongs } from './song-lists.js';

type RequestOf<Type extends Message['type']> = Extract<Message, { type: Type }>;

/** SONG_IDS follows a registration within a round trip or two. */
const UNKNOWN_ID_RETRY_MS = 500;
/** TSP §5.3: a count is cut to this. */
const LONGEST_RANGE = MAX_SONG_DATA_BYTES - 1;

/** Bytes `offset` … `offset + count` of a song. */
export interface SongRange {
  readonly song: HostedSong;
  readonly offset: number;
  readonly count: number;
}

export class Host {
  readonly #own: OwnSongs;
  readonly #songIds: SongIdTable;

  constructor(own: OwnSongs, songIds: SongIdTable) {
    this.#own = own;
    this.#songIds = songIds;
  }

  /** The feed of this ID, if that is what it stands for. */
  live(id: SongId | 0): LiveSong | undefined {
    const known = id === 0 ? undefined : this.#songIds.hashOf(id);
    return known === undefined ? undefined : this.#own.live.get(known);
  }

  range(request: RequestOf<'PLAY'> | RequestOf<'RANGE'>): SongRange {
    if (request.type === 'PLAY') {
      const song = this.#find(request.song, undefined);
      return { song, offset: 0, count: Math.min(song.size, LONGEST_RANGE) };
    }
    const song = this.#find(request.song, request.hash);
    const { offset } = request;
    if (offset > song.size) throw new RequestError('bad-range', `the song has ${song.size} bytes`);
    const left = song.size - offset;
    return { song, offset, count: Math.min(left, request.count === 0 ? left : request.count, LONGEST_RANGE) };
  }

  /** Payload of HASH_LIST: all nodes of the level. */
  hashes(request: RequestOf<'HASHES'>): Uint8Array {
    const song = this.#find(request.song, request.hash);
    if (request.level >= heightOf(Math.ceil(song.size / CHUNK_BYTES))) return fromHex(song.hash)!;
    if (request.level >= PIECE_LEVEL) return nodesAbove(song.nodes, PIECE_LEVEL, request.level);
    throw new RequestError('unavailable', `hashes are kept from level ${PIECE_LEVEL} on`);
  }

  /** Payload of SONG_INFO for one song. */
  info(song: SongId): Buffer {
    return encodeRow(infoRow(this.live(song) ?? this.#find(song, undefined), song));
  }

  #find(id: SongId | 0, hash: ContentHash | undefined): HostedSong {
    const named = hash === undefined ? undefined : this.#own.songs.get(hash);
    if (named !== undefined) return named;
    if (this.live(id) !== undefined) throw new RequestError('bad-range', 'a live feed has no parts');
    const known = id === 0 ? undefined : this.#songIds.hashOf(id);
    const song = known === undefined ? undefined : this.#own.songs.get(known);
    if (song === undefined) throw this.#unknown(id, known);
    if (hash !== undefined)
      throw new RequestError('song-changed', 'this host has another content for that song');
    return song;
  }

  #unknown(id: SongId | 0, known: ContentHash | undefined): RequestError {
    if (id !== 0 && known === undefined && this.#songIds.owed) {
      return new RequestError('unavailable', 'the tracker has not told the IDs yet', {
        retryAfterMs: UNKNOWN_ID_RETRY_MS,
      });
    }
    return new RequestError('no-such-song', 'this host has no such song');
  }
}
