/**
 * A broadcast over TSP: how soon somebody hears it, how late it stays, and what three hundred listeners cost.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SongId } from '../protocol/tsp/messages.js';
import { spawnCommand } from '../test/support/spawn-command.js';
import { connectTsp } from '../test/support/tsp-client.js';
import type { Teardown } from '../test/support/until.js';
import { type BenchResult, median, quantile, RUNS, round } from './harness.js';
import { aacSound } from './live/adts.js';
import type { ListenersReport, ListenersTask } from './live/listeners.js';
import { Publisher, type Sound } from './live/publisher.js';
import { monotonicMs, STAMPED } from './live/stamped-frames.js';
import { ProbedCommand } from './probed/probed-command.js';

export const name = 'live';

/** Of a broadcast in AAC, four seconds are heard. */
const AAC_RUNS = 20;
const RUN_MS = 200;
const LISTENERS = 300;
const SECONDS = 20;
const MB = 1e6;
/** Long enough for a feed to have left the list. */
const GRACE_SECONDS = '0.1';

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const ends: (() => unknown)[] = [];
  const t: Teardown = { teardown: end => ends.push(end) };
  try {
    return await measure(t, folder);
  } finally {
    for (const end of ends.toReversed()) await end();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Broadcaster {
  readonly command: ProbedCommand;
  readonly trackerPort: number;
  /** Of its song server. */
  readonly port: number;
  readonly icecastPort: number;
  readonly key: string;
}

async function measure(t: Teardown, folder: string): Promise<BenchResult> {
  const broadcaster = await openBroadcaster(t, folder);
  const first: number[] = [];
  const aac = await ofAac(t, broadcaster);
  const joins: number[] = [];
  let song = 0 as SongId;
  for (let n = 0; n < RUNS; n += 1) {
    const heard = await firstSound(t, broadcaster, STAMPED);
    first.push(heard.ms);
    song = heard.song;
    joins.push(await joinTime(t, broadcaster, song));
    await heard.publisher.stop();
    await heard.gone();
  }
  const { publisher } = await firstSound(t, broadcaster, STAMPED);
  const before = await broadcaster.command.ask();
  const crowd = await listenAll({ port: broadcaster.port, song, listeners: LISTENERS, seconds: SECONDS });
  const after = await broadcaster.command.ask();
  await publisher.stop();
  const cores = (after.cpuSeconds - before.cpuSeconds) / SECONDS;
  return {
    title: 'A broadcast over TSP',
    method: [
      'A tracker and a broadcasting tsp-peer, real processes; the publisher is an Icecast source of 128 kbit/s, which sends each frame when it is due.',
      'First sound: from its first frame to the first run at a listener who learns of the feed by BROADCAST_LIST. Joining: `tsp-peer play ID --output null`, from the command to the first sample.',
      `Crowd: ${LISTENERS} listeners in one process beside it for ${SECONDS} s. Delay: from a frame's sending to its arrival, at every tenth of them.`,
      'AAC goes through an ffmpeg of the host; its delay is that of the twentieth run, from its beginning to the arrival of the whole.',
    ],
    figures: [
      { figure: 'publish to first sound, ms', value: median(first) },
      ...(aac === undefined
        ? []
        : [{ figure: 'publish to first sound of AAC, ms', value: median(aac.first) }]),
      { figure: 'joining, ms', value: median(joins) },
      { figure: 'steady delay, p50 ms', value: quantile(crowd.delaysMs, 0.5) },
      { figure: 'steady delay, p99 ms', value: quantile(crowd.delaysMs, 0.99) },
      ...(aac === undefined ? [] : [{ figure: 'steady delay of AAC, ms', value: median(aac.delay) }]),
      { figure: `frames lost at ${LISTENERS} listeners`, value: crowd.lost },
      { figure: `cores of the host at ${LISTENERS} listeners`, value: cores },
      { figure: 'resident MB of the host, most', value: after.peakBytes / MB },
    ],
    tables: [
      {
        caption: 'Each run, in ms',
        columns: ['what', ...first.map((_, n) => `${n + 1}`)],
        rows: [
          ['publish to first sound', ...first.map(round)],
          ['joining', ...joins.map(round)],
          ...(aac === undefined
            ? []
            : [
                ['publish to first sound, AAC', ...aac.first.map(round)],
                ['steady delay, AAC', ...aac.delay.map(round)],
              ]),
        ],
      },
    ],
    samples: { first, joins, aac, before, after, frames: crowd.frames, lost: crowd.lost },
  };
}

async function openBroadcaster(t: Teardown, folder: string): Promise<Broadcaster> {
  const [trackerHome, home] = [join(folder, 'tracker'), join(folder, 'peer')];
  await Promise.all([mkdir(trackerHome), mkdir(home)]);
  const tracker = await spawnCommand(t, 'tsp-tracker', ['--port', '0', '--host', '127.0.0.1'], {
    home: trackerHome,
  });
  const { port: trackerPort } = await tracker.ready();
  const command = ProbedCommand.start(
    'tsp-peer',
    [
      ...['--headless', '--json', '--host', '127.0.0.1', '--port', '0', '--max-per-address', '0'],
      ...['--live', 'bench', '--icecast', '127.0.0.1:0', '--live-grace', GRACE_SECONDS],
      ...['--tracker', `127.0.0.1:${trackerPort}`],
    ],
    home,
  );
  t.teardown(() => command.stop());
  const { port } = await command.ready();
  const [, key = '', icecastPort] = await command.says(/icecast:\/\/source:(\w+)@127\.0\.0\.1:(\d+)/);
  return { command, trackerPort, port, icecastPort: Number(icecastPort), key };
}

/** A new broadcast, heard by a listener who is told of it by the tracker. */
async function firstSound(t: Teardown, { trackerPort, port, icecastPort, key }: Broadcaster, sound: Sound) {
  const registration = await connectTsp(t, trackerPort);
  registration.send({ type: 'HELLO', port: 0, hello: { tsp: 1 } });
  await registration.await('BROADCAST_LIST');
  const publisher = await Publisher.open(icecastPort, 'bench', key, sound);
  publisher.start();
  const { rows } = await registration.await('BROADCAST_LIST', ({ rows }) => rows.some(row => row.live));
  const song = rows.find(row => row.live)!.id as SongId;
  const listener = await connectTsp(t, port);
  listener.send({ type: 'PLAY', song });
  await listener.await('SONG_DATA');
  const ms = monotonicMs() - publisher.startedAtMs;
  const gone = async (): Promise<void> => {
    await registration.await('BROADCAST_LIST', ({ rows }) =>
      rows.some(row => row.id === song && Array.isArray(row.hosts) && row.hosts.length === 0),
    );
    registration.destroy();
    listener.destroy();
  };
  return { ms, song, publisher, listener, gone };
}

/** The transcoder's share: what is heard of each broadcast's beginning, and how late it is some seconds on. */
async function ofAac(t: Teardown, broadcaster: Broadcaster) {
  const sound = aacSound();
  if (sound === undefined) return undefined;
  const [first, delay]: [number[], number[]] = [[], []];
  for (let n = 0; n < RUNS; n += 1) {
    const { ms, publisher, listener, gone } = await firstSound(t, broadcaster, sound);
    first.push(ms);
    // From the first run on, which began with the broadcast.
    let runs = 1;
    for (; runs < AAC_RUNS; runs += 1) await listener.await('SONG_DATA');
    delay.push(monotonicMs() - publisher.startedAtMs - runs * RUN_MS);
    await publisher.stop();
    await gone();
  }
  return { first, delay };
}

async function joinTime(t: Teardown, { trackerPort }: Broadcaster, song: SongId): Promise<number> {
  const args = ['play', String(song), '--output', 'null', '--json', '--tracker', `127.0.0.1:${trackerPort}`];
  const player = await spawnCommand(t, 'tsp-peer', args);
  const [, ms] = await player.says(/"event":"started".*"startedInMs":([\d.]+)/);
  player.kill('SIGINT');
  await player.exited;
  return Number(ms);
}

async function listenAll(task: ListenersTask): Promise<ListenersReport> {
  const child = fork(join(import.meta.dirname, 'live', 'listeners.js'));
  child.send(task);
  const [report] = (await once(child, 'message')) as [ListenersReport];
  return report;
}
