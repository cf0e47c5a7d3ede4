/**
 * A whole file out of a swarm: joins, fetches from everybody, and gives it its name once every chunk is proven.
 *
 *     resumed or new ─▶ joined ─ chunks, a note each second ─ complete ─▶ renamed
 *                          └─ nobody answers · nothing comes · the disk fails · interrupted ─▶ kept for the next time
 */
import { TransportError } from '../../protocol/errors.js';
import type { Clock, Logger } from '../../protocol/ports.js';
import type { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { Dialect, SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import type { PeerRanking } from './alto-ranking.js';
import { pathTree } from './content-tree.js';
import { CHECKPOINT_MS, FetchedFile, partOf } from './fetched-file.js';
import type { JoinedSwarm } from './joined-swarm.js';
import type { Lack } from './joining.js';
import type { NamedPeer } from './neighbours.js';
import { staticSwarm } from './static-swarm.js';
import type { SwarmNode } from './swarm-node.js';
import type { Failed } from './tally.js';
import { unlessAborted } from './unless-aborted.js';

const LOOK_EVERY_MS = 200;

export interface DownloadOptions {
  readonly node: SwarmNode;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly path: string;
  readonly metadata: SwarmMetadata;
  /** In bytes, where it is known from elsewhere. */
  readonly size?: number;
  readonly peers: readonly NamedPeer[];
  readonly maxPeers: number;
  readonly ranking?: PeerRanking;
  readonly dialects: readonly Dialect[];
  readonly serves: boolean;
  /** Chunks that nobody can prove are taken, and the file is checked before it appears. The size is known. */
  readonly allowUnverified: boolean;
  /** Waits for peers that come by themselves, for as long as it takes. */
  readonly waits: boolean;
  readonly place: number;
  readonly signal: AbortSignal;
  /** Told once, as soon as peers can be dialled. */
  readonly onJoined: (joined: JoinedSwarm) => void;
  /** Told once if some of what was here from another time is not what it was, and is fetched again. */
  readonly onDamaged?: (bytes: { readonly lost: number; readonly kept: number }) => void;
  /** Told of each who was caught lying, once. */
  readonly onLiar?: (liar: Failed) => void;
  /** Often, for a progress bar. */
  readonly onProgress: (progress: DownloadProgress) => void;
}

export interface DownloadProgress {
  readonly bytes: number;
  readonly size?: number;
  readonly peers: number;
  readonly lacks: Lack | undefined;
}

export interface Downloaded {
  readonly bytes: number;
  /** Of these, what was here from another time. */
  readonly resumedBytes: number;
  readonly joined: JoinedSwarm;
}

/** Rejects with TransportError, the file system's error, or the signal's reason. */
export async function download(options: DownloadOptions): Promise<Downloaded> {
  const { node, metadata, size, path } = options;
  const { swarmId: root, hash, chunkBytes } = metadata;
  const tree = new HashTree({ root, hash, chunkBytes, ...(size === undefined ? {} : { size }) });
  let broken: unknown;
  const fetched = await FetchedFile.open({
    path,
    metadata,
    tree,
    onLoaded: () => node.wake(),
    onBroken: error => {
      broken = error;
    },
  });
  const have = fetched.chunks.written.copy();
  const { peers, maxPeers, ranking, place, dialects, serves, waits, allowUnverified, onLiar } = options;
  const swarm = staticSwarm({ metadata, tree, have, source: fetched.chunks, dialects });
  const unproven = allowUnverified ? have.copy() : undefined;
  let changed = (): void => {};
  const joined = node.join({
    swarm,
    store: fetched.chunks,
    peers,
    maxPeers,
    ...(ranking && { ranking }),
    place,
    serves,
    waits,
    ...(unproven && { unproven }),
    ...(onLiar && { onLiar }),
    onChange: () => joined.isComplete && changed(),
  });
  options.onJoined(joined);
  const resumedBytes = bytesOf(joined, tree);
  if (fetched.lostChunks > 0)
    options.onDamaged?.({ lost: fetched.lostChunks * chunkBytes, kept: resumedBytes });
  const ended = new Promise<void>(resolve => {
    changed = resolve;
  });
  try {
    await untilComplete(options, { joined, tree, fetched, unproven, ended, broken: () => broken });
    await fetched.finish();
  } catch (error) {
    node.leave(joined);
    await (error instanceof Unproven ? fetched.discard() : fetched.close());
    throw error;
  }
  return { bytes: bytesOf(joined, tree), resumedBytes, joined };
}

async function untilComplete(
  options: DownloadOptions,
  state: {
    readonly joined: JoinedSwarm;
    readonly tree: HashTree;
    readonly fetched: FetchedFile;
    readonly unproven: ChunkSet | undefined;
    /** Complete. */
    readonly ended: Promise<void>;
    broken(): unknown;
  },
): Promise<void> {
  const { clock, signal, onProgress } = options;
  const { joined, tree, fetched, unproven, ended } = state;
  const tell = (): void =>
    onProgress({
      bytes: bytesOf(joined, tree),
      peers: joined.peers,
      lacks: joined.lacks,
      ...(tree.chunks === undefined ? {} : { size: tree.size ?? tree.chunks * tree.chunkBytes }),
    });
  let savedAt = clock.now();
  while (!joined.isComplete) {
    signal.throwIfAborted();
    const now = clock.now();
    if (joined.problem !== undefined) throw new TransportError(joined.problem);
    if (now - savedAt >= CHECKPOINT_MS) {
      savedAt = now;
      // What the disk says of chunks is told by `broken`; a note that cannot be written costs a resumption only.
      void fetched.save().catch(() => {});
    }
    if (state.broken() !== undefined) throw state.broken();
    if (unproven?.covers({ start: 0, end: tree.chunks! - 1 }))
      await checkWhole(options, joined, tree, fetched);
    tell();
    await unlessAborted(Promise.race([ended, passed(clock, LOOK_EVERY_MS)]), signal);
  }
  // All of it may have come since the last look.
  tell();
}

const passed = (clock: Clock, delayMs: number): Promise<void> =>
  new Promise(resolve => clock.after(delayMs, resolve));

/** What nobody proved is judged as a whole: it is the file, or nothing. */
async function checkWhole(
  { path, signal }: DownloadOptions,
  joined: JoinedSwarm,
  tree: HashTree,
  fetched: FetchedFile,
): Promise<void> {
  await fetched.chunks.checkpoint();
  const { hash, chunkBytes } = tree;
  const found = await pathTree(partOf(path), { hash, chunkBytes, signal });
  if (Buffer.compare(found.root, tree.root) !== 0)
    throw new Unproven(
      `what came is not the file, from ${joined.sources.map(({ host }) => host).join(', ')}`,
    );
  tree.rebuild(found.chunks!, found.nodes);
  joined.swarm.have.add({ start: 0, end: found.chunks! - 1 });
}

/** It came whole, and is something else: nothing of it stays. */
class Unproven extends TransportError {}

/** Of chunks that are here; the last may be shorter. */
function bytesOf({ swarm }: JoinedSwarm, { chunkBytes, size, chunks }: HashTree): number {
  const whole = swarm.have.size * chunkBytes;
  if (size === undefined || chunks === undefined || !swarm.have.has(chunks - 1)) return whole;
  return whole - (chunks * chunkBytes - size);
}
