/** Three hosts on lines of 2 Mbit/s and one listener, in virtual time: how full the lines are, and of what. */
import t from 'tap';
import { Chance } from '../chance.js';
import { Timeline } from '../timeline.js';
import { DatagramNetwork, SWARM_PORT } from './datagram-network.js';
import { SwarmContent, SwarmDisk } from './swarm-content.js';
import { SwarmProgram } from './swarm-programs.js';

const LINE_BYTES_PER_SECOND = 250_000;
/** So long they get to know the way; then so long is looked at. */
const WARM_UP_MS = 1_000;
const WINDOW_MS = 2_000;
const HOSTS = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];

t.test('three hosts at 2 Mbit/s each feed one listener at 90 % of 6 Mbit/s', async t => {
  const chance = new Chance(1);
  const timeline = new Timeline();
  const network = new DatagramNetwork(timeline, chance.fork(), { delayMs: 15 });
  const content = new SwarmContent(chance.fork(), 3_000);
  const start = async (address: string, isWhole: boolean): Promise<SwarmDisk> => {
    const disk = new SwarmDisk(content, { isWhole, isSizeKnown: true });
    const wire = network.wire(address, LINE_BYTES_PER_SECOND);
    const program = new SwarmProgram({ network, wire, chance: chance.fork() }, disk, {
      peers: isWhole ? [] : HOSTS.map(host => ({ address: host, port: SWARM_PORT })),
      maxPeers: HOSTS.length,
      serves: true,
      onLiar: () => {},
      onChange: () => {},
    });
    await program.start();
    return disk;
  };
  for (const host of HOSTS) await start(host, true);
  const { have } = await start('10.0.0.9', false);
  await timeline.run(WARM_UP_MS, () => {});
  let fed = 0;
  network.onArrival = ({ address }, { datagram }) => {
    if (HOSTS.includes(address)) fed += datagram.length;
  };
  const before = have.size;
  await timeline.run(WINDOW_MS, () => {});
  const lines = (HOSTS.length * LINE_BYTES_PER_SECOND * WINDOW_MS) / 1_000;
  const chunks = ((have.size - before) * 1_024) / lines;
  t.ok(fed >= 0.9 * lines, `${(100 * fed) / lines} % of what the lines carry`);
  t.ok(
    chunks >= 0.8,
    `${100 * chunks} % of it in chunks; the rest are proofs, which three give more often than one would`,
  );
});
