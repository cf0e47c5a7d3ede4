/**
 * `npm run load -- NAME …` puts a real tracker or peer under more than an ordinary day's load; without a name, under each.
 *
 * A scenario is a file `bench/load/NAME.ts` that exports `name` and `run(t, folder)`. Results are written as the benches'
 * are, to `bench/results/DATE-load-NAME.md` and `.json`; ends with 1 when a figure is past its bound.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Teardown } from '../../test/support/until.js';
import { pastBudget, readBudget } from '../budget.js';
import { type BenchResult, describeMachine } from '../harness.js';
import { withTeardown } from '../probed/with-teardown.js';
import { writeResults } from '../results.js';

interface Scenario {
  run(t: Teardown, folder: string): Promise<BenchResult>;
}

/** In this folder, but no scenarios. */
const NOT_SCENARIOS = new Set(['main', 'crowd-process', 'one-song']);

const known = (await readdir(import.meta.dirname))
  .filter(file => file.endsWith('.js'))
  .map(file => file.slice(0, -'.js'.length))
  .filter(name => !NOT_SCENARIOS.has(name) && !name.includes('.'))
  .sort();
const wanted = process.argv.length > 2 ? process.argv.slice(2) : known;

if (wanted.some(name => !known.includes(name))) {
  console.error(`npm run load -- NAME …; there are ${known.join(' ')}`);
  process.exitCode = 2;
} else {
  for (const name of wanted) await load(name);
}

async function load(name: string): Promise<void> {
  const scenario = (await import(`./${name}.js`)) as Scenario;
  console.error(`loading: ${name} …`);
  const machine = await describeMachine();
  const folder = await mkdtemp(join(tmpdir(), 'torero-load-'));
  try {
    const result = await withTeardown(t => scenario.run(t, folder));
    const title = `load-${name}`;
    await writeResults(title, `npm run load -- ${name}`, machine, { [title]: result });
    const past = pastBudget(title, result, (await readBudget())[title] ?? {});
    console.error(past.join('\n'));
    if (past.length > 0) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
