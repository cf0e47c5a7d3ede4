/**
 * What one tracker carries: registrations, changes to ten thousand peers, long lists, memory; beside Redis, which fans
 * the same bytes out to as many subscribers.
 *
 *     tsp-tracker │ redis-server        ◀── peers in processes of their own, each from its own 127.x.y.z (tracker/clients.ts)
 *
 * Registrations are whole: the address is proven, and IDs are on disk before they are said.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as rest } from 'node:timers/promises';
import { encode } from '../protocol/tsp/codec.js';
import { Framer } from '../protocol/tsp/framing.js';
import {
  type BenchResult,
  cpuSeconds,
  interleave,
  median,
  quantile,
  residentBytes,
  round,
} from './harness.js';
import { CHANNEL, type ClientAnswer, type ClientTask } from './tracker/clients.js';
import { type Server, startRedis } from './tracker/redis.js';
import { openHost } from './tracker/retitled-host.js';

export const name = 'tracker';

const PEERS = 10_000;
/**
 * Registered first, and not counted: a tracker runs for weeks, its compiler for its first seconds. After 3,000 nearly a
 * third of what the process spends is still the compiler's.
 */
const BEFORE = 7_500;
const REGISTERING = 4_000;
const SONGS_EACH = 10;
const LONG_LIST = 100_000;
const HOSTS_OF_LONG_LIST = 4;
const LISTS = 5;
/** Of two, so that neither runs out of descriptors, nor is alone with both cores. */
const CLIENT_PROCESSES = 2;
const BIN = join(import.meta.dirname, '..', 'src', 'bin', 'tsp-tracker.js');

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const children: ChildProcess[] = [];
  try {
    const registering = await measureRegistrations(folder, children);
    const fanOut = await measureFanOut(folder, children);
    const list = await measureList(folder, children);
    return report(registering, fanOut, list);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function startTracker(folder: string, children: ChildProcess[]): Promise<Server> {
  const data = await mkdtemp(join(folder, 'tracker-'));
  const args = [
    '--port',
    '0',
    '--host',
    '127.0.0.1',
    '--data',
    data,
    '--json',
    '--log-level',
    'error',
    '--max-peers',
    `${2 * PEERS}`,
  ];
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  for await (const line of createInterface(child.stdout!)) {
    const { event, port } = JSON.parse(line) as { event: string; port: number };
    if (event === 'ready') return { child, port };
  }
  throw new Error('the tracker did not start');
}

/** Rejects when the process ends instead. */
function ask(crowd: ChildProcess, task: ClientTask): Promise<ClientAnswer> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('a process full of peers ended'));
    crowd.once('exit', ended).once('message', (answer: ClientAnswer) => {
      crowd.off('exit', ended);
      resolve(answer);
    });
    crowd.send(task);
  });
}

/** Processes full of peers, all doing the same. */
class Crowd {
  readonly #processes: ChildProcess[];

  constructor(children: ChildProcess[], processes: number) {
    this.#processes = Array.from({ length: processes }, () =>
      fork(join(import.meta.dirname, 'tracker', 'clients.js')),
    );
    children.push(...this.#processes);
  }

