/**
 * `tsp-peer swarm seed FILE… [--peer HOST:PORT …]`: gives files to whoever asks, until a signal ends it.
 *
 *     8becd36f…  file.bin                       {"event":"seeding","swarm":"8becd36f…","size":1048577,"file":"file.bin"}
 *     tsp-peer ready on [::]:6778               {"event":"ready","address":"::","port":6778}
 *
 * Files are hashed anew at each start. One that is empty or can't be read is not given, nor one that changes afterwards, which is
 * said; the others are given all the same. When none is left, it ends.
 */
import { stat } from 'node:fs/promises';
import { toHex } from '../../protocol/bytes.js';
import { HASH_LENGTH } from '../../protocol/merkle.js';
import { askedToEnd } from '../asked-to-end.js';
import { exitCodeOfServer, fileError, fileProblem } from '../failures/failure.js';
import { safeJson, safeText } from '../prompt/terminal-text.js';
import { readyLine } from '../ready-line.js';
import type { JoinedSwarm } from '../swarm/joined-swarm.js';
import type { NamedPeer } from '../swarm/neighbours.js';
import { type SeededFile, seedFile } from '../swarm/static-swarm.js';
import type { SwarmNode } from '../swarm/swarm-node.js';
import type { SwarmTrackerLink } from '../swarm/swarm-tracker-link.js';
import { type SwarmCommand, USUAL_PORT, usualHash } from './swarm-arguments.js';
import { addressesOf, openNode, openTracker } from './swarm-peers.js';

export async function runSwarmSeed(command: SwarmCommand): Promise<number> {
  const { session, words, swarm } = command;
  const { world, config } = session;
  const peers = await addressesOf(session, swarm.peers);
  const { node, at } = await openNode(session, swarm.listen ?? { port: USUAL_PORT }, swarm);
  const tracker = openTracker(session, at);
  const files: SeededFile[] = [];
  const nothing = new AbortController();
  let left = words.length;
  const onLost = (): void => {
    left -= 1;
    if (left === 0) nothing.abort();
  };
  try {
    for (const path of words) {
      const file = await open(command, path, node, peers, tracker, onLost);
      if (file === undefined) {
        onLost();
        continue;
      }
      files.push(file);
      const id = toHex(file.swarm.metadata.swarmId);
      const { size } = file;
      const line = config.json
        ? safeJson({ event: 'seeding', swarm: id, size, file: path })
        : `${id}  ${safeText(path)}`;
      await session.write([line]);
    }
    if (left > 0) {
      await session.write([readyLine('tsp-peer', at, config.json)]);
      await askedToEnd(AbortSignal.any([world.signal, nothing.signal]));
    }
    if (nothing.signal.aborted) throw fileError('There is nothing to give.');
    return exitCodeOfServer(world.signal.reason);
  } finally {
    tracker?.stop();
    await node.stop();
    for (const file of files) await file.close();
  }
}

/** Undefined: it is empty, no file, or can't be read, which has been said. */
async function open(
  { session, swarm }: SwarmCommand,
  path: string,
  node: SwarmNode,
  peers: readonly NamedPeer[],
  tracker: SwarmTrackerLink | undefined,
  onLost: () => void,
): Promise<SeededFile | undefined> {
  const { world } = session;
  const { chunkBytes, maxPeers, dialects, hash = usualHash(dialects) } = swarm;
  let joined: JoinedSwarm | undefined;
  const report = (message: string): undefined => {
    session.report(fileError(message).failure);
    return undefined;
  };
  const onBroken = (error: unknown): void => {
    if (joined !== undefined) {
      node.leave(joined);
      tracker?.remove(joined);
    }
    report(`${safeText(path)} is not given any more: ${(error as Error).message}.`);
    onLost();
  };
  const onLoaded = (): void => node.wake();
  let file: SeededFile | undefined;
  try {
    // To open a pipe would be to wait for its writer.
    if (!(await stat(path)).isFile()) return report(`${safeText(path)} is no file: it is not given.`);
    file = await seedFile({ path, hash, chunkBytes, dialects, signal: world.signal, onLoaded, onBroken });
  } catch (error) {
    const problem = fileProblem(error, path);
    if (problem === undefined) throw error;
    return report(`${problem}.`);
  }
  if (file === undefined) return report(`${safeText(path)} is empty: it is not given.`);
  const { size } = file;
  // `HashTree` learns no size from such a chunk.
  if (size <= chunkBytes && size === 2 * HASH_LENGTH[hash])
    report(`${safeText(path)}: nobody can get it: its ${size} bytes may as well be two hashes.`);
  joined = node.join({ swarm: file.swarm, peers, maxPeers });
  tracker?.add(joined);
  return file;
}
