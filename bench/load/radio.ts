/**
 * One host and a thousand listeners, each from an address of its own: first all at the pace at which a song of
 * 320 kbit/s sounds, then all as fast as they can.
 */
import { fork } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import { encode } from '../../protocol/tsp/codec.js';
import { asContentHash } from '../../protocol/tsp/rows.js';
import { mp3Bytes } from '../../test/support/mp3.js';
import type { Teardown } from '../../test/support/until.js';
import { answerOf, type BenchResult, round } from '../harness.js';
import { ProbedCommand } from '../probed/probed-command.js';
import type { ListenersResult, ListenersTask } from '../serving/listeners.js';
import type { RadioReport, RadioTask } from './radio/listeners.js';

export const name = 'radio';

const LISTENERS = 1_000;
const BITS_PER_SECOND = 320_000;
const SECONDS = 20;
const SONG_SECONDS = 105;
const SONG_HEADER_BYTES = 9;
const LISTED_WITHIN_MS = 30_000;
const MB = 1e6;

export async function run(t: Teardown, folder: string): Promise<BenchResult> {
  const music = join(folder, 'music');
  const home = join(folder, 'home');
  await Promise.all([mkdir(music), mkdir(home)]);
  const song = mp3Bytes({ seconds: SONG_SECONDS, bitrate: BITS_PER_SECOND, seed: 1 });
  await writeFile(join(music, 'song.mp3'), song);
  const hash = asContentHash(toHex(new MerkleTree().update(song).digest().root))!;

  // Port 9 is nobody's tracker: listeners name the song by its hash.
  const args = ['--headless', '--json', '--library', music, '--host', '127.0.0.1', '--port', '0'];
  const limits = ['--slots', '0', '--max-per-address', '0', '--tracker', '127.0.0.1:9'];
  const host = ProbedCommand.start('tsp-peer', [...args, ...limits], home);
  t.teardown(() => host.stop());
  const { port } = await host.ready();
  await host.says(/"event":"library".*"songs":1\b/, LISTED_WITHIN_MS);
  const range = encode({ type: 'RANGE', song: 0 as never, offset: 0, count: 0, hash });
  const request = Buffer.from(range).toString('latin1');

  const idle = await host.ask();
  const bytesPerSecond = BITS_PER_SECOND / 8;
  const task = { port, listeners: LISTENERS, request, bytesPerSecond, seconds: SECONDS };
  const paced = await playAll(t, task);
  const playing = await host.ask();
  const cores = (playing.cpuSeconds - idle.cpuSeconds) / SECONDS;

  const fast = await fetchAll(t, {
    port,
    listeners: LISTENERS,
    request,
    header: SONG_HEADER_BYTES,
    songBytes: song.length,
    songsEach: 1,
  });
  const after = await host.ask();
  const gigabytes = fast.bytes / 1e9;
  const gigabytesPerSecond = gigabytes / fast.seconds;
  return {
    title: `One host, ${LISTENERS} listeners`,
    method: [
      `A real tsp-peer; the listeners are one process beside it on the same machine, each from an address of its own when paced.`,
      `Paced: each asks for the song at the same moment, and then reads 100 ms of it at a time, for ${SECONDS} s; that is in the gap.`,
      `Full speed: each reads the song of ${round(song.length / MB)} MB once.`,
    ],
    figures: [
      {
        figure: `worst gap between bytes at ${BITS_PER_SECOND / 1_000} kbit/s, ms`,
        value: paced.gapMs.worst,
      },
      { figure: 'listeners that ran dry', value: paced.starved },
      { figure: 'cores of the host meanwhile', value: cores },
      { figure: 'resident MB of the host, most', value: after.peakBytes / MB },
      { figure: 'GB/s at full speed', value: gigabytesPerSecond },
    ],
    tables: [
      {
        caption: 'Paced, in ms',
        columns: ['what', 'p50', 'p99', 'worst'],
        rows: [
          row('asking to first byte', paced.firstByteMs),
          row("each listener's longest gap", paced.gapMs),
        ],
      },
      {
        caption: 'The host',
        columns: ['what', 'seconds', 'GB', 'CPU-seconds', 'MB resident', 'loop late, p99 ms', 'most'],
        rows: [
          [
            'paced',
            SECONDS,
            round(paced.bytes / 1e9),
            round(playing.cpuSeconds - idle.cpuSeconds),
            round(playing.residentBytes / MB),
            round(playing.lateMs.p99),
            round(playing.lateMs.max),
          ],
          [
            'full speed',
            round(fast.seconds),
            round(gigabytes),
            round(after.cpuSeconds - playing.cpuSeconds),
            round(after.residentBytes / MB),
            round(after.lateMs.p99),
            round(after.lateMs.max),
          ],
        ],
      },
    ],
    samples: { idle, paced, playing, fast, after },
  };
}

const row = (what: string, { p50, p99, worst }: RadioReport['gapMs']): (string | number)[] => [
  what,
  round(p50),
  round(p99),
  round(worst),
];

async function playAll(t: Teardown, task: RadioTask): Promise<RadioReport> {
  const child = fork(join(import.meta.dirname, 'radio', 'listeners.js'));
  t.teardown(() => child.kill('SIGKILL'));
  child.send(task);
  return (await answerOf(child)) as RadioReport;
}

async function fetchAll(t: Teardown, task: ListenersTask): Promise<ListenersResult & { seconds: number }> {
  const child = fork(join(import.meta.dirname, '..', 'serving', 'listeners.js'));
  t.teardown(() => child.kill('SIGKILL'));
  child.send(task);
  await answerOf(child);
  const began = performance.now();
  child.send('go');
  const result = (await answerOf(child)) as ListenersResult;
  return { ...result, seconds: (performance.now() - began) / 1_000 };
}
