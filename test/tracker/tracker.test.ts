/** Registration, restarts, and who may change what (TSP §5.1, §5.2), over real sockets. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { openDisk } from '../../src/disk.js';
import { LmdbRegistry } from '../../tracker/registry/lmdb.js';
import { hashOf } from '../support/content.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp, listenTsp, netcat } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import {
  ended,
  registerHost,
  registerListener,
  settledList,
  song,
  songServer,
  startTracker,
} from './tracker-fixture.js';

t.test('a host registers by INIT or HELLO, is listed, and QUIT takes it out again', async t => {
  for (const init of [true, false]) {
    const tracker = await startTracker(t);
    const host = await registerHost(t, tracker, {
      init,
      songs: [song(1, { artist: 'A', duration: 1.5, vbr: false })],
    });
    t.strictSame(host.ids, [{ hash: hashOf(1), id: 1 }]);
    t.strictSame(host.listed, [`:${host.port}`]);
    const first = await host.client.receive('BROADCAST_LIST');
    t.strictSame(first.rows[0], { whole: true });
    t.strictSame(await settledList(t, tracker), [
      {
        id: 1,
        hash: hashOf(1),
        title: 'Song 1',
        artist: 'A',
        duration: 1.5,
        vbr: false,
        hosts: [`:${host.port}`],
        hostCount: 1,
      },
    ]);
    t.match(tracker.tracker.status(), { songs: 1, hosts: 1, peers: 1, ids: 1 });
    const listener = await registerListener(t, tracker);
    t.equal(listener.list.rows.length, 2);
    host.client.send({ type: 'QUIT' });
    const gone = await listener.client.receive('BROADCAST_LIST');
    t.strictSame(gone.rows, [{ host: `:${host.port}`, gone: true }]);
    t.strictSame(await settledList(t, tracker), []);
    await ended(host.client);
  }
});

t.test('WELCOME names the tracker, and what it was told', async t => {
  const tracker = await startTracker(t, { name: 'den', maxSongsPerPeer: 7 });
  const { welcome } = await registerListener(t, tracker);
  t.match(welcome, { tsp: 1, agent: 'torero/test', name: 'den', maxSongs: 7, listed: [] });
  t.match(welcome.tracker, /^[0-9a-f]{16}$/);
});

t.test('with broadcasts:false there are none', async t => {
  const tracker = await startTracker(t);
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'HELLO', port: 0, hello: { tsp: 1, broadcasts: false } });
  await client.receive('WELCOME');
  await registerHost(t, tracker, { songs: [song(1)] });
  client.send({ type: 'PING', value: 5 });
  t.match(await client.next(), { type: 'PONG', value: 5 });
});

t.test('the same bytes at two hosts are one song with two hosts', async t => {
  const tracker = await startTracker(t);
  const one = await registerHost(t, tracker, { songs: [song(1, { title: 'first' })] });
  const two = await registerHost(t, tracker, { songs: [song(1, { title: 'second' }), song(2)] });
  t.equal(one.idOf(1), two.idOf(1));
  t.match(await settledList(t, tracker), [
    { id: 1, title: 'first', hosts: [`:${one.port}`, `:${two.port}`], hostCount: 2 },
    { id: 2, hosts: [`:${two.port}`] },
  ]);

  two.client.send({ type: 'UPDATE', changes: [song(1, { title: 'mine now' })] });
  t.strictSame((await two.client.await('SONG_IDS')).rows, [{ hash: hashOf(1), id: 1 }]);
  t.match(
    await settledList(t, tracker),
    [{ title: 'first' }, {}],
    'the longest-standing host’s row is shown',
  );

  two.client.send({ type: 'UPDATE', changes: [{ hash: hashOf(1), gone: true }, song(3)] });
  t.strictSame((await two.client.await('SONG_IDS')).rows, [{ hash: hashOf(3), id: 3 }]);
  t.match(await settledList(t, tracker), [
    { id: 1, hosts: [`:${one.port}`], hostCount: 1 },
    { id: 2 },
    { id: 3 },
  ]);

  one.client.destroy();
  await until('its song left with it', () => tracker.tracker.status().songs === 2);
  t.equal((await settledList(t, tracker)).length, 2);
});

t.test('when the longest-standing host leaves, the next one’s row is shown', async t => {
  const tracker = await startTracker(t);
  const one = await registerHost(t, tracker, { songs: [song(1, { title: 'first', artist: 'A' })] });
  await registerHost(t, tracker, { songs: [song(1, { title: 'second' })] });
  await settledList(t, tracker);
  const { client } = await registerListener(t, tracker);
  one.client.destroy('reset');
  const { rows } = await client.receive('BROADCAST_LIST');
  t.match(rows[0], { host: `:${one.port}`, gone: true });
  t.match(
    rows.slice(1),
    [
      { id: 1, hosts: [] },
      { id: 1, title: 'second' },
    ],
    'a field that vanished: a new row',
  );
});

t.test('a host that says it is local is listed as 127.0.0.1', async t => {
  const tracker = await startTracker(t);
  const host = await registerHost(t, tracker, { hello: { local: true }, songs: [song(1)] });
  t.strictSame(host.listed, [`127.0.0.1:${host.port}`]);
});

t.test('IDs, rows and the tracker’s name are those of before a restart, also after a crash', async t => {
  const folder = await tempFolder(t);
  const first = await startTracker(t, { dataDir: folder });
  const songs = Array.from({ length: 20 }, (_, n) => song(n, { album: 'kept' }));
  const before = await registerHost(t, first, { songs, hello: { instance: 'i-1' } });
  const name = first.tracker.status().tracker;
  // As a crash leaves it: the store of a tracker that never stopped.
  const copy = await LmdbRegistry.open(join(folder, 'registry'), { randomBytes, openDisk });
  t.equal([...copy.hosts()].length, 1);
  t.equal(copy.idCount, 20);
  await copy.close();
  await first.tracker.stop();

  const clock = new VirtualClock();
  const second = await startTracker(t, { dataDir: folder, clock });
  t.equal(second.tracker.status().tracker, name);
  t.match(second.tracker.status(), { songs: 20, hosts: 0, awaitedHosts: 1 });
  t.equal((await settledList(t, second)).length, 20, 'still listed, awaiting its host');
  const asker = await connectTsp(t, second.port);
  asker.send({ type: 'INFO', song: 0 });
  const all = (await asker.receive('SONG_INFO')).rows.map(({ id }) => id);
  t.same(
    all,
    songs.map((_, index) => index + 1),
    'in the order of IDs, though the store has another',
  );

  const after = await registerHost(t, second, {
    songs: [...songs.slice(1), song(99)],
    hello: { instance: 'i-1' },
  });
  for (let n = 1; n < 20; n += 1) t.equal(after.idOf(n), before.idOf(n));
  t.equal(after.idOf(99), 21, 'no ID twice');
  t.match(second.tracker.status(), { songs: 20, hosts: 1, awaitedHosts: 0 });
  const list = await settledList(t, second);
  t.notOk(
    list.some(row => row.hash === hashOf(0)),
    'what it has no more has left',
  );
  t.same(list[0]?.hosts, [`:${after.port}`], 'the old address is gone');
});

t.test('a host that does not return within 45 s of a restart leaves the list and the store', async t => {
  const folder = await tempFolder(t);
  const first = await startTracker(t, { dataDir: folder });
  await registerHost(t, first, { songs: [song(1)] });
  await first.tracker.stop();
  const clock = new VirtualClock();
  const second = await startTracker(t, { dataDir: folder, clock });
  clock.advance(44_999);
  t.equal(second.tracker.status().songs, 1);
  clock.advance(1);
  await until('it has left', () => second.tracker.status().songs === 0);
  await second.tracker.stop();
  const third = await startTracker(t, { dataDir: folder });
  t.match(third.tracker.status(), { songs: 0, awaitedHosts: 0, ids: 1 });
});

t.test('a newly proven registration with the same instance or address ends the older', async t => {
  const tracker = await startTracker(t);
  const old = await registerHost(t, tracker, { songs: [song(1), song(2)], hello: { instance: 'me' } });
  const fresh = await registerHost(t, tracker, { songs: [song(2), song(3)], hello: { instance: 'me' } });
  t.match((await old.client.await('ERROR')).error, { code: 'replaced' });
  await ended(old.client);
  t.match(await settledList(t, tracker), [
    { id: 2, hosts: [`:${fresh.port}`] },
    { id: 3, hosts: [`:${fresh.port}`] },
  ]);
  t.match(tracker.tracker.status(), { hosts: 1 });

  // A song server that proves itself for whoever registered last.
  const both = [await connectTsp(t, tracker.port), await connectTsp(t, tracker.port)] as const;
  let who: 0 | 1 = 0;
  const { port } = await listenTsp(t, async peer => {
    const { value } = await peer.receive('PING');
    both[who].send({ type: 'PONG', value });
  });
  await registerHost(t, tracker, {
    client: both[0],
    songPort: port,
    songs: [song(4)],
    hello: { instance: 'a' },
  });
  who = 1;
  await registerHost(t, tracker, {
    client: both[1],
    songPort: port,
    songs: [song(5)],
    hello: { instance: 'me' },
  });
  t.match((await both[0].await('ERROR')).error, { code: 'replaced' });
  t.match((await fresh.client.await('ERROR')).error, { code: 'replaced' });
  t.match(await settledList(t, tracker), [{ hash: hashOf(5), hosts: [`:${port}`] }]);
  t.match(tracker.tracker.status(), { hosts: 1 });
});

t.test(
  'an address that is proven no more leaves the list, and its songs return with the next proof',
  async t => {
    const clock = new VirtualClock();
    const tracker = await startTracker(t, { clock });
    const host = await registerHost(t, tracker, { songs: [song(1), song(2)] });
    clock.advance(10_000);
    host.client.send({ type: 'INIT', port: 1 });
    t.match((await host.client.await('ERROR')).error, { code: 'unreachable' });
    t.strictSame((await host.client.await('WELCOME')).welcome.listed, []);
    t.strictSame(await settledList(t, tracker), []);
    clock.advance(10_000);
    const { port } = await songServer(t, host.client);
    host.client.send({ type: 'INIT', port });
    t.equal((await host.client.await('SONG_IDS')).rows.length, 2);
    t.match(await settledList(t, tracker), [{ id: 1, hosts: [`:${port}`] }, { id: 2 }]);
  },
);

t.test(
  'who can’t be reached is told so, stays as a listener, and UPDATE is kept until a later proof',
  async t => {
    const clock = new VirtualClock();
    const tracker = await startTracker(t, { clock });
    const client = await connectTsp(t, tracker.port);
    const open = { value: false };
    const { port } = await listenTsp(t, async peer => {
      const { value } = await peer.receive('PING');
      peer.send({ type: 'PONG', value });
      if (open.value) client.send({ type: 'PONG', value });
      else for (let n = 0; n < 64; n += 1) client.send({ type: 'PONG', value: value === n ? 1_000 : n });
    });
    client.send({ type: 'INIT', port });
    await client.receive('LIST');
    client.sendRows({ type: 'LIST_INFO', revision: 0 }, [song(1), song(2)]);
    t.match((await client.receive('ERROR')).error, { code: 'unreachable', type: 0, retryAfterMs: 300_000 });
    t.strictSame((await client.receive('WELCOME')).welcome.listed, []);
    await client.receive('BROADCAST_LIST');
    client.send({ type: 'UPDATE', changes: [song(3), { hash: hashOf(1), gone: true }] });
    t.strictSame((await client.receive('SONG_IDS')).rows, [{ hash: hashOf(3), error: 'unreachable' }]);
    t.equal(tracker.tracker.status().ids, 0, 'no ID is burnt');

    open.value = true;
    for (let passed = 0; passed < 300_000; passed += 10_000) {
      clock.advance(10_000);
      client.send({ type: 'PING', value: 1 });
      await client.await('PONG');
    }
    const { rows } = await client.await('SONG_IDS');
    t.strictSame(
      rows.map(row => row.hash),
      [hashOf(2), hashOf(3)],
    );
    t.match(tracker.tracker.status(), { songs: 2, hosts: 1 });
  },
);

t.test('INIT again proves a new address and keeps the songs; at most one each 10 s', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { clock });
  const host = await registerHost(t, tracker, { songs: [song(1)] });
  await host.client.receive('BROADCAST_LIST');
  clock.advance(1_000);
  host.client.send({ type: 'INIT', port: 0 });
  t.match((await host.client.await('ERROR')).error, { code: 'refused', type: 0, retryAfterMs: 9_000 });
  clock.advance(9_000);
  const { port } = await songServer(t, host.client);
  host.client.send({ type: 'INIT', port });
  t.strictSame((await host.client.await('SONG_IDS')).rows, []);
  t.strictSame((await host.client.await('WELCOME')).welcome.listed, [`:${port}`]);
  t.match(await settledList(t, tracker), [{ id: 1, hosts: [`:${port}`] }]);

  clock.advance(10_000);
  host.client.send({ type: 'INIT', port: 0 });
  t.strictSame((await host.client.await('WELCOME')).welcome.listed, []);
  t.strictSame(await settledList(t, tracker), [], 'only listening now');
});

t.test('silence ends a registration after 45 s, and PING comes after 15', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { clock });
  const host = await registerHost(t, tracker, { songs: [song(1)] });
  clock.advance(15_000);
  await host.client.await('PING');
  clock.advance(29_999);
  t.equal(tracker.tracker.status().songs, 1);
  clock.advance(1);
  t.equal(tracker.tracker.status().songs, 0);
  clock.advance(1_000);
  await ended(host.client);
});

t.test('a tracker that can’t listen lets go of its data', async t => {
  const folder = await tempFolder(t);
  const first = await startTracker(t, { dataDir: folder });
  await registerHost(t, first, { songs: [song(1)] });
  await first.tracker.stop();
  t.equal(first.tracker.status().tracker, undefined);
  await first.tracker.stop();
  const other = await startTracker(t);
  await t.rejects(startTracker(t, { dataDir: folder, port: other.port }), { code: 'EADDRINUSE' });
  const again = await startTracker(t, { dataDir: folder });
  t.equal(again.tracker.status().songs, 1);
  const client = await connectTsp(t, again.port);
  client.send({ type: 'FIND', words: 'song' });
  t.equal((await client.receive('SONG_INFO')).rows.length, 1);
});

t.test('light clients ask everything, and a half-close gets every answer', async t => {
  const tracker = await startTracker(t);
  const host = await registerHost(t, tracker, {
    songs: [song(1, { album: 'Best', size: 9 }), song(2, { title: 'Ätna', artist: 'Vulcan' })],
  });
  const client = await connectTsp(t, tracker.port);
  client.send(
    { type: 'LIST' },
    { type: 'INFO', song: host.idOf(1) },
    { type: 'INFO', song: 0 },
    { type: 'FIND', words: 'atna vul' },
    { type: 'PLAY', song: host.idOf(2) },
    { type: 'RANGE', song: 0, offset: 0, count: 0, hash: hashOf(1) },
    { type: 'RANGE', song: host.idOf(2), offset: 0, count: 0, hash: hashOf(1) },
    { type: 'INFO', song: 77 as never },
    { type: 'HASHES', song: host.idOf(1), level: 6 },
    { type: 'UPDATE', changes: [] },
    { type: 'PING', value: 3 },
  );
  client.write('\x1f\0\0\0\0');
  client.end();
  const answers = await client.drain();
  t.match(answers, [
    { type: 'LIST_INFO', rows: [{ id: 1 }, { id: 2 }] },
    { type: 'SONG_INFO', song: 1, rows: [{ id: 1, album: 'Best', size: 9, hosts: [`:${host.port}`] }] },
    { type: 'SONG_INFO', song: 0, rows: [{ id: 1 }, { id: 2 }] },
    { type: 'SONG_INFO', song: 0, rows: [{ id: 2, title: 'Ätna' }] },
    { type: 'SONG_INFO', song: 2, rows: [{ id: 2 }] },
    { type: 'SONG_INFO', song: 0, rows: [{ id: 1 }] },
    { type: 'ERROR', song: 2, error: { code: 'song-changed', type: 0x41 } },
    { type: 'ERROR', song: 77, error: { code: 'no-such-song', type: 2 } },
    { type: 'ERROR', error: { code: 'unknown-type', type: 0x44 } },
    { type: 'ERROR', error: { code: 'not-registered', type: 0x43 } },
    { type: 'PONG', value: 3 },
    { type: 'ERROR', error: { code: 'unknown-type', type: 0x1f } },
  ]);
  t.equal(answers.length, 12);
  t.equal((await netcat(t, tracker.port, '\x06\0\0\0\x2a')).toString('hex'), '070000002a');
});
