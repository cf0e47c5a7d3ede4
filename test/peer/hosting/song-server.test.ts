import { once } from 'node:events';
import { appendFile, open, rename, truncate, unlink, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { queueKey, readSendQueues } from '../../../peer/hosting/send-queues.js';
import { SLICE_BYTES } from '../../../peer/hosting/served-song.js';
import { songFiles } from '../../../peer/hosting/song-files.js';
import type { SongServer } from '../../../peer/hosting/song-server.js';
import { TransportError } from '../../../protocol/errors.js';
import { foldNodes } from '../../../protocol/merkle.js';
import { encode } from '../../../protocol/tsp/codec.js';
import type { Message, SongId } from '../../../protocol/tsp/messages.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { hostSongs, songBytes } from '../../support/hosted-songs.js';
import { connectTsp, netcat, type TspClient } from '../../support/tsp-client.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const id = (value: number) => value as SongId;
const play = (song: number): Message => ({ type: 'PLAY', song: id(song) });
const range = (song: number, offset: number, count: number, hash?: ContentHash): Message => ({
  type: 'RANGE',
  song: id(song),
  offset,
  count,
  ...(hash === undefined ? {} : { hash }),
});
const MIB = 1024 * 1024;

/** The host has closed its side, or reset. */
const isOver = (client: TspClient): boolean => client.ended || client.socket.closed;
const over = (client: TspClient): Promise<true> => until('the host closes', () => isOver(client));

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
    client.send({ type: 'HASHES', song: id(song), level });
    const { payload } = await client.receive('HASH_LIST');
    t.equal(payload.length, nodes * 32);
    t.equal(Buffer.from(foldNodes(payload, level)).toString('hex'), host.songs.get(song)!.hash);
  }
  client.send({ type: 'HASHES', song: id(1), level: 5 }, { type: 'HASHES', song: id(9), level: 6 });
  t.match(await client.receive('ERROR'), { song: 1, error: { code: 'unavailable' } });
  t.match(await client.receive('ERROR'), { song: 9, error: { code: 'no-such-song' } });
});

t.test('LIST and INFO show the own songs, with the ID where it is known', async t => {
  const host = await hostSongs(t);
  const song = await host.add(7, songBytes(2_000), {
    title: 'So What',
    artist: 'Miles Davis',
    duration: 545.2,
    year: 1959,
  });
  const client = await connectTsp(t, host.port);
  const listed = { id: 7, hash: song.hash, title: 'So What', artist: 'Miles Davis', duration: 545.2 };
  client.send(
    { type: 'LIST' },
    { type: 'INFO', song: 0 },
    { type: 'INFO', song: id(7) },
    { type: 'INFO', song: id(8) },
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
  for (let other = 2; other <= 2_000; other++)
    host.songs.set(other, { ...song, hash: other.toString(16).padStart(64, '0') as ContentHash });
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
    { agent: 'torero/1.0.0', name: 'kitchen', trace: line => lines.push(line) },
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
      { type: 'INFO', song: id(1) },
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

t.test('STOP behind a full socket closes the connection and frees the slot', async t => {
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { slots: 1, cacheBytes: 32 * MIB });
  const client = await connectTsp(t, host.port);
  client.socket.pause();
  client.send(play(1));
  await until('the slot is taken', () => host.server.status().uploads === 1);
  client.send({ type: 'STOP', song: 0 });
  await until('the slot is free', () => host.server.status().uploads === 0);
  client.socket.resume();
  await over(client);
  t.equal(host.server.status().connections, 0);
});

t.test('STOP closes an idle connection too', async t => {
  const host = await hostSongs(t);
  const client = await connectTsp(t, host.port);
  client.send({ type: 'STOP', song: 0 });
  await over(client);
  await t.rejects(client.next(), 'without a word');
});

t.test('slots: busy when all are taken, free when the connection ends or asks no song for 10 s', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(1_000) }, { slots: 1, clock });
  const [first, second] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  first.send(play(1));
  await first.receive('SONG_DATA');
  second.send(play(1), { type: 'LIST' }, { type: 'HASHES', song: id(1), level: 6 });
  t.match(await second.receive('ERROR'), {
    error: { code: 'busy', type: 0x03, retryAfterMs: Number, message: /1 / },
  });
  await second.receive('LIST_INFO');
  await second.receive('HASH_LIST');
  clock.advance(10_250);
  second.send(play(1));
  await second.receive('SONG_DATA');
  first.send(play(1));
  t.match(await first.receive('ERROR'), { error: { code: 'busy' } });
  second.destroy('reset');
  await until('the slot is free', () => host.server.status().uploads === 0);
  first.send(play(1));
  await first.receive('SONG_DATA');
});

