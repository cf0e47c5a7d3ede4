/** Whole networks on a virtual clock: many seeds hold every rule, and the same seed is the same history. */
import t from 'tap';
import { Chance } from './chance.js';
import { expectSeedsHold } from './many-seeds.js';
import { Simulation } from './simulation.js';
import { Timeline } from './timeline.js';
import { VirtualNetwork } from './virtual-network.js';

/** The other half is in planted-bugs.test.ts, which runs beside this. */
const SEEDS = 250;

t.test(`seeds 0 to ${SEEDS - 1} hold every rule`, t => expectSeedsHold(t, 0, SEEDS));

t.test('a seed gives the same history each time, another seed another', async t => {
  const run = (seed: number) => new Simulation(seed).run();
  const [once, again, other] = [await run(7), await run(7), await run(8)];
  t.strictSame(again, once);
  t.not(other.digest, once.digest);
  t.ok(once.played > 0);
});

t.test('what is sent after a stall that ends early does not overtake what was held up', async t => {
  const timeline = new Timeline();
  const network = new VirtualNetwork(timeline, new Chance(1));
  const [from, to] = [network.machine('10.0.0.1'), network.machine('10.0.0.2')];
  let heard = '';
  to.createServer({ allowHalfOpen: true }, socket => {
    socket.on('data', bytes => {
      heard += bytes;
    });
  }).listen({ port: 1, host: '::' });
  const socket = from.openSocket();
  socket.connect({ host: to.address, port: 1 });
  await timeline.run(1_000, () => undefined);
  network.stall(from.address, to.address, 5_000);
  socket.write('first ');
  await timeline.run(1_000, () => undefined);
  network.stall(from.address, to.address, 0);
  socket.write('second');
  await timeline.run(20_000, () => undefined);
  t.equal(heard, 'first second');
});
