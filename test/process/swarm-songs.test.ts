/**
 * Songs through swarms, with the real commands: several hosts feed one listener at once, over UDP and by RANGE; one is killed,
 * one lies, one cannot be reached over UDP; and a listener gives what it has while it fetches.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Hello } from '../../protocol/tsp/messages.js';
import { besideOthers } from '../support/beside-others.js';
import { honestBut } from '../support/honest-host.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork, type RunningHost } from '../support/network.js';
import { type RunningCommand, spawnCommand } from '../support/spawn-command.js';
import { connectTsp, listenTsp, type TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';

let seed = 500;
/** Of 320 kbit/s, 40 kB a second, that nobody else has. */
const newSong = (seconds = 80): Buffer => {
  seed += 1;
  return mp3Bytes({ seconds, bitrate: 320_000, seed, title: `Seguidilla ${seed}` });
};

// They mostly wait for lines of 2 Mbit/s.
t.jobs = 2;
const world = await openNetwork(t, ['--max-per-address', '0']);

/** 2 Mbit/s, and a name by which the mix can be told. */
const slow = (name: string): string[] => ['--max-upload', '250k', '--name', name];

async function welcomeOf({ port }: Pick<RunningHost, 'port'>): Promise<unknown> {
  const client = await connectTsp(t, port);
  client.send({ type: 'HELLO', port: 0, hello: { tsp: 1 } });
  const { welcome } = await client.await('WELCOME');
  client.destroy();
  return welcome;
}

interface Got {
  readonly sources: readonly { host: string; bytes: number; name?: string }[];
  readonly failed: readonly { host: string; why: string; lied?: boolean }[];
  readonly verified: boolean;
}

const lengthOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

const reportOf = (listener: RunningCommand): Got => listener.rows.at(-1) as unknown as Got;

const fed = t.test(
  'three hosts feed one listener: one is killed in the middle, and one lies',
  besideOthers(),
  async t => {
    const network = world.during(t);
    const song = newSong();
    const [dies, lives] = await Promise.all(
      ['attic', 'kitchen'].map(name => network.host({ songs: { 'a.mp3': song }, args: slow(name) })),
    );
    const liar = await network.scriptedHost(
      song,
      honestBut(song, (client, _, bytes) => client.write(bytes.fill(1))),
    );
    const home = await network.newHome();
    const target = join(home, 'song.mp3');
    const listener = await network.run(
      ['get', String(await network.idOf(song)), '-o', target, '--json'],
      home,
    );
    const part = `${target}.part-${listener.pid}`;
    await until('a third of it is here', async () => (await lengthOf(part)) > song.length / 3);
    dies!.command.kill('SIGKILL');
    t.equal(await listener.exitCode(), 0, listener.stderr);
    t.ok((await readFile(target)).equals(song), 'byte-exact');
    const { sources, failed, verified } = reportOf(listener);
    t.ok(verified);
    const liars = failed.filter(({ lied }) => lied).map(({ host }) => host);
    t.same(liars, [`127.0.0.1:${liar.port}`], 'the liar is named');
    t.ok(sources.every(({ host }) => !host.endsWith(`:${liar.port}`)));
    t.ok(
      sources.some(({ host }) => host.endsWith(`:${lives!.port}`)),
      JSON.stringify(sources),
    );
  },
);

const mixed = t.test(
  'two slow hosts are faster than one, by UDP, and the end says the mix',
  besideOthers(),
  async t => {
    const network = world.during(t);
    const song = newSong();
    const hosts = await Promise.all(
      ['attic', 'kitchen'].map(name => network.host({ songs: { 'a.mp3': song }, args: slow(name) })),
    );
    for (const host of hosts) t.match(await welcomeOf(host), { features: ['swarm'], swarmPort: Number });
    const home = await network.newHome();
    const id = String(await network.idOf(song));
    const listener = await network.run(['get', id, '-o', join(home, 'song.mp3')], home);
    t.equal(await listener.exitCode(), 0, listener.stderr);
    // Who is too busy to answer HELLO within two seconds is called by its address.
    const shares = /\d+ % (attic|kitchen|[\d.:]+) · \d+ % (attic|kitchen|[\d.:]+) · all verified/;
    t.match(listener.stderr, shares);
  },
);

