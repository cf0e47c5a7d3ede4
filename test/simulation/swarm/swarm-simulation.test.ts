/**
 * Swarms of forty on a virtual clock: whatever the network and some of them do, everybody ends with the same bytes; and that
 * the simulation would find out if not.
 */
import t from 'tap';
import { firstBroken } from '../first-broken.js';
import { LiveSimulation } from './live-simulation.js';
import { PLANTED_LIVE_BUGS, PLANTED_SWARM_BUGS } from './planted-bugs.js';
import { SwarmSimulation } from './swarm-simulation.js';

/** As much as a bug needs to show. */
const runSmall = (seed: number) => new SwarmSimulation(seed, { peers: 12, patienceMs: 25_000 }).run();
/** How many small seeds a planted bug may survive. */
const PATIENCE = 8;
/** Where bugs were found. */
const seeds = new Set<number>();

for (const seed of [7])
  t.test(`seed ${seed} holds every rule`, async t => {
    const outcome = await new SwarmSimulation(seed).run();
    t.ok(outcome.caught >= 10, `liars were caught ${outcome.caught} times`);
    t.ok(outcome.crashes > 0);
    t.comment(JSON.stringify(outcome));
  });

t.test('a seed gives the same history each time', async t => {
  t.strictSame(await runSmall(1), await runSmall(1));
});

t.test(
  'a live stream comes to all who tuned in, whoever spoils it or says that he is its source',
  async t => {
    const outcome = await new LiveSimulation(6).run();
    t.ok(outcome.caught > 0, JSON.stringify(outcome));
  },
);

for (const bug of PLANTED_LIVE_BUGS)
  t.test(`it is found that, live, ${bug.name}`, async t => {
    t.teardown(bug.plant());
    const found = await firstBroken(seed => new LiveSimulation(seed).run(), 0, PATIENCE);
    t.match(found?.says, bug.shows);
    t.comment(`seed ${found?.seed}: ${found?.says}`);
  });

for (const bug of PLANTED_SWARM_BUGS)
  t.test(`it is found that ${bug.name}`, async t => {
    t.teardown(bug.plant());
    const found = await firstBroken(runSmall, bug.from ?? 0, PATIENCE);
    t.match(found?.says, bug.shows);
    if (found !== undefined) seeds.add(found.seed);
    t.comment(`seed ${found?.seed}: ${found?.says}`);
  });

t.test('where they were found all holds without them', async t => {
  for (const seed of seeds) t.ok((await runSmall(seed)).happened > 0, `seed ${seed}`);
});
