/**
 * What goes wrong on the machine of somebody who listens: the disk is full or read-only, the audio process is killed, the
 * time of day jumps, standard input closes. The music goes on, or one line says why it can't.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { noMounts, spawnWithMount } from '../support/private-mounts.js';
import { childrenOf, noProc } from '../support/proc.js';
import { commandPath, type RunningCommand } from '../support/spawn-command.js';
import { stackTraceIn } from '../support/survivor.js';
import { until } from '../support/until.js';

const song = (seconds: number, seed: number): Buffer =>
  mp3Bytes({ seconds, bitrate: 320_000, seed, title: `Caña ${seed}` });
const LONG = song(30, 1);
/** 80 KB: more than the small disks below. */
const SHORT = song(2, 2);
const NEXT = song(2, 3);

// A test mostly waits.
t.jobs = 3;
const network = await openNetwork(t, ['--max-per-address', '0']);
await network.host({ songs: { 'long.mp3': LONG, 'short.mp3': SHORT, 'next.mp3': NEXT } });
const [long, short, next] = await Promise.all([LONG, SHORT, NEXT].map(bytes => network.idOf(bytes)));
const TSP_PEER = [process.execPath, commandPath('tsp-peer')];
const TRACKER = ['--tracker', `127.0.0.1:${network.trackerPort}`];
const PROMPT = ['--json', '--port', '0', '--output', 'null'];

/** How each song ended, in order. */
const endings = ({ rows }: RunningCommand): unknown[] =>
  rows.filter(({ event }) => event === 'ended').map(({ outcome }) => outcome);

t.test(
  '`get` into a full disk: said in a line, and nothing is left there',
  { skip: noMounts, buffered: true },
  async t => {
    const disk = await network.during(t).newHome();
    const out = join(disk, 'song.mp3');
    const get = [...TSP_PEER, 'get', String(long), '-o', out, ...TRACKER];
    const andLook = ['sh', '-c', '"$@"; code=$?; ls -A "$0"; exit $code', disk];
    const command = await spawnWithMount(t, { folder: disk, size: '512k' }, [...andLook, ...get]);
    t.equal(await command.exitCode(), 1, command.stderr);
    t.equal(command.stdout, '', 'no part of it either');
    t.match(command.stderr, /song\.mp3/);
    t.equal(command.stderr.trimEnd().split('\n').length, 1, command.stderr);
    t.equal(stackTraceIn(command.stderr), undefined);
  },
);

for (const [what, size] of [
  ['full', '32k'],
  ['read-only', '32k,ro'],
] as const) {
  t.test(
    `a cache on a disk that is ${what}: songs play all the same`,
    { skip: noMounts, buffered: true },
    async t => {
      const cache = await network.during(t).newHome();
      const program = [...TSP_PEER, ...PROMPT, ...TRACKER];
      const env = { XDG_CACHE_HOME: cache };
      const input = `play ${short} ${next}\n`;
      const listener = await spawnWithMount(t, { folder: cache, size }, program, { env, input });
      t.equal(await listener.exitCode(), 0, listener.stderr);
      t.same(endings(listener), ['finished', 'finished']);
      t.match(listener.stderr, /caching ends/);
      t.equal(stackTraceIn(listener.stderr), undefined);
    },
  );
}

t.test(
  'an audio process that is killed mid-song: the song goes on, and so does the next',
  {
    skip: noProc,
    buffered: true,
  },
  async t => {
    const listener = await network.during(t).run(PROMPT);
    listener.write(`play ${long} ${short}\n`);
    await listener.says(/"event":"started"/);
    const [audio] = await childrenOf(listener.pid);
    process.kill(audio!, 'SIGKILL');
    const another = await until('another one', async () =>
      (await childrenOf(listener.pid)).find(child => child !== audio),
    );
    t.not(another, audio);
    listener.write('next\n');
    await listener.says(/"event":"ended"[^\n]*"outcome":"finished"/);
    t.same(endings(listener), ['stopped', 'finished']);
    listener.write('quit\n');
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.equal(stackTraceIn(listener.stderr), undefined);
  },
);

/** Moves the time of day ten years on and twenty back, again and again. */
const JUMPS = `
const YEAR_MS = 31_557_600_000;
const RealDate = Date;
let shiftMs = 0;
setInterval(() => { shiftMs = shiftMs > 0 ? -20 * YEAR_MS : 10 * YEAR_MS; }, 100).unref();
globalThis.Date = class extends RealDate {
  constructor(...parts) { super(...(parts.length === 0 ? [RealDate.now() + shiftMs] : parts)); }
  static now() { return RealDate.now() + shiftMs; }
};
`;

t.test(
  'a time of day that jumps by years: songs play, and the peer stays registered',
  { buffered: true },
  async t => {
    const home = await network.during(t).newHome();
    const preload = join(home, 'jumps.mjs');
    await writeFile(preload, JUMPS);
    const listener = await network
      .during(t)
      .run([...PROMPT, '--library', home], home, { NODE_OPTIONS: `--import ${preload}` });
    listener.write(`play ${short} ${next}\n`);
    await listener.says(/"outcome":"finished"[\s\S]*"outcome":"finished"/);
    listener.write('status\nquit\n');
    t.equal(await listener.exitCode(), 0, listener.stderr);
    const status = listener.rows.find(({ command }) => command === 'status');
    t.match(status, { tracker: { state: 'registered' } });
    t.equal(stackTraceIn(listener.stderr), undefined);
  },
);

t.test(
  'standard input closes while songs play: the queue plays out, then the peer ends',
  { buffered: true },
  async t => {
    const listener = await network.during(t).run(PROMPT);
    listener.write(`play ${short} ${next}\n`);
    await listener.says(/"event":"started"/);
    listener.endInput();
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.same(endings(listener), ['finished', 'finished']);
    t.equal(stackTraceIn(listener.stderr), undefined);
  },
);
