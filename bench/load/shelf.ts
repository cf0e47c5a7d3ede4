/**
 * A peer with 50,000 songs: how long its first start takes, in which each is hashed and its tags are read, how long the
 * second, which finds all that in its data folder, and what it holds in memory.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inTurns, range } from '../../test/support/crowd.js';
import { mp3Bytes } from '../../test/support/mp3.js';
import type { Teardown } from '../../test/support/until.js';
import { type BenchResult, round } from '../harness.js';
import type { Told } from '../probed/probe.js';
import { ProbedCommand } from '../probed/probed-command.js';

export const name = 'shelf';

const SONGS = 50_000;
const SONGS_A_FOLDER = 500;
const FILES_AT_ONCE = 16;
/** Short, since what is measured is the number of files; `npm run bench -- library` measures their bytes. */
const SECONDS_A_SONG = 0.1;
const LISTED_WITHIN_MS = 300_000;
const MB = 1e6;

interface Start {
  readonly seconds: number;
  readonly told: Told;
  /** After all that is not reachable is gone. */
  readonly settled: Told;
}

export async function run(t: Teardown, folder: string): Promise<BenchResult> {
  const music = join(folder, 'music');
  const bytes = await fill(music);
  const home = join(folder, 'home');
  await mkdir(home);
  const first = await start(t, music, home);
  const second = await start(t, music, home);
  const row = (what: string, { seconds, told, settled }: Start): (string | number)[] => [
    what,
    round(seconds),
    Math.round(SONGS / seconds),
    round(told.cpuSeconds),
    round(told.peakBytes / MB),
    round(settled.residentBytes / MB),
    round(settled.liveBytes / MB),
  ];
  return {
    title: `A peer with ${SONGS} songs`,
    method: [
      `A real tsp-peer; ${SONGS} files in folders of ${SONGS_A_FOLDER}, ${round(bytes / MB)} MB in all, in the page cache.`,
      'Seconds from the start of the process to «library listed». CPU-seconds and memory are of that process, its workers included.',
    ],
    figures: [
      { figure: 'first start, s', value: first.seconds },
      { figure: 'second start, s', value: second.seconds },
      { figure: 'resident MB after the second start', value: second.settled.residentBytes / MB },
    ],
    tables: [
      {
        caption: 'The peer',
        columns: [
          'what',
          'seconds',
          'songs a second',
          'CPU-seconds',
          'MB resident, most',
          'after',
          'MB live after',
        ],
        rows: [row('first start', first), row('second start', second)],
      },
    ],
    samples: { bytes, first, second },
  };
}

/** How many bytes were written. */
async function fill(music: string): Promise<number> {
  let bytes = 0;
  const folders = range(SONGS / SONGS_A_FOLDER).map(album => join(music, `album ${album}`));
  await Promise.all(folders.map(folder => mkdir(folder, { recursive: true })));
  await inTurns(range(SONGS), FILES_AT_ONCE, async song => {
    const album = Math.floor(song / SONGS_A_FOLDER);
    const track = song % SONGS_A_FOLDER;
    const file = mp3Bytes({
      seconds: SECONDS_A_SONG,
      seed: song + 1,
      title: `Song ${song}`,
      artist: `Artist ${song % 1_000}`,
      album: `Album ${album}`,
      track: String(track + 1),
    });
    bytes += file.length;
    await writeFile(join(folders[album]!, `${track}.mp3`), file);
  });
  return bytes;
}

async function start(t: Teardown, music: string, home: string): Promise<Start> {
  const began = performance.now();
  // Port 9 is nobody's tracker: what is measured is the library, not a registration.
  const args = ['--headless', '--json', '--library', music, '--host', '127.0.0.1', '--port', '0'];
  const peer = ProbedCommand.start('tsp-peer', [...args, '--tracker', '127.0.0.1:9'], home);
  t.teardown(() => peer.stop());
  await peer.says(new RegExp(`"event":"library".*"songs":${SONGS}\\b`), LISTED_WITHIN_MS);
  const seconds = (performance.now() - began) / 1_000;
  const told = await peer.ask();
  const settled = await peer.ask({ collect: true });
  await peer.stop();
  return { seconds, told, settled };
}
