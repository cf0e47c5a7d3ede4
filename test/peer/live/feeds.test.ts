/** Live feeds inside one process: the ring, silence and grace, who may publish. */
import { Buffer } from 'node:buffer';
import t from 'tap';
import { durationMs, FrameRing, RING_MS, RingReader } from '../../../peer/live/frame-ring.js';
import type { FeedListener, LiveFeed } from '../../../peer/live/live-feed.js';
import { type EncodedFormat, PublishRefused, type Transcoder } from '../../../peer/live/publication.js';
import { silenceLike } from '../../../peer/live/silence.js';
import { StreamKeys } from '../../../peer/live/stream-keys.js';
import { parseFrameHeader } from '../../../peer/mpeg/frame-header.js';
import { id3v2Tag } from '../../../peer/mpeg/id3v2.js';
import { mp3Bytes } from '../../support/mp3.js';
import { feedId, framesOf, GRACE_MS, makeFeeds, readAll } from './feeding.js';

const FRAME_MS = (1_152 / 44_100) * 1_000;

function ear(feed: LiveFeed, burstMs = 0) {
  const heard = { batches: 0, titles: 0, ended: 0 };
  const listener: FeedListener = {
    frames: () => {
      heard.batches += 1;
    },
    titled: () => {
      heard.titles += 1;
    },
    ended: () => {
      heard.ended += 1;
    },
  };
  const reader = feed.join(burstMs, listener);
  return { reader, heard };
}

function refusalOf(act: () => void): PublishRefused | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof PublishRefused) return error;
    throw error;
  }
  return undefined;
}

t.test('the ring keeps the last eight seconds, and a slow reader loses the oldest frames', async t => {
  const ring = new FrameRing();
  const frames = framesOf(10);
  const early = new RingReader(ring, 1_000);
  for (const { bytes, header } of frames.slice(0, 10)) ring.push(Buffer.from(bytes), header);
  t.equal(early.next()?.seq, 0);
  for (const { bytes, header } of frames.slice(10)) ring.push(Buffer.from(bytes), header);
  const kept = readAll(new RingReader(ring, 60_000));
  t.ok(ring.endMs - kept[0]!.atMs <= RING_MS);
  t.ok(ring.endMs - kept[0]!.atMs > RING_MS - FRAME_MS);
  t.same(
    kept.map(({ bytes }) => bytes),
    frames.slice(-kept.length).map(({ bytes }) => Buffer.from(bytes)),
  );
  t.equal(early.next()?.seq, kept[0]!.seq, 'what is gone is skipped');
  t.equal(early.lostFrames, kept[0]!.seq - 1);
});

t.test('a joiner begins with the frame in which its burst begins', async t => {
  const ring = new FrameRing();
  for (const { bytes, header } of framesOf(5)) ring.push(Buffer.from(bytes), header);
  const [first] = readAll(new RingReader(ring, 1_000));
  t.ok(first!.atMs <= ring.endMs - 1_000);
  t.ok(first!.atMs + durationMs(first!.header) > ring.endMs - 1_000);
  t.equal(new RingReader(ring, 0).next(), undefined, 'without a burst it waits for what comes');
  const away = new RingReader(ring, 5_000);
  away.rejoin(1_000);
  t.equal(away.next()?.seq, first?.seq);
  t.equal(away.lostFrames, 0);
  const near = new RingReader(ring, 500);
  const next = near.peek();
  near.rejoin(1_000);
  t.equal(near.next(), next, 'who was away for less hears nothing twice');
});

t.test('silence is as long as its model, in every format', async t => {
  for (const options of [{}, { sampleRate: 48_000, channels: 1 }, { sampleRate: 22_050 }] as const) {
    const [model] = framesOf(0.1, options);
    const silent = silenceLike(model!.bytes);
    t.same(parseFrameHeader(silent), model!.header);
    t.equal(silent.length, model!.bytes.length);
    t.ok(silent.subarray(4).every(byte => byte === 0));
  }
});

t.test('frames are relayed bit for bit, however they are cut, and tags are left out', async t => {
  const song = mp3Bytes({ seconds: 2, title: 'Tagged', header: 'Xing', seed: 3 });
  const music = framesOf(2, { seed: 3 });
  for (const cut of [1, 100, 417, 5_000]) {
    const { feeds, publish } = makeFeeds();
    const publication = publish();
    const { reader } = ear(publication.feed);
    for (let at = 0; at < song.length; at += cut) publication.send(song.subarray(at, at + cut));
    const heard = readAll(feeds.feed('radio')!.join(9_000, { frames() {}, ended() {} }));
    t.same(Buffer.concat(heard.map(({ bytes }) => bytes)), Buffer.concat(music.map(({ bytes }) => bytes)));
    t.same(readAll(reader), heard, 'and everybody has the same Buffers');
    t.same(publication.feed.title, { title: 'Tagged' }, 'what the first tag says is told');
  }
});

