/**
 * What the machine does to a host while it sends songs: outputs close or are full, signals come, the clock jumps, the
 * process that plays its music is killed. Songs on their way arrive, byte for byte.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { failCalls, noFaults } from '../support/failing-calls.js';
import { mp3Bytes } from '../support/mp3.js';
import { type Network, openNetwork, type RunningHost } from '../support/network.js';
import { atPace } from '../support/paced-clock.js';
import { childrenOf, noProc } from '../support/proc.js';
import { commandPath, spawnProgram } from '../support/spawn-command.js';
import { stackTraceIn, watchSurvivor } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';

let songs = 0;
/** 1.2 MB: at 600 kB/s there is time to be in its middle. Each has a song of its own. */
function newSong(): Buffer {
  songs += 1;
  return mp3Bytes({ seconds: 30, bitrate: 320_000, seed: songs, title: `Polo ${songs}` });
}
const SLOW = ['--max-upload', '600k', '--slots', '0'];
const MIB = 1024 * 1024;
/** Who is asked to end has ten seconds for what is on its way, of its own clock: here a minute. */
const LEISURE = 1 / 6;

const world = await openNetwork(t);

/** A song that is on its way, and slowly so, or, when it `isHeld`, takes its time until it is to arrive. */
async function beginSong(
  t: Teardown,
  network: Network,
  port: number,
  song: Buffer,
  { isHeld = false }: { readonly isHeld?: boolean } = {},
) {
  const listener = await connectTsp(t, port);
  if (isHeld) listener.socket.once('data', () => listener.socket.pause());
  listener.send({ type: 'PLAY', song: await network.idOf(song) });
  await until('the song has begun', () => listener.socket.bytesRead > 0);
  return {
    arrives: async () => {
      listener.socket.resume();
      const { payload } = await listener.receive('SONG_DATA');
      listener.destroy();
      return payload.equals(song);
    },
  };
}

const OUTPUTS: Record<string, { readonly line: string; readonly skip?: string | false }> = {
  'whose output is read no further than its first line': { line: 'sh told "$@" | head -1' },
  'whose errors are read no further than their first line': {
    line: 'sh told "$@" 2>&1 >/dev/null | head -1',
  },
  'that has neither input nor output': { line: 'exec sh told "$@" <&- >&- 2>&-' },
  'whose output and errors go to a full disk': {
    line: 'exec sh told "$@" >/dev/full 2>&1',
    skip: !existsSync('/dev/full') && 'there is no /dev/full',
  },
};
for (const [which, { line, skip = false }] of Object.entries(OUTPUTS)) {
  t.test(`a host ${which} goes on`, { skip }, async t => {
    const network = world.during(t);
    const song = newSong();
    const home = await network.newHome();
    await writeFile(join(home, 'a.mp3'), song);
    const words = [
      '--headless',
      '--json',
      '--library',
      home,
      '--port',
      '0',
      '--log-level',
      'debug',
      '--trace-wire',
    ];
    const host = [
      process.execPath,
      commandPath('tsp-peer'),
      ...words,
      '--tracker',
      `127.0.0.1:${network.trackerPort}`,
    ];
    // A pipeline hides the number of the process in it.
    await writeFile(join(home, 'told'), 'echo $$ > pid; exec "$@"');
    const shell = await spawnProgram(t, 'sh', ['-c', line, 'sh', ...host], { home });
    const port = await until('the host is listed', async () => {
      const row = (await network.list()).find(({ title }) => title === `Polo ${songs}`);
      const [address] = (row?.hosts ?? []) as string[];
      return address === undefined ? undefined : Number(address.split(':').at(-1));
    });
    for (let round = 0; round < 3; round += 1) {
      const rude = await connectTsp(t, port);
      rude.write(Buffer.alloc(100, 0x99));
      rude.end();
      await rude.closed;
      const listener = await connectTsp(t, port);
      listener.send({ type: 'PLAY', song: await network.idOf(song) });
      t.ok((await listener.receive('SONG_DATA')).payload.equals(song));
      listener.destroy();
    }
    process.kill(Number(await readFile(join(home, 'pid'), 'utf8')));
    await shell.exited;
  });
}

for (const [signal, code] of [
  ['SIGTERM', 0],
  ['SIGHUP', 129],
  ['SIGINT', 130],
] as const) {
  t.test(
    `${signal} mid-song: off the list, no newcomers, the song comes whole, exit code ${code}`,
    async t => {
      const network = world.during(t);
      // More than the kernel holds for a listener that takes nothing.
      const song = Buffer.alloc(16 * MIB, newSong());
      const env = await atPace(t, LEISURE);
      const host = await network.host({ songs: { 'a.mp3': song }, env });
      const listener = await beginSong(t, network, host.port, song, { isHeld: true });
      host.command.kill(signal);
      const title = `Polo ${songs}`;
      await until('it is off the list', async () => !(await network.list()).some(row => row.title === title));
      await until('newcomers are refused', () => refuses(host));
      t.ok(host.command.running, 'the song is on its way still');
      t.ok(await listener.arrives());
      t.equal(await host.command.exitCode(), code);
      t.equal(stackTraceIn(host.command.stderr), undefined);
    },
  );
}

