/**
 * The RTMP server on real sockets and a virtual clock: who may publish, what becomes of it, who may play. What strangers can't
 * do is in rtmp-strangers.test.ts, real clients are in test/process/rtmp-clients.test.ts.
 */
import t from 'tap';
import type { ListenAt } from '../../../peer/live/live-config.js';
import type { EncodedFormat } from '../../../peer/live/publication.js';
import { adobeResponse } from '../../../protocol/rtmp/adobe-auth.js';
import { CLOSE_AFTER_MS, PLAYER_SILENCE_MS } from '../../../protocol/rtmp/constants.js';
import { FLV_HEADER, flvAudioTag } from '../../../protocol/rtmp/flv-audio.js';
import { mpegFrames } from '../../support/mp3.js';
import { command, connect, metadata, RtmpClient } from '../../support/rtmp-client.js';
import { until } from '../../support/until.js';
import { framesOf, GRACE_MS } from './feeding.js';
import { publishing, RADIO_KEY, rtmpRoom, TALK_KEY, tagOf } from './rtmp-room.js';

t.test('what is published is played, frame for frame', async t => {
  const room = await rtmpRoom(t);
  const { port } = room;
  const publisher = await publishing(t, room);
  const player = await RtmpClient.connected(t, port);
  player.play('radio', -2000);
  await player.heard(publisher.frames.length);
  const more = framesOf(0.5, { seed: 9 });
  for (const frame of more) publisher.client.audio(tagOf(frame));
  publisher.client.say(metadata({ title: 'Next', artist: 5 }), 1);
  await player.told('onMetaData', 2);
  publisher.client.say(command('FCUnpublish', 0, null, RADIO_KEY), 0);
  await player.told('NetStream.Play.Stop');
  const heard = player.hearing.audio;
  t.same(
    heard.map(({ body }) => body),
    [...publisher.frames, ...more].map(tagOf),
  );
  t.same([heard[0]?.timestamp, heard[1]?.timestamp, heard[38]?.timestamp], [0, 26, 993]);
  t.match(
    player.hearing.messages.find(message => message.kind === 'data' && message.values[0] === 'onMetaData'),
    {
      values: [
        'onMetaData',
        new Map<string, unknown>([
          ['audiocodecid', 2],
          ['audiodatarate', 128],
          ['audiosamplerate', 44_100],
          ['audiosamplesize', 16],
          ['stereo', true],
          ['title', 'Olé'],
          ['artist', 'Torero'],
        ]),
      ],
    },
  );
});

t.test('a goodbye ends the feed for its players, a lost connection does not', async t => {
  const room = await rtmpRoom(t);
  const { port, clock, feeds } = room;
  const player = await RtmpClient.connected(t, port);
  player.play('radio');
  const first = await publishing(t, room);
  await player.heard(1);
  first.client.socket.destroy();
  await until('it is gone', () => {
    clock.advance(500);
    return player.hearing.audio.length > first.frames.length;
  });
  t.ok(feeds.feed('radio'), 'silence is heard meanwhile');
  const second = await publishing(t, room);
  second.client.say(command('FCUnpublish', 0, null, RADIO_KEY), 0);
  await player.told('NetStream.Play.UnpublishNotify');
  clock.advance(CLOSE_AFTER_MS);
  await player.over;
  t.notOk(feeds.feed('radio'));
});

t.test('a player whom the line does not bear is told so, and the next one when there is room', async t => {
  const room = await rtmpRoom(t, { feeds: { maxUploadBytesPerSecond: 25_000 } });
  await publishing(t, room);
  const { places } = room.feeds.feed('radio')!;
  const player = await RtmpClient.connected(t, room.port);
  player.play('radio');
  await player.heard(1);
  const turnedAway = await RtmpClient.connected(t, room.port);
  turnedAway.play('radio');
  await turnedAway.told('NetStream.Play.Failed');
  t.match(turnedAway.hearing.status('NetStream.Play.Failed')?.get('description'), /the line can bear/);
  t.equal(places.used, 1);
  player.socket.destroy();
  await until('its place is free', () => places.used === 0);
  const next = await RtmpClient.connected(t, room.port);
  next.play('radio');
  await next.heard(1);
});