t.test('a leading tag that is too long is not waited for', async t => {
  const { publish } = makeFeeds();
  const publication = publish();
  const tag = id3v2Tag([['TIT2', 'x'.repeat(20_000)]]);
  publication.send(Buffer.concat([tag, mp3Bytes({ seconds: 1, title: 'Inside' })]));
  t.same(publication.feed.title, {});
  t.ok(publication.feed.isOnAir);
});

t.test('a feed is on the air from its first frame until it ends', async t => {
  const { feeds, publish } = makeFeeds();
  let changes = 0;
  feeds.onChange(() => {
    changes += 1;
  });
  const publication = publish();
  t.equal(feeds.feed('radio'), undefined);
  publication.send(mp3Bytes({ seconds: 1 }));
  t.equal(feeds.feed('radio'), publication.feed);
  t.same([...feeds.feeds()], [publication.feed]);
  t.equal(changes, 1);
  const { reader, heard } = ear(publication.feed, 500);
  publication.titled({ title: 'So What', artist: 'Miles Davis' });
  publication.titled({ title: 'So What' });
  t.equal(heard.titles, 1, 'a title is told when it is news');
  t.same(publication.feed.title, { title: 'So What', artist: 'Miles Davis' });
  t.equal(changes, 2);
  publication.titled({ title: 'News' });
  t.match(publication.feed.title, { title: 'News', artist: undefined }, 'nobody else’s');
  t.equal(changes, 3);
  publication.end();
  t.equal(heard.ended, 1);
  t.equal(feeds.feed('radio'), undefined);
  t.equal(changes, 4);
  t.ok(readAll(reader).length > 10, 'what was there can still be read');
  publication.send(mp3Bytes({ seconds: 1 }));
  publication.lost();
  t.equal(changes, 4, 'a publication that is over says nothing');
  t.not(publish().feed, publication.feed, 'the next broadcast is a new one');
});

for (const awayMs of [100, 2_000, 8_000]) {
  t.test(`a publisher that is back after ${awayMs / 1_000} s is heard by those who stayed`, async t => {
    const { clock, feeds, publish } = makeFeeds();
    const first = publish();
    first.send(mp3Bytes({ seconds: 1, seed: 1 }));
    clock.advance(1_000);
    const { reader, heard } = ear(first.feed);
    first.lost();
    clock.advance(awayMs);
    const silence = readAll(reader);
    t.ok(silence.every(({ bytes }) => bytes.subarray(4).every(byte => byte === 0)));
    const silentMs = silence.length * FRAME_MS;
    if (awayMs < 500) t.equal(silence.length, 0);
    else t.ok(silentMs <= awayMs && silentMs > awayMs - 250 - 2 * FRAME_MS, `${silentMs} ms of silence`);
    const again = publish();
    t.equal(again.feed, first.feed);
    again.send(mp3Bytes({ seconds: 1, seed: 2 }));
    const after = readAll(reader);
    t.same(
      after.map(({ bytes }) => bytes),
      framesOf(1, { seed: 2 }).map(({ bytes }) => Buffer.from(bytes)),
    );
    for (const frames of [[...silence, ...after]])
      for (const [index, frame] of frames.slice(1).entries())
        t.ok(Math.abs(frame.atMs - frames[index]!.atMs - FRAME_MS) < 0.01, 'time goes on');
    t.equal(heard.ended, 0);
    t.equal(reader.lostFrames, 0);
    t.equal(feeds.feed('radio'), first.feed);
  });
}

t.test('a publisher that does not come back in time is missed no longer', async t => {
  const { clock, feeds, publish } = makeFeeds();
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 1 }));
  const { heard } = ear(publication.feed);
  publication.lost();
  clock.advance(GRACE_MS - 1);
  t.ok(feeds.feed('radio'));
  clock.advance(250);
  t.equal(feeds.feed('radio'), undefined);
  t.equal(heard.ended, 1);
  t.equal(clock.pending, 0, 'and nothing is left running');
});

t.test('without a grace a feed ends with its publisher', async t => {
  const { feeds, publish } = makeFeeds({ graceMs: 0 });
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 1 }));
  publication.lost();
  t.equal(feeds.feed('radio'), undefined);
});

t.test('a publisher that has gone before its first frame leaves nothing', async t => {
  const { clock, feeds, publish } = makeFeeds();
  publish().lost();
  t.same([...feeds.feeds()], []);
  t.equal(clock.pending, 0);
});

