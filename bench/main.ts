/**
 * `npm run bench -- NAME …` runs the named benchmarks one after the other; without a name, those of every run.
 *
 * Each is imported only when it is asked for, so one that needs nginx or lame troubles nobody else. Results go to
 * `bench/results/DATE-NAME.md` for people and `.json` for programs, and are committed with the change that they measure.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bench, describeMachine, renderMarkdown } from './harness.js';

const RESULTS = join(import.meta.dirname, '..', '..', 'bench', 'results');
/** In this folder, but no benchmarks. */
const NOT_BENCHES = new Set(['main', 'harness']);
/** What runs when nothing is named; `decoders` takes its own time, and is asked for by name. */
const EVERY_RUN = ['serving', 'start-of-sound', 'library', 'commands'];

const known = (await readdir(import.meta.dirname))
  .filter(file => file.endsWith('.js'))
  .map(file => file.slice(0, -'.js'.length))
  .filter(name => !NOT_BENCHES.has(name) && !name.includes('.'))
  .sort();
const wanted = process.argv.slice(2);
const HELP = `npm run bench                 all of: ${EVERY_RUN.join(' ')}
npm run bench -- NAME …       only these; there are: ${known.join(' ')}

  npm run bench -- serving library
  npm run bench -- decoders     by name only

Results: bench/results/DATE-NAME.md for people, .json for programs.`;

if (wanted.includes('--help')) {
  console.log(HELP);
} else if (wanted.some(name => !known.includes(name))) {
  console.error(
    `no such benchmark: ${wanted.filter(name => !known.includes(name)).join(' ')}; there are ${known.join(' ')}`,
  );
  process.exitCode = 2;
} else {
  await mkdir(RESULTS, { recursive: true });
  for (const name of wanted.length === 0 ? EVERY_RUN : wanted) await runBench(name);
}

async function runBench(name: string): Promise<void> {
  const bench = (await import(`./${name}.js`)) as Bench;
  console.error(`running ${name} …`);
  const machine = await describeMachine();
  const result = await bench.run();
  const page = renderMarkdown(name, result, machine);
  const stem = join(RESULTS, `${machine.date.slice(0, 10)}-${name}`);
  await writeFile(`${stem}.md`, page);
  await writeFile(`${stem}.json`, `${JSON.stringify({ name, machine, ...result }, undefined, 2)}\n`);
  console.log(page);
  if (result.promises?.some(({ kept }) => !kept)) process.exitCode = 1;
}