t.test('a second signal ends a host at once, whatever is on its way', async t => {
  const network = world.during(t);
  const song = newSong();
  const env = await atPace(t, LEISURE);
  const host = await network.host({ songs: { 'a.mp3': song }, args: ['--max-upload', '1k'], env });
  await beginSong(t, network, host.port, song);
  host.command.kill('SIGTERM');
  await until('the first was heard', () => refuses(host));
  t.ok(host.command.running);
  host.command.kill('SIGTERM');
  t.equal(await host.command.exitCode(), 143);
});

async function refuses({ port }: RunningHost): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  return await once(socket, 'connect').then(
    () => {
      socket.destroy();
      return false;
    },
    () => true,
  );
}

t.test('a clock that jumps days and years moves no deadline', async t => {
  const network = world.during(t);
  const home = await network.newHome();
  const leaping = join(home, 'leaping.mjs');
  await writeFile(leaping, LEAPING_CLOCK);
  const song = newSong();
  const folder = join(home, 'music');
  await mkdir(folder);
  await writeFile(join(folder, 'a.mp3'), song);
  const words = ['--headless', '--json', '--library', folder, '--port', '0', ...SLOW];
  const tracker = ['--tracker', `127.0.0.1:${network.trackerPort}`];
  const program = [`--import=${leaping}`, commandPath('tsp-peer'), ...words, ...tracker];
  const command = await spawnProgram(t, process.execPath, program, { home }, 'tsp-peer');
  const { port } = await command.ready();
  await network.listed(song, port);
  const idle = await connectTsp(t, port);
  idle.send({ type: 'PING', value: 1 });
  await idle.receive('PONG');
  const listener = await beginSong(t, network, port, song);
  await writeFile(join(folder, 'b.mp3'), newSong());
  t.ok(await listener.arrives());
  await until('the second song is listed', async () =>
    (await network.list()).some(({ title }) => title === `Polo ${songs}`),
  );
  idle.send({ type: 'PING', value: 2 });
  t.match(await idle.receive('PONG'), { value: 2 }, 'nobody was idle for a minute');
  await network.listed(song, port);
  t.equal(await command.end(), 0);
  t.equal(stackTraceIn(command.stderr), undefined);
});

/** Every look at the time of day finds another year. */
const LEAPING_CLOCK = `
const RealDate = Date;
let looks = 0;
const leap = () => {
  looks += 1;
  return [0, 86_400_000, -3.15e11, 3.15e11, -86_400_000][looks % 5];
};
globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + leap());
    else super(...given);
  }
  static now() {
    return RealDate.now() + leap();
  }
};
`;

t.test(
  'the audio process is killed mid-song: hosting goes on, and another one plays',
  { skip: noProc },
  async t => {
    const network = world.during(t);
    const [own, others] = [newSong(), newSong()];
    await network.host({ songs: { 'a.mp3': others } });
    const host = await network.host({ songs: { 'b.mp3': own }, args: [...SLOW, '--output', 'null'] });
    const serves = async (): Promise<void> => {
      const listener = await connectTsp(t, host.port);
      listener.send({ type: 'INFO', song: await network.idOf(own) });
      await listener.receive('SONG_INFO');
      listener.destroy();
    };
    const id = await network.idOf(others);
    host.command.write(`play ${id}\n`);
    await host.command.says(/"event":"started"/);
    const survivor = await watchSurvivor(host.command, serves);
    const listener = await beginSong(t, network, host.port, own);
    const audio = await childrenOf(host.command.pid);
    t.ok(audio.length > 0);
    for (const pid of audio) process.kill(pid, 'SIGKILL');
    t.ok(await listener.arrives());
    host.command.write('stop\n');
    host.command.write(`play ${id}\n`);
    await host.command.says(/"event":"started"[\s\S]*"event":"started"/);
    t.same(
      (await childrenOf(host.command.pid)).filter(pid => audio.includes(pid)),
      [],
    );
    host.command.write('stop\n');
    await survivor.survived();
  },
);

t.test(
  'no descriptor for an audio process: the song fails, hosting goes on, and later it plays',
  { skip: noFaults },
  async t => {
    const network = world.during(t);
    const [own, others] = [newSong(), newSong()];
    await network.host({ songs: { 'a.mp3': others } });
    const host = await network.host({ songs: { 'b.mp3': own }, args: ['--output', 'null'] });
    const id = await network.idOf(others);
    const fault = await failCalls(t, host.command.pid, { calls: 'socketpair,pipe2', error: 'EMFILE' });
    host.command.write(`play ${id}\n`);
    await host.command.says(/"event":"ended".*"failed"/);
    await fault.lift();
    const listener = await connectTsp(t, host.port);
    listener.send({ type: 'PLAY', song: await network.idOf(own) });
    t.ok((await listener.receive('SONG_DATA')).payload.equals(own));
    host.command.write(`play ${id}\n`);
    await host.command.says(/"event":"started"/);
    host.command.write('stop\n');
    t.equal(stackTraceIn(host.command.stderr), undefined);
  },
);