t.test('a lost publisher is waited for so long and not longer', async t => {
  const room = await rtmpRoom(t);
  const { port, clock } = room;
  const { client } = await publishing(t, room);
  const player = await RtmpClient.connected(t, port);
  player.play('radio');
  await player.heard(1);
  client.socket.destroy();
  const lostAt = clock.now();
  const waited = await until('it is over', async () => {
    await clock.advanceSlowly(GRACE_MS / 8);
    return player.hearing.told.includes('NetStream.Play.Stop') && clock.now() - lostAt;
  });
  t.ok(waited >= GRACE_MS);
});

t.test('a wrong key is refused before the start, and no key gets into the log', async t => {
  const room = await rtmpRoom(t);
  const { port, clock, logger, traced } = room;
  for (const key of ['wrong-key', '', 'a\0b', 'x'.repeat(300)]) {
    const client = await RtmpClient.connected(t, port);
    client.publish(key);
    await until('a refusal', () => client.hearing.told.some(told => /Rejected|BadName/.test(told)));
    t.notOk(client.hearing.told.includes('NetStream.Publish.Start'));
    clock.advance(CLOSE_AFTER_MS);
    await client.over;
  }
  await publishing(t, room);
  t.notMatch(JSON.stringify([logger.entries, traced]), /wrong-key|r4d10/);
  t.match(traced.join('\n'), /^127\.0\.0\.1:\d+ > publish 3 \(not shown\) · stream 1$/m);
  t.match(traced.join('\n'), /^127\.0\.0\.1:\d+ < onStatus 0 status NetStream.Publish.Start · stream 1$/m);
});

t.test('the key may stand in the server’s path, and publishing has one room', async t => {
  const { port, feeds, traced } = await rtmpRoom(t);
  const obs = await RtmpClient.connected(t, port, `live/${RADIO_KEY}`);
  obs.publish('');
  await obs.told('NetStream.Publish.Start');
  obs.audio(tagOf(framesOf(1)[0]!));
  for (const frame of framesOf(0.2)) obs.audio(tagOf(frame));
  await until('it is on the air', () => feeds.feed('radio') !== undefined);
  t.notMatch(traced.join('\n'), RADIO_KEY);
  const lost = await RtmpClient.connected(t, port, 'songs');
  lost.publish('7');
  await lost.told('NetStream.Publish.BadName');
  const elsewhere = await RtmpClient.open(t, port);
  elsewhere.say(connect('vod'));
  await elsewhere.told('NetConnection.Connect.InvalidApp');
});

t.test('a second publisher is refused, unless the first has gone silent', async t => {
  const room = await rtmpRoom(t);
  const { port, clock } = room;
  const first = await publishing(t, room);
  const second = await RtmpClient.connected(t, port);
  second.publish(RADIO_KEY);
  await second.told('NetStream.Publish.BadName');
  await clock.advanceSlowly(3_500);
  const third = await RtmpClient.connected(t, port);
  third.publish(RADIO_KEY);
  await third.told('NetStream.Publish.Start');
  t.ok(await first.client.told('NetStream.Publish.Rejected'));
  clock.advance(CLOSE_AFTER_MS);
  await first.client.over;
});

t.test('a publisher logs in with user and password', async t => {
  const { port, feeds, clock, traced } = await rtmpRoom(t);
  const attempt = async (query: string): Promise<string> => {
    const client = await RtmpClient.open(t, port);
    client.say(connect(`auth${query}`));
    await client.told('NetConnection.Connect.Rejected');
    clock.advance(CLOSE_AFTER_MS);
    await client.over;
    return String(client.hearing.status('NetConnection.Connect.Rejected')?.get('description'));
  };
  t.match(await attempt(''), 'code=403 need auth');
  const described = await attempt('?authmod=adobe&user=talk');
  const field = (name: string): string => new RegExp(`[?&]${name}=([^&]*)`).exec(described)![1]!;
  const [salt, opaque] = [field('salt'), field('opaque')];
  const response = adobeResponse({ user: 'talk', password: TALK_KEY, salt, opaque, challenge: 'c2==' });
  const app = `auth?authmod=adobe&user=talk&challenge=c2==&response=${response}&opaque=${opaque}`;
  const client = await RtmpClient.connected(t, port, app);
  client.publish('anything');
  await client.told('NetStream.Publish.Start');
  for (const frame of framesOf(0.2)) client.audio(tagOf(frame));
  await until('it is on the air', () => feeds.feed('talk') !== undefined);
  t.match(await attempt(app.slice('auth'.length)), 'authfailed', 'overheard, it does not serve again');
  for (const secret of [salt!, opaque!, response, TALK_KEY]) t.notOk(traced.join('\n').includes(secret));
});

