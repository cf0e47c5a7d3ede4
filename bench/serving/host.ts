/**
 * A song server in a process of its own, hosting one file and nothing else: what `bench/serving.ts` measures.
 * `node host.js FILE [--copying]`; prints `PORT HASH` when it listens.
 */
import { readFile, stat } from 'node:fs/promises';
import { SongServer } from '../../peer/hosting/song-server.js';
import type { HostedSong } from '../../peer/library/catalogue.js';
import { fingerprintOf } from '../../peer/library/open-file.js';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import { PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import { asContentHash } from '../../protocol/tsp/rows.js';
import { asSongId } from '../../protocol/tsp/song-id.js';

const CACHE_BYTES = 64 * 1024 * 1024;
const QUIET = { debug() {}, info() {}, warn() {}, error: console.error, child: () => QUIET };

const path = process.argv[2]!;
const { root, nodes } = new MerkleTree().update(await readFile(path)).digest();
const hash = asContentHash(toHex(root))!;
const song: HostedSong = {
  hash,
  path,
  ...fingerprintOf(await stat(path, { bigint: true })),
  offer: { hash, title: 'a song' },
  nodes: nodes(PIECE_LEVEL),
};

const server = new SongServer({
  catalogue: { get: wanted => (wanted === hash ? song : undefined), songs: () => [song] },
  songIds: { hashOf: id => (id === 1 ? hash : undefined), idOf: () => asSongId(1), owed: false },
  proofs: { ping() {} },
  slots: Number.POSITIVE_INFINITY,
  maxUploadBytesPerSecond: Number.POSITIVE_INFINITY,
  maxPerAddress: Number.POSITIVE_INFINITY,
  maxConnections: Number.POSITIVE_INFINITY,
  cacheBytes: CACHE_BYTES,
  copying: process.argv.includes('--copying'),
  clock: {
    now: () => performance.now(),
    after: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
  },
  logger: QUIET,
  recheck() {},
});
const { port } = await server.start({ host: '127.0.0.1', port: 0 });
console.log(`${port} ${hash}`);