t.test('deadlines: a slow header, an idle connection', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, {}, { clock });
  const silent = await connectTsp(t, host.port);
  const dripping = await connectTsp(t, host.port);
  const idle = await connectTsp(t, host.port);
  idle.send({ type: 'PING', value: 1 });
  await idle.receive('PONG');
  dripping.write('\x40\0');
  await until('all are accepted', () => host.server.status().connections === 3);
  await until('the drip has come', async () => {
    clock.advance(250);
    return clock.now() >= 5_250;
  });
  t.match(await silent.next(), { type: 'ERROR', error: { code: 'too-slow' } });
  t.match(await dripping.next(), { type: 'ERROR', error: { code: 'too-slow' } });
  clock.advance(1_250);
  await until('a second later both are gone', () => host.server.status().connections === 1);
  clock.advance(60_000);
  await over(idle);
});

t.test('a listener that takes nothing is dropped after 60 s; one that takes a little is not', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { clock, cacheBytes: 32 * MIB });
  const [stuck, slow] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  for (const client of [stuck, slow]) {
    client.socket.pause();
    client.send(play(1));
  }
  await until('both are sent to', () => host.server.status().uploads === 2);
  await until('the stuck one is dropped', async () => {
    await takeSome(slow.socket, 256 * 1024);
    await clock.advanceSlowly(5_000);
    return host.server.status().uploads === 1;
  });
  t.ok(clock.now() >= 60_000);
  await takeSome(slow.socket, 2 * MIB);
  t.equal(host.server.status().uploads, 1);
  slow.destroy();
  stuck.destroy();
});

async function takeSome(socket: Socket, bytes: number): Promise<void> {
  const enough = socket.bytesRead + bytes;
  while (socket.bytesRead < enough) {
    socket.resume();
    await once(socket, 'data');
    socket.pause();
  }
}

t.test('slow listeners cost no memory of their own', async t => {
  const bytes = songBytes(8 * MIB);
  const host = await hostSongs(t, { 1: bytes }, { cacheBytes: 8 * MIB });
  const clients = await Promise.all(Array.from({ length: 50 }, () => connectTsp(t, host.port)));
  for (const client of clients) {
    client.socket.pause();
    client.send(play(1));
  }
  await until('all are sent to', () => host.server.status().uploads === 50);
  t.ok(host.server.status().cachedBytes <= 8 * MIB);
  for (const client of clients) client.destroy();
  await until('all are gone', () => host.server.status().connections === 0);
});

t.test('a listener that resets or leaves in the middle harms nobody', async t => {
  const bytes = songBytes(8 * MIB);
  const host = await hostSongs(t, { 1: bytes }, { slots: 20 });
  for (let round = 0; round < 20; round++) {
    const client = await connectTsp(t, host.port);
    client.send(play(1), play(1));
    await once(client.socket, 'data');
    client.destroy(round % 2 === 0 ? 'reset' : 'close');
  }
  await until('every slot is free', () => host.server.status().uploads === 0);
  const client = await connectTsp(t, host.port);
  client.send(play(1));
  t.ok((await client.receive('SONG_DATA')).payload.equals(bytes));
  t.strictSame(host.logger.messages('error'), []);
});

// The six ways in which a file can change while it is sent. A slow listener has the first bytes when it happens.
const CHANGES: readonly [how: string, change: (path: string, foreign: Buffer) => Promise<unknown>][] = [
  ['truncated', path => truncate(path, 100_000)],
  ['appended to', (path, foreign) => appendFile(path, foreign)],
  ['overwritten in place', (path, foreign) => overwrite(path, foreign)],
  ['truncated and written anew', (path, foreign) => writeFile(path, foreign)],
  [
    'replaced by rename',
    async (path, foreign) => {
      await writeFile(`${path}.new`, foreign);
      await rename(`${path}.new`, path);
    },
  ],
  ['removed', path => unlink(path)],
];

async function overwrite(path: string, foreign: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(foreign, 0, foreign.length, 0);
  await file.close();
}

