/**
 * `npm run simulate -- [--swarms] [--seeds N] [--from N] [--seed N] [--trace]`: many seeds, or one of them with everything
 * it did.
 */
import { parseArgs } from 'node:util';
import { Simulation } from './simulation.js';
import { LiveSimulation } from './swarm/live-simulation.js';
import { SwarmSimulation } from './swarm/swarm-simulation.js';

const HELP = `npm run simulate -- [options]: whole networks with faults, on a virtual clock

  --swarms    forty peers of a PPSPP swarm, and a live stream in one, instead of a tracker, hosts and listeners
  --seeds N   how many seeds to run          (1,000)
  --from N    the first of them              (0)
  --seed N    only this one
  --trace     print everything that happens

Examples: npm run simulate -- --seeds 100000
          npm run simulate -- --seed 4711 --trace
          npm run simulate -- --swarms --seeds 100
`;

const { values } = parseArgs({
  options: {
    swarms: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  process.stderr.write(`seeds are whole numbers\n\n${HELP}`);
  process.exit(2);
}
const tell = values.trace ? (line: string) => process.stdout.write(`${line}\n`) : undefined;
const begun = performance.now();
let failed = 0;
let happened = 0;
for (let seed = first; seed < first + count; seed += 1) {
  try {
    const networks = values.swarms
      ? [new SwarmSimulation(seed, { tell }), new LiveSimulation(seed, tell)]
      : [new Simulation(seed, tell)];
    for (const network of networks) {
      const outcome = await network.run();
      happened += outcome.happened;
      if (count === 1) process.stdout.write(`${JSON.stringify(outcome)}\n`);
    }
  } catch (error) {
    failed += 1;
    process.stdout.write(
      `seed ${seed}: ${(error as Error).stack}\n  again: npm run simulate --${values.swarms ? ' --swarms' : ''} --seed ${seed} --trace\n`,
    );
  }
  const done = seed - first + 1;
  if (done % 100 === 0 || done === count) {
    const seconds = (performance.now() - begun) / 1_000;
    process.stderr.write(
      `${done} of ${count} seeds, ${failed} failed; ${Math.round(done / seconds)} seeds/s, ${Math.round(happened / seconds)} happenings/s\n`,
    );
  }
}
process.exit(failed === 0 ? 0 : 1);
