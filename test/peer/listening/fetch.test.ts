/** Songs fetched from real sockets, whose other end behaves. */
import t from 'tap';
import { HEDGE_MS } from '../../../peer/listening/fetch-effects.js';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { collectWithin, fetcher, toFetch } from './fetching.js';
import {
  type Listener,
  type ScriptedHost,
  scriptedHost,
  serveHashes,
  serveRange,
  testSong,
} from './scripted-host.js';

const MIB = 1024 * 1024;

t.test('a song comes byte for byte, whatever its size', async t => {
  const sizes = [
    1,
    1023,
    1024,
    1025,
    PIECE_BYTES - 1,
    PIECE_BYTES,
    PIECE_BYTES + 1,
    3 * PIECE_BYTES,
    5 * MIB + 17,
  ];
  const songs = sizes.map((size, index) => testSong(size, index + 1));
  const host = await scriptedHost(t, songs);
  const songFetcher = fetcher(t);
  for (const song of songs) {
    const stream = songFetcher.open(toFetch(song, [host]));
    t.ok((await collectWithin(stream)).equals(song.bytes), `${song.bytes.length} bytes`);
    t.equal(await stream.size, song.bytes.length);
    const report = stream.report();
    t.same(report.sources, [{ host: host.address, bytes: song.bytes.length }]);
    t.same(report.failed, []);
    t.equal(report.verified, true);
    t.ok(report.firstByteMs !== undefined);
  }
  t.ok(host.connections <= 2, 'all over one connection, with another one spare');
});

t.test('HASHES and the first RANGE leave in one write, and always with the hash', async t => {
  const song = testSong(300_000);
  let firstChunk: string[] | undefined;
  const host = await scriptedHost(t, [song], {
    connected: ({ socket }) =>
      socket.once('data', () =>
        setImmediate(() => {
          firstChunk ??= host.asked.map(message => message.type);
        }),
      ),
  });
  await collectWithin(fetcher(t).open(toFetch(song, [host])));
  t.same(firstChunk, ['HASHES', 'RANGE', 'INFO']);
  t.ok(
    host.asked.every(message => message.type === 'INFO' || ('hash' in message && message.hash === song.hash)),
  );
});

t.test('a song starts at any byte, and a second fetch needs no hashes', async t => {
  const song = testSong(1_000_000);
  const host = await scriptedHost(t, [song]);
  const songFetcher = fetcher(t);
  for (const fromByte of [1, 65_535, 65_536, 777_777, 999_999, 1_000_000, 2_000_000]) {
    const stream = songFetcher.open(toFetch(song, [host]), { fromByte });
    t.ok((await collectWithin(stream)).equals(song.bytes.subarray(fromByte)), `from ${fromByte}`);
  }
  t.equal(host.asked.filter(message => message.type === 'HASHES').length, 1);
});

t.test('without an ID the hash is enough', async t => {
  const song = testSong(400_000);
  const host = await scriptedHost(t, [song]);
  const stream = fetcher(t).open({ hash: song.hash, hosts: [host.address] });
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.equal(await stream.size, song.bytes.length, 'the last piece tells the size');
});

t.test('a claimed size that the hashes refute is not believed', async t => {
  const song = testSong(400_000);
  const host = await scriptedHost(t, [song]);
  for (const size of [10, 9_000_000]) {
    const stream = fetcher(t).open(toFetch(song, [host], { size }));
    t.ok((await collectWithin(stream)).equals(song.bytes));
    t.equal(await stream.size, song.bytes.length);
  }
});

t.test('nothing is fetched beyond the window before the reader', async t => {
  const song = testSong(9 * MIB);
  const host = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [host]));
  const reader = stream[Symbol.asyncIterator]();
  const first = await reader.next();
  t.ok(host.sentBytes <= 2 * PIECE_BYTES, 'who waits gets the first piece alone');
  const second = await reader.next();
  await until('the window is full', () => host.sentBytes >= 4 * MIB - PIECE_BYTES);
  t.ok(host.sentBytes <= 4 * MIB + 2 * PIECE_BYTES, `${host.sentBytes} bytes were asked for`);
  const rest = await collectWithin(stream);
  t.ok(Buffer.concat([first.value, second.value, rest]).equals(song.bytes), 'and the rest when it is wanted');
});

