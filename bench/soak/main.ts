/**
 * `npm run soak -- --minutes 30`: real commands through rounds of churn and faults; leaks, lies and losses show at the end.
 *
 *     round: mischief for a while ─▶ all of it ended ─▶ forced collection: what does each long-lived process hold?
 *
 * Each must have gained at most 50 B a connection and hold the descriptors that it had, and every song that was played
 * must have been the song (bench/budget.json). Writes `bench/results/DATE-soak.md` and `.json`; ends with 1 if not.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pastBudget, readBudget } from '../budget.js';
import { type BenchResult, describeMachine, round } from '../harness.js';
import { withTeardown } from '../probed/with-teardown.js';
import { writeResults } from '../results.js';
import { Churn } from './churn.js';
import { openSoakNetwork, type SoakNetwork } from './network.js';

const DESCRIPTOR_SLACK = 2;
const ROUND_MS = 20_000;
/** Idle connections of song servers close after 60 s. */
const REST_MS = 75_000;
const FEWEST_ROUNDS = 4;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error('npm run soak -- --minutes N [--seed N]');
  process.exit(2);
}

const machine = await describeMachine();
const folder = await mkdtemp(join(tmpdir(), 'torero-soak-'));
try {
  const result = await withTeardown(async t => soak(await openSoakNetwork(t, folder)));
  await writeResults('soak', `npm run soak -- --minutes ${minutes}`, machine, { soak: result });
  const past = pastBudget('soak', result, (await readBudget()).soak ?? {});
  console.error(past.join('\n'));
  if (past.length > 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function soak(network: SoakNetwork): Promise<BenchResult> {
  const churn = new Churn(network, seed);
  const roundMs = Math.min(ROUND_MS, (minutes * 60_000) / (FEWEST_ROUNDS + 1));
  // The first round fills caches and pools; what was held after it is what should be held at the end.
  await churn.round(performance.now() + roundMs);
  await rest();
  const before = network.all.map(({ descriptors }) => descriptors);
  const endsAt = performance.now() + minutes * 60_000;
  while (performance.now() < endsAt) {
    await churn.round(Math.min(endsAt, performance.now() + roundMs));
    for (const soaked of network.all) await soaked.sample();
    tell(network, endsAt);
  }
  const isBack = (): boolean =>
    network.all.every(({ descriptors }, index) => Math.abs(descriptors - before[index]!) <= DESCRIPTOR_SLACK);
  await rest(isBack);
  return resultOf(network, before);
}

/** Until `isBack`, or as long as idle connections may live. */
async function rest(isBack = (): boolean => false): Promise<void> {
  const restedAt = performance.now() + REST_MS;
  while (performance.now() < restedAt && !isBack()) await pause(250);
}

function tell({ all, counts }: SoakNetwork, endsAt: number): void {
  const left = Math.max(0, (endsAt - performance.now()) / 60_000);
  const held = all
    .map(({ name, samples }) => `${name} ${round(samples.at(-1)!.liveBytes / 1e6)} MB`)
    .join(', ');
  const connections = all.reduce((sum, soaked) => sum + soaked.connections, 0);
  console.error(
    `${left.toFixed(1)} min left · ${connections} connections · ${counts.played} songs, ${counts.wrong} wrong, ` +
      `${counts.failed} failed · ${held}`,
  );
}

function resultOf({ all, counts }: SoakNetwork, before: readonly number[]): BenchResult {
  return {
    title: 'Soak',
    method: [
      `${minutes} minutes, seed ${seed}: a tracker, two hosts and a listener, each a process of its own, through rounds of churn and faults.`,
      'Between rounds each tells what it still holds after forced collection; the slope is the median over all pairs of samples,',
      'without the first third. Listeners are not connected to, so theirs is told for each song that they played.',
      'Descriptors: after the first round and a rest, and at the end.',
      '',
      `Done: ${Object.entries(counts.did)
        .map(([what, times]) => `${what} ${times}`)
        .join(', ')}.`,
    ],
    figures: [
      ...all
        .filter(({ connections }) => connections > 0)
        .map(({ name, slope }) => ({ figure: `${name}: bytes more a connection`, value: slope })),
      ...all.map(({ name, descriptors }, index) => ({
        figure: `${name}: descriptors more`,
        value: descriptors - before[index]!,
      })),
      { figure: 'songs that were not what they should be', value: counts.wrong },
      { figure: 'songs that could not be had', value: counts.failed },
      { figure: 'songs played and verified', value: counts.played },
    ],
    tables: [
      {
        caption: 'What each held',
        columns: ['process', 'connections', 'MB live, first', 'last', 'MB resident, first', 'last'],
        rows: all.map(({ name, connections, samples }) => [
          name,
          connections,
          ...[
            samples[0]!.liveBytes,
            samples.at(-1)!.liveBytes,
            samples[0]!.residentBytes,
            samples.at(-1)!.residentBytes,
          ].map(bytes => round(bytes / 1e6)),
        ]),
      },
    ],
    samples: {
      surprises: counts.surprises,
      ...Object.fromEntries(all.map(({ name, samples }) => [name, samples])),
    },
  };
}
