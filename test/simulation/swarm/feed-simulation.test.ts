/** A broadcast to forty over a line that bears four: they feed each other, and hear the same, in time. */
import t from 'tap';
import { FeedSimulation } from './feed-simulation.js';

/** Two cores may have much else to do. */
t.setTimeout(600_000);

t.test('forty hear what goes through an uplink of 512 kbit/s, at most five seconds later', async t => {
  const { heard, worstDelayMs, caught } = await new FeedSimulation(4).run();
  t.equal(heard, 40);
  t.ok(worstDelayMs <= 5_000, `${Math.round(worstDelayMs)} ms`);
  t.ok(caught > 0, `${caught} caught the liar`);
  t.comment(JSON.stringify({ heard, worstDelayMs, caught }));
});
