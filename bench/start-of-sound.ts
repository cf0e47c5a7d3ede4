/**
 * From Enter to the first sample at the output, on one machine, beside the shortest thing that a shell can do.
 *
 *     `play 7` ⏎  ─▶ tsp-peer (list on the screen) ─▶ tsp-peer that hosts ─▶ verified MP3 ─▶ decoder ─▶ PCM on stdout
 *     `curl …` ⏎  ─▶ sh ─▶ curl ─▶ nginx ─▶ mpg123 ─▶ PCM on stdout           and ffmpeg, which asks nginx itself
 *
 * Besides from two hosts at once, through the songs' swarms and without them. All prompts are running and idle when the line is written to them, and all are read through a pipe of the same kind.
 * Then the same from a host that is 25 ms away in each direction, over a connection that is there and one that is not; and what
 * `tsp-peer play` takes as a command of its own, which has Node to start, twice, and all of its code to load.
 */
import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  execFileSync,
  spawn,
} from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { freePort } from '../test/support/free-port.js';
import { type BenchResult, interleave, median, quantile, round } from './harness.js';
import { startNginx, temporaryPaths } from './nginx.js';
import { farAway, ONE_WAY_MS } from './start-of-sound/far-away.js';

export const name = 'start-of-sound';

/** Odd, and enough for a p95 that is not simply the worst. */
const PLAYS = 41;
/** Different ones, so that nothing but connections can be warm. */
const SONGS = 12;
const SECONDS = 60;
/** Not counted: code into the compiler, files into the page cache. */
const WARM_UPS = 5;
const FAR_PLAYS = 15;
const COLD_PLAYS = 5;
const COMMANDS = 9;
const DEADLINE_MS = 20_000;
const END_MS = 5_000;
/** No more sound for so long: the last play is over. */
const SILENCE_MS = 250;

