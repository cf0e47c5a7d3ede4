/**
 * From Enter to the first sample at the output, on one machine, beside the shortest thing that a shell can do.
 *
 *     `play 7` ⏎  ─▶ tsp-peer (list on the screen) ─▶ tsp-peer that hosts ─▶ verified MP3 ─▶ decoder ─▶ PCM on stdout
 *     `curl …` ⏎  ─▶ sh ─▶ curl ─▶ nginx ─▶ mpg123 ─▶ PCM on stdout
 *
 * Both prompts are running and idle when the line is written to them, and both are read through a pipe of the same kind.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchResult, interleave, median, quantile, round } from './harness.js';

export const name = 'start-of-sound';

/** Odd, and enough for a p95 that is not simply the worst. */
const PLAYS = 41;
/** Different ones, so that nothing but connections can be warm. */
const SONGS = 12;
const SECONDS = 60;
/** Not counted: code into the compiler, files into the page cache. */
const WARM_UPS = 5;
const DEADLINE_MS = 20_000;
const END_MS = 5_000;
/** No more sound for so long: the last play is over. */
const SILENCE_MS = 250;

const BIN = join(import.meta.dirname, '..', 'src', 'bin');

export async function run(): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torero-bench-'));
  const started: ChildProcessWithoutNullStreams[] = [];
  try {
    await makeSongs(folder);
    const nginxPort = await startNginx(folder, started);
    const prompt = await startPeers(folder, started);
    const shell = start(started, 'sh', []);
    let plays = 0;
    const variants = {
      'tsp-peer, warm prompt': () => prompt(plays++ % SONGS),
      'curl | mpg123, warm shell': () => {
        const url = `http://127.0.0.1:${nginxPort}/${plays++ % SONGS}.mp3`;
        return timed(shell, `curl -s ${url} | mpg123 -q -s -\n`);
      },
    };
    for (let warmUp = 0; warmUp < WARM_UPS; warmUp += 1)
      for (const play of Object.values(variants)) await play();
    return report(await interleave(variants, PLAYS));
  } finally {
    await Promise.all(started.map(end));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function report(samples: Record<string, number[]>): BenchResult {
  const [ours = [], theirs = []] = Object.values(samples);
  const compare = (q: number): string =>
    `${round(quantile(ours, q))} ms and ${round(quantile(theirs, q))} ms`;
  return {
    title: 'Enter to the first sample',
    method: [
      `${PLAYS} plays each, in turn, of ${SONGS} songs of ${SECONDS} s at 192 kbit/s over loopback, nothing cached by us.`,
      'Timed from writing the line to a running prompt (for curl: a running sh) to the first PCM byte at the reader.',
      'Ours comes from a song server of its own process, is verified before it is decoded, and runs with --output stdout.',
    ],
    tables: [
      {
        caption: 'Milliseconds',
        columns: ['', 'p50', 'p95', 'least', 'most'],
        rows: Object.entries(samples).map(([variant, values]) => [
          variant,
          ...[median(values), quantile(values, 0.95), Math.min(...values), Math.max(...values)].map(round),
        ]),
      },
    ],
    promises: [
      { promise: 'p50, ours is lower', measured: compare(0.5), kept: median(ours) < median(theirs) },
      {
        promise: 'p95, ours is lower',
        measured: compare(0.95),
        kept: quantile(ours, 0.95) < quantile(theirs, 0.95),
      },
    ],
    samples,
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
    await pause(1);
  }
  if (end !== undefined) child.stdin.write(end);
  while (performance.now() - lastAt < SILENCE_MS) await pause(5);
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

/** A tracker, a host and a listener with the list on its screen; what comes back plays song n and says when it sounds. */
async function startPeers(
  folder: string,
  started: ChildProcessWithoutNullStreams[],
): Promise<(song: number) => Promise<number>> {
  const peer = (name: string, ...args: string[]): ChildProcessWithoutNullStreams =>
    start(started, process.execPath, [
      join(BIN, 'tsp-peer.js'),
      ...['--data', join(folder, name), '--port', '0', '--host', '127.0.0.1', ...args],
    ]);
  const tracker = start(started, process.execPath, [
    join(BIN, 'tsp-tracker.js'),
    ...['--port', '0', '--host', '127.0.0.1', '--data', join(folder, 'tracker'), '--json'],
  ]);
  const ready = await saying(tracker.stdout, line => line.includes('"ready"'));
  const at = ['--tracker', `127.0.0.1:${(JSON.parse(ready) as { port: number }).port}`];
  const host = peer('host', ...at, '--headless', '--json', '--library', join(folder, 'songs'));
  await saying(host.stdout, line => line.includes('"library"') && line.includes(`${SONGS}`));
  const listener = peer('listener', ...at, '--json', '--output', 'stdout', '--cache', '0');
  await saying(listener.stderr, line => line.includes(`"added":${SONGS}`));
  listener.stderr.resume();
  listener.stdin.write('list\n');
  await pause(2_000);
  return song => timed(listener, `play ${song + 1}\n`, 'stop\n');
}

async function startNginx(folder: string, started: ChildProcessWithoutNullStreams[]): Promise<number> {
  const port = await freePort();
  const home = join(folder, 'nginx');
  await mkdir(home);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = join(home, 'nginx.conf');
  await writeFile(
    config,
    `daemon off; worker_processes 1; pid ${home}/pid; error_log ${home}/error.log; user root;
     events { worker_connections 64; }
     http { access_log off; sendfile on; tcp_nopush on;
       ${temporary.map(kind => `${kind}_temp_path ${home}/${kind};`).join(' ')}
       server { listen 127.0.0.1:${port}; root ${join(folder, 'songs')}; } }`,
  );
  start(started, 'nginx', ['-c', config, '-p', home]);
  for (let tries = 0; !(await accepts(port)); tries += 1) {
    if (tries > 200) throw new Error('nginx does not start');
    await pause(20);
  }
  return port;
}

function start(
  started: ChildProcessWithoutNullStreams[],
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
async function end(child: ChildProcessWithoutNullStreams): Promise<void> {
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}

const accepts = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
