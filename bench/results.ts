/**
 * Results as they are committed: `bench/results/DATE….md` for people, `.json` for programs; every page says where and by
 * which command it was measured.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readBudget } from './budget.js';
import { type BenchResult, type Machine, renderMachine, renderMarkdown } from './harness.js';

const FOLDER = join(import.meta.dirname, '..', '..', 'bench', 'results');

/** Also prints the page. `name`: what follows the date; none for a run of everything. */
export async function writeResults(
  name: string | undefined,
  command: string,
  machine: Machine,
  results: Readonly<Record<string, BenchResult>>,
): Promise<void> {
  const budget = await readBudget();
  const sections = Object.entries(results).map(([bench, result]) =>
    renderMarkdown(result, budget[bench] ?? {}),
  );
  const page = [`# ${command}`, '', renderMachine(machine), '', sections.join('\n')].join('\n');
  await mkdir(FOLDER, { recursive: true });
  const stem = join(FOLDER, [machine.date.slice(0, 10), ...(name === undefined ? [] : [name])].join('-'));
  await writeFile(`${stem}.md`, page);
  await writeFile(`${stem}.json`, `${JSON.stringify({ machine, results }, undefined, 2)}\n`);
  process.stdout.write(page);
  process.stderr.write(`written: ${stem}.md\n`);
}
