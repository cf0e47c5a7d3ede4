/**
 * What every benchmark shares: interleaved runs, medians, what a process cost, and results that say where they come from.
 *
 * A benchmark is a file `bench/NAME.ts` that exports `name` and `run()` (see main.ts). The rules it keeps:
 *
 * - what is compared runs in turn (A B A B …), never all of A before all of B, so that a busy minute hits both;
 * - a figure is the median of an odd number of runs, and every run stands in the JSON;
 * - a figure carries its machine: CPU, Node, commit, date.
 */
import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { cpus, loadavg, totalmem } from 'node:os';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { asText, type Bounds, isKept } from './budget.js';

/** What a file in `bench/` exports. */
export interface Bench {
  readonly name: string;
  run(): Promise<BenchResult>;
}

export interface BenchResult {
  readonly title: string;
  /** What was compared with what, and how; one sentence a line. */
  readonly method: readonly string[];
  readonly tables: readonly BenchTable[];
  /** What the budget may bound (bench/budget.json). */
  readonly figures?: readonly Figure[];
  /** Every single run, for whoever doubts a median. Anything JSON can say. */
  readonly samples?: unknown;
}

export interface BenchTable {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface Figure {
  /** E.g. `GB/s at 64, ours ÷ nginx`. */
  readonly figure: string;
  readonly value: number;
}

/** Odd, so that the median is a run that happened. */
export const RUNS = 5;

/** Runs each variant once, then each again, `runs` times in all; answers every variant's samples by its name. */
export async function interleave<Name extends string, Sample>(
  variants: Readonly<Record<Name, () => Promise<Sample>>>,
  runs = RUNS,
): Promise<Record<Name, Sample[]>> {
  const names = Object.keys(variants) as Name[];
  const samples = Object.fromEntries(names.map(name => [name, []])) as unknown as Record<Name, Sample[]>;
  for (let run = 0; run < runs; run++) {
    // Every other round runs backwards, so that no variant always profits from its neighbour's warm caches.
    for (const name of run % 2 === 0 ? names : names.toReversed()) samples[name].push(await variants[name]());
  }
  return samples;
}

const LOOK_AGAIN_MS = 50;

/** Resolves when somebody listens there. */
export async function accepts(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (connected) return;
    await rest(LOOK_AGAIN_MS);
  }
}

/** How long it took. */
export async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The value at `q` (0 … 1) of the sorted samples, by nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** Three significant digits, so that a table reads easily. */
export const round = (value: number): number => Number(value.toPrecision(3));

/** Linux counts a process's time in hundredths of a second, on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** User and system time that a process has spent, in seconds, all threads together (proc(5), `stat` 14 and 15). */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(afterName[11]) + Number(afterName[12])) / TICKS_PER_SECOND;
}

/** What a process holds in memory now, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/statm`, 'latin1')).split(' ')[1]) * PAGE_BYTES;
}

/** What a forked process says next; rejects when it ends instead. */
export async function answerOf(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit').then(() =>
    Promise.reject(new Error('the process ended without an answer')),
  );
  const [answer] = await Promise.race([once(child, 'message'), ended]);
  return answer;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly commit: string;
  /** How many processes wanted a core in the minute before: above 1, others were at work too. */
  readonly load: number;
  /** ISO 8601, UTC. */
  readonly date: string;
}

export async function describeMachine(): Promise<Machine> {
  const cores = cpus();
  return {
    cpu: cores[0]?.model ?? 'unknown',
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    commit: await currentCommit(),
    load: round(loadavg()[0] ?? 0),
    date: new Date().toISOString(),
  };
}

async function currentCommit(): Promise<string> {
  const git = (...args: string[]) => promisify(execFile)('git', args, { cwd: import.meta.dirname });
  try {
    const { stdout: commit } = await git('rev-parse', '--short', 'HEAD');
    const { stdout: changes } = await git(
      'status',
      '--porcelain',
      '--untracked-files=no',
      '--',
      ':(top)*.ts',
    );
    return commit.trim() + (changes === '' ? '' : ' with changes');
  } catch {
    return 'unknown';
  }
}

/** A result as a section of a page: figures and their bounds, then tables; how it was measured comes first. */
export function renderMarkdown(result: BenchResult, bounds: Bounds): string {
  const lines = [`## ${result.title}`, '', ...result.method];
  if (result.figures !== undefined) {
    const rows = result.figures.map(({ figure, value }) => {
      const bound = bounds[figure];
      const kept = bound === undefined ? '' : isKept(value, bound) ? 'yes' : '**no**';
      return [figure, round(value), asText(bound), bound?.stretch ?? '', kept];
    });
    const columns = ['figure', 'measured', 'must', 'stretch', 'kept'];
    lines.push('', ...renderTable({ caption: 'Figures', columns, rows }));
  }
  for (const table of result.tables) lines.push('', ...renderTable(table));
  return `${lines.join('\n')}\n`;
}

/** Where all of a page was measured. */
export const renderMachine = (machine: Machine): string =>
  `${machine.date.slice(0, 10)} · commit ${machine.commit} · Node ${machine.node} · ${machine.cores} × ${machine.cpu} · ` +
  `${machine.memoryGiB} GiB · load before ${machine.load}`;

function renderTable({ caption, columns, rows }: BenchTable): string[] {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map(cell => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
  return [`### ${caption}`, '', line(columns), line(columns.map(() => '---')), ...rows.map(line)];
}
