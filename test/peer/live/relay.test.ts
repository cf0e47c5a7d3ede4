/** A relay as a person sees it: what it waits for, and what becomes of its feed. */
import t from 'tap';
import type { SongStream } from '../../../peer/listening/song-stream.js';
import { Relay } from '../../../peer/live/relay.js';
import { RunQueue } from '../../../peer/live/run-queue.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import type { OfferRow, SongRow } from '../../../protocol/tsp/rows.js';
import { feedId, framesOf, GRACE_MS, makeFeeds } from './feeding.js';
import { bytesOf, RADIO } from './on-air.js';

const SECOND = bytesOf(framesOf(1));
/** A relay looks again every two seconds. */
const A_LOOK_MS = 2_000;

/** `rows`: the tracker's list; undefined: not known yet. `heard`: what each listening was given, in order. */
function makeRelay() {
  const { clock, feeds, logger, publish } = makeFeeds();
  const told: string[] = [];
  const heard: RunQueue[] = [];
  const tracker: { rows: SongRow[] | undefined } = { rows: undefined };
  const listen = (_feed: unknown, described: (row: OfferRow) => void): SongStream => {
    described({ hash: feedId('radio'), live: true, title: 'Fandango', album: 'radio' });
    const queue = new RunQueue();
    heard.push(queue);
    return {
      size: new Promise(() => {}),
      [Symbol.asyncIterator]: () => ({ next: () => queue.next() }),
      cancel: () => queue.end(),
      report: () => ({ sources: [], failed: [], verified: false }),
    };
  };
  const relay = new Relay({
    id: RADIO as SongId,
    feeds,
    rowOf: wanted => tracker.rows?.find(row => row.id === wanted),
    hostsOf: row => row.hosts,
    isListKnown: () => tracker.rows !== undefined,
    fetcher: { listen },
    notice: message => told.push(message),
    clock,
    logger,
  });
  return { relay, tracker, told, heard, clock, feeds, publish };
}

const onAir: SongRow = {
  id: RADIO as SongId,
  title: 'Fandango',
  live: true,
  feed: feedId('radio'),
  hosts: ['192.0.2.1:7461'],
  hostCount: 1,
};
const song: SongRow = { id: RADIO as SongId, title: 'Zambra', hash: feedId('song'), hosts: [], hostCount: 0 };

t.test('what is not on the air is told once, when the list is known', async t => {
  const { relay, tracker, told, clock } = makeRelay();
  relay.start();
  await clock.advanceSlowly(A_LOOK_MS);
  t.same(told, [], 'as long as nobody knows the list');
  tracker.rows = [];
  await clock.advanceSlowly(3 * A_LOOK_MS);
  t.same(told, ['Relay 12: no feed with this ID is on the air; it is waited for.']);
  relay.stop();
});

t.test('a song is no feed, and that is told once', async t => {
  const { relay, tracker, told, clock } = makeRelay();
  tracker.rows = [song];
  relay.start();
  await clock.advanceSlowly(3 * A_LOOK_MS);
  t.same(told, ['Relay 12: Zambra is a song, and only feeds are relayed.']);
  relay.stop();
});

t.test('a feed that is broadcast here is not relayed, and that is told once', async t => {
  const { relay, tracker, told, heard, clock, publish } = makeRelay();
  publish().send(SECOND);
  tracker.rows = [onAir];
  relay.start();
  await clock.advanceSlowly(3 * A_LOOK_MS);
  t.same(told, ['Relay 12: Fandango is broadcast here, and only feeds of others are relayed.']);
  t.equal(heard.length, 0, 'nobody is asked for it');
  relay.stop();
});

t.test('each time that it begins, is lost or is over is told once', async t => {
  const { relay, tracker, told, heard, clock } = makeRelay();
  tracker.rows = [onAir];
  relay.start();
  heard[0]!.push(SECOND);
  heard[0]!.push(SECOND);
  await clock.advanceSlowly(100);
  t.same(told.splice(0), ['Relay 12: radio is offered to others now.']);
  await clock.advanceSlowly(GRACE_MS);
  t.same(told.splice(0), ['Relay 12: radio was lost (no sound came for 10 s); it is waited for.']);
  heard.at(-1)!.end(new Error('nobody broadcasts this feed now'));
  await clock.advanceSlowly(A_LOOK_MS);
  t.same(told, [], 'that it is not back yet is no news');
  heard.at(-1)!.push(SECOND);
  await clock.advanceSlowly(100);
  t.same(told.splice(0), ['Relay 12: radio is offered to others now.']);
  heard.at(-1)!.end();
  await clock.advanceSlowly(100);
  t.same(told.splice(0), ['Relay 12: radio is over; it is waited for.']);
  tracker.rows = [];
  await clock.advanceSlowly(3 * A_LOOK_MS);
  relay.stop();
  t.same(told, [], 'nor that it has left the list');
});

t.test('listeners hear silence for the grace and no longer, also while the source is looked for', async t => {
  const { relay, tracker, heard, clock, feeds } = makeRelay();
  tracker.rows = [onAir];
  relay.start();
  heard[0]!.push(SECOND);
  await clock.advanceSlowly(1_000);
  heard[0]!.end(new Error('the feed was lost'));
  await clock.advanceSlowly(GRACE_MS - 2_000);
  t.ok(feeds.feed('relay-12'));
  t.equal(heard.length, 2, 'it is looked for');
  await clock.advanceSlowly(1_500);
  t.equal(feeds.feed('relay-12'), undefined);
  heard.at(-1)!.push(SECOND);
  await clock.advanceSlowly(100);
  t.ok(feeds.feed('relay-12'), 'when it is back it is on the air again');
  relay.stop();
});

t.test('a relay that is stopped has lost nothing', async t => {
  const { relay, tracker, told, heard, clock } = makeRelay();
  tracker.rows = [onAir];
  relay.start();
  heard[0]!.push(SECOND);
  await clock.advanceSlowly(100);
  relay.stop();
  await clock.advanceSlowly(100);
  t.same(told, ['Relay 12: radio is offered to others now.']);
});