const BIN = join(import.meta.dirname, '..', 'src', 'bin');

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const started: ChildProcess[] = [];
  try {
    await makeSongs(folder);
    const nginx = await startNginx(
      join(folder, 'nginx'),
      (port, home) => `
        http { access_log off; sendfile on; tcp_nopush on; ${temporaryPaths(home)}
          server { listen 127.0.0.1:${port}; root ${join(folder, 'songs')}; } }`,
    );
    started.push(nginx.process);
    const { play: prompt, swarm, noSwarm, fromAfar, commands } = await startPeers(folder, started);
    const shell = start(started, 'sh', []);
    let plays = 0;
    const twoHosts = {
      'two hosts, through swarms': () => swarm(plays++ % SONGS),
      'two hosts, --no-swarm': () => noSwarm(plays++ % SONGS),
    };
    const variants = {
      'tsp-peer, warm prompt': () => prompt(plays++ % SONGS),
      'curl | mpg123, warm shell': () => {
        const url = `http://127.0.0.1:${nginx.port}/${plays++ % SONGS}.mp3`;
        return timed(shell, `curl -s ${url} | mpg123 -q -s -\n`);
      },
      'ffmpeg, warm shell': () => {
        const url = `http://127.0.0.1:${nginx.port}/${plays++ % SONGS}.mp3`;
        return timed(shell, `ffmpeg -nostdin -v quiet -i ${url} -f s16le - | head -c 400000\n`);
      },
    };
    for (let warmUp = 0; warmUp < WARM_UPS; warmUp += 1)
      for (const play of Object.values({ ...variants, ...twoHosts })) await play();
    const samples = await interleave({ ...variants, ...twoHosts }, PLAYS);
    return report(samples, await fromAfar(), await commands());
  } finally {
    await Promise.all(started.map(end));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function report(samples: Record<string, number[]>, far: FarAway, commands: number[]): BenchResult {
  const [ours = [], curl = [], ffmpeg = [], swarm = [], noSwarm = []] = Object.values(samples);
  const ratio = (q: number, theirs: readonly number[]): number => quantile(ours, q) / quantile(theirs, q);
  return {
    title: 'Enter to the first sample',
    method: [
      `${PLAYS} plays each, in turn, of ${SONGS} songs of ${SECONDS} s at 192 kbit/s over loopback, nothing cached by us.`,
      'Timed from writing the line to a running prompt (for the others: a running sh) to the first PCM byte at the reader.',
      'Ours comes from a song server of its own process, is verified before it is decoded, and runs with --output stdout.',
      `From afar: through a proxy that adds ${ONE_WAY_MS} ms each way; ${FAR_PLAYS} plays over a warm connection, ${COLD_PLAYS} first plays of as many new peers.`,
    ],
    figures: [
      { figure: 'p50, ours ÷ curl | mpg123', value: ratio(0.5, curl) },
      { figure: 'p95, ours ÷ curl | mpg123', value: ratio(0.95, curl) },
      { figure: 'p50, ours ÷ ffmpeg', value: ratio(0.5, ffmpeg) },
      { figure: 'p50, two hosts, through swarms ÷ --no-swarm', value: median(swarm) / median(noSwarm) },
      {
        figure: 'from afar, warm connection, ms beyond one round trip',
        value: median(far.warm) - 2 * ONE_WAY_MS,
      },
      {
        figure: 'from afar, no connection, ms beyond two round trips',
        value: median(far.cold) - 4 * ONE_WAY_MS,
      },
    ],
    tables: [
      {
        caption: 'Milliseconds',
        columns: ['', 'p50', 'p95', 'least', 'most'],
        rows: Object.entries({
          ...samples,
          'from afar, warm': far.warm,
          'from afar, cold': far.cold,
          '`tsp-peer play`, a whole command': commands,
        }).map(([variant, values]) => [
          variant,
          ...[median(values), quantile(values, 0.95), Math.min(...values), Math.max(...values)].map(round),
        ]),
      },
    ],
    samples: { ...samples, far, commands },
  };
}

/** Milliseconds from writing `line` to the first byte of sound; resolves when the sound is over. */
async function timed(child: ChildProcessWithoutNullStreams, line: string, end?: string): Promise<number> {
  const from = performance.now();
  let firstAt: number | undefined;
  let lastAt = from;
  const heard = (): void => {
    lastAt = performance.now();
    firstAt ??= lastAt;
  };
  child.stdout.on('data', heard);
  child.stdin.write(line);
  while (firstAt === undefined) {
    if (performance.now() - from > DEADLINE_MS) throw new Error(`no sound after ${line}`);
    await rest(1);
  }
  if (end !== undefined) child.stdin.write(end);
  while (performance.now() - lastAt < SILENCE_MS) await rest(5);
  child.stdout.off('data', heard);
  return firstAt - from;
}

/** Noise and tone, so that frames are as full as those of music. */
async function makeSongs(folder: string): Promise<void> {
  await mkdir(join(folder, 'songs'));
  const samples = 44_100 * SECONDS;
  for (let song = 0; song < SONGS; song += 1) {
    const pcm = Buffer.allocUnsafe(samples * 4);
    for (let at = 0; at < samples; at += 1) {
      const tone = 9_000 * Math.sin((at * (song + 4)) / 50) + 4_000 * (Math.random() - 0.5);
      pcm.writeInt16LE(Math.round(tone), at * 4);
      pcm.writeInt16LE(Math.round(-tone), at * 4 + 2);
    }
    const raw = join(folder, 'raw.pcm');
    await writeFile(raw, pcm);
    execFileSync('lame', [
      '--quiet',
      '-r',
      '-s',
      '44.1',
      '-b',
      '192',
      raw,
      join(folder, 'songs', `${song}.mp3`),
    ]);
  }
}

interface FarAway {
  readonly warm: number[];
  readonly cold: number[];
}

/**
 * A tracker, a host and a listener with the list on its screen; `play` plays song n and says when it sounds, `fromAfar`
 * does so through a long line, `commands` without a peer that runs.
 */
async function startPeers(
  folder: string,
  started: ChildProcess[],
): Promise<
  Readonly<Record<'play' | 'swarm' | 'noSwarm', (song: number) => Promise<number>>> & {
    fromAfar(): Promise<FarAway>;
    commands(): Promise<number[]>;
  }
> {
  const tracker = async (name: string): Promise<string[]> => {
    const args = ['--port', '0', '--host', '127.0.0.1', '--data', join(folder, name), '--json'];
    const child = start(started, process.execPath, [join(BIN, 'tsp-tracker.js'), ...args]);
    const ready = await saying(child.stdout, line => line.includes('"ready"'));
    return ['--tracker', `127.0.0.1:${(JSON.parse(ready) as { port: number }).port}`];
  };
  const peer = (name: string, ...args: string[]): ChildProcessWithoutNullStreams =>
    start(started, process.execPath, [
      join(BIN, 'tsp-peer.js'),
      ...['--data', join(folder, name), '--host', '127.0.0.1', ...args],
    ]);
  const host = async (name: string, ...args: string[]): Promise<void> => {
    const child = peer(name, ...args, '--headless', '--json', '--library', join(folder, 'songs'));
    await saying(child.stdout, line => line.includes('"library"') && line.includes(`${SONGS}`));
  };
  const listener = async (name: string, at: readonly string[]): Promise<ChildProcessWithoutNullStreams> => {
    const child = peer(name, ...at, '--port', '0', '--json', '--output', 'stdout', '--cache', '0');
    await saying(child.stderr, line => line.includes(`"added":${SONGS}`));
    child.stderr.resume();
    return child;
  };

  const near = await tracker('tracker');
  await host('host', ...near, '--port', '0');
  const ears = await listener('listener', near);
  ears.stdin.write('list\n');
  const both = await tracker('tracker-of-two');
  for (const name of ['first', 'second']) await host(name, ...both, '--port', '0');
  const inSwarm = await listener('in-swarm', both);
  const alone = await listener('alone', [...both, '--no-swarm']);
  for (const child of [inSwarm, alone]) child.stdin.write('list\n');
  await rest(2_000);

  const fromAfar = async (): Promise<FarAway> => {
    const port = await freePort('tcp');
    const line = await farAway(() => port);
    const far = await tracker('far-tracker');
    await host('far-host', ...far, '--port', `${port}`, '--advertise', `127.0.0.1:${line.port}`);
    const cold: number[] = [];
    for (let play = 0; play < COLD_PLAYS; play += 1) {
      const newcomer = await listener(`newcomer-${play}`, far);
      await rest(500);
      cold.push(await timed(newcomer, `play ${1 + play}\n`, 'stop\n'));
      await end(newcomer);
    }
    const regular = await listener('regular', far);
    regular.stdin.write('list\n');
    await rest(2_000);
    const warm: number[] = [];
    for (let play = 0; play < FAR_PLAYS; play += 1)
      warm.push(await timed(regular, `play ${1 + (play % SONGS)}\n`, 'stop\n'));
    line.server.close();
    return { warm, cold };
  };
  const commands = async (): Promise<number[]> => {
    const took: number[] = [];
    for (let play = 0; play < COMMANDS; play += 1) {
      const from = performance.now();
      const child = peer('none', 'play', `${1 + play}`, ...near, '--output', 'stdout');
      child.stderr.resume();
      const late = rest(DEADLINE_MS, undefined, { ref: false });
      await Promise.race([
        once(child.stdout, 'data'),
        late.then(() => Promise.reject(new Error('no sound'))),
      ]);
      took.push(performance.now() - from);
      child.stdout.resume();
      await end(child);
    }
    return took;
  };
  const from = (child: ChildProcessWithoutNullStreams) => (song: number) =>
    timed(child, `play ${song + 1}\n`, 'stop\n');
  return { play: from(ears), swarm: from(inSwarm), noSwarm: from(alone), fromAfar, commands };
}

function start(
  started: ChildProcess[],
  command: string,
  args: readonly string[],
): ChildProcessWithoutNullStreams {
  const child = spawn(command, args, { stdio: 'pipe' });
  started.push(child);
  child.stdin.on('error', () => {});
  if (command !== process.execPath) child.stderr.resume();
  return child;
}

/** Asked first, so that what it started ends with it. */
async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise(resolve => child.once('exit', resolve));
  if (child.exitCode !== null || child.signalCode !== null || !child.kill('SIGTERM')) return;
  const cancel = setTimeout(() => child.kill('SIGKILL'), END_MS);
  await ended;
  clearTimeout(cancel);
}

/** The first line that matches. */
function saying(stream: NodeJS.ReadableStream, matches: (line: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const late = setTimeout(
      () => reject(new Error(`it did not say what it should, but: ${text}`)),
      DEADLINE_MS,
    );
    const heard = (chunk: Buffer): void => {
      text += chunk.toString();
      const line = text.split('\n').find(matches);
      if (line === undefined) return;
      clearTimeout(late);
      stream.off('data', heard);
      resolve(line);
    };
    stream.on('data', heard);
  });
}