t.test('a seek goes on over the warm connection, and a cancelled stream ends', async t => {
  const song = testSong(6 * MIB);
  const host = await scriptedHost(t, [song]);
  const songFetcher = fetcher(t);
  const first = songFetcher.open(toFetch(song, [host]), { urgency: 'ahead' });
  await first[Symbol.asyncIterator]().next();
  await until('the window is full', () => (first.report().sources[0]?.bytes ?? 0) >= 4 * MIB);
  first.cancel();
  t.same(await first[Symbol.asyncIterator]().next(), { done: true, value: undefined });
  const second = songFetcher.open(toFetch(song, [host]), { fromByte: 5 * MIB });
  t.ok((await collectWithin(second)).equals(song.bytes.subarray(5 * MIB)));
  t.ok(host.connections <= 2);
});

t.test('who skips to another song of the same host waits for no handshake', async t => {
  const songs = [testSong(6 * MIB, 1), testSong(5 * MIB, 2)];
  const standing: Listener[] = [];
  let asked: Listener | undefined;
  const host = await scriptedHost(t, songs, {
    connected: listener => standing.push(listener),
    range: (listener, _range, song) => {
      if (song === songs[1]) asked ??= listener;
      return false;
    },
  });
  const songFetcher = fetcher(t);
  const first = songFetcher.open(toFetch(songs[0]!, [host]));
  await first[Symbol.asyncIterator]().next();
  await until('a spare connection stands', () => host.open === 2);
  const [, spare] = standing;
  const second = songFetcher.open(toFetch(songs[1]!, [host]));
  t.notOk((await second[Symbol.asyncIterator]().next()).done);
  t.ok(asked === spare, 'the spare one is used');
  first.cancel();
  second.cancel();
});

t.test('a loop that is left cancels, and stopping ends every stream and connection', async t => {
  const song = testSong(6 * MIB);
  const host = await scriptedHost(t, [song]);
  const songFetcher = fetcher(t);
  for await (const chunk of songFetcher.open(toFetch(song, [host]))) {
    t.ok(chunk.length > 0);
    break;
  }
  const waiting = songFetcher.open(toFetch(song, [host]));
  await waiting[Symbol.asyncIterator]().next();
  await songFetcher.stop();
  await until('no connection is left', () => host.open === 0);
  t.throws(() => songFetcher.open(toFetch(song, [host])), /stopped/);
});

t.test('warm connections: dialled ahead, at most sixteen', async t => {
  const song = testSong(200_000);
  const hosts: ScriptedHost[] = [];
  for (let index = 0; index < 18; index += 1) hosts.push(await scriptedHost(t, [song]));
  const songFetcher = fetcher(t);
  songFetcher.warm(hosts.map(host => host.address));
  await until('sixteen stand', () => hosts.filter(host => host.open === 1).length === 16);
  songFetcher.warm(hosts.slice(16).map(host => host.address));
  await until('the newest stand', () => hosts.slice(16).every(host => host.open > 0));
  await until('never more than sixteen', () => hosts.filter(host => host.open > 0).length <= 16);
});

t.test('a prefetched song is exact, and asks no second host only to begin sooner', async t => {
  const song = testSong(800_000);
  const clock = new VirtualClock();
  const held: (() => void)[] = [];
  let holds = true;
  const slow = await scriptedHost(t, [song], {
    hashes: (...asked) => held.push(() => serveHashes(...asked)),
    range: (...asked) => holds && held.push(() => serveRange(...asked)) > 0,
  });
  const other = await scriptedHost(t, [song]);
  const toSlowFirst = toFetch(song, [slow, other], { size: song.bytes.length });
  const whole = collectWithin(fetcher(t, { clock }).open(toSlowFirst, { urgency: 'ahead' }));
  await until('the slow one is asked', () => held.length >= 2);
  await clock.advanceSlowly(2 * HEDGE_MS);
  t.same(other.asked, []);
  holds = false;
  for (const answer of held) answer();
  t.ok((await whole).equals(song.bytes));
});
