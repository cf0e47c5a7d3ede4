/**
 * Songs of the simulation, and disks that hold them: honest ones, and those of hosts that lie.
 */
import type { SongFile, SongFiles } from '../../peer/hosting/song-files.js';
import type { HostedSong } from '../../peer/library/catalogue.js';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree, PIECE_LEVEL } from '../../protocol/merkle.js';
import type { Clock } from '../../protocol/ports.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { Chance } from './chance.js';

/** What a song really is. */
export interface Song {
  readonly hash: ContentHash;
  readonly title: string;
  readonly bytes: Buffer;
  readonly nodes: Uint8Array;
}

/**
 * `lie-in-bytes`: what is sent is not the song. `lie-in-hashes`: the nodes are not its nodes. `fail`: reading fails.
 * `short`: the file ends too soon. `slow`: reading takes its time, now and then longer than anybody waits.
 */
export type DiskKind = 'honest' | 'lie-in-bytes' | 'lie-in-hashes' | 'fail' | 'short' | 'slow';

const SLOWEST_READ_MS = 20_000;

const PIECE = 64 * 1024;
/** Two nodes: no song has this length (TSP §4). */
const NO_SONG_BYTES = 64;

export function makeSong(chance: Chance, index: number): Song {
  const length = chance.is(0.4) ? chance.int(1, 2_000) : chance.int(1, 3 * PIECE);
  const bytes = Buffer.alloc(length === NO_SONG_BYTES ? length + 1 : length);
  for (let at = 0; at < bytes.length; at += 4) bytes[at] = chance.int(0, 255);
  bytes[0] = index;
  const { root, nodes } = new MerkleTree().update(bytes).digest();
  return { hash: toHex(root) as ContentHash, title: `Song ${index}`, bytes, nodes: nodes(PIECE_LEVEL) };
}

/** The song as a host's library would list it. */
export function offered(song: Song, title: string, disk: DiskKind): HostedSong {
  const { hash, bytes } = song;
  const nodes = Uint8Array.from(song.nodes);
  if (disk === 'lie-in-hashes') nodes[nodes.length - 1]! ^= 1;
  const facts = { hash, path: hash, size: bytes.length, mtimeNs: 1n, ctimeNs: 1n, inode: 1n };
  return { ...facts, offer: { hash, title, size: bytes.length, bitrate: 128_000 }, nodes };
}

/** Reads what songs there are, from memory, as its kind does. */
export function diskOf(
  songs: ReadonlyMap<string, Song>,
  kind: DiskKind,
  chance: Chance,
  clock: Clock,
): SongFiles {
  return {
    async open(path): Promise<SongFile> {
      const song = songs.get(path)!;
      return {
        fingerprint: async () => ({ size: song.bytes.length, mtimeNs: 1n, ctimeNs: 1n, inode: 1n }),
        async read(bytes, position) {
          if (kind === 'fail' && chance.is(0.3)) throw Object.assign(new Error('read EIO'), { code: 'EIO' });
          if (kind === 'slow' && chance.is(0.5)) await passed(clock, chance.int(1, SLOWEST_READ_MS));
          const end = kind === 'short' ? song.bytes.length >> 1 : song.bytes.length;
          if (position >= end) return 0;
          const count = song.bytes.copy(bytes, 0, position, Math.min(end, position + bytes.length));
          if (kind === 'lie-in-bytes' && count > 0) bytes[count >> 1]! ^= 1;
          return count;
        },
        async close() {},
      };
    },
  };
}

const passed = (clock: Clock, ms: number): Promise<void> =>
  new Promise(resolve => {
    clock.after(ms, resolve);
  });
