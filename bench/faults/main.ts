/**
 * `npm run faults -- --runs 100`: so many runs of each fault, a quarter of them at each place in the song; every one must be
 * byte-exact (bench/budget.json). Writes `bench/results/DATE-faults.md` and `.json`; ends with 1 if not.
 *
 *     test/faults/fail-over-campaign is the same, a few times; --fault NAME, again and again: only these
 */
import { parseArgs } from 'node:util';
import {
  FAULTS,
  type Fault,
  PLACES,
  type Run,
  runBatch,
  SEEDS_A_BATCH,
} from '../../test/faults/fail-over-campaign.js';
import { inTurns, range } from '../../test/support/crowd.js';
import { type Network, openNetwork } from '../../test/support/network.js';
import { pastBudget, readBudget } from '../budget.js';
import { type BenchResult, describeMachine, quantile, round } from '../harness.js';
import { withTeardown } from '../probed/with-teardown.js';
import { writeResults } from '../results.js';

const BATCHES_AT_ONCE = 3;
/** What could not even be set up is begun again: the machine may have other things to do. */
const MAX_FALSE_STARTS = 20;

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100' }, fault: { type: 'string', multiple: true } },
});
const wanted = Number(values.runs);
const faults = values.fault ?? FAULTS;
if (!(wanted > 0) || !faults.every(fault => isFault(fault))) {
  console.error(`npm run faults -- --runs N [--fault NAME …]; there are ${FAULTS.join(', ')}`);
  process.exit(2);
}

const machine = await describeMachine();
const runs: Run[] = [];
let falseStarts = 0;
for (const [nth, fault] of FAULTS.entries()) {
  if (!faults.includes(fault)) continue;
  const all = await campaign(fault, nth);
  runs.push(...all);
  console.error(`${fault}: ${all.filter(isExact).length} of ${all.length} byte-exact`);
  for (const { place, failure } of all) if (failure !== undefined) console.error(`  at ${place}: ${failure}`);
}
const result = resultOf(runs);
await writeResults('faults', `npm run faults -- --runs ${wanted}`, machine, { faults: result });
const past = pastBudget('faults', result, (await readBudget()).faults ?? {});
console.error(past.join('\n'));
if (past.length > 0) process.exitCode = 1;

function isFault(name: string): name is Fault {
  return FAULTS.some(fault => fault === name);
}

/** Each fault has a network of its own, and each batch ends what it started. */
async function campaign(fault: Fault, nth: number): Promise<Run[]> {
  const batches = Math.ceil(wanted / PLACES.length);
  const done: Run[] = [];
  await withTeardown(async t => {
    const network = await openNetwork(t, ['--max-per-address', '0']);
    await inTurns(range(batches), BATCHES_AT_ONCE, async batch => {
      const seed = 1 + SEEDS_A_BATCH * (nth * batches + batch);
      done.push(...(await inItsTime(network, fault, seed)));
    });
  });
  return done;
}

async function inItsTime(network: Network, fault: Fault, seed: number): Promise<Run[]> {
  for (;;) {
    try {
      return await withTeardown(t => runBatch(t, network.during(t), fault, seed));
    } catch (error) {
      falseStarts += 1;
      console.error(`begun again: ${String(error).split('\n', 1)[0]}`);
      if (falseStarts > MAX_FALSE_STARTS) throw error;
    }
  }
}

function isExact({ failure }: Run): boolean {
  return failure === undefined;
}

function resultOf(all: readonly Run[]): BenchResult {
  const known = FAULTS.filter(fault => all.some(run => run.fault === fault));
  const perFault = known.map(fault => all.filter(run => run.fault === fault));
  const switches = (some: readonly Run[]): number[] => some.flatMap(({ switchedInMs }) => switchedInMs ?? []);
  const noDrips = all.filter(({ fault }) => fault !== 'drips');
  return {
    title: 'Hosts that fail while spare hosts are there',
    method: [
      'A tracker, and for each song two hosts; the one that is asked first fails. A run is byte-exact when a real tsp-peer has written',
      'the song, said that it is whole, named who lied, and printed no stack trace. Hosts that get signals are real ones, of which',
      'those that live hold the descriptors that they held; the others are played by the campaign.',
      'A switch is from the fault to the first request elsewhere; where hosts are real, the longest pause of the song after it.',
    ],
    figures: [
      { figure: 'runs', value: all.length },
      { figure: 'batches that were begun again', value: falseStarts },
      { figure: 'runs of the rarest fault', value: Math.min(...perFault.map(some => some.length)) },
      { figure: 'runs that were not byte-exact', value: all.filter(run => !isExact(run)).length },
      {
        figure: 'most bytes that were fetched twice',
        value: Math.max(0, ...all.flatMap(({ twiceBytes }) => twiceBytes ?? [])),
      },
      { figure: 'switch, p95 ms, but from drips', value: quantile(switches(noDrips), 0.95) },
    ],
    tables: [
      {
        caption: 'Byte-exact runs',
        columns: [
          'fault',
          ...PLACES.map(place => `at ${round(place * 100)} %`),
          'switch, p50 ms',
          'p95',
          'most',
        ],
        rows: known.map((fault, nth) => [
          fault,
          ...PLACES.map(place => {
            const here = perFault[nth]!.filter(run => run.place === place);
            return `${here.filter(isExact).length} of ${here.length}`;
          }),
          ...[0.5, 0.95, 1].map(share => Math.round(quantile(switches(perFault[nth]!), share))),
        ]),
      },
    ],
    samples: { runs: all },
  };
}
