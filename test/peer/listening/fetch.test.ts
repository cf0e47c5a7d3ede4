/** Songs fetched from real sockets, whose other end behaves as badly as hosts do. */
import { performance } from 'node:perf_hooks';
import t from 'tap';
import { SongFetcher } from '../../../peer/listening/fetch.js';
import type { SongStream, SongToFetch } from '../../../peer/listening/song-stream.js';
import { TransportError } from '../../../protocol/errors.js';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import { systemClock } from '../../../src/clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { type Teardown, until, within } from '../../support/until.js';
import {
  failAfter,
  type ScriptedHost,
  scriptedHost,
  serveHashes,
  serveRange,
  type TestSong,
  testSong,
} from './scripted-host.js';

const MIB = 1024 * 1024;

function fetcher(
  test: Teardown,
  options: Partial<ConstructorParameters<typeof SongFetcher>[0]> = {},
): SongFetcher {
  const made = new SongFetcher({
    clock: systemClock,
    logger: new RecordingLogger(),
    // Always the same: hosts of equal standing keep their order.
    randomUnit: () => 0,
    ...options,
  });
  test.teardown(() => made.stop());
  return made;
}

const toFetch = (
  song: TestSong,
  hosts: readonly ScriptedHost[],
  more: Partial<SongToFetch> = {},
): SongToFetch => ({
  hash: song.hash,
  id: song.id,
  hosts: hosts.map(host => host.address),
  ...more,
});

async function collect(stream: SongStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const collectWithin = (stream: SongStream): Promise<Buffer> => within('the song is here', collect(stream));
const duplicates = (song: TestSong, ...hosts: ScriptedHost[]): number =>
  hosts.reduce((sum, host) => sum + host.sentBytes, 0) - song.bytes.length;

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
  t.equal(host.connections, 1, 'all over one connection');
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
  t.same(firstChunk, ['HASHES', 'RANGE', 'INFO', 'RANGE']);
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
  await until('the window is full', () => host.sentBytes >= 4 * MIB - PIECE_BYTES);
  t.ok(host.sentBytes <= 4 * MIB + 2 * PIECE_BYTES, `${host.sentBytes} bytes were asked for`);
  const rest = await collectWithin(stream);
  t.ok(Buffer.concat([first.value, rest]).equals(song.bytes), 'and the rest when it is wanted');
});

