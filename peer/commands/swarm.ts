/**
 * `tsp-peer swarm hash|seed|get …`: files of any kind over PPSPP (RFC 7574), with a tracker of swarms or without.
 *
 *     swarm hash FILE              prints its swarm ID                    swarm-hash.ts
 *     swarm seed FILE              gives it to whoever asks               swarm-seed.ts
 *     swarm get ID --peer …        fetches it from all peers at once      swarm-get.ts
 *     … --live                     a stream instead                       swarm-live.ts
 */
import type { PeerConfig } from '../config.js';
import { usageError } from '../failures/failure.js';
import { safeText } from '../prompt/terminal-text.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { oneShot } from './one-shot.js';
import type { SwarmCommand } from './swarm-arguments.js';
import { runSwarmGet } from './swarm-get.js';
import { runSwarmHash } from './swarm-hash.js';
import { runSwarmGetLive, runSwarmSeedLive } from './swarm-live.js';
import { runSwarmSeed } from './swarm-seed.js';

const ACTIONS: Readonly<Record<string, (command: SwarmCommand) => Promise<number>>> = {
  hash: runSwarmHash,
  seed: runSwarmSeed,
  get: runSwarmGet,
};

const LIVE_ACTIONS: typeof ACTIONS = { seed: runSwarmSeedLive, get: runSwarmGetLive };

export function runSwarm(
  config: PeerConfig,
  { words, out, swarm }: CommandArguments,
  world: World,
): Promise<number> {
  const [action = '', ...rest] = words;
  const actions = swarm?.live === true ? LIVE_ACTIONS : ACTIONS;
  const run = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (run === undefined || swarm === undefined)
    throw usageError(
      `There is no command swarm ${safeText(action)}${swarm?.live === true ? ' --live' : ''}.`,
      'swarm hash, swarm seed and swarm get are; the last two also with --live.',
    );
  if (rest.length === 0 && run !== runSwarmSeedLive)
    throw usageError(
      `swarm ${action} wants ${action === 'get' ? 'a swarm ID' : 'a file'}.`,
      'tsp-peer swarm --help shows examples.',
    );
  return oneShot(config, world, session =>
    run({ session, words: rest, swarm, ...(out === undefined ? {} : { out }) }),
  );
}
