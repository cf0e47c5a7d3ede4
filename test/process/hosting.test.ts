/**
 * A real `tsp-peer` as a host, asked by a listener that speaks for itself: parts by hash, an end in the middle, and a rate.
 */
import t from 'tap';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { mp3Bytes } from '../support/mp3.js';
import { hashOf, openNetwork } from '../support/network.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const SONG = mp3Bytes({ seconds: 60, bitrate: 320_000, seed: 1, title: 'Fandango' });
const OTHER = mp3Bytes({ seconds: 2, seed: 2, title: 'Bulería' });
const NOBODYS = 'ab'.repeat(32) as ContentHash;
const NONE = 0 as SongId;

t.test('RANGE with a hash brings that content or nothing, whatever the ID', async t => {
  const network = await openNetwork(t);
  const { port } = await network.host({ songs: { 'a.mp3': SONG, 'b.mp3': OTHER } });
  const song = await network.idOf(SONG);
  const other = await network.idOf(OTHER);
  const listener = await connectTsp(t, port);
  const range = (id: SongId, hash: ContentHash) =>
    listener.send({ type: 'RANGE', song: id, offset: 70_001, count: 5_000, hash });

  const part = SONG.subarray(70_001, 75_001);
  for (const id of [song, NONE, other]) {
    range(id, hashOf(SONG));
    t.match(await listener.receive('SONG_DATA'), { song: id, payload: part }, `asked as ${id}`);
  }
  range(song, NOBODYS);
  t.match(await listener.receive('ERROR'), { error: { code: 'song-changed', type: 0x41 } });
  range(NONE, NOBODYS);
  t.match(await listener.receive('ERROR'), { error: { code: 'no-such-song' } });
  range(other, hashOf(OTHER));
  t.match((await listener.receive('ERROR')).error, { code: 'bad-range' }, 'and the connection lives');
});

t.test('STOP ends a song in the middle, and its slot is free', async t => {
  const network = await openNetwork(t);
  const { port } = await network.host({
    songs: { 'a.mp3': SONG },
    args: ['--max-upload', '100k', '--slots', '1'],
  });
  const song = await network.idOf(SONG);
  const listener = await connectTsp(t, port);
  listener.send({ type: 'PLAY', song });
  await until('the song has begun', () => listener.socket.bytesRead > 9);
  const waiting = await connectTsp(t, port);
  waiting.send({ type: 'PLAY', song });
  t.match(await waiting.receive('ERROR'), { error: { code: 'busy' } });

  listener.send({ type: 'STOP', song: NONE });
  await until('the host closes', () => listener.ended || listener.socket.closed);
  t.ok(listener.socket.bytesRead < SONG.length, 'long before its end, which was half a minute away');
  waiting.send({ type: 'RANGE', song, offset: 0, count: 1_000 });
  t.match(await waiting.receive('SONG_DATA'), { payload: SONG.subarray(0, 1_000) });
});

t.test('--max-upload holds for all listeners together', async t => {
  const network = await openNetwork(t);
  const { port } = await network.host({ songs: { 'a.mp3': SONG }, args: ['--max-upload', '500k'] });
  const song = await network.idOf(SONG);
  const startedAt = performance.now();
  const bytes = 250_000;
  await Promise.all(
    [0, 1, 2, 3].map(async index => {
      const listener = await connectTsp(t, port);
      listener.send({ type: 'RANGE', song, offset: index * bytes, count: bytes });
      const { payload } = await listener.receive('SONG_DATA');
      t.ok(payload.equals(SONG.subarray(index * bytes, (index + 1) * bytes)));
    }),
  );
  // 1 MB at 500 kB/s, of which a burst of 250 ms may go ahead: never less than 1.75 s, however quick the machine.
  t.ok(performance.now() - startedAt >= 1_700, 'no sooner than the rate allows');
});