  do(task: (index: number) => ClientTask): Promise<ClientAnswer[]> {
    return Promise.all(this.#processes.map((process, index) => ask(process, task(index))));
  }

  /** Spent by all of them. */
  async cpuSeconds(): Promise<number> {
    const each = await Promise.all(this.#processes.map(({ pid }) => cpuSeconds(pid!)));
    return each.reduce((sum, seconds) => sum + seconds, 0);
  }

  end(): void {
    for (const process of this.#processes) process.kill();
  }
}

interface Registering {
  readonly perSecond: number;
  readonly trackerCpuMs: number;
  readonly peerCpuMs: number;
}

async function measureRegistrations(folder: string, children: ChildProcess[]): Promise<Registering[]> {
  const runs: Registering[] = [];
  for (let run = 0; run < 5; run += 1) {
    const tracker = await startTracker(folder, children);
    // It has one core, the tracker the other.
    const crowd = new Crowd(children, 1);
    await register(tracker, crowd, 1, BEFORE);
    runs.push(await register(tracker, crowd, 1 + BEFORE, REGISTERING));
    crowd.end();
    tracker.child.kill('SIGKILL');
  }
  return runs;
}

async function register(tracker: Server, crowd: Crowd, first: number, all: number): Promise<Registering> {
  const { child, port } = tracker;
  const peers = { first, count: all, songs: SONGS_EACH };
  await crowd.do(() => ({ do: 'prepare', ...peers }));
  const [cpu, peerCpu, begun] = [await cpuSeconds(child.pid!), await crowd.cpuSeconds(), performance.now()];
  await crowd.do(() => ({ do: 'register', port, ...peers }));
  const seconds = (performance.now() - begun) / 1_000;
  return {
    perSecond: all / seconds,
    trackerCpuMs: (((await cpuSeconds(child.pid!)) - cpu) * 1_000) / all,
    peerCpuMs: (((await crowd.cpuSeconds()) - peerCpu) * 1_000) / all,
  };
}

interface Spread {
  /** From the change to each client. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly messagesPerSecond: number;
  readonly cpuMs: number;
}

interface FanOut {
  readonly samples: Record<string, Spread[]>;
  readonly bytes: number;
  readonly emptyBytes: number;
  readonly fullBytes: number;
}

async function measureFanOut(folder: string, children: ChildProcess[]): Promise<FanOut> {
  const tracker = await startTracker(folder, children);
  const emptyBytes = await residentBytes(tracker.child.pid!);
  const host = await openHost(tracker.port, 1);
  const peers = new Crowd(children, CLIENT_PROCESSES);
  const count = PEERS / CLIENT_PROCESSES;
  await peers.do(index => ({
    do: 'register',
    port: tracker.port,
    first: 256 + index * count,
    count,
  }));
  const fullBytes = await residentBytes(tracker.child.pid!);

  let title = 0;
  let bytes = 0;
  const ours = async (): Promise<Spread> => {
    const all = peers.do(() => ({ do: 'await' }));
    // Batches are at least half a second apart with so many peers: this one is not to wait for the one before.
    await rest(700);
    const before = await cpuSeconds(tracker.child.pid!);
    const changedAt = host.retitle(`${title++}`);
    const answers = await all;
    bytes = answers[0]!.bytes!;
    return spread(answers, changedAt, (await cpuSeconds(tracker.child.pid!)) - before);
  };
  const variants: Record<string, () => Promise<Spread>> = { ours };

  const redis = await startRedis(folder, children);
  if (redis !== undefined) {
    await ours();
    const subscribers = new Crowd(children, CLIENT_PROCESSES);
    await subscribers.do(() => ({ do: 'subscribe', port: redis.port, count }));
    const publisher = connect({ port: redis.port, host: '127.0.0.1', noDelay: true }).resume();
    variants.redis = async () => {
      const all = subscribers.do(() => ({ do: 'await' }));
      await rest(700);
      const before = await cpuSeconds(redis.child.pid!);
      const changedAt = Number(process.hrtime.bigint());
      publisher.write(
        `*3\r\n$7\r\nPUBLISH\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$${bytes}\r\n${'x'.repeat(bytes)}\r\n`,
      );
      return spread(await all, changedAt, (await cpuSeconds(redis.child.pid!)) - before);
    };
  }
  for (const warmUp of Object.values(variants)) await warmUp();
  const samples = await interleave(variants, 7);
  for (const child of children) child.kill('SIGKILL');
  return { samples, bytes, emptyBytes, fullBytes };
}

function spread(answers: readonly ClientAnswer[], changedAt: number, cpu: number): Spread {
  const at = answers.flatMap(answer => answer.at!);
  const ms = at.map(when => (when - changedAt) / 1e6);
  const first = Math.min(...at);
  const last = at.reduce((latest, when) => Math.max(latest, when), 0);
  return {
    p50Ms: quantile(ms, 0.5),
    p99Ms: quantile(ms, 0.99),
    messagesPerSecond: at.length / ((last - first) / 1e9),
    cpuMs: cpu * 1_000,
  };
}

interface ListCost {
  readonly megabytes: number;
  readonly ms: number;
  readonly trackerCpuMs: number;
  readonly listenerCpuMs: number;
}

/** A tracker with 100,000 songs, asked for all of them by a light client that reads and forgets. */
async function measureList(folder: string, children: ChildProcess[]): Promise<ListCost[]> {
  const { child, port } = await startTracker(folder, children);
  const crowd = new Crowd(children, CLIENT_PROCESSES);
  const each = HOSTS_OF_LONG_LIST / CLIENT_PROCESSES;
  const songs = LONG_LIST / HOSTS_OF_LONG_LIST;
  const peers = (index: number) => ({ first: 1 + index * each, count: each, songs });
  await crowd.do(index => ({ do: 'prepare', ...peers(index) }));
  await crowd.do(index => ({ do: 'register', port, ...peers(index) }));
  const costs: ListCost[] = [];
  for (let run = 0; run <= LISTS; run += 1) {
    await rest(1_100);
    const [cpu, own, begun] = [await cpuSeconds(child.pid!), process.cpuUsage(), performance.now()];
    const bytes = await listOf(port);
    const { user, system } = process.cpuUsage(own);
    costs.push({
      megabytes: bytes / 1e6,
      ms: performance.now() - begun,
      trackerCpuMs: ((await cpuSeconds(child.pid!)) - cpu) * 1_000,
      listenerCpuMs: (user + system) / 1_000,
    });
  }
  crowd.end();
  child.kill('SIGKILL');
  // The first one makes the list, and the compiler ready.
  return costs.slice(1);
}

function listOf(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const framer = new Framer();
  let bytes = 0;
  socket.write(encode({ type: 'LIST' }));
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.on('data', chunk => {
      bytes += chunk.length;
      framer.push(chunk);
      for (let event = framer.next(); event !== undefined; event = framer.next())
        if (event.kind === 'end') {
          socket.destroy();
          resolve(bytes);
        }
    });
  });
}

function report(
  registering: readonly Registering[],
  fanOut: FanOut,
  lists: readonly ListCost[],
): BenchResult {
  const middle = (server: string, figure: keyof Spread): number =>
    median((fanOut.samples[server] ?? []).map(spread => spread[figure]));
  const servers = Object.keys(fanOut.samples);
  const registered = (figure: keyof Registering): number => median(registering.map(run => run[figure]));
  const list = (figure: keyof ListCost): number => median(lists.map(cost => cost[figure]));
  const spent = (fanOut.fullBytes - fanOut.emptyBytes) / PEERS;
  return {
    title: 'One tracker',
    method: [
      `Registrations: ${REGISTERING} peers with ${SONGS_EACH} songs each, from one process, 1,000 at a time; proven and durable. Their song servers run and their lists are made before, and ${BEFORE} others have registered. Median of five.`,
      `Changes: one row to ${PEERS} registered listeners (${fanOut.bytes} bytes each), from UPDATE to the last byte at each; median of seven, in turn with Redis pub/sub.`,
      `Lists: ${LONG_LIST} songs to one listener that reads and forgets.`,
      ...(servers.includes('redis')
        ? []
        : ['redis-server is not installed, so there is nothing beside ours.']),
    ],
    figures: [
      { figure: 'registrations a second', value: registered('perSecond') },
      { figure: 'CPU ms of the tracker, a registration', value: registered('trackerCpuMs') },
      { figure: `change to ${PEERS} peers, p99 ms`, value: middle('ours', 'p99Ms') },
      { figure: 'messages a second to them', value: middle('ours', 'messagesPerSecond') },
      ...(servers.includes('redis')
        ? [{ figure: 'p99, ours ÷ redis', value: middle('ours', 'p99Ms') / middle('redis', 'p99Ms') }]
        : []),
      { figure: `resident MB with ${PEERS} peers`, value: fanOut.fullBytes / 1e6 },
      { figure: `LIST of ${LONG_LIST} songs, tracker CPU ms`, value: list('trackerCpuMs') },
    ],
    tables: [
      {
        caption: 'Registrations',
        columns: ['a second', 'CPU ms of the tracker, each', 'CPU ms of the peer, each'],
        rows: [
          (['perSecond', 'trackerCpuMs', 'peerCpuMs'] as const).map(figure => round(registered(figure))),
        ],
      },
      {
        caption: `A change to ${PEERS}`,
        columns: ['server', 'p50 ms', 'p99 ms', 'messages/s', 'CPU ms of the server'],
        rows: servers.map(server => [
          server,
          ...(['p50Ms', 'p99Ms', 'messagesPerSecond', 'cpuMs'] as const).map(figure =>
            round(middle(server, figure)),
          ),
        ]),
      },
      {
        caption: 'Memory',
        columns: ['resident', ''],
        rows: [
          ['before the first peer, MB', round(fanOut.emptyBytes / 1e6)],
          [`with ${PEERS} registered listeners, MB`, round(fanOut.fullBytes / 1e6)],
          ['a peer, KB', round(spent / 1e3)],
        ],
      },
      {
        caption: `LIST of ${LONG_LIST} songs`,
        columns: ['MB', 'ms', 'CPU ms of the tracker', 'CPU ms of the listener'],
        rows: [
          (['megabytes', 'ms', 'trackerCpuMs', 'listenerCpuMs'] as const).map(figure => round(list(figure))),
        ],
      },
    ],
    samples: { registering, fanOut: fanOut.samples, lists },
  };
}
