/**
 * The first seed that breaks a rule, for a test that wants one.
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