for (const [how, change] of CHANGES) {
  for (const cacheBytes of [0, 64 * MIB]) {
    t.test(
      `no foreign byte leaves when the file is ${how} mid-song, ${cacheBytes === 0 ? 'without' : 'with'} a cache`,
      async t => {
        const bytes = songBytes(12 * MIB);
        const host = await hostSongs(t, { 1: bytes }, { cacheBytes });
        const { path, hash } = host.songs.get(1)!;
        const client = connect({ host: '127.0.0.1', port: host.port });
        t.teardown(() => client.destroy());
        await once(client, 'connect');
        const endpoints = { localPort: host.port, remotePort: client.localPort! };
        const chunks: Buffer[] = [];
        client.on('data', chunk => chunks.push(chunk)).on('error', () => {});
        client.write(encode(play(1)));
        await once(client, 'data');
        client.pause();
        await change(path, songBytes(12 * MIB, 99));
        client.resume();
        await until(
          'all has come, or the connection is reset',
          () => client.destroyed || client.bytesRead === bytes.length + 9,
        );
        const received = Buffer.concat(chunks).subarray(9);
        t.ok(received.equals(bytes.subarray(0, received.length)), 'what came is the song');
        if (received.length < bytes.length && process.platform === 'linux') {
          // A side that closes in good order first is remembered by the kernel for a minute; a reset leaves nothing.
          t.notOk((await readSendQueues()).has(queueKey(endpoints)), 'it ended in a reset');
        }

        const late = await connectTsp(t, host.port);
        late.send(play(1));
        const answer = await late.next();
        if (answer.type === 'ERROR') t.match(answer, { error: { code: 'song-changed' } });
        else t.ok((answer as unknown as { payload: Buffer }).payload.equals(bytes));
        t.ok(host.rechecked.includes(hash), 'the library is told');
      },
    );
  }
}

t.test('a file that changed before it was asked for is song-changed', async t => {
  for (const [how, change] of CHANGES) {
    const host = await hostSongs(t, { 1: songBytes(200_000) });
    const { path, hash } = host.songs.get(1)!;
    await change(path, songBytes(200_000, 99));
    const client = await connectTsp(t, host.port);
    client.send(play(1), range(1, 0, 0, hash));
    t.match(await client.receive('ERROR'), { error: { code: 'song-changed' } }, how);
    t.match(await client.receive('ERROR'), { error: { code: 'song-changed' } }, how);
    t.ok(host.rechecked.includes(hash));
  }
});

t.test(
  '500 connections at once from one address: 40 are admitted, the rest is told why or closed',
  async t => {
    const host = await hostSongs(
      t,
      { 1: songBytes(1_000) },
      { maxPerAddress: 64, clock: new VirtualClock() },
    );
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const client = await connectTsp(t, host.port);
        client.send({ type: 'PING', value: 1 });
        try {
          const answer = await client.next();
          return answer.type === 'ERROR' ? answer.error.code : answer.type;
        } catch {
          return 'closed';
        }
      }),
    );
    const count = (what: string) => outcomes.filter(outcome => outcome === what).length;
    t.equal(count('PONG'), 40);
    t.ok(count('too-many') > 0);
    t.equal(count('PONG') + count('too-many') + count('closed'), 500);
  },
);

t.test('connections that say nothing are at most a quarter; the oldest makes room', async t => {
  const host = await hostSongs(t, {}, { maxConnections: 40 });
  const talking = await connectTsp(t, host.port);
  talking.send({ type: 'PING', value: 1 });
  await talking.receive('PONG');
  const silent: TspClient[] = [];
  for (let i = 0; i < 15; i++) silent.push(await connectTsp(t, host.port));
  await until('five of the silent ones are closed', () => silent.filter(isOver).length === 5);
  t.equal(host.server.status().connections, 11);
  t.ok(silent.slice(0, 5).every(isOver), 'the oldest');
});

t.test('out of descriptors: unavailable, and the song plays when there are some again', async t => {
  let open = 0;
  let allowed = 0;
  const emfile = () => Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
  const files = {
    async open(path: string) {
      if (open >= allowed) throw emfile();
      const file = await songFiles.open(path);
      open += 1;
      return {
        fingerprint: () => file.fingerprint(),
        read: (bytes: Uint8Array, position: number) => file.read(bytes, position),
        close: () => {
          open -= 1;
          return file.close();
        },
      };
    },
  };
  const host = await hostSongs(t, { 1: songBytes(5_000, 1), 2: songBytes(6_000, 2) }, { files });
  const client = await connectTsp(t, host.port);
  client.send(play(1));
  t.match(await client.receive('ERROR'), { error: { code: 'unavailable', retryAfterMs: Number } });
  allowed = 1;
  client.send(play(1), play(2), play(1));
  t.equal((await client.receive('SONG_DATA')).length, 5_000);
  t.equal((await client.receive('SONG_DATA')).length, 6_000, 'an idle descriptor makes room');
  t.equal((await client.receive('SONG_DATA')).length, 5_000);
  await host.server.stop();
  t.equal(open, 0);
});