t.test('a host that ends cleanly in the middle of a song is a failure, and the next one goes on', async t => {
  const song = testSong(3 * MIB + 5);
  const ends = await scriptedHost(t, [song], { range: failAfter(1_000_000, socket => socket.end()) });
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [ends, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.ok(duplicates(song, ends, good) <= PIECE_BYTES, `${duplicates(song, ends, good)} bytes were sent twice`);
  const report = stream.report();
  t.same(
    report.sources.map(source => source.host),
    [ends.address, good.address],
  );
  t.match(report.failed, [{ host: ends.address, why: /ended/ }]);
});

t.test('a host that resets, and one that nobody listens at, are gone over', async t => {
  const song = testSong(2 * MIB);
  const resets = await scriptedHost(t, [song], {
    range: failAfter(500_000, socket => socket.resetAndDestroy()),
  });
  const dead = await scriptedHost(t, [song]);
  await dead.kill();
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [dead, resets, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.match(stream.report().failed, [
    { host: dead.address, why: /nobody listens/ },
    { host: resets.address, why: /ended/ },
  ]);
});

t.test('a host that stalls is overtaken within 2.5 s, and what it said is not lost', async t => {
  const song = testSong(2 * MIB);
  const stalls = await scriptedHost(t, [song], { range: failAfter(700_000, () => undefined) });
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [stalls, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.match(stream.report().failed, [{ host: stalls.address, why: 'sent nothing for 2 s' }]);
  t.ok(duplicates(song, stalls, good) <= PIECE_BYTES);
});

t.test('a host that never answers at all is hedged long before it counts as stalled', async t => {
  const song = testSong(2 * MIB);
  const silent = await scriptedHost(t, [song], {
    range: () => true,
    hashes: () => true,
    info: () => true,
  });
  const good = await scriptedHost(t, [song]);
  const from = performance.now();
  const stream = fetcher(t).open(toFetch(song, [silent, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.ok(performance.now() - from < 1_900, 'nobody waited for a stall');
  t.same(stream.report().failed, [], 'being slower is no failure');
  t.same(stream.report().sources, [{ host: good.address, bytes: song.bytes.length }]);
});

t.test('a host that drips is exchanged, though it is never silent for 2 s', async t => {
  const song = testSong(1 * MIB);
  const drips = await scriptedHost(t, [song], {
    range: failAfter(130_000, socket => {
      let at = 130_000;
      const timer = setInterval(() => socket.write(song.bytes.subarray(at, ++at)), 200);
      socket.once('close', () => clearInterval(timer));
    }),
  });
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [drips, good], { bitrate: 320_000 }));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.match(stream.report().failed, [{ host: drips.address, why: /sent only 0 kB\/s/ }]);
  t.ok(duplicates(song, drips, good) <= PIECE_BYTES);
});

t.test('a host that lies is named and dropped at that piece', async t => {
  const song = testSong(2 * MIB);
  const lies = await scriptedHost(t, [song], {
    range: (listener, range) => {
      const bytes = Buffer.from(song.bytes.subarray(range.offset, range.offset + range.count));
      if (range.offset + range.count > 800_000) bytes[Math.max(0, 800_000 - range.offset)]! ^= 1;
      listener.data(range.song, bytes);
    },
  });
  const good = await scriptedHost(t, [song]);
  const songFetcher = fetcher(t);
  const stream = songFetcher.open(toFetch(song, [lies, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.match(stream.report().failed, [{ host: lies.address, why: /piece 12 is not the song's/, lied: true }]);
  const again = songFetcher.open(toFetch(song, [lies, good]));
  t.ok((await collectWithin(again)).equals(song.bytes));
  t.same(again.report().sources, [{ host: good.address, bytes: song.bytes.length }], 'it is remembered');
});

t.test('hashes that do not fold to the song are a lie, too', async t => {
  const song = testSong(2 * MIB);
  const lies = await scriptedHost(t, [song], {
    hashes: (listener, request) => {
      const { nodes } = testSong(2 * MIB, 1, 99);
      listener.send({
        type: 'HASH_LIST',
        song: (request as { song: 1 }).song,
        length: nodes.length,
      } as never);
      listener.socket.write(nodes);
    },
  });
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [lies, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.match(stream.report().failed, [{ host: lies.address, lied: true }]);
});

t.test('too many, too few, and unasked bytes are not taken', async t => {
  const song = testSong(700_001);
  const scripts = {
    'more than asked': (listener, range) => listener.data(range.song, Buffer.alloc(range.count + 1)),
    'more than there are': (listener, range) =>
      range.offset === 0 ? false : listener.data(range.song, Buffer.alloc(range.count), range.count),
    'fewer than asked': (listener, range) =>
      listener.data(range.song, song.bytes.subarray(range.offset, range.offset + 1000)),
    'another song': listener => listener.data(77 as never, song.bytes.subarray(0, PIECE_BYTES)),
    unasked: listener => listener.send({ type: 'WELCOME', revision: 0, welcome: { tsp: 1 } }),
    'a broken header': listener => listener.socket.write(Buffer.alloc(64, 0x42)),
  } satisfies Record<string, NonNullable<Parameters<typeof scriptedHost>[2]>['range']>;
  for (const [name, range] of Object.entries(scripts)) {
    const bad = await scriptedHost(t, [song], { range });
    const good = await scriptedHost(t, [song]);
    const stream = fetcher(t).open(toFetch(song, [bad, good]));
    t.ok((await collectWithin(stream)).equals(song.bytes), name);
    t.match(stream.report().failed, [{ host: bad.address }], name);
  }
});

t.test('a busy host is left alone until it said to come again', async t => {
  const song = testSong(500_000);
  let refusals = 0;
  const busy = await scriptedHost(t, [song], {
    range: (listener, range) => {
      refusals += 1;
      listener.refuse(range, { code: 'busy', retryAfterMs: 60_000 });
    },
  });
  const good = await scriptedHost(t, [song]);
  const songFetcher = fetcher(t);
  for (let songs = 0; songs < 3; songs += 1)
    t.ok((await collectWithin(songFetcher.open(toFetch(song, [busy, good])))).equals(song.bytes));
  t.ok(refusals <= 2, 'asked by the first song only');
});

t.test('hosts that are all busy for a moment are asked again', async t => {
  const song = testSong(500_000);
  let refusals = 0;
  const host = await scriptedHost(t, [song], {
    range: (listener, range) => {
      if (refusals >= 4) return false;
      refusals += 1;
      return listener.refuse(range, { code: 'busy', retryAfterMs: 200 }) ?? true;
    },
  });
  t.ok((await collectWithin(fetcher(t).open(toFetch(song, [host])))).equals(song.bytes));
});

t.test('when no host can, the reader is told why, host by host', async t => {
  const song = testSong(500_000);
  const dead = await scriptedHost(t, [song]);
  await dead.kill();
  const without = await scriptedHost(t, []);
  const busy = await scriptedHost(t, [song], {
    range: (listener, range) => listener.refuse(range, { code: 'busy', retryAfterMs: 60_000 }),
  });
  const songFetcher = fetcher(t);
  await t.rejects(collectWithin(songFetcher.open(toFetch(song, [dead]))), TransportError);
  await t.rejects(collectWithin(songFetcher.open(toFetch(song, [without]))), { code: 'no-such-song' });
  await t.rejects(collectWithin(songFetcher.open(toFetch(song, [busy, dead]))), { code: 'busy' });
  await t.rejects(collectWithin(songFetcher.open(toFetch(song, []))), /nobody hosts/);
  await t.rejects(collectWithin(songFetcher.open({ hash: song.hash, hosts: ['nonsense'] })), TransportError);
  const stream = songFetcher.open(toFetch(song, [dead, without]));
  await t.rejects(collectWithin(stream), new RegExp(`${dead.address}.*${without.address}`));
  await t.rejects(stream.size, TransportError);
  t.equal(stream.report().verified, false);
});

t.test('a lie that nobody can mend is no network trouble', async t => {
  const song = testSong(500_000);
  const lies = await scriptedHost(t, [song], {
    range: (listener, range) =>
      listener.data(range.song, Buffer.alloc(Math.min(range.count, 500_000 - range.offset))),
  });
  await t.rejects(collectWithin(fetcher(t).open(toFetch(song, [lies]))), { code: 'song-changed' });
});

t.test('all hosts gone in the middle of a song: said within 10 s, and never as the end', async t => {
  const song = testSong(3 * MIB);
  const host = await scriptedHost(t, [song], { range: failAfter(1_000_000, () => void host.kill('end')) });
  const stream = fetcher(t).open(toFetch(song, [host]));
  const from = performance.now();
  await t.rejects(collectWithin(stream), TransportError);
  t.ok(performance.now() - from < 10_000);
});

t.test('the tracker is asked for more hosts when those at hand are used up', async t => {
  const song = testSong(3 * MIB);
  const dies = await scriptedHost(t, [song], { range: failAfter(1_000_000, socket => socket.destroy()) });
  const other = await scriptedHost(t, [song]);
  const moreHosts = async (): Promise<string[]> => [other.address];
  t.ok((await collectWithin(fetcher(t).open(toFetch(song, [dies], { moreHosts })))).equals(song.bytes));
  t.ok((await collectWithin(fetcher(t).open(toFetch(song, [], { moreHosts })))).equals(song.bytes));
  const noTracker = (): Promise<string[]> => Promise.reject(new TransportError('the tracker is gone'));
  await t.rejects(
    collectWithin(fetcher(t).open(toFetch(song, [], { moreHosts: noTracker }))),
    /nobody hosts/,
  );
});

t.test('a seek goes on over the warm connection, and a cancelled stream ends', async t => {
  const song = testSong(6 * MIB);
  const host = await scriptedHost(t, [song]);
  const songFetcher = fetcher(t);
  const first = songFetcher.open(toFetch(song, [host]));
  await first[Symbol.asyncIterator]().next();
  await until('the window is full', () => (first.report().sources[0]?.bytes ?? 0) >= 4 * MIB);
  first.cancel();
  t.same(await first[Symbol.asyncIterator]().next(), { done: true, value: undefined });
  const second = songFetcher.open(toFetch(song, [host]), { fromByte: 5 * MIB });
  t.ok((await collectWithin(second)).equals(song.bytes.subarray(5 * MIB)));
  t.equal(host.connections, 1);
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

t.test('warm connections: dialled ahead, at most sixteen, used by the song', async t => {
  const song = testSong(200_000);
  const hosts: ScriptedHost[] = [];
  for (let index = 0; index < 18; index += 1) hosts.push(await scriptedHost(t, [song]));
  const songFetcher = fetcher(t);
  songFetcher.warm(hosts.map(host => host.address));
  await until('sixteen stand', () => hosts.filter(host => host.open === 1).length === 16);
  const warm = hosts.find(host => host.open === 1)!;
  t.ok((await collectWithin(songFetcher.open(toFetch(song, [warm])))).equals(song.bytes));
  t.equal(warm.connections, 1);
  songFetcher.warm(hosts.slice(16).map(host => host.address));
  await until('the newest stand', () => hosts.slice(16).every(host => host.open === 1));
  await until('never more than sixteen', () => hosts.filter(host => host.open > 0).length <= 16);
});

t.test('a prefetched song is exact, and asks no second host only to be quicker', async t => {
  const song = testSong(800_000);
  const held: Parameters<typeof serveRange>[] = [];
  let holding = true;
  const slow = await scriptedHost(t, [song], {
    hashes: (listener, request) => {
      setTimeout(() => {
        holding = false;
        serveHashes(listener, request, song);
        for (const range of held) serveRange(...range);
      }, 400);
    },
    range: (...range) => holding && held.push(range) > 0,
  });
  const other = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [slow, other], { size: song.bytes.length }), {
    urgency: 'ahead',
  });
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.equal(other.asked.length, 0);
});
