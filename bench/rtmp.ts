/**
 * One live feed of 128 kbit/s to three hundred RTMP players, and how soon one that joins hears it, beside nginx's RTMP module
 * and node-media-server (`npm install --no-save node-media-server`), where they are installed.
 *
 *     ffmpeg -re ─▶ tsp-peer │ nginx-rtmp │ node-media-server ─▶ 300 players in a process of their own          in turn
 *                                                        └─────▶ ffmpeg -t 3: three seconds of it, from start to end
 *
 * A player that joins looks at five seconds of audio before it begins: who sends no burst makes it wait for them.
 */
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../test/support/free-port.js';
import { mp3Bytes } from '../test/support/mp3.js';
import { commandPath } from '../test/support/spawn-command.js';
import { homeIn } from '../test/support/temp-folder.js';
import { until } from '../test/support/until.js';
import {
  accepts,
  answerOf,
  type BenchResult,
  cpuSeconds,
  interleave,
  median,
  residentBytes,
  round,
} from './harness.js';
import { startNginx } from './nginx.js';
import type { ListenersReport, ListenersTask } from './rtmp/listeners.js';

export const name = 'rtmp';

const LISTENERS = 300;
const SECONDS = 10;
const RUNS = 3;
const JOINS = 5;
const FEED = 'radio';
const RTMP_MODULE = '/usr/lib/nginx/modules/ngx_rtmp_module.so';

interface Server {
  readonly process: ChildProcess;
  readonly port: number;
  /** What the publisher is given in place of the feed's name. */
  readonly key: string;
}

interface Sample {
  readonly cores: number;
  readonly residentMiB: number;
  readonly report: ListenersReport;
}

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const ended: ChildProcess[] = [];
  try {
    const song = join(folder, 'feed.mp3');
    await writeFile(song, mp3Bytes({ seconds: 60, seed: 1 }));
    const servers: Record<string, Server> = { ours: await startOurs(folder) };
    for (const [name, start] of Object.entries(BESIDE)) {
      const server = await start(folder);
      if (server !== undefined) servers[name] = server;
    }
    for (const server of Object.values(servers)) ended.push(server.process, publish(song, server));
    const variants = (measure: (server: Server) => Promise<unknown>) =>
      Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, () => measure(server)]));
    const joins = (await interleave(variants(join3), JOINS)) as Record<string, number[]>;
    const samples = (await interleave(variants(crowd), RUNS)) as Record<string, Sample[]>;
    return report(joins, samples);
  } finally {
    for (const process of ended.reverse()) process.kill();
    await Promise.all(ended.map(process => process.exitCode ?? once(process, 'exit')));
    await rm(folder, { recursive: true });
  }
}

