/**
 * Hosts on lines of 2 Mbit/s and one listener, in virtual time: how full the lines are, and of what.
 *
 *     10.0.0.1 ─ 2 Mbit/s ─┐
 *     10.0.0.2 ─ 2 Mbit/s ─┼─▶ listener: 5.4 Mbit/s of chunks at least        beside them a liar, and one that is switched off
 *     10.0.0.3 ─ 2 Mbit/s ─┘
 */
import t, { type Test } from 'tap';
import { Chance } from '../chance.js';
import { Timeline } from '../timeline.js';
import { DatagramNetwork, SWARM_PORT } from './datagram-network.js';
import { SwarmContent, SwarmDisk } from './swarm-content.js';
import { at, SwarmProgram, startLiar } from './swarm-programs.js';

const LINE_BYTES_PER_SECOND = 250_000;
/** So long they get to know the way; then so long is looked at. */
const WARM_UP_MS = 1_000;
const WINDOW_MS = 2_000;
const HOSTS = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];
const [SHORT_LIVED, LIAR, LISTENER] = ['10.0.0.4', '10.0.0.5', '10.0.0.9'] as const;

class Neighbourhood {
  readonly chance = new Chance(1);
  readonly timeline = new Timeline();
  readonly network = new DatagramNetwork(this.timeline, this.chance.fork(), { delayMs: 15 });
  readonly content = new SwarmContent(this.chance.fork(), 4_000);
  readonly liars: string[] = [];

  lend(address: string) {
    const wire = this.network.wire(address, LINE_BYTES_PER_SECOND);
    return { network: this.network, wire, chance: this.chance.fork() };
  }

  /** Whole, or a listener of `peers`. */
  async start(address: string, peers?: readonly string[]): Promise<SwarmProgram> {
    const disk = new SwarmDisk(this.content, { isWhole: peers === undefined, isSizeKnown: true });
    const program = new SwarmProgram(this.lend(address), disk, {
      peers: (peers ?? []).map(at),
      maxPeers: 8,
      serves: true,
      onLiar: ({ host }) => this.liars.push(host),
      onChange: () => {},
    });
    await program.start();
    return program;
  }

  /** What three lines carry in the window is of the hosts, and nine tenths of it are chunks. */
  async keepsLinesFull(t: Test, { joined }: SwarmProgram): Promise<void> {
    let fed = 0;
    const ofHosts = HOSTS.map(host => `${host}:${SWARM_PORT}`);
    const given = (): number =>
      joined.sources.reduce((sum, { host, bytes }) => sum + (ofHosts.includes(host) ? bytes : 0), 0);
    this.network.onArrival = ({ address }, { datagram }) => {
      if (HOSTS.includes(address)) fed += datagram.length;
    };
    const before = given();
    await this.timeline.run(WINDOW_MS, () => {});
    const lines = (HOSTS.length * LINE_BYTES_PER_SECOND * WINDOW_MS) / 1_000;
    const chunks = given() - before;
    t.ok(fed >= 0.97 * lines, `${(100 * fed) / lines} % of what the lines carry`);
    t.ok(chunks >= 0.9 * lines, `${(100 * chunks) / lines} % of it in chunks that nobody else gave`);
  }
}

t.test('three hosts at 2 Mbit/s each feed one listener at 90 % of 6 Mbit/s', async t => {
  const here = new Neighbourhood();
  for (const host of HOSTS) await here.start(host);
  const listener = await here.start(LISTENER, HOSTS);
  await here.timeline.run(WARM_UP_MS, () => {});
  await here.keepsLinesFull(t, listener);
});

t.test('so they do beside one that lies and one that is switched off', async t => {
  const here = new Neighbourhood();
  for (const host of HOSTS) await here.start(host);
  await startLiar(here.lend(LIAR), 'chunks', here.content, []);
  const shortLived = await here.start(SHORT_LIVED);
  const listener = await here.start(LISTENER, [LIAR, SHORT_LIVED, ...HOSTS]);
  await here.timeline.run(WARM_UP_MS, () => {});
  await shortLived.crash();
  await here.keepsLinesFull(t, listener);
  t.same(here.liars, [`${LIAR}:${SWARM_PORT}`]);
});
