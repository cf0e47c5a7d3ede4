/**
 * `tsp-peer swarm hash|seed|get …`: files of any kind over PPSPP (RFC 7574), without a tracker.
 *
 *     swarm hash FILE              prints its swarm ID                    swarm-hash.ts
 *     swarm seed FILE              gives it to whoever asks               swarm-seed.ts
 *     swarm get ID --peer …        fetches it from all peers at once      swarm-get.ts
 */
import type { PeerConfig } from '../config.js';
import { CommandError, EXIT } from '../failures/failure.js';
import { safeText } from '../prompt/terminal-text.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { type OneShot, oneShot } from './one-shot.js';
import type { SwarmArguments } from './swarm-arguments.js';
import { runSwarmGet } from './swarm-get.js';
import { runSwarmHash } from './swarm-hash.js';
import { runSwarmSeed } from './swarm-seed.js';

/** One of the three; `words` without its name. */
export interface SwarmCommand {
  readonly session: OneShot;
  readonly words: readonly string[];
  readonly swarm: SwarmArguments;
  /** `-o`. */
  readonly out?: string;
}

const ACTIONS: Readonly<Record<string, (command: SwarmCommand) => Promise<number>>> = {
  hash: runSwarmHash,
  seed: runSwarmSeed,
  get: runSwarmGet,
};

export function runSwarm(
  config: PeerConfig,
  { words, out, swarm }: CommandArguments,
  world: World,
): Promise<number> {
  const [action = '', ...rest] = words;
  const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (run === undefined || swarm === undefined)
    throw wrongUse(
      `There is no command swarm ${safeText(action)}.`,
      'swarm hash, swarm seed and swarm get are.',
    );
  return oneShot(config, world, session =>
    run({ session, words: rest, swarm, ...(out === undefined ? {} : { out }) }),
  );
}

export const wrongUse = (message: string, hint: string): CommandError =>
  new CommandError({ code: 'usage', exitCode: EXIT.usage, message, hint });