t.test('one publisher a key: a second is refused until the first is silent', async t => {
  const { clock, publish, sentAway } = makeFeeds();
  const first = publish();
  first.send(mp3Bytes({ seconds: 1, seed: 1 }));
  clock.advance(2_999);
  t.equal(refusalOf(() => publish())?.reason, 'already-live');
  t.same(sentAway, []);
  clock.advance(1);
  const second = publish();
  t.same(sentAway, ['another publisher took over']);
  t.equal(second.feed, first.feed, 'the listeners stay');
  const { reader } = ear(second.feed);
  first.send(mp3Bytes({ seconds: 1, seed: 1 }));
  t.same(readAll(reader), [], 'the first is heard no more');
  publish('t4lk');
});

t.test('a publisher that is connected and silent is filled in for, and at last sent away', async t => {
  const { clock, feeds, publish, sentAway } = makeFeeds();
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 1 }));
  const { reader } = ear(publication.feed);
  clock.advance(9_999);
  t.ok(readAll(reader).length > 200, 'silence');
  t.same(sentAway, []);
  clock.advance(1);
  t.same(sentAway, ['no sound came for 10 s']);
  t.ok(feeds.feed('radio'), 'the grace goes on');
  clock.advance(2_250);
  t.equal(feeds.feed('radio'), undefined);
});

t.test('who comes, who is refused, and how each leaves is in the log', async t => {
  const { clock, publish, logger } = makeFeeds();
  const logged = () => logger.entries.splice(0).map(({ message, fields }) => ({ message, ...fields }));
  const first = publish();
  t.equal(refusalOf(() => publish())?.reason, 'already-live');
  first.lost();
  publish().end();
  const who = { via: 'RTMP', remote: '192.0.2.1:5000', feed: 'radio' };
  t.same(logged(), [
    { message: 'a publisher is here', ...who },
    { message: 'a publisher was refused', ...who, why: 'somebody is publishing radio already' },
    { message: 'a publisher is gone', ...who, saidGoodbye: false },
    { message: 'a publisher is here', ...who },
    { message: 'a publisher is gone', ...who, saidGoodbye: true },
  ]);
  publish();
  clock.advance(10_000);
  t.same(
    logged().map(({ message }) => message),
    ['a publisher is here', 'a publisher was sent away'],
  );
});

t.test('keys open their own feed only, and are not in the log', async t => {
  const { feeds, publish, logger } = makeFeeds();
  for (const key of ['', 'radio', 'R4D10', 'r4d10 '])
    t.equal(refusalOf(() => publish(key))?.reason, 'wrong-key');
  t.equal(refusalOf(() => publish('r4d10', 'talk'))?.reason, 'wrong-key');
  t.equal(publish('r4d10', 'radio').feed.name, 'radio');
  t.equal(feeds.secretOf('talk'), 't4lk');
  t.notMatch(JSON.stringify(logger.entries), /r4d10|t4lk/i);
  const open = new StreamKeys(new Map([['radio', 'r4d10']]), true);
  t.equal(open.feedOf('r4d10'), 'radio');
  t.equal(open.feedOf('anything'), 'anything');
  t.equal(open.feedOf('whatever', 'my-mount'), 'my-mount');
  for (const [key, name] of [['radio'], ['whatever', 'radio']] as const)
    t.equal(open.feedOf(key, name), undefined, 'a name with a key is not anybody’s');
  t.equal(open.feedOf('../etc'), undefined);
  t.equal(open.feedOf(''), undefined);
});

t.test('what is no MP3 goes through the transcoder, one a publication', async t => {
  const opened: { format: EncodedFormat; sent: Uint8Array[]; stopped: number }[] = [];
  let give = (_bytes: Uint8Array): void => {};
  let fail = (_why: string): void => {};
  const { feeds, publish, sentAway } = makeFeeds({
    transcode: (format, { mp3, failed }): Transcoder => {
      const one = { format, sent: [] as Uint8Array[], stopped: 0 };
      opened.push(one);
      give = mp3;
      fail = failed;
      return {
        send: unit => one.sent.push(unit),
        stop: () => {
          one.stopped += 1;
        },
      };
    },
  });
  const format = { kind: 'encoded', container: 'flv', codec: 'AAC', head: Buffer.from('head') } as const;
  const publication = publish();
  publication.format(format);
  publication.send(Buffer.from('unit'));
  t.same(opened[0]?.sent, [Buffer.from('unit')]);
  give(mp3Bytes({ seconds: 1 }));
  t.ok(feeds.feed('radio'));
  publication.format({ ...format, head: Buffer.from('other') });
  t.equal(opened[0]?.stopped, 1);
  fail('it crashes again and again');
  t.same(sentAway, ['it crashes again and again']);
  t.equal(opened[1]?.stopped, 1);
  t.ok(feeds.feed('radio'), 'listeners stay for the grace');
});

