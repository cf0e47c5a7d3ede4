/**
 * The songs that this peer hosts, as RTMP players ask for them: rtmp://HOST/songs/7, or by the hash instead of the ID.
 *
 *     7 ─▶ the tracker's table ─▶ hash ─▶ offered here? ─▶ read from disk, checked piece by piece
 */
import { asContentHash, type ContentHash } from '../../protocol/tsp/rows.js';
import { isSongId } from '../../protocol/tsp/song-id.js';
import type { HostedSongs, SongIdTable } from '../hosting/neighbours.js';
import type { OpenOptions, SongStream, SongToFetch } from '../listening/song-stream.js';
import type { FindSong } from './rtmp-song-player.js';

export interface RtmpSongSources {
  readonly songs: Pick<HostedSongs, 'get'>;
  readonly ids: Pick<SongIdTable, 'hashOf'>;
  readonly fetcher: { open(song: SongToFetch, options: OpenOptions): SongStream };
}

export function hostedSongFinder({ songs, ids, fetcher }: RtmpSongSources): FindSong {
  const hashOf = (name: string): ContentHash | undefined => {
    const id = /^\d{1,10}$/.test(name) ? Number(name) : undefined;
    return isSongId(id) ? ids.hashOf(id) : asContentHash(name);
  };
  return name => {
    const hash = hashOf(name);
    const song = hash === undefined ? undefined : songs.get(hash);
    if (song === undefined) return undefined;
    const { hash: _, ...fields } = song.offer;
    return {
      fields,
      size: song.size,
      // Nobody else is asked for it: what this peer does not have whole, it does not offer.
      open: fromByte => fetcher.open({ hash: song.hash, hosts: [], size: song.size }, { fromByte }),
    };
  };
}
