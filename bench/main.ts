/**
 * `npm run bench -- [NAME …] [--check]`: all benchmarks, or those that are named, one after the other.
 *
 * Each is imported only when its turn comes, so one that needs nginx troubles nobody else. Results go to
 * `bench/results/DATE.md` for people and `.json` for programs, of a named one to `DATE-NAME`; they are committed with
 * the change that they measure. With --check a figure past its bound (bench/budget.json) makes the exit code 1.
 */
import { parseArgs } from 'node:util';
import { pastBudget, readBudget } from './budget.js';
import { type Bench, type BenchResult, describeMachine } from './harness.js';
import { writeResults } from './results.js';

/** In the order in which they run; a busy machine disturbs the first ones most. */
const ALL = ['serving', 'start-of-sound', 'codec', 'commands', 'library', 'tracker'];
/** All together they would take longer than anybody waits. */
const ONLY_BY_NAME = ['swarm', 'live', 'rtmp', 'decoders'];
const HELP = `npm run bench -- [NAME …] [--check]

  ${ALL.join(', ')}: all of them run without a NAME, in under ten minutes
  ${ONLY_BY_NAME.join(', ')}: only by name
  --check   exit code 1 when a figure is past its bound in bench/budget.json

Examples: npm run bench
          npm run bench -- serving --check
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});
const unknown = positionals.filter(name => ![...ALL, ...ONLY_BY_NAME].includes(name));
if (values.help) process.stdout.write(HELP);
else if (unknown.length > 0) {
  process.stderr.write(`no such benchmark: ${unknown.join(' ')}\n\n${HELP}`);
  process.exitCode = 2;
} else await runAll(positionals);

async function runAll(named: readonly string[]): Promise<void> {
  const budget = await readBudget();
  const machine = await describeMachine();
  const results: Record<string, BenchResult> = {};
  const past: string[] = [];
  for (const name of named.length === 0 ? ALL : named) {
    process.stderr.write(`running ${name} …\n`);
    const begun = performance.now();
    const { run } = (await import(`./${name}.js`)) as Bench;
    results[name] = await run();
    process.stderr.write(`${name} took ${Math.round((performance.now() - begun) / 1_000)} s\n`);
    past.push(...pastBudget(name, results[name], budget[name] ?? {}));
  }
  const command = ['npm run bench', ...(named.length === 0 ? [] : ['--', ...named])].join(' ');
  await writeResults(named.length === 0 ? undefined : named.join('-'), command, machine, results);
  process.stderr.write(past.map(line => `past its bound: ${line}\n`).join(''));
  if (values.check && past.length > 0) process.exitCode = 1;
}