t.test('without ffmpeg it is refused, with the line that mends it', async t => {
  const { publish } = makeFeeds();
  const publication = publish();
  const aac = { kind: 'encoded', container: 'flv', codec: 'AAC', head: new Uint8Array() } as const;
  const refusal = refusalOf(() => publication.format(aac));
  t.equal(refusal?.reason, 'unsupported');
  t.match(refusal?.message, /AAC needs ffmpeg.*libmp3lame/);
});

t.test('a publisher that changes its codec again and again is sent away', async t => {
  let opened = 0;
  const { publish, clock } = makeFeeds({
    transcode: () => {
      opened += 1;
      return { send: () => {}, stop: () => {} };
    },
  });
  const publication = publish();
  const change = (): void => {
    publication.format({ kind: 'encoded', container: 'flv', codec: 'AAC', head: Buffer.of(opened) });
  };
  for (let n = 0; n < 8; n += 1) change();
  t.throws(change, { name: 'PublishRefused', message: /too often/ });
  t.equal(opened, 8);
  clock.advance(5_000);
  change();
  t.equal(opened, 9, 'now and then is fine');
});

t.test('titles that come too fast: the first, and then the last of each second', async t => {
  const { publish, clock } = makeFeeds();
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 0.1 }));
  const told: unknown[] = [];
  publication.feed.join(0, {
    frames: () => {},
    titled: () => told.push(publication.feed.title.title),
    ended: () => {},
  });
  for (let n = 0; n < 1_000; n += 1) publication.titled({ title: `${n}` });
  t.same(told, ['0', '1', '2', '3']);
  clock.advance(1_000);
  t.same(told.slice(4), ['999']);
  clock.advance(60_000);
  t.equal(told.length, 5, 'what is no news is not told');
});

t.test('when the peer stops, feeds end and publishers go', async t => {
  const { clock, feeds, publish, sentAway } = makeFeeds();
  const publication = publish();
  publication.send(mp3Bytes({ seconds: 1 }));
  const { heard } = ear(publication.feed);
  feeds.stop();
  t.same(sentAway, ['this peer is stopping']);
  t.equal(heard.ended, 1);
  t.equal(clock.pending, 0);
  t.equal(refusalOf(() => publish())?.reason, 'wrong-key');
});

t.test('an open peer has room for so many feeds, and for those with keys', async t => {
  const forgotten: string[] = [];
  const { publish } = makeFeeds({
    keys: new StreamKeys(new Map([['radio', 'r4d10']]), true),
    forget: name => forgotten.push(name),
  });
  publish('r4d10').end();
  const strangers = Array.from({ length: 63 }, (_, n) => publish(`feed-${n}`));
  t.equal(refusalOf(() => publish('one-more'))?.reason, 'too-many');
  t.equal(publish('r4d10').feed.name, 'radio');
  strangers[5]!.send(mp3Bytes({ seconds: 1 }));
  strangers[5]!.lost();
  t.equal(refusalOf(() => publish('one-more'))?.reason, 'too-many', 'one in its grace is not over');
  publish('feed-5').end();
  t.same(forgotten, [], 'one that is over may come back');
  t.equal(publish('one-more').feed.name, 'one-more', 'while nobody needs its place');
  t.same(forgotten, ['feed-5']);
  t.equal(refusalOf(() => publish('feed-5'))?.reason, 'too-many');
});

t.test('a relay has its place at an open peer, and no stranger can publish in its name', async t => {
  const { feeds, publish, sentAway } = makeFeeds({ keys: new StreamKeys(new Map(), true) });
  publish('relay-5').send(mp3Bytes({ seconds: 1 }));
  for (let feed = 1; feed < 64; feed += 1) publish(`feed-${feed}`);
  const channel = feeds.relay('relay-5', feedId('elsewhere'));
  t.match(sentAway, ['a relay has this name'], 'who had the name goes');
  t.equal(refusalOf(() => publish('relay-5'))?.reason, 'already-live', 'also while nothing is relayed');
  channel.publish(() => {}).send(mp3Bytes({ seconds: 1 }));
  t.equal(feeds.feed('relay-5')?.id, feedId('elsewhere'));
  t.notOk(feeds.retitle({ key: 'x', name: 'relay-5' }, { title: 'Mine' }));
});
