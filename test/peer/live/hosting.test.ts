/** Live feeds from a song server, over real sockets: runs, titles, ends, and listeners that are slow. */
import t from 'tap';
import { LiveOffers } from '../../../peer/live/live-offers.js';
import { FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import { encode } from '../../../protocol/tsp/codec.js';
import { MAX_RUN_MS } from '../../../protocol/tsp/constants.js';
import { asId, over, play, range } from '../../support/hosted-songs.js';
import { mp3Bytes } from '../../support/mp3.js';
import { connectTsp, type TspClient } from '../../support/tsp-client.js';
import { until } from '../../support/until.js';
import { feedId, framesOf, makeFeeds } from './feeding.js';
import { bytesOf, onAir, RADIO } from './on-air.js';

/** Runs until one is empty, or as many. */
async function runs(client: TspClient, most = Number.POSITIVE_INFINITY): Promise<Buffer[]> {
  const payloads: Buffer[] = [];
  while (payloads.length < most) {
    const { payload } = await client.await('SONG_DATA');
    if (payload.length === 0) break;
    payloads.push(payload);
  }
  return payloads;
}

t.test('PLAY of a feed joins at the present, a second back, and goes on run by run to its end', async t => {
  const { port, publication, server } = await onAir(t);
  const frames = framesOf(6);
  publication.titled({ title: 'So What' });
  publication.send(bytesOf(frames.slice(0, 150)));
  const client = await connectTsp(t, port);
  client.send(play(RADIO));
  const { song, rows } = await client.receive('SONG_INFO');
  t.equal(song, RADIO);
  t.match(rows, [
    {
      id: RADIO,
      live: true,
      feed: feedId('radio'),
      title: 'So What',
      album: 'radio',
      bitrate: 128_000,
      sampleRate: 44_100,
      channels: 2,
    },
  ]);
  t.notOk('hash' in rows[0]! || 'size' in rows[0]!);
  const [first] = await runs(client, 1);
  publication.send(bytesOf(frames.slice(150)));
  publication.end();
  const heard = Buffer.concat([first!, ...(await runs(client))]);
  const all = bytesOf(frames);
  t.ok(heard.equals(all.subarray(all.length - heard.length)), 'whole frames, bit for bit, to the last one');
  const burstMs = (heard.length / 16_000) * 1_000 - (frames.length - 150) * 26.122;
  t.ok(burstMs >= 980 && burstMs < 1_050, `${burstMs} ms before it joined`);
  t.equal(server.status().uploads, 0, 'it needed no slot');
  client.send(play(10));
  t.equal((await client.receive('SONG_DATA')).payload.length, 5_000, 'and the connection lives');
});

t.test('runs are short, hold whole frames, and all listeners have the same', async t => {
  for (const options of [{}, { sampleRate: 8_000, bitrate: 8_000 }, { bitrate: 320_000 }] as const) {
    const { port, publication } = await onAir(t);
    publication.send(mp3Bytes({ seconds: 1, ...options }));
    const clients = await Promise.all([connectTsp(t, port), connectTsp(t, port)]);
    for (const client of clients) {
      client.send(play(RADIO));
      await client.receive('SONG_INFO');
    }
    publication.send(mp3Bytes({ seconds: 2, seed: 5, ...options }));
    publication.end();
    const [one, other] = await Promise.all(clients.map(client => runs(client)));
    t.same(one, other);
    for (const run of one!) {
      const scanner = new FrameScanner();
      const frames = [...scanner.push(run), ...scanner.end()];
      t.equal(scanner.lostBytes, 0);
      const ms = frames.reduce((sum, { header }) => sum + (header.samples * 1_000) / header.sampleRate, 0);
      t.ok(ms <= MAX_RUN_MS, `${ms} ms`);
    }
  }
});

t.test('a new title comes between two runs', async t => {
  const { port, publication } = await onAir(t);
  publication.send(mp3Bytes({ seconds: 2 }));
  const client = await connectTsp(t, port);
  client.send(play(RADIO));
  t.match((await client.receive('SONG_INFO')).rows, [{ title: 'radio' }]);
  publication.titled({ title: 'Blue in Green', artist: 'Miles Davis' });
  t.match((await client.await('SONG_INFO')).rows, [{ title: 'Blue in Green', artist: 'Miles Davis' }]);
  client.send({ type: 'INFO', song: asId(RADIO) });
  publication.send(mp3Bytes({ seconds: 1 }));
  publication.end();
  await runs(client);
  t.match(
    (await client.receive('ERROR')).error,
    { code: 'no-such-song' },
    'what was asked meanwhile, after it',
  );
});

t.test('a feed is listed as one, and has no parts', async t => {
  const { port, publication } = await onAir(t);
  const client = await connectTsp(t, port);
  client.send(play(RADIO));
  t.match((await client.receive('ERROR')).error, { code: 'no-such-song' }, 'not before its first frame');
  publication.send(mp3Bytes({ seconds: 1 }));
  client.send({ type: 'LIST' }, { type: 'INFO', song: asId(RADIO) });
  const row = { id: RADIO, live: true, feed: feedId('radio'), title: 'radio' };
  t.match((await client.receive('LIST_INFO')).rows, [row, { id: 10 }]);
  t.match((await client.receive('SONG_INFO')).rows, [row]);
  client.send(range(RADIO, 0, 0), { type: 'HASHES', song: asId(RADIO), level: 6 });
  t.match((await client.receive('ERROR')).error, { code: 'bad-range' });
  t.match((await client.receive('ERROR')).error, { code: 'bad-range' });
});

t.test('STOP ends it at once, and nobody else notices', async t => {
  const { port, publication } = await onAir(t);
  publication.send(mp3Bytes({ seconds: 2 }));
  const [leaving, staying] = await Promise.all([connectTsp(t, port), connectTsp(t, port)]);
  for (const client of [leaving, staying]) {
    client.send(play(RADIO));
    await client.await('SONG_DATA');
  }
  t.equal(publication.feed.listeners, 2);
  leaving.send({ type: 'STOP', song: asId(RADIO) });
  await over(leaving);
  await until('it is forgotten', () => publication.feed.listeners === 1);
  publication.send(mp3Bytes({ seconds: 1 }));
  publication.end();
  t.not((await runs(staying)).length, 0);
});

t.test('a listener that takes nothing misses frames, and the others miss none', async t => {
  const { port, publication } = await onAir(t);
  const send = (seed: number): Buffer => {
    const bytes = mp3Bytes({ seconds: 2, bitrate: 320_000, seed });
    publication.send(bytes);
    return bytes;
  };
  send(1);
  const slow = await connectTsp(t, port);
  slow.socket.pause();
  slow.send(play(RADIO));
  const quick = await connectTsp(t, port);
  quick.send(play(RADIO));
  await quick.await('SONG_DATA');
  const quickHears = runs(quick);
  const sent: Buffer[] = [];
  // More than any kernel keeps for a connection, in steps that the quick one follows.
  for (let n = 2; n < 200; n += 1) {
    const { bytesRead } = quick.socket;
    sent.push(send(n));
    await until('it follows', () => quick.socket.bytesRead > bytesRead);
  }
  publication.end();
  const heard = Buffer.concat(await quickHears);
  const last = Buffer.concat(sent.slice(-20));
  t.ok(heard.subarray(heard.length - last.length).equals(last), 'the quick one has it all');
  slow.socket.resume();
  const scanner = new FrameScanner();
  const late = Buffer.concat(await runs(slow));
  const frames = [...scanner.push(late), ...scanner.end()];
  t.equal(scanner.lostBytes, 0, 'frames are missed whole');
  t.ok(late.length < heard.length, `${frames.length} frames came late`);
  t.ok(late.subarray(-20_000).equals(last.subarray(-20_000)), 'the latest are there');
});

t.test('when the host stops, listeners are told that it is the end', async t => {
  const { port, publication, room, server } = await onAir(t);
  publication.send(mp3Bytes({ seconds: 1 }));
  const client = await connectTsp(t, port);
  client.send(play(RADIO));
  await client.await('SONG_DATA');
  room.feeds.stop();
  const stopped = server.stop();
  await runs(client);
  client.end();
  await stopped;
  t.equal(await client.closed, 'ended');
});

t.test('the upload rate holds for feeds too', async t => {
  const { port, publication } = await onAir(t, { maxUploadBytesPerSecond: 8_000 });
  publication.send(mp3Bytes({ seconds: 2 }));
  const client = await connectTsp(t, port);
  client.send(play(RADIO));
  await client.await('SONG_DATA');
  client.destroy();
  await until('it is forgotten while it waits for its share', () => publication.feed.listeners === 0);
});

t.test('what is on the air is told as it comes, changes and goes', async t => {
  const { feeds, publish } = makeFeeds();
  const offers = new LiveOffers(feeds);
  const told: unknown[] = [];
  offers.onChange(({ changed, removed }) =>
    told.push({ changed: changed.map(({ offer }) => offer.title), removed }),
  );
  const publication = publish();
  publication.titled({ title: 'One' });
  publication.send(mp3Bytes({ seconds: 1 }));
  publication.titled({ title: 'Two' });
  publication.end();
  t.same(told, [
    { changed: ['One'], removed: [] },
    { changed: ['Two'], removed: [] },
    { changed: [], removed: [feedId('radio')] },
  ]);
  t.ok(encode({ type: 'UPDATE', changes: [{ hash: feedId('radio'), live: true, title: 'One' }] }));
});
