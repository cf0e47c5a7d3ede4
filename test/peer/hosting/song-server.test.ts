/**
 * What a song server answers, over real sockets and from real files: exact bytes, parts, lists, hashes, in order.
 */
import fc from 'fast-check';
import t from 'tap';
import { SLICE_BYTES } from '../../../peer/hosting/served-song.js';
import { foldNodes } from '../../../protocol/merkle.js';
import { encode } from '../../../protocol/tsp/codec.js';
import { WireTrace } from '../../../protocol/tsp/describe.js';
import type { Message } from '../../../protocol/tsp/messages.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { hashOf } from '../../support/content.js';
import {
  asId,
  hostSongs,
  MIB,
  over,
  play,
  range,
  songBytes,
  watchedFiles,
} from '../../support/hosted-songs.js';
import { connectTsp, netcat } from '../../support/tsp-client.js';
import { VirtualClock } from '../../support/virtual-clock.js';

t.test('PLAY answers the whole file, exactly', async t => {
  for (const length of [1, 1024, 65_536, SLICE_BYTES, 3 * SLICE_BYTES + 17]) {
    const bytes = songBytes(length);
    const host = await hostSongs(t, { 10: bytes });
    const client = await connectTsp(t, host.port);
    client.send(play(10));
    const { song, payload } = await client.receive('SONG_DATA');
    t.equal(song, 10);
    t.ok(payload.equals(bytes), `${length} bytes`);
    t.equal(host.server.status().sentBytes, length);
  }
});

t.test('RANGE answers any part, cut to the end', async t => {
  const bytes = songBytes(2 * SLICE_BYTES + 5_000);
  const host = await hostSongs(t, { 10: bytes });
  const client = await connectTsp(t, host.port);
  const offset = fc.oneof(
    fc.nat(bytes.length),
    fc.constantFrom(0, SLICE_BYTES - 1, SLICE_BYTES, bytes.length),
  );
  const count = fc.oneof(fc.nat(bytes.length), fc.constantFrom(0, 1, 65_536, 0xffff_ffff, 2 ** 52));
  await fc.assert(
    fc.asyncProperty(offset, count, async (offset, count) => {
      client.send(range(10, offset, count));
      const { payload } = await client.receive('SONG_DATA');
      return payload.equals(bytes.subarray(offset, count === 0 ? undefined : offset + count));
    }),
    { numRuns: 60 },
  );
  client.send(range(10, bytes.length + 1, 1));
  t.match(await client.receive('ERROR'), { song: 10, error: { code: 'bad-range', type: 0x41 } });
});

t.test('a hash goes before the ID, and a stale ID never plays another song', async t => {
  const [one, two] = [songBytes(3_000, 1), songBytes(4_000, 2)];
  const host = await hostSongs(t, { 1: one, 2: two });
  const [hash1, hash2] = [host.songs.get(1)!.hash, host.songs.get(2)!.hash];
  const unknown = 'ab'.repeat(32) as ContentHash;
  const client = await connectTsp(t, host.port);
  client.send(range(1, 0, 0, hash1), range(2, 0, 0, hash1), range(99, 0, 0, hash2), range(0, 0, 0, hash2));
  t.ok((await client.receive('SONG_DATA')).payload.equals(one));
  t.ok((await client.receive('SONG_DATA')).payload.equals(one), 'another ID');
  t.ok((await client.receive('SONG_DATA')).payload.equals(two), 'an unknown ID');
  t.ok((await client.receive('SONG_DATA')).payload.equals(two), 'no ID');
  client.send(range(1, 0, 0, unknown), range(99, 0, 0, unknown), range(0, 0, 0, unknown), play(0), play(99));
  for (const code of ['song-changed', 'no-such-song', 'no-such-song', 'no-such-song', 'no-such-song'])
    t.match(await client.receive('ERROR'), { error: { code } });

  host.owed = true;
  client.send(play(99), range(99, 0, 0, hash1), play(0));
  t.match(await client.receive('ERROR'), { error: { code: 'unavailable', retryAfterMs: Number } });
  t.ok((await client.receive('SONG_DATA')).payload.equals(one));
  t.match(await client.receive('ERROR'), { error: { code: 'no-such-song' } });
});

