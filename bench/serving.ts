/**
 * A host that sends one 4 MB song to 1, 64 and 1,000 listeners, beside nginx.
 *
 *     load ─▶ song server │ the same, copying │ bare.ts │ nginx, sendfile on        in turn, five times each
 *
 * nginx with sendfile never touches the bytes: the kernel sends the pages of the file's cache. Ours neither: it sends
 * the pages in which it holds the song (page-arena.ts), or copies of them that the kernel sends for less (hot-slices.ts),
 * so that what was hashed is what leaves; without koffi, or where there is no Linux, each byte is copied once. The bare
 * server sends the same to whoever says anything, and does nothing else: no server in Node can cost less.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPageArena } from '../peer/hosting/page-arena.js';
import { type BenchResult, cpuSeconds, interleave, median, residentBytes, round } from './harness.js';
import { startNginx, temporaryPaths } from './nginx.js';
import type { ListenersResult, ListenersTask } from './serving/listeners.js';

export const name = 'serving';

const SONG_BYTES = 4e6;
const LISTENERS = [1, 64, 1_000];
/** Enough that a hundredth of a second of processor time, which is how the kernel counts, is little of it. */
const BYTES_A_RUN = 4e9;
/** Servers run for months; V8 is done with what a song takes after some thousands, and with what a connection takes likewise. */
const WARM_UP_LISTENERS = [...Array<number>(5).fill(64), ...Array<number>(6).fill(1_000)];
/** The server has a core to itself; the listeners have the others. */
const LISTENER_PROCESSES = Math.max(1, availableParallelism() - 1);
const SAMPLE_MS = 50;
const BARE = 'bare Node';

interface Server {
  readonly process: ChildProcess;
  readonly port: number;
  readonly request: string;
  readonly header: number | string;
}

interface Sample {
  readonly gigabytesPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
  readonly listenerCpuSecondsPerGigabyte: number;
  readonly peakResidentMiB: number;
}

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const servers: Record<string, Server> = {};
  try {
    const song = join(folder, 'song.mp3');
    await writeFile(song, randomBytes(SONG_BYTES));
    servers.ours = await startNode('host.js', song);
    servers['ours, copying'] = await startNode('host.js', song, '--copying');
    if (await canSplice()) servers[BARE] = await startNode('bare.js', song);
    const warmedUp = Object.values(servers);
    servers.nginx = await nginxServer(folder);
    for (const listeners of WARM_UP_LISTENERS)
      for (const server of warmedUp) await measure(server, listeners);
    const samples: Record<number, Record<string, Sample[]>> = {};
    for (const listeners of LISTENERS) {
      const variants = Object.entries(servers).map(
        ([name, server]) => [name, () => measure(server, listeners)] as const,
      );
      samples[listeners] = await interleave(Object.fromEntries(variants));
    }
    return report(samples);
  } finally {
    for (const { process } of Object.values(servers)) process.kill();
    await rm(folder, { recursive: true });
  }
}

/** The bare server knows no other way. */
const canSplice = (): Promise<boolean> =>
  openPageArena(SONG_BYTES).then(
    arena => {
      arena.close();
      return true;
    },
    () => false,
  );

