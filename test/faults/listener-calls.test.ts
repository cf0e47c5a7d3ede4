/**
 * System calls that fail on the machine of somebody who listens: EIO, ENOSPC and EMFILE, put there by strace. A file that
 * cannot be written is said in a line, a cache that cannot be read or written costs no song, and when there are descriptors
 * again everything is as before.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { besideOthers } from '../support/beside-others.js';
import { failCalls, failingFrom, noFaults } from '../support/failing-calls.js';
import { mp3Bytes } from '../support/mp3.js';
import { hashOf, openNetwork } from '../support/network.js';
import { commandPath, spawnProgram } from '../support/spawn-command.js';
import { stackTraceIn, watchSurvivor } from '../support/survivor.js';
import { type Teardown, until } from '../support/until.js';

const song = (seconds: number, seed: number): Buffer =>
  mp3Bytes({ seconds, bitrate: 320_000, seed, title: `Mirabrás ${seed}` });
/** 12 MB: at 300 kB/s there is time for strace to come. */
const LONG = song(300, 1);
const SHORT = song(1, 2);

// A test mostly waits.
t.jobs = 3;
const world = await openNetwork(t, ['--max-per-address', '0']);
await world.host({ songs: { 'long.mp3': LONG }, args: ['--max-upload', '300k', '--slots', '0'] });
await world.host({ songs: { 'short.mp3': SHORT } });
const [long, short] = await Promise.all([LONG, SHORT].map(async bytes => String(await world.idOf(bytes))));

const WORDS = { EIO: 'the disk fails', ENOSPC: 'the disk is full', EMFILE: 'too many files are open' };

for (const [error, words] of Object.entries(WORDS)) {
  t.test(
    `\`get\` whose file cannot be written, ${error}: said in a line, and nothing is left`,
    besideOthers(noFaults),
    async t => {
      const network = world.during(t);
      const home = await network.newHome();
      const out = join(home, 'song.mp3');
      const get = await network.run(['get', long!, '-o', out], home);
      const part = await until('a part is there', async () =>
        (await readdir(home)).find(name => name.includes('.part-')),
      );
      await failCalls(t, get.pid, { calls: 'write,pwrite64,pwritev', error, path: join(home, part) });
      t.equal(await get.exitCode(), 1);
      t.equal(get.stderr, `tsp-peer: ${out}: ${words}.\n`);
      t.notOk((await readdir(home)).some(name => name.includes('song')));
    },
  );
}

for (const [which, when] of [
  ['the tracker', '1+'],
  ['a host', '2+'],
] as const) {
  t.test(
    `no descriptor for a connection to ${which}: that is what is said`,
    besideOthers(noFaults),
    async t => {
      for (const words of [
        ['get', short!, '-o', '-'],
        ['play', short!, '--output', 'null'],
      ]) {
        const tracker = ['--tracker', `127.0.0.1:${world.trackerPort}`];
        const program = [process.execPath, commandPath('tsp-peer'), ...words, ...tracker];
        const fault = failingFrom({ calls: 'socket', error: 'EMFILE', when }, program);
        const command = await spawnProgram(t, 'strace', fault, {}, 'tsp-peer');
        t.equal(await command.exitCode(), 69, command.stderr);
        const said = command.stdout + command.stderr;
        t.match(said, /127\.0\.0\.1:\d+ could not be dialled: too many files are open here/);
        t.equal(stackTraceIn(said), undefined);
      }
    },
  );
}

interface Ending {
  readonly outcome: string;
  readonly verified: boolean;
  readonly sources: readonly { readonly host: string }[];
  readonly error?: { readonly message: string };
}

/** A prompt, and how each song ends that it plays. */
async function openPrompt(t: Teardown, ...args: string[]) {
  const network = world.during(t);
  const home = await network.newHome();
  const prompt = await network.run(['--json', '--port', '0', '--output', 'null', ...args], home);
  await prompt.says(/"event":"list"/);
  const endings = (): Ending[] => prompt.rows.filter(({ event }) => event === 'ended') as unknown as Ending[];
  const play = async (id = short): Promise<Ending> => {
    const before = endings().length;
    prompt.write(`play ${id}\n`);
    return await until('the song ends', () => endings()[before]);
  };
  return { prompt, play, cached: join(home, 'cache', 'tsp', 'peer', hashOf(SHORT)) };
}
const played = (from: 'cache' | RegExp) => ({
  outcome: 'finished',
  verified: true,
  sources: [{ host: from }],
});

t.test('a cached song that cannot be opened or read comes from a host', besideOthers(noFaults), async t => {
  const { prompt, play, cached } = await openPrompt(t);
  t.match(await play(), played(/:\d+$/));
  await until('it is cached', () =>
    readdir(join(cached, '..')).then(names => names.some(name => /mp3$/.test(name))),
  );
  const survivor = await watchSurvivor(prompt, async () => {
    const { outcome } = await play();
    if (outcome !== 'finished') throw new Error(`the song is ${outcome}`);
  });
  const path = `${cached}.mp3`;
  const unopened = await failCalls(t, prompt.pid, { calls: 'openat', error: 'EMFILE', path });
  t.match(await play(), played(/:\d+$/));
  await unopened.lift();
  t.match(await play(), played('cache'), 'it is kept: it was not at fault');
  const unread = await failCalls(t, prompt.pid, { calls: 'pread64', error: 'EIO', path });
  t.match(await play(), played(/:\d+$/));
  await unread.lift();
  await until('it is cached anew', async () => (await play()).sources[0]?.host === 'cache');
  await survivor.survived();
});

for (const { calls, error, kind } of [
  { calls: 'write,pwrite64,pwritev', error: 'EIO', kind: 'part' },
  { calls: 'rename,renameat,renameat2', error: 'ENOSPC', kind: 'part' },
  { calls: 'openat', error: 'EMFILE', kind: 'json' },
] as const) {
  t.test(
    `a cache that cannot be written, ${error}: said once, and songs play`,
    besideOthers(noFaults),
    async t => {
      const { prompt, play, cached } = await openPrompt(t);
      await failCalls(t, prompt.pid, { calls, error, path: `${cached}.${kind}` });
      t.match(await play(), played(/:\d+$/));
      t.match(await play(), played(/:\d+$/), 'and nothing is cached');
      t.same(await readdir(join(cached, '..')), [], 'nor is anything left over');
      t.equal(prompt.stdout.match(/Songs are not kept on disk any more/g)?.length, 1);
      t.equal(stackTraceIn(prompt.stderr), undefined);
    },
  );
}

t.test(
  'no descriptor for a connection to a new host: its song fails, and later it plays',
  besideOthers(noFaults),
  async t => {
    const { prompt, play } = await openPrompt(t, '--cache', '0');
    t.match(await play(), played(/:\d+$/), 'so that a connection to that host stands');
    const fault = await failCalls(t, prompt.pid, { calls: 'socket', error: 'EMFILE' });
    const bytes = song(1, 3);
    await world.during(t).host({ songs: { 'new.mp3': bytes } });
    const id = String(await world.idOf(bytes));
    await prompt.says(/"event":"list","added":1/);
    t.match(await play(id), { outcome: 'failed', error: { message: /too many files are open here/ } });
    t.match(await play(), played(/:\d+$/), 'the connection that stands still serves');
    await fault.lift();
    t.match(await play(id), played(/:\d+$/));
    t.equal(stackTraceIn(prompt.stderr), undefined);
  },
);
