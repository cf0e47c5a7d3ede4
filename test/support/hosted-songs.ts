/**
 * Real files offered by a real song server, without a library or a tracker around them.
 *
 *     const { port, songs, server } = await hostSongs(t, { 10: bytes });      song 10 is that file
 *
 * Limits are off unless a test sets them; `recheck` and proof PINGs are kept for the test to look at.
 */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SongFiles, songFiles } from '../../peer/hosting/song-files.js';
import {
  type SongServer as Server,
  SongServer,
  type SongServerOptions,
} from '../../peer/hosting/song-server.js';
import type { HostedSong } from '../../peer/library/catalogue.js';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import { PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import type { Message, SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, SongFields } from '../../protocol/tsp/rows.js';
import { patientClock } from './patient-clock.js';
import { RecordingLogger } from './recording-logger.js';
import { tempFolder } from './temp-folder.js';
import type { TspClient } from './tsp-client.js';
import { type Teardown, until } from './until.js';

/** The real files, each step told of before it is done (`opened`: after it); a hook that throws makes it fail. */
export const watchedFiles = (
  told: (step: 'open' | 'opened' | 'fingerprint' | 'read' | 'close') => void,
): SongFiles => ({
  async open(path) {
    told('open');
    const file = await songFiles.open(path);
    told('opened');
    return {
      fingerprint: () => {
        told('fingerprint');
        return file.fingerprint();
      },
      read: (bytes, position) => {
        told('read');
        return file.read(bytes, position);
      },
      close: () => {
        told('close');
        return file.close();
      },
    };
  },
});

/** What the library would say of a file that is there now. */
export async function hostedSong(
  path: string,
  bytes: Uint8Array,
  fields: SongFields = {},
): Promise<HostedSong> {
  const { root, nodes } = new MerkleTree().update(bytes).digest();
  const { size, mtimeNs, ctimeNs, ino: inode } = await stat(path, { bigint: true });
  const hash = toHex(root) as ContentHash;
  const facts = { hash, path, size: Number(size), mtimeNs, ctimeNs, inode };
  return { ...facts, offer: { hash, title: path, ...fields }, nodes: nodes(PIECE_LEVEL) };
}

export interface HostedSongs {
  readonly server: Server;
  readonly port: number;
  readonly folder: string;
  /** By ID. */
  readonly songs: Map<number, HostedSong>;
  /** Of live feeds, by ID. */
  readonly feeds: Map<number, ContentHash>;
  readonly rechecked: ContentHash[];
  readonly pings: number[];
  readonly logger: RecordingLogger;
  /** SONG_IDS is owed. */
  owed: boolean;
  /** Offers one more file. */
  add(id: number, bytes: Uint8Array, fields?: SongFields): Promise<HostedSong>;
}

export async function hostSongs(
  t: Teardown,
  files: Readonly<Record<number, Uint8Array>> = {},
  options: Partial<SongServerOptions> = {},
): Promise<HostedSongs> {
  const folder = join(await tempFolder(t), 'songs');
  await mkdir(folder);
  const songs = new Map<number, HostedSong>();
  const logger = new RecordingLogger();
  const rechecked: ContentHash[] = [];
  const pings: number[] = [];
  const state = { owed: false };
  const feeds = new Map<number, ContentHash>();
  const byHash = (hash: ContentHash) => {
    for (const entry of songs) if (entry[1].hash === hash) return entry;
    return undefined;
  };
  const server = new SongServer({
    catalogue: { get: hash => byHash(hash)?.[1], songs: () => songs.values() },
    songIds: {
      hashOf: id => songs.get(id)?.hash ?? feeds.get(id),
      idOf: hash =>
        (byHash(hash)?.[0] ?? [...feeds].find(([, feed]) => feed === hash)?.[0]) as SongId | undefined,
      get owed() {
        return state.owed;
      },
    },
    proofs: { ping: value => pings.push(value) },
    slots: Number.POSITIVE_INFINITY,
    maxUploadBytesPerSecond: Number.POSITIVE_INFINITY,
    maxPerAddress: Number.POSITIVE_INFINITY,
    maxConnections: Number.POSITIVE_INFINITY,
    cacheBytes: 16 * 1024 * 1024,
    clock: patientClock,
    logger,
    recheck: hash => rechecked.push(hash),
    ...options,
  });
  const add = async (id: number, bytes: Uint8Array, fields?: SongFields) => {
    const path = join(folder, `${id}.mp3`);
    await writeFile(path, bytes);
    const song = await hostedSong(path, bytes, fields);
    songs.set(id, song);
    return song;
  };
  for (const [id, bytes] of Object.entries(files)) await add(Number(id), bytes);
  const { port } = await server.start({ host: '127.0.0.1', port: 0 });
  t.teardown(() => server.stop());
  return Object.assign(state, { server, port, folder, songs, feeds, rechecked, pings, logger, add });
}

export const MIB = 1024 * 1024;

export const asId = (value: number): SongId => value as SongId;
export const play = (song: number): Message => ({ type: 'PLAY', song: asId(song) });
export const range = (song: number, offset: number, count: number, hash?: ContentHash): Message => ({
  type: 'RANGE',
  song: asId(song),
  offset,
  count,
  ...(hash === undefined ? {} : { hash }),
});

/** The host has closed its side, or reset. */
export const isOver = (client: TspClient): boolean => client.ended || client.socket.closed;
export const over = (client: TspClient): Promise<true> => until('the host closes', () => isOver(client));

/** `length` bytes without a pattern, the same for the same seed. */
export function songBytes(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 0x9e37_79b9) >>> 0;
  for (let at = 0; at < words.length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state ^ (state >>> 15);
  }
  return Buffer.from(words.buffer, 0, length);
}
