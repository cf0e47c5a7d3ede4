/** The pump to players of any protocol: what a listener that is slow loses, and that nobody else loses anything. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { FeedPump } from '../../../peer/live/feed-pump.js';
import { FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import { mp3Bytes } from '../../support/mp3.js';
import { until } from '../../support/until.js';
import { framesOf, makeFeeds } from './feeding.js';
import { bytesOf } from './on-air.js';

/** Both ends of a connection. */
async function socketPair(t: Test): Promise<{ ours: Socket; theirs: Socket }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const theirs = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [ours] = (await once(server, 'connection')) as [Socket];
  for (const socket of [ours, theirs]) socket.on('error', () => {});
  t.teardown(() => {
    ours.destroy();
    theirs.destroy();
    server.close();
  });
  return { ours, theirs };
}

async function pumping(t: Test, burstMs = 1_000) {
  const room = makeFeeds();
  const publication = room.publish();
  publication.send(mp3Bytes({ seconds: 2, seed: 9 }));
  const { ours, theirs } = await socketPair(t);
  const came: Buffer[] = [];
  theirs.on('data', chunk => came.push(chunk));
  const over: string[] = [];
  const pump = new FeedPump({
    feed: publication.feed,
    socket: ours,
    clock: room.clock,
    burstMs,
    encode: frames => frames.map(({ bytes }) => bytes),
    titled: () => [Buffer.from('title!')],
    over: how => over.push(how),
  });
  return { ...room, publication, pump, ours, theirs, over, bytes: () => Buffer.concat(came) };
}

t.test('a burst, then whatever comes, then the end', async t => {
  const { publication, over, bytes, pump } = await pumping(t);
  const next = framesOf(1, { seed: 4 });
  publication.send(bytesOf(next));
  publication.titled({ title: 'x' });
  publication.end();
  const burst = mp3Bytes({ seconds: 2, seed: 9 });
  await until('all of it', () => bytes().includes('title!'));
  t.same(over, ['ended']);
  const heard = bytes().subarray(0, -'title!'.length);
  t.ok(
    Buffer.concat([burst, bytesOf(next)])
      .subarray(-heard.length)
      .equals(heard),
  );
  t.equal(pump.lostFrames, 0);
});

t.test('who takes nothing loses the oldest frames whole, and at last the connection', async t => {
  const { publication, pump, ours, theirs, clock, over, bytes } = await pumping(t);
  theirs.pause();
  // More than any kernel keeps for a connection.
  for (let n = 0; n < 400; n += 1) publication.send(mp3Bytes({ seconds: 1, bitrate: 320_000, seed: n }));
  t.ok(ours.writableLength < 300_000, 'what lies in the socket is bounded');
  theirs.resume();
  await until('it drains', () => ours.writableLength === 0);
  const last = mp3Bytes({ seconds: 1, bitrate: 320_000, seed: 1_000 });
  publication.send(last);
  await until('the present is heard', () => bytes().includes(last.subarray(0, 800)));
  t.ok(pump.lostFrames > 1_000, `${pump.lostFrames} frames lost`);
  const scanner = new FrameScanner();
  scanner.push(bytes());
  t.equal(scanner.lostBytes, 0, 'and none of them in half');
  theirs.pause();
  for (let n = 0; n < 400; n += 1) publication.send(mp3Bytes({ seconds: 1, bitrate: 320_000, seed: n }));
  for (let seconds = 0; seconds < 60; seconds += 1) {
    publication.send(mp3Bytes({ seconds: 1 }));
    clock.advance(1_000);
  }
  t.same(over, ['stalled']);
  t.ok(ours.destroyed);
  t.equal(publication.feed.listeners, 0);
});

t.test('paused it sends nothing, and goes on at the present', async t => {
  const { publication, pump, bytes, over } = await pumping(t);
  await until('the burst', () => bytes().length > 15_000);
  const before = bytes().length;
  pump.pause();
  publication.send(mp3Bytes({ seconds: 5, seed: 2 }));
  publication.titled({ title: 'unheard' });
  pump.resume();
  pump.resume();
  await until('a new burst', () => bytes().length >= before + 16_000);
  t.ok(bytes().length < before + 18_000, 'of a second, not of five');
  t.equal(pump.lostFrames, 0, 'what was not wanted is not lost');
  pump.pause();
  publication.end();
  t.same(over, ['ended'], 'an end is told all the same');
});

t.test('a listener that leaves is forgotten, and so is one that is stopped', async t => {
  const left = await pumping(t);
  left.theirs.destroy();
  await until('it is noticed', () => left.over.length > 0);
  t.same(left.over, ['closed']);
  t.equal(left.publication.feed.listeners, 0);
  const stopped = await pumping(t);
  stopped.pump.stop();
  stopped.publication.end();
  t.same(stopped.over, []);
});
