/** Listening to live feeds: joining, titles, the seam between two hosts, and the difference between an end and a loss. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import type { SongStream } from '../../../peer/listening/song-stream.js';
import type { FeedToHear } from '../../../peer/live/live-stream.js';
import { RunQueue } from '../../../peer/live/run-queue.js';
import { ECDSA_P256 } from '../../../protocol/ppspp/constants.js';
import { liveSwarmId } from '../../../protocol/ppspp/signatures.js';
import type { OfferRow } from '../../../protocol/tsp/rows.js';
import { asId } from '../../support/hosted-songs.js';
import { mp3Bytes } from '../../support/mp3.js';
import { until, within } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { fetcher } from '../listening/fetching.js';
import { scriptedHost, testSong } from '../listening/scripted-host.js';
import { feedId, framesOf } from './feeding.js';
import { bytesOf, onAir, RADIO } from './on-air.js';

const radio = (...hosts: string[]): FeedToHear => ({ feed: feedId('radio'), id: asId(RADIO), hosts });

/** What the stream gives, as it comes. */
function record(stream: SongStream) {
  const heard: Uint8Array[] = [];
  const over = (async () => {
    for await (const bytes of stream) heard.push(bytes);
  })();
  over.catch(() => {});
  return { over, bytes: () => Buffer.concat(heard) };
}

/** A listener and what it is told. */
function listen(t: Test, feed: FeedToHear) {
  const told: OfferRow[] = [];
  const stream = fetcher(t).listen(feed, row => told.push(row));
  return { stream, told, ...record(stream) };
}

t.test('a listener hears the feed from a second ago to its end, and what plays', async t => {
  const host = await onAir(t);
  const frames = framesOf(5);
  host.publication.titled({ title: 'One' });
  host.publication.send(bytesOf(frames.slice(0, 100)));
  const { stream, told, over, bytes } = listen(t, radio(host.address));
  await until('it is heard', () => bytes().length > 0);
  host.publication.titled({ title: 'Two', artist: 'Somebody' });
  host.publication.send(bytesOf(frames.slice(100)));
  host.publication.end();
  await within('the end', over);
  const all = bytesOf(frames);
  t.ok(bytes().equals(all.subarray(-bytes().length)));
  t.same(
    told.map(({ title, artist }) => [title, artist]),
    [
      ['One', undefined],
      ['One', undefined],
      ['Two', 'Somebody'],
    ],
    'by INFO, by PLAY, and as it changed',
  );
  const { sources, failed, verified, relayed, waiting } = stream.report();
  t.same(
    { sources, failed, verified, relayed, waiting },
    {
      sources: [{ host: host.address, bytes: bytes().length }],
      failed: [],
      verified: false,
      relayed: undefined,
      waiting: undefined,
    },
  );
});

t.test('when the host crashes, another goes on, and no frame is missing or heard twice', async t => {
  const [one, other] = await Promise.all([onAir(t), onAir(t, { relay: true })]);
  const frames = framesOf(9);
  const send = (from: number, to: number): void => {
    for (const host of [one, other]) host.publication.send(bytesOf(frames.slice(from, to)));
  };
  // The relay began later, so that its runs are cut otherwise.
  one.publication.send(bytesOf(frames.slice(0, 13)));
  send(13, 150);
  const { stream, over, bytes } = listen(t, radio(other.address, one.address));
  send(150, 200);
  // What is on its way when the host crashes is lost, and may be older than the other's burst.
  await until('the source is heard', () => bytes().includes(Buffer.from(frames[188]!.bytes)));
  t.same(stream.report().relayed, undefined, 'though the relay stood first');
  one.crash();
  // Its burst is 38 frames.
  send(200, 225);
  await until('the relay is heard', () => other.feed.listeners === 1);
  t.equal(stream.report().relayed, true);
  send(225, 300);
  other.publication.end();
  await within('the end', over);
  const all = bytesOf(frames.slice(0, 300));
  const start = all.indexOf(bytes().subarray(0, 2_000));
  t.ok(bytes().equals(all.subarray(start)), 'one piece of the feed');
  t.match(stream.report().failed, [{ host: one.address }]);
});

