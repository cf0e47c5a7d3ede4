/**
 * What a listener keeps of a song, with the real commands: killed in the middle of it and started again, it is given only
 * what is missing, by RANGE or through the swarm; with --no-serve nobody is given any of it meanwhile, and with
 * --share-cache everybody is afterwards.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import { besideOthers } from '../support/beside-others.js';
import { honestBut } from '../support/honest-host.js';
import { mp3Bytes } from '../support/mp3.js';
import { hashOf, type Network, openNetwork } from '../support/network.js';
import type { RunningCommand } from '../support/spawn-command.js';
import { until } from '../support/until.js';

// They mostly wait for slow lines.
t.jobs = 2;
const world = await openNetwork(t, ['--max-per-address', '0']);

/** Of 320 kbit/s, 1.6 MB: less than a peer fetches ahead of its player. */
const newSong = (seed: number): Buffer =>
  mp3Bytes({ seconds: 40, bitrate: 320_000, seed, title: `Fandango ${seed}` });

/** A peer at its prompt, and what it keeps of a song. */
async function startPeer(
  network: Network,
  home: string,
  args: readonly string[] = [],
): Promise<RunningCommand> {
  const peer = await network.run(['--json', '--port', '0', '--output', 'null', ...args], home);
  await peer.says(/"event":"list"/);
  return peer;
}

const cachedFile = async (home: string, name: string): Promise<Buffer | undefined> => {
  const folders = await readdir(join(home, 'cache'), { recursive: true }).catch(() => []);
  const path = folders.find(file => file.endsWith(name));
  return path === undefined ? undefined : await readFile(join(home, 'cache', path)).catch(() => undefined);
};

/** The pieces that the map says are on disk. */
const keptOf = async (home: string, song: Buffer): Promise<number[]> => {
  const map = (await cachedFile(home, `${hashOf(song)}.map`)) ?? Buffer.alloc(0);
  return [...map].flatMap((bits, place) =>
    [0, 1, 2, 3, 4, 5, 6, 7].flatMap(bit => ((bits >> bit) & 1 ? [place * 8 + bit] : [])),
  );
};

const bytesIn = (song: Buffer, pieces: readonly number[]): number =>
  pieces.reduce(
    (sum, piece) => sum + song.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES).length,
    0,
  );

/** Plays the song until enough of it is kept, and is killed. Which pieces are on disk then. */
async function breakOff(network: Network, home: string, song: Buffer, pieces: number): Promise<number[]> {
  const listener = await startPeer(network, home);
  listener.write(`play ${await network.idOf(song)}\n`);
  await until(
    () => `some of it is kept: ${listener.stdout.slice(-2_000)}`,
    async () => (await keptOf(home, song)).length >= pieces,
  );
  listener.kill('SIGKILL');
  await listener.exited;
  return await keptOf(home, song);
}

const sourcesOf = (row: unknown): readonly { readonly host: string; readonly bytes: number }[] =>
  (row as { sources: { host: string; bytes: number }[] }).sources;

/** Plays it again until it is whole on disk. Who gave how much. */
async function playAgain(
  t: Test,
  network: Network,
  home: string,
  song: Buffer,
): Promise<Map<string, number>> {
  const listener = await startPeer(network, home);
  listener.write(`play ${await network.idOf(song)}\n`);
  const whole = await until('it is whole', () => cachedFile(home, `${hashOf(song)}.mp3`));
  t.ok(whole.equals(song), 'byte-exact');
  listener.write('stop\n');
  await listener.says(/"event":"ended"/);
  const ended = listener.rows.find(({ event }) => event === 'ended');
  await listener.end();
  return new Map(sourcesOf(ended).map(({ host, bytes }) => [host, bytes]));
}

