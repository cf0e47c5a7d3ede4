/**
 * A thousand registered peers, each from an address of its own, that lose their tracker at once and all come back at once,
 * when it was killed and is there again: everybody is welcome, and every song has the ID that it had.
 */
import { join } from 'node:path';
import t from 'tap';
import { connectFrom, inTurns, range } from '../support/crowd.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { spawnCommand } from '../support/spawn-command.js';
import { stackTraceIn } from '../support/survivor.js';
import { TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const PEERS = 1_000;
const AT_ONCE = 100;
const SONGS = [1, 2, 3].map(seed => mp3Bytes({ seconds: 1, seed, title: `Seguiriya ${seed}` }));
const DEADLINE_MS = 60_000;

t.test('a thousand peers lose their tracker at once', { timeout: 120_000 }, async t => {
  const network = await openNetwork(t);
  const host = await network.host({
    songs: Object.fromEntries(SONGS.map((song, i) => [`${i}.mp3`, song])),
  });
  const ids = await Promise.all(SONGS.map(song => network.idOf(song)));

  const register = async (peer: number): Promise<TspClient> => {
    const client = new TspClient(await connectFrom(t, network.trackerPort, peer));
    client.send({ type: 'HELLO', port: 0, hello: { tsp: 1, broadcasts: false } });
    await client.await('WELCOME');
    return client;
  };
  const peers: TspClient[] = [];
  await inTurns(range(PEERS), AT_ONCE, async peer => peers.push(await register(peer)));
  network.tracker.kill('SIGKILL');
  await until('all know', () => peers.every(({ ended, socket }) => ended || socket.closed), DEADLINE_MS);
  for (const peer of peers) peer.destroy();

  const words = ['--port', String(network.trackerPort), '--host', '127.0.0.1'];
  const tracker = await spawnCommand(t, 'tsp-tracker', words, { home: join(network.folder, 'tracker') });
  await tracker.ready();
  const back: TspClient[] = [];
  await Promise.all(range(PEERS).map(async peer => back.push(await register(peer))));
  t.equal(back.length, PEERS, 'all are back');
  t.notOk(back.some(peer => peer.ended || peer.socket.destroyed));
  t.same(await Promise.all(SONGS.map(song => network.idOf(song))), ids, 'IDs are what they were');
  for (const song of SONGS) await network.listed(song, host.port);
  for (const peer of back) peer.destroy();
  t.equal(stackTraceIn(tracker.stderr), undefined);
});
