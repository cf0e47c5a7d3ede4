/**
 * What stands after `tsp-peer list`, `get` and so on, besides the options that every peer takes.
 */
import type { SwarmArguments } from './swarm-arguments.js';

export interface CommandArguments {
  /** In the order of the command line. */
  readonly words: readonly string[];
  /** `-o` of `get` and `swarm get`: a file, or `-` for stdout. */
  readonly out?: string;
  /** What only `swarm` takes. */
  readonly swarm?: SwarmArguments;
}
