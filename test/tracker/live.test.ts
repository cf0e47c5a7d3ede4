/** Live feeds in the list: known by the feed, over restarts and from host to host. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import { connectTsp } from '../support/tsp-client.js';
import { ended, registerHost, registerListener, settledList, song, startTracker } from './tracker-fixture.js';

const FEED = 'c0ffee00'.repeat(8) as ContentHash;
const wire = (fields: object = {}): object => ({ live: true, feed: FEED, title: 'Radio', ...fields });
/** As a host writes it, which knows no row of ours. */
const offered = (fields: object = {}): OfferRow => wire(fields) as unknown as OfferRow;

t.test('a feed is listed by its ID, retitled, and leaves', async t => {
  const tracker = await startTracker(t);
  const host = await registerHost(t, tracker, { songs: [song(1), offered()] });
  const [, row] = host.ids as { id: number; hash: string }[];
  t.equal(row?.hash, FEED, 'SONG_IDS names it as it names a song');
  const listener = await registerListener(t, tracker);
  t.match(
    listener.list.rows.find(each => each.id === row?.id),
    { live: true, feed: FEED, title: 'Radio', hostCount: 1 },
  );
  const [listed] = (await settledList(t, tracker)).filter(each => each.live === true);
  t.notOk('hash' in listed!);
  host.client.send({
    type: 'UPDATE',
    changes: [{ hash: FEED, live: true, title: 'So What', bitrate: 128_000 }],
  });
  t.match((await host.client.await('SONG_IDS')).rows, [{ hash: FEED, id: row?.id }]);
  t.match((await listener.client.await('BROADCAST_LIST')).rows, [{ id: row?.id, title: 'So What' }]);
  listener.client.send({ type: 'INFO', song: row!.id as never });
  t.match((await listener.client.await('SONG_INFO')).rows, [{ live: true, feed: FEED, bitrate: 128_000 }]);
  host.client.send({ type: 'UPDATE', changes: [{ hash: FEED, gone: true }] });
  t.same((await listener.client.await('BROADCAST_LIST')).rows, [{ id: row?.id, hosts: [] }]);
});

t.test('a relay is another host of the same feed, and the list shows the source', async t => {
  const tracker = await startTracker(t);
  const source = await registerHost(t, tracker, { songs: [offered()] });
  const relay = await registerHost(t, tracker, { songs: [offered({ title: 'Radio', relay: true })] });
  t.same(relay.ids, source.ids);
  const [both] = await settledList(t, tracker);
  t.match(both, { feed: FEED, hostCount: 2 });
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'INFO', song: 0 });
  t.notOk('relay' in (await client.receive('SONG_INFO')).rows[0]!);
  source.client.send({ type: 'QUIT' });
  await ended(source.client);
  const [left] = await settledList(t, tracker);
  t.match(left, { id: both?.id, feed: FEED, hostCount: 1 }, 'it stays while a relay has it');
});

t.test('its ID survives the tracker and the silence between two broadcasts', async t => {
  const store = new MemoryStore();
  const open = () => startTracker(t, { registry: new MemoryRegistry({ randomBytes }, store) });
  const first = await open();
  await registerHost(t, first, { songs: [song(1)] });
  const before = await registerHost(t, first, { songs: [offered()] });
  await first.tracker.stop();
  const second = await open();
  const again = await registerHost(t, second, { songs: [offered()] });
  t.same(again.ids, before.ids);
});

t.test('nobody makes a song of a feed', async t => {
  const tracker = await startTracker(t);
  await registerHost(t, tracker, { songs: [offered()] });
  const other = await registerHost(t, tracker, { songs: [{ hash: FEED, title: 'Squatted' }] });
  t.same(other.ids, [{ hash: FEED, error: 'refused' }]);
  t.match(await settledList(t, tracker), [wire({ hostCount: 1 })]);
});
