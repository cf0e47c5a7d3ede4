/**
 * A content out of a swarm as it comes, in order, for a pipe: what is read is fetched first, and what was read is given to
 * others as long as it lasts.
 *
 *     joined ─ chunks ─▶ a file without a name, gone with this process ─▶ verified bytes
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { ChunkFile } from './chunk-file.js';
import type { DownloadOptions } from './download.js';
import { staticSwarm } from './static-swarm.js';
import type { ReadOptions } from './verified-bytes.js';

export interface StreamOptions
  extends Omit<DownloadOptions, 'path' | 'allowUnverified' | 'onProgress' | 'clock' | 'logger'> {
  /** Buffer, distance ahead, and what to jump over. */
  readonly reading: Omit<ReadOptions, 'signal'>;
}

/** Throws TransportError, the file system's error, or the signal's reason. */
export async function* streamedDownload(options: StreamOptions): AsyncGenerator<Uint8Array, void> {
  const { node, metadata, size, signal, reading, dialects, onJoined, ...joining } = options;
  const { swarmId: root, hash, chunkBytes } = metadata;
  const broken = new AbortController();
  const file = await namelessFile();
  const chunks = new ChunkFile({
    file,
    chunkBytes,
    onLoaded: () => node.wake(),
    onBroken: error => broken.abort(error),
  });
  const tree = new HashTree({ root, hash, chunkBytes, ...(size === undefined ? {} : { size }) });
  const swarm = staticSwarm({ metadata, tree, have: new ChunkSet(), source: chunks, dialects });
  const joined = node.join({ swarm, store: chunks, ...joining });
  onJoined(joined);
  try {
    yield* joined.read({ ...reading, signal: AbortSignal.any([signal, broken.signal]) });
  } finally {
    node.leave(joined);
    await chunks.settled();
    await file.close();
  }
}

async function namelessFile(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'tsp-'));
  try {
    return await open(join(folder, 'swarm'), 'wx+');
  } finally {
    await rm(folder, { recursive: true });
  }
}
