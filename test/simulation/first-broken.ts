/**
 * The first seed that breaks a rule, for a test that wants one.
 */
import { BrokenRule } from './invariants.js';

export interface BrokenSeed {
  readonly seed: number;
  readonly says: string;
}

/** Of `count` seeds from `from` on; undefined when all hold. `run`: the whole of one. */
export async function firstBroken(
  run: (seed: number) => Promise<unknown>,
  from: number,
  count: number,
): Promise<BrokenSeed | undefined> {
  for (let seed = from; seed < from + count; seed += 1) {
    try {
      await run(seed);
    } catch (error) {
      if (!(error instanceof BrokenRule)) throw error;
      return { seed, says: error.message };
    }
  }
  return undefined;
}
