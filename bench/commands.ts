/**
 * What the commands cost: start-up beside `node -e 0`, and the memory of idle and playing processes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as rest } from 'node:timers/promises';
import { mp3Bytes } from '../test/support/mp3.js';
import { childrenOf } from '../test/support/proc.js';
import { type BenchResult, interleave, median, milliseconds, residentBytes, round } from './harness.js';

export const name = 'commands';

const SONGS = 10_000;
/** How long a process is left alone before its memory is read, so that start-up's garbage is not counted. */
const SETTLE_MS = 3_000;
/** A library's threads end when they had nothing to do for five seconds; V8 gives back what it held after half a minute. */
const LIBRARY_SETTLE_MS = 35_000;
const BIN = join(import.meta.dirname, '..', 'src', 'bin');
const TRACKER = join(BIN, 'tsp-tracker.js');
const PEER = join(BIN, 'tsp-peer.js');

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const started: ChildProcess[] = [];
  try {
    const starts = await measureStarts(folder);
    const memory = await measureMemory(folder, started);
    return {
      title: 'Start-up and memory of the commands',
      method: METHOD,
      figures: starts.figures,
      tables: [starts.table, memory],
      samples: starts.samples,
    };
  } finally {
    for (const child of started) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const METHOD = [
  'Wall time of whole processes (for `tsp-tracker` until its ready line), median of five, interleaved.',
  `Resident memory ${SETTLE_MS / 1_000} s (of a library ${LIBRARY_SETTLE_MS / 1_000} s) after the last thing happened; a playing peer with its audio process.`,
];

async function measureStarts(folder: string) {
  let runs = 0;
  const samples = await interleave({
    'node -e 0': () => milliseconds(() => finished(['-e', '0'])),
    'tsp-peer --version': () => milliseconds(() => finished([PEER, '--version'])),
    'tsp-tracker --version': () => milliseconds(() => finished([TRACKER, '--version'])),
    'tsp-tracker ready': async () => {
      runs += 1;
      const args = [TRACKER, '--port', '0', '--host', '127.0.0.1', '--data', join(folder, `tracker-${runs}`)];
      const start = performance.now();
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
      await saying(child, line => line.includes('ready on'));
      const took = performance.now() - start;
      child.kill('SIGKILL');
      return took;
    },
  });
  const base = median(samples['node -e 0']);
  const rows = Object.entries(samples).map(
    ([what, taken]) => [what, round(median(taken)), round(median(taken) / base)] as const,
  );
  const figures = rows.slice(1).map(([what, , ratio]) => ({ figure: `${what} ÷ node -e 0`, value: ratio }));
  return { samples, figures, table: { caption: 'Start-up', columns: ['what', 'ms', '÷ node -e 0'], rows } };
}

async function measureMemory(folder: string, started: ChildProcess[]) {
  const music = join(folder, 'music');
  await mkdir(music);
  for (let seed = 1; seed <= SONGS; seed += 1) {
    await writeFile(join(music, `${seed}.mp3`), mp3Bytes({ seconds: 1, seed, title: `Song ${seed}` }));
  }
  const tracker = spawn(
    process.execPath,
    [TRACKER, '--port', '0', '--host', '127.0.0.1', '--data', join(folder, 'tracker'), '--json'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  started.push(tracker);
  const ready = JSON.parse(await saying(tracker, line => line.includes('"ready"'))) as { port: number };
  await rest(SETTLE_MS);
  const idleTracker = await residentBytes(tracker.pid!);

  const host = spawn(
    process.execPath,
    [
      PEER,
      '--headless',
      '--json',
      '--library',
      music,
      '--port',
      '0',
      '--tracker',
      `127.0.0.1:${ready.port}`,
      '--data',
      join(folder, 'host'),
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  started.push(host);
  await saying(host, line => (JSON.parse(line) as { songs?: number }).songs === SONGS);
  await rest(LIBRARY_SETTLE_MS);
  const idleHost = await residentBytes(host.pid!);
  const trackerWithSongs = await residentBytes(tracker.pid!);

  const long = join(folder, 'long');
  await mkdir(long);
  await writeFile(
    join(long, 'long.mp3'),
    mp3Bytes({ seconds: 300, seed: SONGS + 1, title: 'Longplay', bitrate: 320_000 }),
  );
  const listener = spawn(
    process.execPath,
    [
      PEER,
      '--json',
      '--library',
      long,
      '--port',
      '0',
      '--output',
      'null',
      '--tracker',
      `127.0.0.1:${ready.port}`,
      '--data',
      join(folder, 'ears'),
    ],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  );
  started.push(listener);
  await saying(listener, line => line.includes('"library"'));
  listener.stdin!.write('play Longplay\n');
  await saying(listener, line => line.includes('"started"'));
  await rest(SETTLE_MS);
  const audio = await childrenOf(listener.pid!);
  const playing = await residentBytes(listener.pid!);
  const audioBytes = (await Promise.all(audio.map(residentBytes))).reduce((sum, bytes) => sum + bytes, 0);

  const megabytes = (bytes: number) => round(bytes / 1e6);
  return {
    caption: 'Resident memory',
    columns: ['process', 'MB'],
    rows: [
      ['tracker, idle', megabytes(idleTracker)],
      [`tracker, ${SONGS} songs of one host`, megabytes(trackerWithSongs)],
      [`peer, idle, ${SONGS} songs`, megabytes(idleHost)],
      [`peer, playing, list of ${SONGS + 1} songs`, megabytes(playing)],
      ['its audio process', megabytes(audioBytes)],
    ],
  };
}

function finished(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  return new Promise((resolve, reject) => {
    child.once('exit', code =>
      code === 0 ? resolve() : reject(new Error(`${args.join(' ')} ended with ${code}`)),
    );
  });
}

/** The first line on stdout that satisfies; the rest is read and dropped, so that the child never waits for us. */
async function saying(child: ChildProcess, satisfies: (line: string) => boolean): Promise<string> {
  const lines = createInterface(child.stdout!);
  return await new Promise((resolve, reject) => {
    lines.on('line', line => {
      if (satisfies(line)) resolve(line);
    });
    lines.once('close', () => reject(new Error('the process ended before it said so')));
  });
}