t.test('HASHES answers all nodes of a level from 6 on, which fold to the hash', async t => {
  const host = await hostSongs(t, { 1: songBytes(3 * MIB + 1), 2: songBytes(3_000), 3: songBytes(65_536) });
  const client = await connectTsp(t, host.port);
  for (const [song, level, nodes] of [
    [1, 6, 49],
    [1, 7, 25],
    [1, 30, 1],
    [2, 6, 1],
    [2, 2, 1],
    [3, 6, 1],
  ] as const) {
    client.send({ type: 'HASHES', song: asId(song), level });
    const { payload } = await client.receive('HASH_LIST');
    t.equal(payload.length, nodes * 32);
    t.equal(Buffer.from(foldNodes(payload, level)).toString('hex'), host.songs.get(song)!.hash);
  }
  client.send({ type: 'HASHES', song: asId(1), level: 5 }, { type: 'HASHES', song: asId(9), level: 6 });
  t.match(await client.receive('ERROR'), { song: 1, error: { code: 'unavailable' } });
  t.match(await client.receive('ERROR'), { song: 9, error: { code: 'no-such-song' } });
});

t.test('LIST and INFO show the own songs, with the ID where it is known', async t => {
  const host = await hostSongs(t);
  const song = await host.add(7, songBytes(2_000), {
    title: 'So What',
    artist: 'Miles Davis',
    duration: 545.2,
    vbr: true,
    year: 1959,
  });
  const client = await connectTsp(t, host.port);
  const about = { title: 'So What', artist: 'Miles Davis', duration: 545.2, vbr: true };
  const listed = { id: 7, hash: song.hash, ...about };
  client.send(
    { type: 'LIST' },
    { type: 'INFO', song: 0 },
    { type: 'INFO', song: asId(7) },
    { type: 'INFO', song: asId(8) },
  );
  const list = await client.receive('LIST_INFO');
  t.strictSame(list.rows, [listed]);
  t.equal(list.revision, 0);
  t.strictSame((await client.receive('SONG_INFO')).rows, [{ ...listed, year: 1959, size: 2_000 }]);
  t.match(await client.receive('SONG_INFO'), { song: 7, rows: [{ id: 7, size: 2_000 }] });
  t.match(await client.receive('ERROR'), { song: 8, error: { code: 'no-such-song', type: 0x02 } });
});

t.test('a list of many songs is made in steps and once for all who ask within a second', async t => {
  const clock = new VirtualClock();
  let asked = 0;
  const host = await hostSongs(t, { 1: songBytes(1_000) }, { clock });
  const song = host.songs.get(1)!;
  const get = host.songs.values.bind(host.songs);
  host.songs.values = () => {
    asked += 1;
    return get();
  };
  for (let other = 2; other <= 2_000; other++) host.songs.set(other, { ...song, hash: hashOf(other) });
  const clients = await Promise.all([1, 2, 3].map(() => connectTsp(t, host.port)));
  for (const client of clients) client.send({ type: 'LIST' });
  for (const client of clients) t.equal((await client.receive('LIST_INFO')).rows.length, 2_000);
  t.equal(asked, 1);
  clock.advance(1_000);
  clients[0]!.send({ type: 'LIST' });
  await clients[0]!.receive('LIST_INFO');
  t.equal(asked, 2);
});

