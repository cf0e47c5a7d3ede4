/** That the simulation finds what is wrong: bugs planted one at a time, each found; and again that without them all holds. */
import t from 'tap';
import { firstBroken } from './first-broken.js';
import { expectSeedsHold } from './many-seeds.js';
import { PLANTED_BUGS } from './planted-bugs.js';
import { Simulation } from './simulation.js';

const [FROM, SEEDS] = [250, 250];
/** How many seeds a planted bug may survive. */
const PATIENCE = 120;

for (const bug of PLANTED_BUGS)
  t.test(`it is found that ${bug.name}`, async t => {
    t.teardown(bug.plant());
    const found = await firstBroken(seed => new Simulation(seed).run(), bug.from ?? 0, PATIENCE);
    t.match(found?.says, bug.shows);
    t.comment(`seed ${found?.seed}: ${found?.says.split('\n')[0]}`);
  });

t.test(`seeds ${FROM} to ${FROM + SEEDS - 1} hold every rule`, t => expectSeedsHold(t, FROM, SEEDS));
