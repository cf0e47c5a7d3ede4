/** The parts of a feed's swarm that need no network: the seam, how late it is, how many places there are, who is in it. */
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { FeedPlaces } from '../../../peer/live/feed-places.js';
import { FeedSeam } from '../../../peer/live/feed-seam.js';
import { FeedSources } from '../../../peer/live/feed-sources.js';
import { FeedStore } from '../../../peer/live/feed-store.js';
import type { FeedSwarmPart } from '../../../peer/live/feed-swarm.js';
import { SwarmLag } from '../../../peer/live/swarm-lag.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { framesOf, makeFeeds } from './feeding.js';
import { bytesOf } from './on-air.js';

const STREAM = Buffer.from(Array.from({ length: 4_000 }, (_, i) => (i * 7 + (i >> 8)) % 251));
const HOST = { host: '192.0.2.1:7461' };
const OTHER = { host: '192.0.2.2:7461' };
const given = (from: number, to: number) => new Map([['192.0.2.9:7461', to - from]]);

async function heard({ queue }: FeedSeam): Promise<Buffer> {
  queue.end();
  const runs: Uint8Array[] = [];
  for (let next = await queue.next(); next.done !== true; next = await queue.next()) runs.push(next.value);
  return Buffer.concat(runs);
}

t.test('what a host and the swarm bring is heard once, whoever is first', async t => {
  const seam = new FeedSeam();
  seam.fromHost(HOST, STREAM.subarray(0, 1_000), 0, true);
  t.notOk(seam.fromSwarm(500, STREAM.subarray(500, 900), given, false), 'nothing new');
  t.ok(seam.fromSwarm(900, STREAM.subarray(900, 1_500), given, false));
  seam.fromHost(HOST, STREAM.subarray(1_000, 1_200), 1_000, true);
  seam.fromHost(OTHER, STREAM.subarray(1_400, 2_000), 1_400, true);
  t.same(
    [...seam.sources],
    [
      [HOST.host, 1_000],
      ['192.0.2.9:7461', 500],
      [OTHER.host, 500],
    ],
  );
  t.equal(seam.verifiedBytes, 500);
  t.ok((await heard(seam)).equals(STREAM.subarray(0, 2_000)));
});

t.test('what lies between is waited for, unless nobody brings it', async t => {
  const seam = new FeedSeam();
  seam.fromHost(HOST, STREAM.subarray(0, 1_000), 0, true);
  seam.fromHost(HOST, STREAM.subarray(1_500, 2_000), 1_500, false);
  t.equal(seam.next, 1_000);
  t.ok(seam.fromSwarm(1_000, STREAM.subarray(1_000, 1_500), given, false));
  seam.fromHost(HOST, STREAM.subarray(3_000), 3_000, true);
  t.ok((await heard(seam)).equals(Buffer.concat([STREAM.subarray(0, 1_500), STREAM.subarray(3_000)])));
});

t.test('a host that says no place is sewn on by its bytes', async t => {
  const seam = new FeedSeam();
  seam.fromHost(HOST, STREAM.subarray(0, 1_000), 0, true);
  seam.fromHost(OTHER, STREAM.subarray(400, 1_500), undefined, true);
  t.equal(seam.next, undefined);
  seam.fromHost(HOST, STREAM.subarray(900, 2_000), 900, true);
  t.equal(seam.next, 2_000);
  const shares = [
    [HOST.host, 1_500],
    [OTHER.host, 500],
  ];
  t.same([...seam.sources], shares, 'what two had is counted once');
  t.ok((await heard(seam)).equals(STREAM.subarray(0, 2_000)));
});

t.test('after a relay the source is sewn on also late in a burst of three seconds', async t => {
  const seam = new FeedSeam();
  seam.fromHost(HOST, STREAM.subarray(0, 3_000), undefined, true);
  for (let at = 0; at < 4_000; at += 250) seam.fromHost(OTHER, STREAM.subarray(at, at + 250), at, true);
  t.ok((await heard(seam)).equals(STREAM));
});