t.test('who hears a relay goes back to the source, and no frame is missing or heard twice', async t => {
  const [source, relay, other] = await Promise.all([
    onAir(t),
    onAir(t, { relay: true }),
    onAir(t, { relay: true }),
  ]);
  const clock = new VirtualClock();
  const frames = framesOf(60);
  const sent = { frames: 0 };
  const send = (count: number): void => {
    const bytes = bytesOf(frames.slice(sent.frames, sent.frames + count));
    for (const host of [source, relay, other]) host.publication.send(bytes);
    sent.frames += count;
  };
  send(60);
  const hosts = [relay.address];
  const moreHosts = async () => [relay.address, '127.0.0.1:1', other.address, source.address];
  const stream = fetcher(t, { clock }).listen({ ...radio(...hosts), moreHosts });
  const { bytes, over } = record(stream);
  await until('the relay is heard', () => bytes().length > 0);
  while (source.feed.listeners === 0 && sent.frames + 8 < frames.length) {
    const before = bytes().length;
    send(8);
    await until('that is heard', () => bytes().length > before);
    clock.advance(200);
  }
  t.equal(source.feed.listeners, 1);
  await until('the relay is left', () => relay.feed.listeners === 0);
  send(8);
  source.publication.end();
  await within('the end', over);
  const all = bytesOf(frames.slice(0, sent.frames));
  const start = all.indexOf(bytes().subarray(0, 2_000));
  t.ok(bytes().equals(all.subarray(start)), 'one piece of the feed');
  t.match(
    stream.report().sources.map(({ host }) => host),
    [relay.address, source.address],
  );
  t.same(
    stream.report().failed.map(({ host }) => host),
    ['127.0.0.1:1'],
    'another relay is no failure',
  );
});

t.test('who is asked already when a relay is lost is not asked a second time', async t => {
  const relay = await onAir(t, { relay: true });
  const ports: (number | undefined)[] = [];
  const quiet = await scriptedHost(t, [testSong(1_000, RADIO)], {
    connected: ({ socket }) => ports.push(socket.remotePort),
    info() {},
  });
  const clock = new VirtualClock();
  const stream = fetcher(t, { clock }).listen(radio(relay.address, quiet.address));
  const { bytes } = record(stream);
  const frames = framesOf(60);
  const send = (): void => relay.publication.send(bytesOf(frames.splice(0, 8)));
  send();
  await until('the relay is heard', () => {
    // Slower than real time, so that nobody seems silent.
    clock.advance(5);
    return bytes().length > 0;
  });
  while (quiet.connections < 2 && frames.length > 8) {
    const before = bytes().length;
    send();
    await until('that is heard', () => bytes().length > before);
    clock.advance(200);
  }
  t.equal(quiet.connections, 2, 'at first, and whether it is the source');
  relay.crash();
  await until('the relay is lost', () => stream.report().failed.length > 0);
  // Connections come in the order in which they were made.
  const last = connect(Number(quiet.address.split(':')[1]), '127.0.0.1');
  t.teardown(() => last.destroy());
  await once(last, 'connect');
  await until('it came', () => ports.includes(last.localPort));
  t.equal(quiet.connections, 3);
  stream.cancel();
});

t.test('a host with something else under that ID is not heard', async t => {
  const [wrong, right] = await Promise.all([onAir(t), onAir(t)]);
  wrong.feeds.set(RADIO, feedId('talk'));
  for (const { publication } of [wrong, right]) publication.send(mp3Bytes({ seconds: 1 }));
  wrong.songs.set(RADIO, wrong.songs.get(10)!);
  const moreHosts = async () => [right.address];
  const { stream, bytes } = listen(t, { ...radio(wrong.address), moreHosts });
  await until('it is heard', () => bytes().length > 0);
  t.match(stream.report(), {
    sources: [{ host: right.address }],
    failed: [{ host: wrong.address, why: /something else/ }],
  });
  stream.cancel();
  await until('it has left', () => right.feed.listeners === 0);
});

t.test('a host that says nothing of the feed, in a whole answer, is not waited for', async t => {
  const mute = await scriptedHost(t, [testSong(1_000, RADIO)], {
    info: listener => listener.send({ type: 'SONG_INFO', song: asId(RADIO), length: 0 }),
  });
  const host = await onAir(t);
  host.publication.send(mp3Bytes({ seconds: 1 }));
  const moreHosts = async () => [host.address];
  const { stream, bytes } = listen(t, { ...radio(mute.address), moreHosts });
  await until('another is heard', () => bytes().length > 0);
  t.match(stream.report().failed, [{ host: mute.address, why: /says nothing of this feed/ }]);
  stream.cancel();
  await until('it has left', () => host.feed.listeners === 0);
});

