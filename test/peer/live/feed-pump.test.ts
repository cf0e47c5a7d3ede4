/**
 * The pump to players of any protocol: what all of them are sent alike, what a listener that is slow loses, and that nobody
 * else loses anything.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { FeedPump } from '../../../peer/live/feed-pump.js';
import { takeRun } from '../../../peer/live/live-runs.js';
import { RtmpFeed, rtmpRuns } from '../../../peer/live/rtmp-media.js';
import { FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import { ChunkReader } from '../../../protocol/rtmp/chunk-reader.js';
import { MESSAGE_TYPE, OUR_CHUNK_BYTES } from '../../../protocol/rtmp/constants.js';
import { mp3Bytes, mpegFrames } from '../../support/mp3.js';
import { said } from '../../support/rtmp-client.js';
import { until } from '../../support/until.js';
import { framesOf, makeFeeds, makeUploads, type UploadLimits } from './feeding.js';
import { bytesOf } from './on-air.js';

const FRAME_MS = (1_152 * 1_000) / 44_100;

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

async function pumping(t: Test, limits: UploadLimits = {}) {
  const room = makeFeeds();
  const uploads = makeUploads(room.clock, limits);
  const publication = room.publish();
  publication.send(mp3Bytes({ seconds: 2, seed: 9 }));
  const { ours, theirs } = await socketPair(t);
  const came: Buffer[] = [];
  theirs.on('data', chunk => came.push(chunk));
  const over: string[] = [];
  publication.feed.places.takeForPlay();
  const pump = new FeedPump({
    feed: publication.feed,
    socket: ours,
    uploads,
    clock: room.clock,
    burstMs: 1_000,
    encode: frames => frames.map(({ bytes }) => bytes),
    titled: () => [Buffer.from('title!')],
    over: how => over.push(how),
  });
  return { ...room, uploads, publication, pump, ours, theirs, over, bytes: () => Buffer.concat(came) };
}

t.test('a burst, then whatever comes, then the end', async t => {
  const { publication, over, bytes, pump, uploads } = await pumping(t);
  const next = framesOf(1, { seed: 4 });
  publication.send(bytesOf(next));
  publication.titled({ title: 'x' });
  publication.end();
  const music = Buffer.concat([mp3Bytes({ seconds: 2, seed: 9 }), bytesOf(next)]);
  const title = Buffer.from('title!');
  await until('all of it', () => bytes().includes(title) && bytes().includes(music.subarray(-400)));
  t.same(over, ['ended']);
  const at = bytes().indexOf(title);
  const heard = Buffer.concat([bytes().subarray(0, at), bytes().subarray(at + title.length)]);
  t.ok(music.subarray(-heard.length).equals(heard) && heard.length > 30_000);
  t.equal(uploads.sentBytes, heard.length);
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
  publication.titled({ title: 'another' });
  pump.resume();
  pump.resume();
  await until('a new burst', () => bytes().length >= before + 12_000);
  t.ok(bytes().includes('title!', before), 'with the title that came meanwhile');
  t.ok(bytes().length < before + 18_000, 'of a second, not of five');
  t.equal(pump.lostFrames, 0, 'what was not wanted is not lost');
  pump.pause();
  publication.end();
  t.same(over, ['ended'], 'an end is told all the same');
});

t.test('the upload rate holds for it too', async t => {
  const { publication, clock, bytes, pump, over, uploads } = await pumping(t, { bytesPerSecond: 20_000 });
  publication.send(mp3Bytes({ seconds: 4, seed: 3 }));
  await clock.advanceSlowly(1_000);
  await until('a second of it', () => bytes().length >= 20_000);
  t.ok(uploads.sentBytes <= 25_000, `${uploads.sentBytes} bytes were sent`);
  publication.end();
  await until('the rest', async () => {
    await clock.advanceSlowly(1_000);
    return over.length > 0;
  });
  t.equal(pump.lostFrames, 0);
  const waiting = await pumping(t, { bytesPerSecond: 1_000 });
  waiting.pump.stop();
  waiting.publication.send(mp3Bytes({ seconds: 4 }));
  await waiting.clock.advanceSlowly(10_000);
  t.ok(waiting.uploads.sentBytes < 4_000, 'who has left waits for nothing');
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

t.test('a run is one Buffer for all players, whose times are their own all the same', t => {
  const publication = makeFeeds().publish();
  const { feed } = publication;
  publication.send(mpegFrames({ seconds: 2 }));
  const runs = rtmpRuns();
  const join = (burstMs: number) => {
    const reader = feed.join(burstMs, { frames: () => {}, ended: () => {} });
    const frames = new RtmpFeed(feed, runs, 1);
    const chunks = new ChunkReader();
    chunks.push(said({ kind: 'set-chunk-size', bytes: OUR_CHUNK_BYTES }));
    const times: number[] = [];
    const take = () => takeRun(reader, { endMs: feed.endMs, isOver: false });
    /** What it is written at last, when it has been written all that there is. */
    const catchUp = (): readonly Uint8Array[] => {
      let pieces: readonly Uint8Array[] = [];
      for (let run = take(); run.length > 0; run = take()) {
        pieces = frames.pieces(run);
        for (const piece of pieces) chunks.push(piece);
      }
      for (let raw = chunks.next(); raw !== undefined; raw = chunks.next())
        if (raw.type === MESSAGE_TYPE.AUDIO) times.push(raw.timestamp);
      return pieces;
    };
    return { catchUp, times };
  };
  const players = [join(6_000), join(500)] as const;
  for (const { catchUp } of players) catchUp();
  publication.send(mpegFrames({ seconds: 0.2 }));
  const [first, second] = players.map(({ catchUp }) => catchUp());
  t.equal(first?.length, 1);
  t.equal(second?.[0], first?.[0], 'the very same');
  const areCounted = (times: readonly number[]): boolean =>
    times.every((time, i) => Math.abs(time - i * FRAME_MS) <= 1);
  t.ok(players.every(({ times }) => times[0] === 0 && times.length > 20 && areCounted(times)));
  publication.send(mpegFrames({ seconds: 20 }));
  const [{ catchUp, times }] = players;
  const before = times.at(-1)!;
  catchUp();
  const after = times.find(time => time > before)!;
  t.ok(after - before > 10_000 && Math.abs(times.at(-1)! - feed.endMs) < 300, 'also behind a gap');
  t.end();
});
