/**
 * How long a folder of songs takes from the start of `tsp-peer` until its library is listed, beside `sha256sum`.
 *
 * The first start reads, hashes (a tree hash: two digests a KiB) and reads tags; the second finds everything in its
 * cache. All are whole processes, start-up included. MPD, where it is installed, only reads the tags.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { mp3Bytes } from '../test/support/mp3.js';
import { type BenchResult, interleave, median, milliseconds, round } from './harness.js';

export const name = 'library';

const SONGS = 512;
/** 3.9 MB at 320 kbit/s, 2 GB in all. */
const SECONDS_PER_SONG = 98;
const PEER = join(import.meta.dirname, '..', 'src', 'bin', 'tsp-peer.js');

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  try {
    return await measure(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string): Promise<BenchResult> {
  const music = join(folder, 'music');
  await mkdir(music);
  const files = Array.from({ length: SONGS }, (_, i) => join(music, `${i}.mp3`));
  let bytes = 0;
  for (const [seed, file] of files.entries()) {
    const song = mp3Bytes({
      seconds: SECONDS_PER_SONG,
      bitrate: 320_000,
      seed: seed + 1,
      title: `Song ${seed}`,
    });
    bytes += song.length;
    await writeFile(file, song);
  }
  let starts = 0;
  let home = join(folder, 'home-0');
  await listed(music, home);
  const variants: Record<string, () => Promise<number>> = {
    sha256sum: () => seconds(() => promisify(execFile)('sha256sum', files, { maxBuffer: 1e8 })),
    first: () => {
      starts += 1;
      home = join(folder, `home-${starts}`);
      return seconds(() => listed(music, home));
    },
    second: () => seconds(() => listed(music, home)),
    ...(hasMpd() ? { mpd: () => updatedByMpd(folder, music) } : {}),
  };
  const samples = await interleave(variants);
  const gigabytes = bytes / 1e9;
  const wall = {
    sha256sum: median(samples.sha256sum!),
    first: median(samples.first!),
    second: median(samples.second!),
    mpd: samples.mpd === undefined ? undefined : median(samples.mpd),
  };
  return {
    title: 'Scan and hash of a library',
    method: [
      `${SONGS} songs, ${round(gigabytes)} GB in all, in the page cache; median of five, interleaved.`,
      'Start of the process to «library listed»; the second start has the data of a first one.',
    ],
    figures: [
      { figure: 'first start ÷ sha256sum of the same bytes', value: wall.first / wall.sha256sum },
      { figure: 'second start, s', value: wall.second },
    ],
    tables: [
      {
        caption: 'Wall time',
        columns: ['what', 's', 'MB/s'],
        rows: [
          ['sha256sum', round(wall.sha256sum), round(bytes / 1e6 / wall.sha256sum)],
          ['tsp-peer, first start', round(wall.first), round(bytes / 1e6 / wall.first)],
          ['tsp-peer, second start', round(wall.second), '–'],
          [
            'MPD, update of an empty database',
            wall.mpd === undefined ? 'not installed' : round(wall.mpd),
            '–',
          ],
        ],
      },
    ],
    samples,
  };
}

function hasMpd(): boolean {
  try {
    execFileSync('mpd', ['--version'], { stdio: 'ignore' });
    execFileSync('mpc', ['help'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Seconds from the start of MPD until its database, empty before, has every song. */
async function updatedByMpd(folder: string, music: string): Promise<number> {
  const home = await mkdtemp(join(folder, 'mpd-'));
  const socket = join(home, 'socket');
  const config = join(home, 'mpd.conf');
  await writeFile(
    config,
    `music_directory "${music}"
     db_file "${home}/db"
     bind_to_address "${socket}"
     audio_output {
       type "null"
       name "none"
     }
`,
  );
  const begun = performance.now();
  const mpd = spawn('mpd', ['--no-daemon', config], { stdio: 'ignore' });
  let hasEnded = false;
  const ended = once(mpd, 'exit').then(() => {
    hasEnded = true;
  });
  try {
    while (!hasEnded) {
      const songs = await promisify(execFile)('mpc', ['--host', socket, 'update', '--wait']).then(
        () => promisify(execFile)('mpc', ['--host', socket, 'listall']),
        () => ({ stdout: '' }),
      );
      if (songs.stdout.split('\n').length > SONGS) return (performance.now() - begun) / 1_000;
      await rest(20);
    }
    throw new Error('MPD does not start');
  } finally {
    mpd.kill('SIGTERM');
    await ended;
  }
}

const seconds = async (work: () => Promise<unknown>): Promise<number> => (await milliseconds(work)) / 1_000;

/** Resolves when a peer with this library has listed all songs, and has ended. */
async function listed(music: string, home: string): Promise<void> {
  // Port 9 is nobody's tracker: what is measured is the library, not a registration.
  const args = [
    '--headless',
    '--json',
    '--library',
    music,
    '--port',
    '0',
    '--host',
    '127.0.0.1',
    '--tracker',
    '127.0.0.1:9',
  ];
  const peer = spawn(process.execPath, [PEER, ...args, '--data', home], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise(resolve => peer.once('exit', resolve));
  try {
    for await (const line of createInterface(peer.stdout)) {
      const event = JSON.parse(line) as { event?: string; songs?: number };
      if (event.event === 'library' && event.songs === SONGS) return;
    }
    throw new Error('the peer ended before its library was listed');
  } finally {
    peer.kill('SIGTERM');
    await ended;
  }
}
