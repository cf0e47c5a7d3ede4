/** Songs fetched from real sockets, whose other end behaves as badly as hosts do. */
import t from 'tap';
import { TransportError } from '../../../protocol/errors.js';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import { patientClock } from '../../support/patient-clock.js';
import { collectWithin, fetcher, toFetch } from './fetching.js';
import {
  failAfter,
  type ScriptedHost,
  scriptedHost,
  serveHashes,
  type TestSong,
  testSong,
} from './scripted-host.js';

const MIB = 1024 * 1024;

/** The piece that broke off; and, where the machine is so busy that the first one is late, that one, which then has a rival. */
const MAX_TWICE = 2 * PIECE_BYTES;

const duplicates = (song: TestSong, ...hosts: ScriptedHost[]): number =>
  hosts.reduce((sum, host) => sum + host.sentBytes, 0) - song.bytes.length;

t.test('a host that ends cleanly in the middle of a song is a failure, and the next one goes on', async t => {
  const song = testSong(3 * MIB + 5);
  const ends = await scriptedHost(t, [song], { range: failAfter(1_000_000, socket => socket.end()) });
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [ends, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.ok(duplicates(song, ends, good) <= MAX_TWICE, `${duplicates(song, ends, good)} bytes were sent twice`);
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
    { host: dead.address, why: 'refuses connections' },
    { host: resets.address, why: /ended/ },
  ]);
});

t.test('a host that stalls is overtaken within 2.5 s, and what it said is not lost', async t => {
  const song = testSong(2 * MIB);
  const stalls = await scriptedHost(t, [song], { range: failAfter(700_000, () => undefined) });
  const good = await scriptedHost(t, [song]);
  const stream = fetcher(t).open(toFetch(song, [stalls, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.match(stream.report().failed, [{ host: stalls.address, why: 'held the others up' }]);
  t.ok(duplicates(song, stalls, good) <= MAX_TWICE);
});

t.test('a host that never answers at all is hedged long before it counts as stalled', async t => {
  const song = testSong(2 * MIB);
  const silent = await scriptedHost(t, [song], {
    range: () => true,
    hashes: () => true,
    info: () => true,
  });
  const good = await scriptedHost(t, [song]);
  const from = patientClock.now();
  const stream = fetcher(t).open(toFetch(song, [silent, good]));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.ok(patientClock.now() - from < 1_900, 'nobody waited for a stall');
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
  t.match(stream.report().failed, [{ host: drips.address, why: 'held the others up' }]);
  t.ok(duplicates(song, drips, good) <= MAX_TWICE);
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
      serveHashes(listener, request, { ...song, nodes });
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
  const whyOf = new RegExp(`song: ${dead.address} refuses connections; ${without.address} `);
  await t.rejects(collectWithin(stream), whyOf, 'each named once');
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
  const from = patientClock.now();
  await t.rejects(collectWithin(stream), TransportError);
  t.ok(patientClock.now() - from < 10_000);
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
