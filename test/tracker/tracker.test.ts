import t from 'tap';
import { hashOf } from './registry-contract.js';
import { listOf, registerHost, registerListener, song, startTracker } from './tracker-fixture.js';

t.test('a host registers, and its songs are in the list', async t => {
  for (const init of [true, false]) {
    const tracker = await startTracker(t);
    const host = await registerHost(t, tracker, { init, songs: [song(1, { artist: 'A', duration: 1.5 })] });
    t.strictSame(host.ids, [{ hash: hashOf(1), id: 1 }]);
    t.strictSame(host.listed, [`:${host.port}`]);
    const first = await host.client.receive('BROADCAST_LIST');
    t.strictSame(first.rows[0], { whole: true });
    t.strictSame(await listOf(t, tracker), [
      {
        id: 1,
        hash: hashOf(1),
        title: 'Song 1',
        artist: 'A',
        duration: 1.5,
        hosts: [`:${host.port}`],
        hostCount: 1,
      },
    ]);
    const listener = await registerListener(t, tracker);
    t.equal(listener.list.rows.length, 2);
    host.client.send({ type: 'QUIT' });
    const gone = await listener.client.receive('BROADCAST_LIST');
    t.strictSame(gone.rows, [{ host: `:${host.port}`, gone: true }]);
    t.strictSame(await listOf(t, tracker), []);
  }
});