t.test('a disk that fails before the first byte is internal, after it a reset', async t => {
  let reads = 0;
  let failFrom = 1;
  const files = {
    async open(path: string) {
      const file = await songFiles.open(path);
      return {
        fingerprint: () => file.fingerprint(),
        read: (bytes: Uint8Array, position: number) => {
          reads += 1;
          if (reads >= failFrom) throw Object.assign(new Error('EIO'), { code: 'EIO' });
          return file.read(bytes, position);
        },
        close: () => file.close(),
      };
    },
  };
  const host = await hostSongs(t, { 1: songBytes(3 * MIB) }, { files });
  const client = await connectTsp(t, host.port);
  client.send(play(1));
  t.match(await client.receive('ERROR'), { error: { code: 'internal', type: 0x03 } });
  failFrom = reads + 3;
  client.send(play(1));
  t.equal(await client.closed, 'reset');
  t.match(host.logger.messages('error'), [/could not be answered/, /an answer failed/]);
});

t.test('a thousand requests for one song read the file once', async t => {
  let reads = 0;
  const files = {
    async open(path: string) {
      const file = await songFiles.open(path);
      return {
        fingerprint: () => file.fingerprint(),
        read: (bytes: Uint8Array, position: number) => {
          reads += 1;
          return file.read(bytes, position);
        },
        close: () => file.close(),
      };
    },
  };
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

t.test('--max-upload holds for all listeners together, and shares in turn', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(4 * MIB) }, { clock, maxUploadBytesPerSecond: 100_000 });
  const clients = await Promise.all([1, 2, 3, 4].map(() => connectTsp(t, host.port)));
  for (const client of clients) client.send(play(1));
  for (let sent = 25_000; sent < 425_000; sent += 5_000) {
    await until('what the rate allows is out', () => host.server.status().sentBytes === sent);
    clock.advance(49);
    t.equal(host.server.status().sentBytes, sent, 'and not more');
    clock.advance(1);
  }
  const shares = clients.map(client => client.socket.bytesRead);
  t.ok(Math.max(...shares) - Math.min(...shares) <= 2 * 5_000 + 9, `${shares}`);
  for (const client of clients) client.destroy('reset');
});

t.test('stop lets a song that is being sent come whole, and closes the idle at once', async t => {
  const bytes = songBytes(12 * MIB);
  const host = await hostSongs(t, { 1: bytes });
  const [busy, idle] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  idle.send({ type: 'PING', value: 1 });
  await idle.receive('PONG');
  busy.send(play(1));
  await once(busy.socket, 'data');
  const stopped = host.server.stop();
  await over(idle);
  idle.destroy();
  t.ok((await busy.receive('SONG_DATA')).payload.equals(bytes));
  busy.destroy();
  await stopped;
  t.equal(host.server.status().connections, 0);
  const late = connect({ host: '127.0.0.1', port: host.port });
  await t.rejects(once(late, 'connect'), { code: 'ECONNREFUSED' });
});

t.test('stop waits ten seconds for a listener that takes nothing, no longer', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { clock });
  const client = await connectTsp(t, host.port);
  client.socket.pause();
  client.send(play(1));
  await until('it is sent to', () => host.server.status().uploads === 1);
  const stopped = host.server.stop();
  await clock.advanceSlowly(9_999);
  t.equal(host.server.status().connections, 1);
  await clock.advanceSlowly(1);
  await stopped;
  t.equal(host.server.status().connections, 0);
});

t.test(
  'without a port it listens on 7461 or else a free one; a given port that is taken is an error',
  async t => {
    const servers: SongServer[] = [];
    t.teardown(() => Promise.all(servers.map(server => server.stop())));
    const make = async () => {
      const { server } = await hostSongs(t);
      await server.stop();
      servers.push(server);
      return server;
    };
    const [first, second] = [await make(), await make()];
    const one = await first.start();
    const two = await second.start();
    t.not(one.port, two.port);
    t.ok(one.port === 7461 || two.port !== 7461);
    await t.rejects((await make()).start({ port: two.port }), TransportError);
    const client = await connectTsp(t, two.port);
    client.send({ type: 'PING', value: 3 });
    await client.receive('PONG');
  },
);

t.test('a stopped server can be stopped again', async t => {
  const host = await hostSongs(t);
  await host.server.stop();
  await t.resolves(host.server.stop());
});