t.test('HELLO is welcomed as by a host, PING answered and told to the tracker link', async t => {
  const lines: string[] = [];
  const host = await hostSongs(
    t,
    {},
    { agent: 'torero/1.0.0', name: 'kitchen', trace: new WireTrace(line => lines.push(line)) },
  );
  const client = await connectTsp(t, host.port);
  client.send({ type: 'HELLO', port: 0, hello: { tsp: 1 } }, { type: 'PING', value: 4711 });
  t.strictSame(await client.receive('WELCOME'), {
    type: 'WELCOME',
    revision: 0,
    welcome: { tsp: 1, agent: 'torero/1.0.0', name: 'kitchen' },
  });
  t.match(await client.receive('PONG'), { value: 4711 });
  t.strictSame(host.pings, [4711]);
  client.write('\x30\0\0\0\0');
  t.match(await client.receive('ERROR'), { error: { code: 'unknown-type', type: 0x30 } });
  t.match(lines, [/> HELLO/, /< WELCOME/, /> PING 4711/, /< PONG 4711/, /> 0x30/, /< ERROR unknown-type/]);
});

t.test(
  'pipelined requests are answered in order, and after a half-close all answers still come whole',
  async t => {
    const bytes = songBytes(2 * MIB);
    const host = await hostSongs(t, { 1: bytes });
    const requests: Message[] = [
      { type: 'LIST' },
      play(1),
      { type: 'PING', value: 5 },
      play(2),
      range(1, 100, 50),
      { type: 'INFO', song: asId(1) },
    ];
    const client = await connectTsp(t, host.port);
    client.send(...requests);
    client.end();
    const answers = await client.drain();
    t.strictSame(
      answers.map(({ type }) => type),
      ['LIST_INFO', 'SONG_DATA', 'PONG', 'ERROR', 'SONG_DATA', 'SONG_INFO'],
    );
    t.ok((answers[1] as unknown as { payload: Buffer }).payload.equals(bytes));
    t.equal(await client.closed, 'ended');
  },
);

t.test('more than sixteen requests at once are read as earlier ones are answered, none is lost', async t => {
  const bytes = songBytes(100_000);
  const host = await hostSongs(t, { 1: bytes });
  const requests = Array.from({ length: 200 }, (_, i) =>
    i % 3 === 0 ? range(1, i, 400) : ({ type: 'PING', value: i } as const),
  );
  const whole = await netcat(t, host.port, Buffer.concat(requests.map(encode)));
  t.equal(whole.length, 67 * 409 + 133 * 5);
});

t.test(
  'a wrong message gets its ERROR after the answers that were asked before, then the connection ends',
  async t => {
    const bytes = songBytes(300_000);
    const host = await hostSongs(t, { 1: bytes });
    const client = await connectTsp(t, host.port);
    client.send(play(1));
    client.write(Buffer.concat([Buffer.from([0x81, 0, 0, 0, 0, 0, 0, 0, 3]), Buffer.from('abc')]));
    client.end();
    t.match(await client.drain(), [
      { type: 'SONG_DATA' },
      { type: 'ERROR', error: { code: 'bad-message', type: 0x81 } },
    ]);

    const tooLarge = await connectTsp(t, host.port);
    tooLarge.write('\x40\0\0\0\0\0\0\x10\x01');
    t.match(await tooLarge.next(), { type: 'ERROR', error: { code: 'too-large', type: 0x40 } });
    await over(tooLarge);
    t.equal(host.server.status().connections, 1, 'until the other side closes too, or a second has gone');
  },
);

t.test('STOP closes an idle connection too', async t => {
  const host = await hostSongs(t);
  const client = await connectTsp(t, host.port);
  client.send({ type: 'STOP', song: 0 });
  await over(client);
  await t.rejects(client.next(), 'without a word');
});

t.test('a thousand requests for one song read the file once', async t => {
  let reads = 0;
  const files = watchedFiles(step => {
    if (step === 'read') reads += 1;
  });
  const bytes = songBytes(3 * MIB);
  const host = await hostSongs(t, { 1: bytes }, { files });
  const clients = await Promise.all(Array.from({ length: 20 }, () => connectTsp(t, host.port)));
  await Promise.all(
    clients.map(async client => {
      client.send(...Array.from({ length: 16 }, (_, i) => range(1, i * 65_536, 65_536)), play(1));
      for (let i = 0; i < 16; i++) await client.receive('SONG_DATA');
      t.ok((await client.receive('SONG_DATA')).payload.equals(bytes));
    }),
  );
  t.equal(reads, 3);
});
