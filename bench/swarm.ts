/**
 * What a verified transfer over PPSPP costs: 100 MB on loopback from one host and from three, over UDP and TCP, beside
 * BitTorrent (aria2c) and plain TSP; hash trees beside `sha256sum`; and what swarms and neighbours take of memory.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mp3Bytes } from '../test/support/mp3.js';
import { type BenchResult, interleave, median, round } from './harness.js';
import { hasAria2, Torrent } from './swarm/aria2.js';
import { startCrowd } from './swarm/crowd.js';
import { measureHashing } from './swarm/hashing.js';
import { type Cost, runToEnd, startHost, startTspHost, WarmListener } from './swarm/processes.js';

export const name = 'swarm';

/** 100 MB at 320 kbit/s. */
const SECONDS = 2_500;
const RUNS = 5;
/** Who listens to music does so for hours; V8 is done with a listener and its hosts after some. */
const WARM_UPS = 4;
const HOSTS = 3;
const SWARMS = 1_000;
const NEIGHBOURS = 200;

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const ends: (() => Promise<void> | void)[] = [];
  try {
    return await measure(folder, ends);
  } finally {
    for (const end of ends.reverse()) await end();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function measure(folder: string, ends: (() => Promise<void> | void)[]): Promise<BenchResult> {
  const song = mp3Bytes({ seconds: SECONDS, bitrate: 320_000, seed: 1, title: 'Long' });
  await mkdir(join(folder, 'songs'));
  const file = join(folder, 'songs', 'long.mp3');
  await writeFile(file, song);
  const megabytes = song.length / 1e6;
  const samples: Record<string, Cost[]> = {};
  for (const way of ['UDP', 'TCP'] as const) {
    const hosts = await Promise.all(Array.from({ length: HOSTS }, () => startHost(file, way)));
    ends.push(...hosts.map(host => () => host.end()));
    const listener = new WarmListener(folder, way);
    ends.push(() => listener.end());
    for (let run = 0; run < WARM_UPS; run += 1) await listener.fetch(hosts);
    const { id } = hosts[0]!;
    const out = join(folder, 'out');
    const peer = ['--peer', `127.0.0.1:${hosts[0]!.port}`];
    Object.assign(
      samples,
      await interleave<string, Cost>(
        {
          [`${way}, one host`]: () => listener.fetch(hosts.slice(0, 1)),
          [`${way}, three hosts`]: () => listener.fetch(hosts),
          [`${way}, a whole command`]: async () => {
            const cost = await runToEnd(
              ['swarm', 'get', id, '-o', out, ...peer, ...(way === 'TCP' ? ['--tcp'] : [])],
              hosts.slice(0, 1),
            );
            await rm(out);
            return cost;
          },
        },
        RUNS,
      ),
    );
  }
  const tsp = await startTspHost(folder, file);
  ends.push(() => tsp.end());
  const torrent = hasAria2() ? await Torrent.start(folder, file) : undefined;
  if (torrent !== undefined) ends.push(() => torrent.end());
  Object.assign(
    samples,
    await interleave<string, Cost>(
      {
        'plain TSP, a whole command': () => tsp.fetch(),
        ...(torrent === undefined ? {} : { 'aria2c, a whole command': () => torrent.fetch() }),
      },
      RUNS,
    ),
  );
  const hashing = await measureHashing(file, song);
  const memory = await startCrowd(SWARMS, NEIGHBOURS);
  const megabits = (of: string): number =>
    median(samples[of]!.map(({ seconds }) => (megabytes * 8) / seconds));
  const perGigabyte = (of: string): number =>
    median(samples[of]!.map(({ cpuSeconds }) => (cpuSeconds * 1_000) / megabytes));
  return {
    title: 'Swarms',
    method: [
      `A file of ${round(megabytes)} MB, every chunk verified and on disk; hosts and listener are processes of their own, on loopback. Median of ${RUNS}.`,
      `CPU of both sides together. A whole command starts, fetches and ends; the others run in a listener that fetched ${WARM_UPS} times before.`,
      'aria2c: BitTorrent between two processes, a tracker beside them. Plain TSP: `tsp-peer get`, verified by HASHES.',
      'Hash trees: SHA-256, chunks of 1,024 bytes, one thread; memory: resident, after a collection.',
    ],
    figures: [
      { figure: 'UDP, one host, Mbit/s', value: megabits('UDP, one host') },
      { figure: 'UDP, three hosts, Mbit/s', value: megabits('UDP, three hosts') },
      { figure: 'TCP, one host, Mbit/s', value: megabits('TCP, one host') },
      { figure: 'TCP, three hosts, Mbit/s', value: megabits('TCP, three hosts') },
      { figure: 'kB a swarm, of 1,000', value: memory.bytesASwarm / 1_000 },
      { figure: 'kB a neighbour, of 200', value: memory.bytesANeighbour / 1_000 },
    ],
    tables: [
      {
        caption: 'Transfers',
        columns: ['', 'Mbit/s', 'CPU-s per GB'],
        rows: Object.keys(samples).map(of => [of, round(megabits(of)), round(perGigabyte(of))]),
      },
      {
        caption: 'Hashing, MB/s of CPU time',
        columns: ['', 'MB/s'],
        rows: Object.entries(hashing).map(([of, rate]) => [of, round(rate)]),
      },
      {
        caption: 'Memory, MB resident',
        columns: ['', 'MB'],
        rows: [
          ['a peer without swarms', round(memory.bareBytes / 1e6)],
          [`in ${SWARMS} swarms`, round(memory.swarmsBytes / 1e6)],
          [`in one, with ${NEIGHBOURS} neighbours`, round(memory.neighboursBytes / 1e6)],
        ],
      },
    ],
    samples: { transfers: samples, hashing, memory },
  };
}