t.test('a host that falls silent is told that nobody listens any more', async t => {
  const clock = new VirtualClock();
  const host = await onAir(t);
  host.publication.send(mp3Bytes({ seconds: 1 }));
  const stream = fetcher(t, { clock }).listen(radio(host.address));
  const { bytes } = record(stream);
  await until('it is heard', () => bytes().length > 0);
  await until('it is lost', () => {
    clock.advance(100);
    return stream.report().failed.length > 0;
  });
  t.match(stream.report().failed, [{ why: /^sent nothing/ }]);
  await until('it has left', () => host.feed.listeners === 0);
  stream.cancel();
});

t.test('a feed that nobody has fails, and not as an end', async t => {
  const clock = new VirtualClock();
  const nobody = fetcher(t, { clock }).listen(radio());
  const { over } = record(nobody);
  await clock.advanceSlowly(1_000);
  t.match(nobody.report().waiting, /looking/);
  await clock.advanceSlowly(6_000);
  await t.rejects(over, { name: 'RequestError', code: 'no-such-song' });
  t.equal(clock.pending, 0);
});

t.test('who finds no place for long enough is told that the hosts are busy', async t => {
  const clock = new VirtualClock();
  const host = await onAir(t, { feedBytesPerSecond: 20_000 });
  host.publication.send(mp3Bytes({ seconds: 1 }));
  t.ok(host.feed.places.takeForPlay());
  const { over } = record(fetcher(t, { clock }).listen(radio(host.address)));
  let isOver = false;
  over.catch(() => {
    isOver = true;
  });
  await until('it gives up', () => {
    clock.advance(100);
    return isOver;
  });
  await t.rejects(over, { code: 'busy', message: /the line can bear/ });
});

t.test(
  'who finds a place neither at the host nor in its swarm says so, and is told after a while',
  async t => {
    const clock = new VirtualClock();
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const swarmId = liveSwarmId(ECDSA_P256, privateKey);
    const host = await onAir(t, { feedBytesPerSecond: 20_000, swarmId });
    host.publication.send(mp3Bytes({ seconds: 1 }));
    t.ok(host.feed.places.takeForPlay());
    // Whoever is there gives nothing.
    const never = () => new Promise<never>(() => {});
    const swarms = { port: undefined, join: never, joinFeed: never };
    const feed = { ...radio(host.address), feed: host.feed.id };
    const stream = fetcher(t, { clock, swarms }).listen(feed);
    const { over } = record(stream);
    const waits = new Set<string | undefined>();
    let isOver = false;
    over.catch(() => {
      isOver = true;
    });
    await until('it gives up', () => {
      clock.advance(100);
      waits.add(stream.report().waiting);
      return isOver;
    });
    await t.rejects(over, { code: 'busy', message: /the line can bear/ });
    t.ok(waits.has('all hosts are busy, trying again'));
    t.ok(clock.now() >= 15_000, 'a swarm may take longer than a host');
  },
);

t.test('whoever has it now is asked for, and a reader that leaves closes the connection', async t => {
  const host = await onAir(t);
  host.publication.send(mp3Bytes({ seconds: 2 }));
  let asked = 0;
  const stream = fetcher(t).listen({
    ...radio('127.0.0.1:1'),
    moreHosts: async () => {
      asked += 1;
      if (asked === 1) throw new Error('no tracker just now');
      return [host.address];
    },
  });
  for await (const bytes of stream) {
    t.ok(bytes.length > 0);
    break;
  }
  t.equal(asked, 2);
  await until('it has left', () => host.feed.listeners === 0);
});

t.test('the queue keeps the latest half minute for a reader that is slow', async t => {
  const queue = new RunQueue();
  for (let n = 0; n < 200; n += 1) queue.push(Buffer.alloc(4_096, n));
  queue.end();
  const kept: number[] = [];
  for (let next = await queue.next(); next.done !== true; next = await queue.next())
    kept.push(next.value[0]!);
  t.equal(kept.length, 128);
  t.equal(kept.at(-1), 199);
  queue.push(Buffer.alloc(1));
  t.equal((await queue.next()).done, true);
});

t.test('where no seam is found, the next host is heard all the same', async t => {
  const queue = new RunQueue();
  queue.push(Buffer.from('before'));
  queue.broken();
  for (let n = 0; n < 6; n += 1) queue.push(Buffer.from(`run ${n} `));
  const heard = [await queue.next(), await queue.next()].map(({ value }) => String(value));
  t.same(heard, ['before', 'run 0 run 1 run 2 run 3 run 4 run 5 ']);
  queue.broken();
  queue.push(Buffer.from('the last'));
  queue.end(new Error('gone'));
  t.equal(String((await queue.next()).value), 'the last');
  await t.rejects(queue.next(), { message: 'gone' });
});
