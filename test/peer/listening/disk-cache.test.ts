/** The disk cache: what it keeps, what it forgets, and that a disk is believed no more than a host. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { cached, MIB, openCached as open, toFetch } from './caching.js';
import { collectWithin as collect } from './fetching.js';
import { scriptedHost, testSong } from './scripted-host.js';

t.test('a song played yesterday needs no network', async t => {
  const folder = join(await tempFolder(t), 'not', 'yet', 'there');
  const song = testSong(3 * MIB + 17);
  const host = await scriptedHost(t, [song]);
  const first = await open(t, folder);
  t.ok((await collect(first.fetcher.open(toFetch(song, host)))).equals(song.bytes));
  await cached(first, song);
  t.match(first.changes, [{ changed: [{ hash: song.hash, size: song.bytes.length }], removed: [] }]);
  t.ok((await readFile(first.cache.get(song.hash)!.path)).equals(song.bytes));
  await first.fetcher.stop();
  await first.cache.stop();
  await host.kill();

  const second = await open(t, folder);
  t.equal(second.cache.size, 1);
  t.equal(second.cache.bytes, song.bytes.length);
  t.match(second.cache.get(song.hash), {
    offer: { title: 'title 1', artist: 'somebody', size: song.bytes.length },
  });
  for (const fromByte of [0, 100_000, song.bytes.length]) {
    const stream = second.fetcher.open(toFetch(song), { fromByte });
    t.equal(await stream.size, song.bytes.length);
    t.ok((await collect(stream)).equals(song.bytes.subarray(fromByte)));
    const { sources, verified, failed } = stream.report();
    if (fromByte < song.bytes.length)
      t.match(
        { sources, verified },
        { sources: [{ host: 'cache', bytes: song.bytes.length - fromByte }], verified: true },
      );
    t.same(failed, []);
  }
});

t.test('pieces of several streams make one song', async t => {
  const song = testSong(2 * MIB);
  const host = await scriptedHost(t, [song]);
  const fixture = await open(t, await tempFolder(t));
  await collect(fixture.fetcher.open(toFetch(song, host), { fromByte: MIB + 5 }));
  t.equal(fixture.cache.get(song.hash), undefined);
  for await (const chunk of fixture.fetcher.open(toFetch(song, host))) if (chunk.length > 0) break;
  t.equal(fixture.cache.get(song.hash), undefined);
  await collect(fixture.fetcher.open(toFetch(song, host)));
  await cached(fixture, song);
  t.ok((await readFile(fixture.cache.get(song.hash)!.path)).equals(song.bytes));
});

t.test('the least recently played song goes first, also after a restart', async t => {
  const folder = await tempFolder(t);
  const songs = [1, 2, 3, 4].map(id => testSong(MIB, id, id));
  const host = await scriptedHost(t, songs);
  const fixture = await open(t, folder, { maxBytes: 3 * MIB });
  for (const song of songs.slice(0, 3)) {
    await collect(fixture.fetcher.open(toFetch(song, host)));
    await cached(fixture, song);
  }
  await collect(fixture.fetcher.open(toFetch(songs[0]!)));
  await collect(fixture.fetcher.open(toFetch(songs[3]!, host)));
  await cached(fixture, songs[3]!);
  t.equal(fixture.cache.get(songs[1]!.hash), undefined, 'the second was heard of longest ago');
  t.ok(fixture.cache.get(songs[0]!.hash));
  t.equal(fixture.cache.bytes, 3 * MIB);
  t.match(fixture.changes.slice(-2), [
    { changed: [], removed: [songs[1]!.hash] },
    { changed: [{ hash: songs[3]!.hash }], removed: [] },
  ]);
  await fixture.fetcher.stop();
  await fixture.cache.stop();
  t.equal((await readdir(folder)).length, 6, 'a song and a note each');

  const long = new Date(Date.now() - 3_600_000);
  await utimes(join(folder, `${songs[0]!.hash}.json`), long, long);
  const smaller = await open(t, folder, { maxBytes: 2 * MIB });
  t.equal(smaller.cache.get(songs[0]!.hash), undefined);
  t.equal(smaller.cache.size, 2);
  const tooLong = testSong(2 * MIB + 1, 9);
  const other = await scriptedHost(t, [tooLong]);
  await collect(smaller.fetcher.open(toFetch(tooLong, other)));
  t.equal(smaller.cache.size, 2, 'a song larger than the cache throws nothing out');
});

t.test('what a crash left behind is cleared away', async t => {
  const folder = await tempFolder(t);
  const song = testSong(MIB);
  const host = await scriptedHost(t, [song]);
  const before = await open(t, folder);
  await collect(before.fetcher.open(toFetch(song, host)));
  await cached(before, song);
  await before.fetcher.stop();
  await before.cache.stop();
  const name = (n: number, kind: string): string =>
    join(folder, `${n.toString(16).padStart(64, '0')}.${kind}`);
  await writeFile(name(1, 'part'), 'half a song');
  await writeFile(name(2, 'json'), '{"offer":{}}');
  await writeFile(name(3, 'mp3'), 'a song without its note');
  await writeFile(name(4, 'mp3'), 'a song');
  await writeFile(name(4, 'json'), JSON.stringify({ offer: { hash: name(4, ''), size: 3 }, nodes: '' }));
  await writeFile(join(folder, 'README'), 'somebody else’s');
  await mkdir(join(folder, 'folder'));
  const after = await open(t, folder);
  t.equal(after.cache.size, 1);
  t.same(
    (await readdir(folder)).sort(),
    [`${song.hash}.json`, `${song.hash}.mp3`, 'README', 'folder'].sort(),
  );
});

t.test('a cached song that is not what it was is named, dropped, and fetched again', async t => {
  const folder = await tempFolder(t);
  const song = testSong(MIB + 9);
  const host = await scriptedHost(t, [song]);
  const fixture = await open(t, folder);
  await collect(fixture.fetcher.open(toFetch(song, host)));
  await cached(fixture, song);
  const damages: [string, (path: string) => Promise<unknown>][] = [
    [
      'a flipped bit',
      async path => {
        const bytes = await readFile(path);
        bytes[5 * PIECE_BYTES + 3]! ^= 1;
        await writeFile(path, bytes);
      },
    ],
    ['a cut', path => writeFile(path, song.bytes.subarray(0, 300_000))],
  ];
  for (const [name, damage] of damages) {
    await damage(fixture.cache.get(song.hash)!.path);
    const stream = fixture.fetcher.open(toFetch(song, host));
    t.ok((await collect(stream)).equals(song.bytes), name);
    t.match(stream.report(), {
      sources: [{ host: 'cache' }, { host: host.address }],
      failed: [{ host: 'cache', why: /piece 5 of the file|shorter/ }],
    });
    t.equal(fixture.cache.get(song.hash), undefined, 'dropped');
    await collect(fixture.fetcher.open(toFetch(song, host)));
    await cached(fixture, song);
    t.ok((await readFile(fixture.cache.get(song.hash)!.path)).equals(song.bytes), 'and kept again');
  }
});

t.test('own songs come from the library, and a changed file is looked at again', async t => {
  const folder = await tempFolder(t);
  const song = testSong(MIB);
  const path = join(folder, 'own.mp3');
  await writeFile(path, song.bytes);
  let rechecks = 0;
  const library = {
    get: () => ({ path, size: song.bytes.length, nodes: song.nodes }),
    recheck: () => {
      rechecks += 1;
    },
  };
  const { fetcher } = await open(t, join(folder, 'cache'), { library });
  const stream = fetcher.open(toFetch(song));
  t.ok((await collect(stream)).equals(song.bytes));
  t.match(stream.report().sources, [{ host: 'library', bytes: song.bytes.length }]);
  await writeFile(path, 'something else');
  const host = await scriptedHost(t, [song]);
  t.ok((await collect(fetcher.open(toFetch(song, host)))).equals(song.bytes));
  t.equal(rechecks, 1);
});

t.test('reading from disk keeps the reader’s pace, and ends when it leaves', async t => {
  const folder = await tempFolder(t);
  const song = testSong(8 * MIB);
  const path = join(folder, 'own.mp3');
  await writeFile(path, song.bytes);
  const library = { get: () => ({ path, size: song.bytes.length, nodes: song.nodes }) };
  const { fetcher } = await open(t, join(folder, 'cache'), { library });
  const stream = fetcher.open(toFetch(song));
  const reader = stream[Symbol.asyncIterator]();
  await reader.next();
  await until('it waits', () => (stream.report().sources[0]?.bytes ?? 0) >= MIB);
  t.ok((stream.report().sources[0]?.bytes ?? 0) < 3 * MIB);
  await reader.return!();
  t.same(await reader.next(), { done: true, value: undefined });
  const from = stream.report().sources[0]?.bytes;
  t.ok((await collect(fetcher.open(toFetch(song)))).equals(song.bytes));
  t.equal(stream.report().sources[0]?.bytes, from, 'nothing more was read');
});

t.test('a size of 0 keeps nothing, a folder that can’t be made ends caching only', async t => {
  const folder = await tempFolder(t);
  const song = testSong(MIB);
  const host = await scriptedHost(t, [song]);
  const none = await open(t, join(folder, 'none'), { maxBytes: 0 });
  t.ok((await collect(none.fetcher.open(toFetch(song, host)))).equals(song.bytes));
  t.same(await readdir(folder), []);
  await writeFile(join(folder, 'file'), '');
  const blocked = await open(t, join(folder, 'file'));
  t.equal(blocked.full.length, 1);
  t.ok((await collect(blocked.fetcher.open(toFetch(song, host)))).equals(song.bytes));
  t.equal(blocked.full.length, 1, 'said once');
});

t.test('a full disk ends caching, said once, and playing goes on', async t => {
  const folder = await tempFolder(t);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    t.comment('no tmpfs can be mounted here');
    return;
  }
  t.teardown(() => execFileSync('umount', [folder]));
  const songs = [1, 2].map(id => testSong(3 * MIB, id, id));
  const host = await scriptedHost(t, songs);
  const fixture = await open(t, folder);
  for (const song of songs)
    t.ok((await collect(fixture.fetcher.open(toFetch(song, host)))).equals(song.bytes));
  await until('it is said', () => fixture.full.length > 0);
  t.same(fixture.full, ['the disk is full']);
  t.match(fixture.logger.messages('warn'), ['caching ends: the disk is full']);
  await until('nothing is left behind', async () => (await readdir(folder)).length === 0);
  await fixture.fetcher.stop();
  await fixture.cache.stop();
});

t.test('what hosting is told of a cached file is what it finds there', async t => {
  const song = testSong(MIB);
  const host = await scriptedHost(t, [song]);
  const fixture = await open(t, await tempFolder(t));
  await collect(fixture.fetcher.open({ ...toFetch(song, host), fields: {} }));
  await cached(fixture, song);
  const [entry] = fixture.cache.songs();
  const facts = await stat(entry!.path, { bigint: true });
  t.match(entry, {
    mtimeNs: facts.mtimeNs,
    ctimeNs: facts.ctimeNs,
    inode: facts.ino,
    offer: { title: song.hash.slice(0, 8) },
  });
  t.same(Buffer.from(entry!.nodes), Buffer.from(song.nodes));
  fixture.cache.drop(song.hash);
  fixture.cache.drop(song.hash);
  t.match(fixture.changes.at(-1), { removed: [song.hash] });
});
