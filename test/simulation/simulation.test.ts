/** Whole networks on a virtual clock: many seeds hold every rule, and the same seed is the same history. */
import t from 'tap';
import { firstBroken } from './first-broken.js';
import { Simulation } from './simulation.js';

/** The other half is in planted-bugs.test.ts, which runs beside this. */
const SEEDS = 250;

t.test(`seeds 0 to ${SEEDS - 1} hold every rule`, async t => {
  t.strictSame(await firstBroken(0, SEEDS), undefined, 'npm run simulate -- --seed N --trace shows more');
});

t.test('a seed gives the same history each time, another seed another', async t => {
  const run = (seed: number) => new Simulation(seed).run();
  const [once, again, other] = [await run(7), await run(7), await run(8)];
  t.strictSame(again, once);
  t.not(other.digest, once.digest);
  t.ok(once.played > 0);
});