t.test('a swarm is in time when it has been for two seconds, whatever the clocks show', async t => {
  const ahead = 5_000_000;
  const lag = new SwarmLag(0);
  t.notOk(lag.isLate(1_700));
  t.ok(lag.isLate(1_800), 'nothing came at all');
  for (let at = 2_000; at <= 4_000; at += 250) lag.reached(at + ahead, at + 400);
  t.notOk(lag.isTimely(4_399));
  t.ok(lag.isTimely(4_400));
  t.notOk(lag.isTimely(5_500), 'nothing came for a while');
  t.notOk(lag.isLate(6_100));
  t.ok(lag.isLate(6_200));
  lag.reached(4_250 + ahead, 6_200);
  t.equal(lag.lagMs(6_200), 1_550);
  t.notOk(lag.isTimely(6_200), 'it must be in time for a while again');
});

t.test('clocks that drift are no lag', async t => {
  const lag = new SwarmLag(0);
  for (let at = 0; at < 600_000; at += 1_000) lag.reached(at, at * 1.01);
  t.ok(lag.lagMs(599_000 * 1.01) <= 1_300);
});

t.test('a line has as many places as it bears, and one is for the swarm', async t => {
  const line = new FeedPlaces(64_000, () => 128_000);
  line.hasSwarm = true;
  t.ok(line.takeForPlay());
  t.ok(line.takeForPlay());
  t.notOk(line.takeForPlay(), 'the third is kept');
  t.ok(line.take());
  t.notOk(line.take());
  line.releaseFromPlay();
  t.ok(line.takeForPlay(), 'the swarm has its one');
  line.releaseFromPlay();
  t.ok(line.take());
  line.release();
  line.release();
  line.hasSwarm = false;
  t.ok(line.takeForPlay());
  t.ok(line.takeForPlay(), 'without a swarm none is kept');
  t.notOk(line.takeForPlay());
  const unknown = new FeedPlaces(Number.POSITIVE_INFINITY, () => 128_000);
  t.equal(Array.from({ length: 20 }, () => unknown.take()).filter(Boolean).length, 8);
  t.ok(Array.from({ length: 100 }, () => unknown.takeForPlay()).every(Boolean));
});

/** The source of one feed, on its way into its swarm until `enter` is called. */
async function entering(t: Test) {
  const { clock, feeds, publish, logger } = makeFeeds();
  const store = new FeedStore(await tempFolder(t), randomBytes, logger);
  await store.load();
  const went: string[] = [];
  const part = { wake: () => went.push('wake'), leave: () => went.push('leave') };
  let enter = (): void => {};
  const swarms = {
    joinFeed: () =>
      new Promise<FeedSwarmPart>(resolve => {
        enter = () => resolve(part as unknown as FeedSwarmPart);
      }),
  };
  const identityOf = (name: string) => store.identity(name);
  const sources = new FeedSources({ feeds, identityOf, swarms, clock, logger, unixMs: () => 0 });
  sources.start();
  const publication = publish();
  publication.send(bytesOf(framesOf(2)));
  return { sources, publication, went, enter: () => enter(), clock, settled: () => store.settled() };
}

t.test('a source that is stopped on its way into its swarm is not in it', async t => {
  const { sources, publication, went, enter, clock, settled } = await entering(t);
  publication.end();
  sources.stop();
  enter();
  await until('it has left', () => went.includes('leave'));
  await settled();
  t.same(went, ['leave'], 'and has given nothing');
  t.equal(clock.pending, 0, 'nor is it waited for');
});

t.test('a source whose feed is over stays for a while', async t => {
  const { sources, publication, went, enter, clock } = await entering(t);
  publication.end();
  enter();
  await until('its end is signed', () => clock.pending === 1);
  t.notOk(went.includes('leave'));
  clock.advance(10_000);
  t.equal(went.at(-1), 'leave');
  sources.stop();
});

t.test('a source that is stopped as it signs its end does not stay', async t => {
  const { sources, publication, went, enter, clock, settled } = await entering(t);
  enter();
  await until('it gives', () => went.includes('wake'));
  publication.end();
  sources.stop();
  await settled();
  await until('it has left', () => went.includes('leave'));
  await clock.advanceSlowly(100);
  t.equal(clock.pending, 0);
});
