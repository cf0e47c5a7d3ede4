/**
 * A tracker that is killed twenty times while listeners register and ask: every ID stays that of its song, its host stays
 * listed, a song in flight arrives, and who comes back is told that nothing has changed.
 */
import { join } from 'node:path';
import t from 'tap';
import type { SongId } from '../../protocol/tsp/messages.js';
import { range } from '../support/crowd.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { spawnCommand } from '../support/spawn-command.js';
import { stackTraceIn } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';
import { registerListener } from '../tracker/tracker-fixture.js';

const KILLS = 20;
/** Connections that register and ask when it dies. */
const NEWCOMERS = 5;

/** Rejects when the tracker is gone before it has answered. */
async function asks(t: Teardown, port: number, song: SongId): Promise<void> {
  const client = await connectTsp(t, port);
  client.send({ type: 'HELLO', port: 0, hello: { tsp: 1 } }, { type: 'LIST' }, { type: 'INFO', song });
  await client.await('LIST_INFO');
}

t.test('a tracker that is killed twenty times under load', async t => {
  const network = await openNetwork(t, ['--max-per-address', '0']);
  const song = mp3Bytes({ seconds: 60, bitrate: 320_000, seed: 1, title: 'Alegrías' });
  const host = await network.host({ songs: { 'a.mp3': song }, args: ['--max-upload', '200k'] });
  const id = await network.idOf(song);
  const listener = await network.run(['get', String(id), '-o', '-']);
  await until('a song is in flight', () => listener.bytes.length > 0);

  const words = ['--port', String(network.trackerPort), '--host', '127.0.0.1', '--max-per-address', '0'];
  const idsOf = new Map<string, unknown>();
  let tracker = network.tracker;
  let toldAll = 0;
  for (let round = 0; round < KILLS; round += 1) {
    const crowd = range(NEWCOMERS).map(() => asks(t, network.trackerPort, id).catch(() => {}));
    for (const { id: given, hash } of await network.list()) {
      const known = idsOf.get(String(given)) ?? hash;
      t.equal(hash, known, `song ${given} is what it was`);
      idsOf.set(String(given), hash);
    }
    const before = await registerListener(t, { port: network.trackerPort });
    tracker.kill('SIGKILL');
    await tracker.exited;
    await Promise.all(crowd);
    t.equal(stackTraceIn(tracker.stderr), undefined);
    tracker = await spawnCommand(t, 'tsp-tracker', words, { home: join(network.folder, 'tracker') });
    await tracker.ready();
    t.equal(await network.idOf(song), id);
    const { revision } = before.list;
    const since = { tracker: before.welcome.tracker!, revision };
    const { list, client } = await registerListener(t, { port: network.trackerPort }, { since });
    // It may have been killed before a revision that it told was on disk.
    if (list.rows[0]?.whole === true) toldAll += 1;
    else t.strictSame(list.rows, [{ since: revision }]);
    client.destroy();
  }
  t.ok(toldAll < KILLS, `the whole list came ${toldAll} times`);
  t.equal(await listener.exitCode(), 0, listener.stderr);
  t.ok(listener.bytes.equals(song), 'the song in flight arrived');
  await network.listed(song, host.port);
  t.ok(host.command.running);
  t.equal(stackTraceIn(host.command.stderr), undefined);
});