const unheard = t.test(
  'a host whose UDP port is deaf is asked by RANGE, as one without swarms',
  besideOthers(),
  async t => {
    const network = world.during(t);
    const song = newSong();
    const deaf = createSocket('udp4').bind(0, '127.0.0.1');
    await once(deaf, 'listening');
    t.teardown(() => deaf.close());
    let knocks = 0;
    deaf.on('message', () => {
      knocks += 1;
    });
    const swarm = { features: ['swarm'], swarmPort: deaf.address().port };
    // A line of 2 Mbit/s until they were met, simulated with real timers: slower is as good.
    const paced = async (client: TspClient, bytes: Buffer): Promise<void> => {
      if (knocks === 0) await new Promise(resolve => setTimeout(resolve, bytes.length / 250));
      client.write(bytes);
    };
    const play = () =>
      network.scriptedHost(
        song,
        honestBut(song, (client, _, bytes) => paced(client, bytes), swarm),
      );
    const hosts = await Promise.all([play(), play()]);
    const listener = await network.run([
      'get',
      String(await network.idOf(song)),
      '-o',
      join(await network.newHome(), 'song.mp3'),
      '--json',
    ]);
    t.equal(await listener.exitCode(), 0, listener.stderr);
    const { sources, verified } = reportOf(listener);
    t.ok(knocks > 0, 'it was met there');
    t.ok(verified);
    const ports = hosts.map(({ port }) => String(port));
    t.ok(sources.every(({ host }) => ports.includes(host.split(':')[1]!)));
  },
);

const given = t.test('a listener gives what it has while it fetches', besideOthers(), async t => {
  const network = world.during(t);
  const song = newSong(40);
  // 0.8 Mbit/s, so that the two listeners are at it together for a while.
  const args = ['--max-upload', '100k'];
  const hosts = await Promise.all([1, 2].map(() => network.host({ songs: { 'a.mp3': song }, args })));
  const id = String(await network.idOf(song));
  const home = await network.newHome();
  const first = await network.run(['get', id, '-o', join(home, 'song.mp3'), '--json'], home);
  const begins = (listener: RunningCommand, path: string): Promise<true> =>
    until(
      'some of it is here',
      async () => (await lengthOf(`${path}.part-${listener.pid}`)) > song.length / 10,
    );
  await begins(first, join(home, 'song.mp3'));
  // However long another program takes to begin, this one is not done before.
  first.kill('SIGSTOP');
  const target = join(await network.newHome(), 'song.mp3');
  const second = await network.run(['get', id, '-o', target, '--json']);
  await begins(second, target);
  first.kill('SIGCONT');
  t.equal(await second.exitCode(), 0, second.stderr);
  t.equal(await first.exitCode(), 0, first.stderr);
  t.ok((await readFile(target)).equals(song));
  const ports = hosts.map(({ port }) => String(port));
  const others = reportOf(second).sources.filter(({ host }) => !ports.includes(host.split(':')[1]!));
  t.ok(others.length > 0, JSON.stringify([reportOf(second), reportOf(first)]));
});

const told = t.test(
  'the tracker is told of swarms in HELLO, and nobody with --no-swarm',
  besideOthers(),
  async t => {
    const network = world.during(t);
    const hellos: Hello[] = [];
    const tracker = await listenTsp(t, async client => {
      const { hello } = await client.await('HELLO');
      hellos.push(hello);
      client.destroy();
    });
    const at = ['--headless', '--json', '--port', '0', '--tracker', `127.0.0.1:${tracker.port}`];
    for (const [args, said] of [
      [['--share-cache'], true],
      [['--no-swarm'], false],
    ] as const) {
      const home = await network.newHome();
      const peer = await spawnCommand(t, 'tsp-peer', [...at, ...args], { home });
      const { port } = await peer.ready();
      const hello = await until('it has said HELLO', () => hellos.shift());
      const { features, swarmPort } = (await welcomeOf({ port })) as Hello;
      t.same(
        { features: hello.features, swarmPort: hello.swarmPort },
        { features, swarmPort },
        'as in WELCOME',
      );
      t.same(features, said ? ['swarm'] : undefined);
      t.equal(typeof swarmPort, said ? 'number' : 'undefined');
      await peer.end();
      hellos.length = 0;
    }
  },
);

await Promise.all([fed, mixed, unheard, given, told]);
