/** Songs that are offered and not listed: bounded over all, and who cannot be listed makes room for who can. */
import t, { type Test } from 'tap';
import type { OfferRow } from '../../protocol/tsp/rows.js';
import { Member } from '../../tracker/member.js';
import { Offers } from '../../tracker/offers.js';
import { hashOf } from '../support/content.js';
import { connectTsp, listenTsp, type TspClient } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { ended, registerHost, song, songServer, startTracker } from './tracker-fixture.js';

const library = (first: number, count: number): OfferRow[] =>
  Array.from({ length: count }, (_, n) => song(first + n));

/** A peer with songs whose port nobody may be dialled at. */
async function registerUnreachable(
  t: Test,
  tracker: { port: number },
  songs: readonly OfferRow[],
): Promise<TspClient> {
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'INIT', port: 1 });
  await client.receive('LIST');
  client.sendRows({ type: 'LIST_INFO', revision: 0 }, songs);
  t.match((await client.receive('ERROR')).error, { code: 'unreachable' });
  await client.receive('WELCOME');
  await client.receive('BROADCAST_LIST');
  return client;
}

t.test('songs of who cannot be reached keep nobody out who can', async t => {
  const tracker = await startTracker(t, { maxSongs: 5 });
  const few = await registerUnreachable(t, tracker, library(1, 2));
  const most = await registerUnreachable(t, tracker, library(3, 3));
  const { ids } = await registerHost(t, tracker, { songs: library(11, 3) });
  t.match(ids, [{ id: 1 }, { id: 2 }, { id: 3 }]);
  for (const client of [few, most]) await client.await('BROADCAST_LIST', ({ rows }) => rows.length === 3);
  t.equal(tracker.tracker.status().peers, 3, 'they are listeners still');
});

t.test('however many songs it has who can be reached, and however few each of the others', async t => {
  const tracker = await startTracker(t, { maxSongs: 5 });
  for (let n = 1; n <= 5; n += 1) await registerUnreachable(t, tracker, library(n, 1));
  const { ids } = await registerHost(t, tracker, { songs: library(11, 4) });
  t.match(ids, [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }]);
});

t.test('a library that is larger than the list may be is listed as far as there is room', async t => {
  const tracker = await startTracker(t, { maxSongs: 3 });
  const { ids } = await registerHost(t, tracker, { songs: library(1, 5) });
  t.match(ids, [{ error: 'refused' }, { error: 'refused' }, { id: 1 }, { id: 2 }, { id: 3 }]);
});

t.test('a library many times as large as a quota is listed as far as that goes, too', async t => {
  const tracker = await startTracker(t, { maxSongsPerPeer: 2 });
  const { ids } = await registerHost(t, tracker, { songs: library(1, 400) });
  t.equal(ids.filter(({ error }) => error === 'refused').length, 398);
  t.match(ids.slice(-2), [{ id: 1 }, { id: 2 }]);
});

t.test('what is refused of all libraries together is bounded', async t => {
  const offers = new Offers({ maxSongs: 3, maxSongsPerPeer: 1 }, new VirtualClock(), 3);
  const member = (): Member => new Member('192.0.2.1', '192.0.2.1', () => {});
  const [first, second, other] = [member(), member(), member()];
  offers.take(other, library(31, 1));
  offers.rest(other);
  offers.take(first, library(1, 4));
  t.throws(() => offers.take(first, library(5, 1)), { code: 'unavailable' });
  t.notOk(other.isIncomplete, 'of whom nothing was refused, nothing is to be had');
  offers.rest(first);
  offers.take(second, library(11, 4));
  t.strictSame([first.offers.size, first.refused.length, first.isIncomplete], [0, 0, true]);
  t.equal(offers.takeRefused(second).length, 3);
  t.doesNotThrow(() => offers.take(second, library(21, 3)), 'and there is room for as many again');
});

t.test('who has told its list for half a minute makes room, and holds no more of it', async t => {
  const clock = new VirtualClock();
  const offers = new Offers({ maxSongs: 3, maxSongsPerPeer: 3 }, clock);
  const member = (): Member => new Member('192.0.2.1', '192.0.2.1', () => {});
  const [slow, quick, last] = [member(), member(), member()];
  offers.take(slow, library(1, 3));
  clock.advance(29_999);
  t.throws(() => offers.take(quick, library(11, 1)), { code: 'unavailable' });
  clock.advance(1);
  offers.take(quick, library(11, 3));
  t.ok(slow.isIncomplete);
  offers.take(slow, library(1, 3));
  t.equal(slow.offers.size, 0);
  offers.wake(quick);
  clock.advance(30_000);
  t.throws(
    () => offers.take(last, library(21, 1)),
    { code: 'unavailable' },
    'who has told all is being listed',
  );
});

t.test('who made room tells all songs anew when it can be reached', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { maxSongs: 3, clock });
  const few = await registerUnreachable(t, tracker, library(1, 1));
  const most = await registerUnreachable(t, tracker, library(2, 2));
  await registerHost(t, tracker, { songs: library(11, 1) });
  clock.advance(10_000);
  for (const client of [few, most]) {
    const { port } = await songServer(t, client);
    client.send({ type: 'INIT', port });
  }
  t.match((await few.await('SONG_IDS')).rows, [{ hash: hashOf(1), id: 2 }], 'its songs are known still');
  t.match((await most.await('ERROR')).error, { code: 'too-many' });
  await ended(most);
  const { ids } = await registerHost(t, tracker, { songs: library(2, 1) });
  t.match(ids, [{ id: 3 }]);
});

t.test('offered songs that no proof has let in yet are bounded over all', async t => {
  const tracker = await startTracker(t, { maxSongs: 5, maxSongsPerPeer: 5 });
  const waiting = await connectTsp(t, tracker.port);
  let dialled = false;
  const silent = await listenTsp(t, async () => {
    dialled = true;
  });
  waiting.send({ type: 'INIT', port: silent.port });
  await waiting.receive('LIST');
  waiting.sendRows(
    { type: 'LIST_INFO', revision: 0 },
    [1, 2, 3, 4].map(n => song(n)),
  );
  await until('its proof is under way', () => dialled);
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'INIT', port: 1_501 });
  await client.receive('LIST');
  client.sendRows(
    { type: 'LIST_INFO', revision: 0 },
    [5, 6, 7].map(n => song(n)),
  );
  t.match((await client.receive('ERROR')).error, { code: 'unavailable', type: 0, retryAfterMs: 5_000 });
  client.send({ type: 'PING', value: 4 });
  t.match(await client.receive('PONG'), { value: 4 }, 'a light client again');
  waiting.destroy();
  await until('it is gone', () => tracker.tracker.status().peers === 1);
});