const AAC_CONFIGURATION = Buffer.from('af001210', 'hex');
const AAC_FRAME = Buffer.from('af012110', 'hex');

t.test('AAC without ffmpeg is refused with the line that mends it', async t => {
  const { port, clock } = await rtmpRoom(t);
  const client = await RtmpClient.connected(t, port);
  client.publish(RADIO_KEY);
  await client.told('NetStream.Publish.Start');
  client.audio(AAC_CONFIGURATION);
  await client.told('NetStream.Publish.Rejected');
  t.match(client.hearing.status('NetStream.Publish.Rejected')?.get('description'), /AAC needs ffmpeg/);
  clock.advance(CLOSE_AFTER_MS);
  await client.over;
});

t.test(
  'AAC goes to ffmpeg as FLV: header and configuration once, then tag by tag; MP3 needs none',
  async t => {
    const formats: EncodedFormat[] = [];
    const units: Uint8Array[] = [];
    const stops: string[] = [];
    const { port, feeds } = await rtmpRoom(t, {
      feeds: {
        transcode: format => {
          formats.push(format);
          return { send: unit => units.push(unit), stop: () => stops.push(format.codec) };
        },
      },
    });
    const client = await RtmpClient.connected(t, port);
    client.publish(RADIO_KEY);
    await client.told('NetStream.Publish.Start');
    client.audio(AAC_CONFIGURATION);
    client.audio(AAC_FRAME, 0x0102_0304);
    client.audio(Buffer.of(0xaf));
    client.audio(AAC_CONFIGURATION);
    client.audio(AAC_FRAME);
    await until('two frames', () => units.length === 2);
    const head = Buffer.concat([FLV_HEADER, flvAudioTag(0, AAC_CONFIGURATION)]);
    t.same(formats, [{ kind: 'encoded', container: 'flv', codec: 'AAC', head }]);
    t.same(units, [flvAudioTag(0x0102_0304, AAC_FRAME), flvAudioTag(0, AAC_FRAME)]);
    t.equal(
      Buffer.from(units[0]!.subarray(0, 11)).toString('hex'),
      '0800000402030401000000',
      'the time’s highest byte is the last',
    );
    for (const frame of framesOf(0.2)) client.audio(tagOf(frame));
    await until('it is on the air', () => feeds.feed('radio') !== undefined);
    t.same(stops, ['AAC']);
    client.audio(Buffer.from('b200', 'hex'));
    await until('Speex', () => formats.length === 2);
    t.match(formats[1], { codec: 'Speex', head: FLV_HEADER });
  },
);

t.test('a feed that is not on the air yet is waited for, ten seconds', async t => {
  const room = await rtmpRoom(t);
  const { port, clock } = room;
  const early = await RtmpClient.connected(t, port);
  early.play('radio');
  const mistaken = await RtmpClient.connected(t, port);
  mistaken.play('nothing');
  const gone = await RtmpClient.connected(t, port);
  gone.play('radio');
  await publishing(t, room);
  await early.heard(1);
  gone.socket.destroy();
  await clock.advanceSlowly(10_000);
  t.ok(await mistaken.told('NetStream.Play.StreamNotFound'));
  clock.advance(CLOSE_AFTER_MS);
  await mistaken.over;
});

t.test('who wants a part of a live feed is sent so much, and told the end', async t => {
  const room = await rtmpRoom(t);
  const { client } = await publishing(t, room);
  const player = await RtmpClient.connected(t, room.port);
  player.play('radio', -1_000, 1_500);
  for (const frame of framesOf(2)) client.audio(tagOf(frame));
  await player.told('NetStream.Play.Stop');
  t.ok(player.hearing.told.includes('onPlayStatus'), 'complete: the feed itself goes on');
  const times = player.hearing.audio.map(({ timestamp }) => timestamp);
  const seconds = (Math.max(...times) - Math.min(...times)) / 1_000;
  t.ok(seconds > 1.2 && seconds < 1.8, `${seconds} s, in runs of 0.2`);
  const brief = await RtmpClient.connected(t, room.port);
  brief.play('radio', -1_000, 400);
  await brief.told('NetStream.Play.Stop');
  t.ok(brief.hearing.audio.length > 10, 'what is there already may be enough');
});

