/**
 * What a listener's command does when the tracker is none, or a bad one, and when its own outputs close: it says so in one
 * line or ends quietly, with the right exit code, and prints no stack trace.
 */
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { besideOthers } from '../support/beside-others.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { spawnCommand } from '../support/spawn-command.js';
import { stackTraceIn } from '../support/survivor.js';
import { type Teardown, until } from '../support/until.js';

/** 12 MB: at 300 kB/s nobody comes to its end. */
const SONG = mp3Bytes({ seconds: 300, bitrate: 320_000, seed: 1, title: 'Soleá' });

// A test mostly waits.
t.jobs = 3;

const world = await openNetwork(t, ['--max-per-address', '0']);
await world.host({ songs: { 'a.mp3': SONG }, args: ['--max-upload', '300k', '--slots', '0'] });
const id = String(await world.idOf(SONG));

/** Port of a server that treats everybody so. */
async function foul(t: Teardown, treat: (socket: Socket) => unknown): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}));
    treat(socket);
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

/** 10,000 rows of which none is a song. */
const WRONG_ROWS = Buffer.from('{"id":"ten","hash":7,"title":[]}\n'.repeat(10_000));
const wrongList = Buffer.concat([Buffer.alloc(9), WRONG_ROWS]);
wrongList[0] = 0x82;

const TRACKERS: Record<string, (socket: Socket) => unknown> = {
  'answers rubbish': socket => socket.on('data', () => socket.write(Buffer.alloc(5_000, 0xee))),
  closes: socket => socket.end(),
  resets: socket => socket.resetAndDestroy(),
  'speaks HTTP': socket => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  'is silent': socket => socket.resume(),
  'gives 10,000 wrong rows': socket => socket.once('data', () => socket.end(wrongList)),
};

for (const [which, treat] of Object.entries(TRACKERS)) {
  t.test(`a tracker that ${which}: said in a line, with an exit code of failure`, besideOthers(), async t => {
    const port = await foul(t, treat);
    const home = await world.during(t).newHome();
    const commands = ['list', 'get', 'play'].map(async word => {
      const words = word === 'list' ? [word] : [word, '10'];
      const command = await spawnCommand(t, 'tsp-peer', [...words, '--tracker', `127.0.0.1:${port}`], {
        home,
      });
      const code = await command.exitCode();
      t.ok([1, 65, 69, 76].includes(code), `${word} ends with ${code}`);
      t.ok(command.stderr.length > 0, command.stderr);
      t.equal(stackTraceIn(command.stderr), undefined);
    });
    await Promise.all(commands);
  });
}

for (const words of [
  ['get', id, '-o', '-'],
  ['play', id, '--output', 'stdout', '--raw'],
]) {
  t.test(
    `\`${words[0]}\` whose standard output closes mid-song ends, without a stack trace`,
    besideOthers(),
    async t => {
      const listener = await world.during(t).run(words);
      await until('it has begun', () => listener.bytes.length > 0);
      listener.child.stdout.destroy();
      const code = await listener.exitCode();
      t.comment(`exit code ${code}: ${listener.stderr}`);
      t.equal(stackTraceIn(listener.stderr), undefined);
    },
  );
}

for (const [signal, code] of [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(
    `${signal} during \`get\` and \`play\`: no part of a file is left, exit code ${code}`,
    besideOthers(),
    async t => {
      const network = world.during(t);
      const home = await network.newHome();
      const fetching = await network.run(['get', id, '-o', join(home, 'song.mp3')], home);
      const playing = await network.run(['play', id, '--output', 'stdout', '--raw']);
      await until('a part is there', async () => (await readdir(home)).some(name => name.includes('.part-')));
      await until('it plays', () => playing.bytes.length > 0);
      fetching.kill(signal);
      playing.kill(signal);
      t.equal(await fetching.exitCode(), code);
      t.equal(await playing.exitCode(), code);
      t.same(
        (await readdir(home)).filter(name => name.includes('song')),
        [],
      );
      t.equal(stackTraceIn(fetching.stderr + playing.stderr), undefined);
    },
  );
}
