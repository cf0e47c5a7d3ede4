/**
 * More listeners than a host wants: hundreds from one address, hundreds that take nothing, more than there are descriptors.
 * Whoever came honestly gets its song byte for byte, and what was held for the others is given back.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { queueKey, readSendQueues } from '../../peer/hosting/send-queues.js';
import { encode } from '../../protocol/tsp/codec.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { connectFrom, gone, inTurns, range } from '../support/crowd.js';
import { mp3Bytes } from '../support/mp3.js';
import { type Network, openNetwork, type RunningHost } from '../support/network.js';
import { noProc } from '../support/proc.js';
import { commandPath, spawnProgram } from '../support/spawn-command.js';
import { watchSurvivor } from '../support/survivor.js';
import { TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const MIB = 1024 * 1024;
const SONG = mp3Bytes({ seconds: 60, bitrate: 320_000, seed: 1, title: 'Fandango' });
const network = await openNetwork(t);

/** One PLAY from address number `from`: the song, or why not. */
async function play(t: { teardown(end: () => unknown): unknown }, port: number, song: SongId, from: number) {
  const client = new TspClient(await connectFrom(t, port, from));
  client.send({ type: 'PLAY', song });
  const answer = await client.next().catch(() => undefined);
  const payload = answer !== undefined && 'payload' in answer ? answer.payload : undefined;
  const code = answer?.type === 'ERROR' ? answer.error.code : undefined;
  return { client, payload, outcome: payload === undefined ? (code ?? 'closed') : 'song' };
}

t.test('five hundred connections from one address take nothing from the others', async t => {
  const host = await network.host({ songs: { 'a.mp3': SONG }, args: ['--slots', '0'] });
  const song = await network.idOf(SONG);
  const downloads = async () => {
    const { payload, client } = await play(t, host.port, song, 1);
    if (!payload?.equals(SONG)) throw new Error('the song came wrong');
    client.destroy();
  };
  const survivor = await watchSurvivor(host.command, downloads);
  const greedy = inTurns(range(500), 500, async () => {
    const { client, outcome } = await play(t, host.port, song, 2);
    t.match(outcome, /^(song|too-many|closed)$/);
    await gone(client.socket.end());
  });
  await inTurns(range(20), 4, async index => {
    const { payload, client } = await play(t, host.port, song, 3 + index);
    t.ok(payload?.equals(SONG), 'another address is served');
    client.destroy();
  });
  await greedy;
  await survivor.survived();
});

t.test(
  'two hundred listeners that take nothing cost a bounded memory, and others no byte',
  { skip: noProc },
  async t => {
    const host = await network.host({ songs: { 'a.mp3': SONG }, args: ['--slots', '0'] });
    const song = await network.idOf(SONG);
    const whole = Buffer.alloc(
      220 * MIB,
      mp3Bytes({ seconds: 60, bitrate: 320_000, seed: 3, title: 'Siguiriya' }),
    );
    await writeFile(join(host.folder, 'long.mp3'), whole);
    const long = await until('the long song is listed', async () => {
      return (await network.list()).find(({ title }) => title === 'Siguiriya')?.id as SongId | undefined;
    });
    const downloads = async () => {
      const { payload, client } = await play(t, host.port, song, 1);
      if (!payload?.equals(SONG)) throw new Error('the song came wrong');
      client.destroy();
    };
    const survivor = await watchSurvivor(host.command, downloads);
    const before = await residentBytes(host);
    // Each at a MiB of its own, so that no two share a slice.
    const stalled = await Promise.all(
      range(200).map(async index => {
        const socket = await connectFrom(t, host.port, 100 + index);
        socket.pause();
        socket.write(encode({ type: 'RANGE', song: long, offset: index * MIB, count: 0 }));
        return socket;
      }),
    );
    const keys = stalled.map(({ localPort }) => queueKey({ localPort: host.port, remotePort: localPort! }));
    await until('all are stalled', async () => {
      const queues = await readSendQueues();
      return keys.every(key => (queues.get(key) ?? 0) > 0);
    });
    for (let round = 0; round < 5; round += 1) await downloads();
    const grown = (await residentBytes(host)) - before;
    t.ok(grown < 220 * MIB, `${Math.round(grown / MIB)} MiB more than without them`);
    t.comment(`${Math.round(before / MIB)} MiB, then ${Math.round(grown / MIB)} more`);
    for (const socket of stalled) socket.destroy();
    await survivor.survived();
  },
);

async function residentBytes({ command }: RunningHost): Promise<number> {
  const status = await readFile(`/proc/${command.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

for (const limit of [80, 256]) {
  t.test(
    `a host that may open ${limit} files lives through a crowd and a shelf of songs`,
    { skip: noProc },
    async t => {
      const songs = range(60).map(seed =>
        mp3Bytes({ seconds: 1, bitrate: 32_000, seed: 100 + seed, title: titleOf(seed) }),
      );
      const host = await limitedHost(network.during(t), limit, songs);
      const ids = await Promise.all(songs.map(each => network.idOf(each)));
      const downloads = async () => {
        await until('the song comes', async () => {
          const { payload, client } = await play(t, host.port, ids[0]!, 1);
          client.destroy();
          return payload?.equals(songs[0]!);
        });
      };
      const survivor = await watchSurvivor(host.command, downloads);
      const silent = await Promise.all(range(300).map(index => connectFrom(t, host.port, 1_000 + index)));
      await downloads();
      for (const socket of silent) socket.destroy();
      const outcomes = new Map<string, number>();
      const spoilt: number[] = [];
      const held: TspClient[] = [];
      await inTurns(range(300), 300, async index => {
        const { client, payload, outcome } = await play(t, host.port, ids[index % 60]!, 2_000 + index);
        if (payload?.equals(songs[index % 60]!) === false) spoilt.push(index);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        held.push(client);
      });
      // Nor is there one for the sound, or for a thread that looks for songs; there is when the crowd has gone.
      host.command.write(`play ${ids[0]}\n`);
      await host.command.says(/"command":"play"/);
      t.comment(JSON.stringify([...outcomes]));
      t.same(spoilt, [], 'what comes is byte for byte');
      t.same(
        [...outcomes.keys()].filter(
          each => !['song', 'too-many', 'closed', 'unavailable', 'busy'].includes(each),
        ),
        [],
      );
      for (const client of held) client.destroy();
      await survivor.survived();
      t.ok(
        (await network.list()).some(({ id }) => id === ids[0]),
        'the tracker has it as ever',
      );
    },
  );
}

const titleOf = (seed: number): string => `Palo ${seed}`;

/** As Network.host, in a shell that lowers the limit for good. */
async function limitedHost(network: Network, limit: number, songs: readonly Buffer[]): Promise<RunningHost> {
  const home = await network.newHome();
  for (const [index, bytes] of songs.entries()) await writeFile(join(home, `${index}.mp3`), bytes);
  const words = [
    '--headless',
    '--json',
    '--library',
    home,
    '--port',
    '0',
    '--slots',
    '0',
    '--output',
    'null',
  ];
  const tracker = ['--tracker', `127.0.0.1:${network.trackerPort}`];
  // What the test runner loads into every Node would need descriptors, too.
  const line = 'unset NODE_OPTIONS NODE_V8_COVERAGE; ulimit -n "$0" && exec "$@"';
  const program = [process.execPath, commandPath('tsp-peer'), ...words, ...tracker];
  const command = await spawnProgram(
    network.t,
    'sh',
    ['-c', line, String(limit), ...program],
    { home },
    'tsp-peer',
  );
  const { port } = await command.ready();
  await network.listed(songs.at(-1)!, port);
  return { command, folder: home, home, port };
}