const resumedByRange = t.test(
  'a host is asked for what is missing, and for nothing else',
  besideOthers(),
  async t => {
    const network = world.during(t);
    const song = newSong(601);
    const count = Math.ceil(song.length / PIECE_BYTES);
    const asked: number[] = [];
    // Half of the song, and then silence, however much it is asked for at a time.
    const silentFrom = Math.floor(count / 2) * PIECE_BYTES;
    let isOpen = false;
    const honest = honestBut(song, (client, offset, bytes) => {
      asked.push(
        ...Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, i) => offset / PIECE_BYTES + i),
      );
      client.write(isOpen ? bytes : bytes.subarray(0, Math.max(0, silentFrom - offset)));
    });
    await network.scriptedHost(song, honest);
    const home = await network.newHome();
    const kept = await breakOff(network, home, song, count / 4);
    isOpen = true;
    asked.length = 0;
    const sources = await playAgain(t, network, home, song);
    t.same(
      new Set(asked),
      new Set(Array.from({ length: count }, (_, i) => i).filter(piece => !kept.includes(piece))),
    );
    t.equal(sources.get('cache'), bytesIn(song, kept));
  },
);

/** At its prompt, so that it can be asked what it sent. */
async function startHost(network: Network, song: Buffer): Promise<{ sentBytes(): Promise<number> }> {
  const home = await network.newHome();
  await writeFile(join(home, 'song.mp3'), song);
  const host = await startPeer(network, home, ['--library', home, '--max-upload', '150k']);
  await host.says(/"event":"library"/);
  return {
    sentBytes: async () => {
      const before = host.rows.length;
      host.write('status\n');
      const status = await until('its status', () => host.rows.slice(before).find(row => 'hosting' in row));
      return (status.hosting as { sentBytes: number }).sentBytes;
    },
  };
}

const resumedInSwarm = t.test('two hosts of a swarm give what is missing', besideOthers(), async t => {
  const network = world.during(t);
  const song = newSong(602);
  const hosts = [await startHost(network, song), await startHost(network, song)];
  const sentBytes = async (): Promise<number> => {
    const sent = await Promise.all(hosts.map(host => host.sentBytes()));
    return sent[0]! + sent[1]!;
  };
  await until('both are listed', async () =>
    (await network.list()).some(
      ({ hash, hosts: at }) => hash === hashOf(song) && (at as string[]).length === 2,
    ),
  );
  const home = await network.newHome();
  const kept = await breakOff(network, home, song, (0.3 * song.length) / PIECE_BYTES);
  const before = await sentBytes();
  const sources = await playAgain(t, network, home, song);
  const keptBytes = bytesIn(song, kept);
  t.equal(sources.get('cache'), keptBytes);
  t.equal(
    [...sources.values()].reduce((sum, bytes) => sum + bytes, 0),
    song.length,
  );
  const sent = (await sentBytes()) - before;
  // Headers and proofs, and what was asked of two because one was late.
  const most = 1.5 * (song.length - keptBytes) + 4 * PIECE_BYTES;
  t.ok(sent < most, `${sent} bytes were sent for ${song.length - keptBytes}`);
});

const notServed = t.test(
  '--no-serve gives nothing while it fetches, --share-cache all of it afterwards',
  besideOthers(),
  async t => {
    const network = world.during(t);
    const song = newSong(603);
    const hosts = await Promise.all(
      [1, 2].map(() => network.host({ songs: { 'a.mp3': song }, args: ['--max-upload', '300k'] })),
    );
    const id = String(await network.idOf(song));
    const home = await network.newHome();
    const first = await startPeer(network, home, ['--no-serve']);
    first.write(`play ${id}\n`);
    await until('some of it is kept', async () => (await keptOf(home, song)).length >= 3);
    const second = await network.run(['get', id, '-o', join(home, 'second.mp3'), '--json']);
    t.equal(await second.exitCode(), 0, second.stderr);
    const ports = hosts.map(({ port }) => String(port));
    for (const { host } of sourcesOf(second.rows.at(-1))) t.ok(ports.includes(host.split(':')[1]!), host);
    await until('it is whole', () => cachedFile(home, `${hashOf(song)}.mp3`));
    await first.end();
    await startPeer(network, home, ['--no-serve', '--share-cache']);
    await until('the cache is shared', async () =>
      (await network.list()).some(
        ({ hash, hosts: at }) => hash === hashOf(song) && (at as string[]).length === 3,
      ),
    );
    for (const { command } of hosts) command.kill('SIGKILL');
    const target = join(home, 'third.mp3');
    const third = await network.run(['get', id, '-o', target]);
    t.equal(await third.exitCode(), 0, third.stderr);
    t.ok((await readFile(target)).equals(song));
  },
);

await Promise.all([resumedByRange, resumedInSwarm, notServed]);
