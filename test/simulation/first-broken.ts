/**
 * The first seed that breaks a rule, for tests that want none and for those that want one.
 */
import { BrokenRule } from './invariants.js';
import { Simulation } from './simulation.js';

export interface BrokenSeed {
  readonly seed: number;
  readonly says: string;
}

/** Of `count` seeds from `from` on; undefined when all hold. */
export async function firstBroken(from: number, count: number): Promise<BrokenSeed | undefined> {
  for (let seed = from; seed < from + count; seed += 1) {
    try {
      await new Simulation(seed).run();
    } catch (error) {
      if (!(error instanceof BrokenRule)) throw error;
      return { seed, says: error.message };
    }
  }
  return undefined;
}