async function startNode(script: string, song: string, ...flags: string[]): Promise<Server> {
  const host = fork(join(import.meta.dirname, 'serving', script), [song, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const [line] = (await once(host.stdout!, 'data')) as [Buffer];
  return { process: host, port: Number.parseInt(line.toString(), 10), request: '\x03\0\0\0\x01', header: 9 };
}

async function nginxServer(folder: string): Promise<Server> {
  const nginx = await startNginx(
    join(folder, 'nginx'),
    (port, home) => `
    http {
      sendfile on; tcp_nopush on; tcp_nodelay on; access_log off; keepalive_requests 1000000;
      open_file_cache max=100; output_buffers 2 1m;
      ${temporaryPaths(home)}
      server { listen 127.0.0.1:${port} backlog=4096; root ${folder}; }
    }`,
  );
  return { ...nginx, request: 'GET /song.mp3 HTTP/1.1\r\nHost: bench\r\n\r\n', header: '\r\n\r\n' };
}

async function measure(server: Server, listeners: number): Promise<Sample> {
  const pid = server.process.pid!;
  const songsEach = Math.max(1, Math.round(BYTES_A_RUN / SONG_BYTES / listeners));
  const processes = Math.min(LISTENER_PROCESSES, listeners);
  const loads = Array.from({ length: processes }, () =>
    fork(join(import.meta.dirname, 'serving', 'listeners.js')),
  );
  const { port, request, header } = server;
  await Promise.all(
    loads.map(load => {
      const task = {
        port,
        request,
        header,
        songBytes: SONG_BYTES,
        songsEach,
        listeners: Math.round(listeners / processes),
      };
      load.send(task satisfies ListenersTask);
      return once(load, 'message');
    }),
  );
  let peak = 0;
  const sampler = setInterval(async () => {
    peak = Math.max(peak, await residentBytes(pid));
  }, SAMPLE_MS);
  const [cpuBefore, begun] = [await cpuSeconds(pid), performance.now()];
  const results = await Promise.all(
    loads.map(async load => {
      load.send('go');
      const [result] = (await once(load, 'message')) as [ListenersResult];
      return result;
    }),
  );
  const seconds = (performance.now() - begun) / 1_000;
  const spent = (await cpuSeconds(pid)) - cpuBefore;
  clearInterval(sampler);
  const sum = (pick: (result: ListenersResult) => number) =>
    results.reduce((total, result) => total + pick(result), 0);
  const gigabytes = sum(({ bytes }) => bytes) / 1e9;
  return {
    gigabytesPerSecond: gigabytes / seconds,
    cpuSecondsPerGigabyte: spent / gigabytes,
    listenerCpuSecondsPerGigabyte: sum(result => result.cpuSeconds) / gigabytes,
    peakResidentMiB: peak / 2 ** 20,
  };
}

function report(samples: Readonly<Record<number, Record<string, Sample[]>>>): BenchResult {
  const medianOf = (listeners: number, server: string, figure: keyof Sample) =>
    median(samples[listeners]![server]!.map(sample => sample[figure]));
  /** Of what ran one after the other: the machine is not the same from one minute to the next. */
  const ratio = (listeners: number, figure: keyof Sample, server = 'ours') => {
    const { [server]: these, nginx } = samples[listeners]!;
    return median(these!.map((sample, round) => sample[figure] / nginx![round]![figure]));
  };
  /** Whoever acknowledges packets also sends the next ones, in its own time: what one end saves, the other may pay. */
  const bothEnds = (listeners: number): number => {
    const spent = (server: string): number =>
      medianOf(listeners, server, 'cpuSecondsPerGigabyte') +
      medianOf(listeners, server, 'listenerCpuSecondsPerGigabyte');
    return spent('ours') / spent('nginx');
  };
  const bareFigures = (listeners: number) =>
    samples[listeners]![BARE] === undefined
      ? []
      : [
          {
            figure: `CPU-s per GB at ${listeners}, ${BARE} ÷ nginx`,
            value: ratio(listeners, 'cpuSecondsPerGigabyte', BARE),
          },
          {
            figure: `GB/s at ${listeners}, ${BARE} ÷ nginx`,
            value: ratio(listeners, 'gigabytesPerSecond', BARE),
          },
        ];
  const figures = [
    'gigabytesPerSecond',
    'cpuSecondsPerGigabyte',
    'listenerCpuSecondsPerGigabyte',
    'peakResidentMiB',
  ] as const;
  const rows = LISTENERS.flatMap(listeners =>
    Object.keys(samples[listeners]!).map(server => [
      listeners,
      server,
      ...figures.map(figure => round(medianOf(listeners, server, figure))),
    ]),
  );
  return {
    title: 'One 4 MB song to 1, 64 and 1,000 listeners',
    method: [
      `Listeners on loopback, ${LISTENER_PROCESSES} process(es) of them, each with one connection on which it asks again when it has the song;`,
      'they read 64 KiB at a time. Medians of five rounds, and of the five ratios. nginx: one process, tcp_nopush, open_file_cache.',
      '«copying»: ours without koffi. «bare Node»: a server of one song that hands the same pages to the kernel, and does nothing else; not without koffi.',
    ],
    figures: LISTENERS.flatMap(listeners => [
      { figure: `GB/s at ${listeners}, ours ÷ nginx`, value: ratio(listeners, 'gigabytesPerSecond') },
      {
        figure: `CPU-s per GB at ${listeners}, ours ÷ nginx`,
        value: ratio(listeners, 'cpuSecondsPerGigabyte'),
      },
      { figure: `CPU-s per GB of both ends at ${listeners}, ours ÷ nginx`, value: bothEnds(listeners) },
      ...bareFigures(listeners),
    ]),
    tables: [
      {
        caption: 'Medians',
        columns: [
          'listeners',
          'server',
          'GB/s',
          'CPU-s per GB',
          'CPU-s per GB of the listeners',
          'peak resident MiB',
        ],
        rows,
      },
    ],
    samples,
  };
}