async function startOurs(folder: string): Promise<Server> {
  const home = join(folder, 'home');
  await mkdir(home);
  const keys = join(folder, 'keys');
  await writeFile(keys, `${FEED} bench-key\n`, { mode: 0o600 });
  // Port 9 is nobody's tracker.
  const args = [
    '--headless',
    '--tracker',
    '127.0.0.1:9',
    '--host',
    '127.0.0.1',
    '--port',
    '0',
    '--max-per-address',
    '0',
  ];
  const live = ['--rtmp', '127.0.0.1:0', '--live-keys', keys];
  const peer = spawn(process.execPath, [commandPath('tsp-peer'), ...args, ...live], {
    env: homeIn(home),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let told = '';
  for (const stream of [peer.stdout, peer.stderr]) stream.on('data', text => (told += text));
  const port = await until(
    () => `the peer tells where it listens: ${told}`,
    () => /rtmp:\/\/127\.0\.0\.1:(\d+)\//.exec(told)?.[1],
  );
  return { process: peer, port: Number(port), key: 'bench-key' };
}

async function startRtmpModule(folder: string): Promise<Server | undefined> {
  if (!existsSync(RTMP_MODULE)) return undefined;
  const nginx = await startNginx(
    join(folder, 'nginx'),
    port => `rtmp { server { listen 127.0.0.1:${port}; application live { live on; } } }`,
    [RTMP_MODULE],
  );
  return { ...nginx, key: FEED };
}

async function startNodeMediaServer(folder: string): Promise<Server | undefined> {
  const program = nodeMediaServer();
  if (program === undefined) return undefined;
  const port = await freePort('tcp');
  const path = join(folder, 'node-media-server');
  await mkdir(path);
  const settings = {
    bind: '127.0.0.1',
    rtmp: { port },
    store: { path },
    record: { auto: false, path },
    auth: { play: false, publish: false, secret: 'bench', jwt: { secret: 'bench', users: [] } },
  };
  await writeFile(join(path, 'config.json'), JSON.stringify(settings));
  const server = spawn(process.execPath, [program, '--config', join(path, 'config.json')], {
    stdio: 'ignore',
  });
  await accepts(port);
  return { process: server, port, key: FEED };
}

function nodeMediaServer(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve('node-media-server/bin/app.js');
  } catch {
    return undefined;
  }
}

const BESIDE = { 'nginx-rtmp': startRtmpModule, 'node-media-server': startNodeMediaServer };

const urlOf = ({ port }: Server, name: string): string => `rtmp://127.0.0.1:${port}/live/${name}`;

const publish = (song: string, server: Server): ChildProcess =>
  spawn(
    'ffmpeg',
    [
      '-loglevel',
      'error',
      '-re',
      '-stream_loop',
      '-1',
      '-i',
      song,
      '-c',
      'copy',
      '-f',
      'flv',
      urlOf(server, server.key),
    ],
    { stdio: 'ignore' },
  );

/** Milliseconds until ffmpeg has three seconds of the feed. */
async function join3(server: Server): Promise<number> {
  const began = performance.now();
  const args = [
    '-nostdin',
    '-loglevel',
    'error',
    '-i',
    urlOf(server, FEED),
    '-t',
    '3',
    '-c',
    'copy',
    '-f',
    'null',
    '-',
  ];
  await promisify(execFile)('ffmpeg', args);
  return performance.now() - began;
}

async function crowd(server: Server): Promise<Sample> {
  const players = fork(join(import.meta.dirname, 'rtmp', 'listeners.js'));
  const task: ListenersTask = { port: server.port, name: FEED, listeners: LISTENERS, seconds: SECONDS };
  players.send(task);
  await answerOf(players);
  const pid = server.process.pid!;
  const before = await cpuSeconds(pid);
  players.send('go');
  const report = (await answerOf(players)) as ListenersReport;
  const cores = ((await cpuSeconds(pid)) - before) / SECONDS;
  const residentMiB = (await residentBytes(pid)) / 2 ** 20;
  await once(players, 'exit');
  return { cores, residentMiB, report };
}

function report(
  joins: Readonly<Record<string, number[]>>,
  samples: Readonly<Record<string, Sample[]>>,
): BenchResult {
  const of = (server: string, pick: (sample: Sample) => number): number => median(samples[server]!.map(pick));
  const others = Object.keys(BESIDE).filter(server => server in samples);
  const absent = Object.keys(BESIDE).filter(server => !others.includes(server));
  const due = (SECONDS * 44_100) / 1_152;
  return {
    title: `A live feed of 128 kbit/s to ${LISTENERS} RTMP players`,
    method: [
      `ffmpeg publishes to each server; ${LISTENERS} players in one process beside them hear it for ${SECONDS} s, in turn, ${RUNS} times.`,
      'Missing: places where the timestamps jump by more than a frame, over all players. Players do not read ahead; what they get is what was sent.',
      `Joining: \`ffmpeg -t 3\`, start to end, ${JOINS} times in turn. nginx-rtmp sends audio no burst.`,
      ...absent.map(server => `${server} is not installed, so it is not beside ours.`),
    ],
    figures: [
      { figure: 'ffmpeg -t 3, ms', value: median(joins.ours!) },
      ...others.map(server => ({
        figure: `ffmpeg -t 3, ours ÷ ${server}`,
        value: median(joins.ours!) / median(joins[server]!),
      })),
      { figure: 'missing frames', value: of('ours', ({ report }) => report.gaps) },
      { figure: `cores for ${LISTENERS}`, value: of('ours', ({ cores }) => cores) },
      ...others.map(server => ({
        figure: `cores for ${LISTENERS}, ours ÷ ${server}`,
        value: of('ours', ({ cores }) => cores) / of(server, ({ cores }) => cores),
      })),
      { figure: 'resident MiB', value: of('ours', ({ residentMiB }) => residentMiB) },
    ],
    tables: [
      {
        caption: 'Medians',
        columns: [
          'server',
          'ffmpeg -t 3, ms',
          'cores',
          'resident MiB',
          'messages a player',
          'fewest',
          `due in ${SECONDS} s`,
          'missing',
        ],
        rows: Object.keys(samples).map(server => [
          server,
          round(median(joins[server]!)),
          round(of(server, ({ cores }) => cores)),
          round(of(server, ({ residentMiB }) => residentMiB)),
          Math.round(of(server, ({ report }) => report.messages / LISTENERS)),
          of(server, ({ report }) => report.fewest),
          Math.round(due),
          of(server, ({ report }) => report.gaps),
        ]),
      },
    ],
    samples: { joins, samples },
  };
}