t.test('a live player pauses, goes on at the present, and seeks in vain', async t => {
  const room = await rtmpRoom(t);
  const { port, clock } = room;
  const { client, frames } = await publishing(t, room);
  const player = await RtmpClient.connected(t, port);
  player.play('radio');
  await player.heard(frames.length);
  player.say(command('pause', 0, null, true, 0), 1);
  await player.told('NetStream.Pause.Notify');
  for (const frame of framesOf(0.5)) client.audio(tagOf(frame));
  player.say(command('seek', 0, null, 5_000), 1);
  await player.told('NetStream.Seek.Notify');
  t.equal(player.hearing.audio.length, frames.length);
  player.say(command('pause', 0, null, false, 0), 1);
  await player.heard(frames.length + 10);
  const times = player.hearing.audio.map(({ timestamp }) => timestamp);
  t.same(
    times,
    [...new Set(times)].sort((a, b) => a - b),
    'nothing comes twice',
  );
  player.say(command('deleteStream', 0, null, 1));
  player.say(command('createStream', 9, null));
  await player.told('_result', 2);
  const before = player.hearing.audio.length;
  await clock.advanceSlowly(1_000);
  t.equal(player.hearing.audio.length, before, 'no silence either');
});

t.test(
  'a slow player loses whole frames, the oldest first, then its connection; others lose nothing',
  async t => {
    const { port, publish, clock, server } = await rtmpRoom(t);
    const publication = publish();
    const second = mpegFrames({ seconds: 1, bitrate: 320_000, seed: 4 });
    const frameCount = framesOf(1, { bitrate: 320_000 }).length;
    publication.send(second);
    const fast = await RtmpClient.connected(t, port);
    fast.play('radio');
    const slow = await RtmpClient.connected(t, port);
    slow.play('radio');
    await slow.heard(1);
    slow.socket.pause();
    // More than both kernels' buffers hold, and the ring.
    let sent = 1;
    while (sent < 500) {
      for (let i = 0; i < 4; i += 1, sent += 1) publication.send(second);
      await fast.heard((sent - 1) * frameCount);
    }
    slow.socket.resume();
    const jumped = await until('it hears again', () =>
      slow.hearing.audio.find(
        ({ timestamp }, i, all) => i > 0 && timestamp - all[i - 1]!.timestamp > 2 * 27 && timestamp,
      ),
    );
    t.ok(jumped, 'frames are missing');
    t.ok(slow.hearing.audio.length < sent * frameCount);
    t.ok(
      slow.hearing.audio.every(({ body }) => body[1] === 0xff && body.length >= 1_044),
      'each of the others is whole',
    );
    t.ok(
      fast.hearing.audio.every(({ timestamp }, i, all) => i === 0 || timestamp - all[i - 1]!.timestamp < 28),
    );

    slow.socket.pause();
    const pausedAt = clock.now();
    await until('it is dropped', async () => {
      for (let i = 0; i < 10; i += 1) publication.send(second);
      await clock.advanceSlowly(1_000);
      fast.say({ kind: 'user-control', event: 'ping-response', value: 0 });
      return server.connections === 1;
    });
    t.ok(clock.now() - pausedAt < PLAYER_SILENCE_MS, 'for what it did not take');
    slow.socket.resume();
    await slow.over;
    fast.say(command('createStream', 9, null));
    t.ok(await fast.told('_result', 2), 'the fast one is still there');
  },
);

t.test('its addresses, and a port that is taken', async t => {
  const { port, server } = await rtmpRoom(t);
  t.equal(server.publishUrl('radio', 'k'), `rtmp://127.0.0.1:${port}/live/k`);
  t.equal(server.listenUrl('radio'), `rtmp://127.0.0.1:${port}/live/radio`);
  const refused = (at: ListenAt): Promise<unknown> =>
    rtmpRoom(t, { server: { at } }).catch((error: unknown) => error);
  t.match(await refused({ host: '127.0.0.1', port }), {
    failure: { message: /in use/, hint: /--rtmp 0 takes a free one/ },
  });
  t.match(await refused({ host: '192.0.2.1', port: 1935 }), {
    failure: { message: /no address of this machine/, hint: /^--rtmp 0\.0\.0\.0:1935 / },
  });
});

t.test('a peer that stops tells publishers and players', async t => {
  const room = await rtmpRoom(t);
  const { port, server, clock } = room;
  const { client } = await publishing(t, room);
  const player = await RtmpClient.connected(t, port);
  player.play('radio');
  await player.heard(1);
  const stopped = server.stop();
  await Promise.all([client.told('NetStream.Publish.Rejected'), player.told('NetStream.Play.Stop')]);
  await clock.advanceSlowly(20_000);
  await stopped;
  t.equal(server.connections, 0);
  await server.stop();
});
