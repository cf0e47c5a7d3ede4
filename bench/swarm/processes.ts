/**
 * The processes between which the swarm benchmark transfers: hosts and listeners of ours, and what each costs.
 *
 *     host (tsp-peer swarm seed) ×3 ─┬─▶ one listener that fetches again and again (listener.ts)
 *                                    └─▶ whole commands (tsp-peer swarm get)
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cpuSeconds } from '../harness.js';

const BIN = join(import.meta.dirname, '..', '..', 'src', 'bin');
const PEER = join(BIN, 'tsp-peer.js');
const TRACKER = join(BIN, 'tsp-tracker.js');
/** How often the CPU time of a process that is about to end is looked at. */
const LOOK_EVERY_MS = 10;

export interface Cost {
  readonly seconds: number;
  /** Of both sides. */
  readonly cpuSeconds: number;
}

export interface Host {
  readonly id: string;
  readonly port: number;
  readonly pid: number;
  end(): Promise<void>;
}

export async function startHost(file: string, way: 'UDP' | 'TCP'): Promise<Host> {
  const words = [
    'swarm',
    'seed',
    file,
    '--listen',
    '127.0.0.1:0',
    '--json',
    ...(way === 'TCP' ? ['--tcp'] : []),
  ];
  const child = spawn(process.execPath, [PEER, ...words], { stdio: ['ignore', 'pipe', 'ignore'] });
  const rows = new Rows(child);
  const { swarm } = await rows.next('seeding');
  const { port } = await rows.next('ready');
  return { id: String(swarm), port: Number(port), pid: child.pid!, end: () => ended(child) };
}

/** One process that fetches as often as it is asked to. */
export class WarmListener {
  readonly #child: ChildProcess;
  readonly #rows: Rows;

  constructor(folder: string, way: 'UDP' | 'TCP') {
    const words = [join(import.meta.dirname, 'listener.js'), way, join(folder, `warm-${way}`)];
    this.#child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#rows = new Rows(this.#child);
  }

  async fetch(hosts: readonly Host[]): Promise<Cost> {
    const pids = [this.#child.pid!, ...hosts.map(({ pid }) => pid)];
    const before = await cpuOf(pids);
    this.#child.stdin!.write(`${hosts[0]!.id} ${hosts.map(({ port }) => port).join(' ')}\n`);
    const { seconds } = await this.#rows.next('fetched');
    return { seconds: Number(seconds), cpuSeconds: (await cpuOf(pids)) - before };
  }

  end(): Promise<void> {
    return ended(this.#child);
  }
}

/** A whole `tsp-peer` command, and what its hosts spent meanwhile. */
export async function runToEnd(
  words: readonly string[],
  hosts: readonly { readonly pid: number }[],
): Promise<Cost> {
  return await costOf([process.execPath, PEER, ...words], hosts);
}

/** Any program from start to end. Rejects when it fails. */
export async function costOf(
  [program, ...words]: readonly [string, ...string[]] | readonly string[],
  hosts: readonly { readonly pid: number }[],
): Promise<Cost> {
  const pids = hosts.map(({ pid }) => pid);
  const before = await cpuOf(pids);
  const begun = performance.now();
  const child = spawn(program!, words, { stdio: 'ignore' });
  const closed = once(child, 'close');
  let own = 0;
  let isOver = false;
  void closed.then(() => {
    isOver = true;
  });
  // Its CPU time is gone with it: what is missed at the end is a hundredth of a second.
  while (!isOver) {
    own = (await cpuSeconds(child.pid!).catch(() => own)) || own;
    await rest(LOOK_EVERY_MS);
  }
  const [code] = (await closed) as [number];
  if (code !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${code}`);
  return { seconds: (performance.now() - begun) / 1_000, cpuSeconds: own + (await cpuOf(pids)) - before };
}

/** A song server with one song, and who fetches it as TSP does. */
export async function startTspHost(
  folder: string,
  file: string,
): Promise<{ fetch(): Promise<Cost>; end(): Promise<void> }> {
  const data = (of: string): string[] => ['--data', join(folder, `data-${of}`), '--cache', '0'];
  const words = ['--port', '0', '--host', '127.0.0.1', '--data', join(folder, 'tracker'), '--json'];
  const tracker = spawn(process.execPath, [TRACKER, ...words], { stdio: ['ignore', 'pipe', 'ignore'] });
  const { port } = await new Rows(tracker).next('ready');
  const at = ['--tracker', `127.0.0.1:${port}`];
  const host = spawn(
    process.execPath,
    [
      PEER,
      '--library',
      dirname(file),
      '--headless',
      '--json',
      '--port',
      '0',
      '--host',
      '127.0.0.1',
      ...at,
      ...data('host'),
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  await new Rows(host).next('ready');
  const id = await listed(at);
  const out = join(folder, 'tsp-out');
  return {
    fetch: async () => {
      const cost = await runToEnd(['get', id, '-o', out, ...at, ...data('get')], [{ pid: host.pid! }]);
      await rm(out);
      return cost;
    },
    end: async () => {
      await ended(host);
      await ended(tracker);
    },
  };
}

/** The ID of the only song, once the tracker lists it. */
async function listed(at: readonly string[]): Promise<string> {
  for (;;) {
    const { stdout } = await promisify(execFile)(process.execPath, [PEER, 'list', '--json', ...at]);
    if (stdout !== '') return String((JSON.parse(stdout.split('\n')[0]!) as { id: number }).id);
  }
}

async function cpuOf(pids: readonly number[]): Promise<number> {
  const each = await Promise.all(pids.map(cpuSeconds));
  return each.reduce((sum, seconds) => sum + seconds, 0);
}

/** What a process says, a row a line. */
export class Rows {
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcess) {
    this.#lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  }

  /** The next row with this event. */
  async next(event: string): Promise<Record<string, unknown>> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`a process ended without saying ${event}`);
      const row = JSON.parse(value) as Record<string, unknown>;
      if (row.event === event) return row;
    }
  }
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'close');
}
