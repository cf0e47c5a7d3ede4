/** A song that was broken off: what is on disk is fetched from nobody again, and believed no more than a host. */
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CacheFiles } from '../../../peer/listening/cache-files.js';
import { CacheReader } from '../../../peer/listening/cache-reader.js';
import { GIVE_UP_MS } from '../../../peer/listening/fetch-effects.js';
import { PartialSong } from '../../../peer/listening/partial-song.js';
import { PieceHashes } from '../../../peer/listening/pieces.js';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { cached, MIB, openCached, toFetch } from './caching.js';
import { A, Bench, song as benchSong } from './fetch-bench.js';
import { collectWithin, fetcher } from './fetching.js';
import { type ScriptedHost, scriptedHost, type TestSong, testSong } from './scripted-host.js';

const song = testSong(2 * MIB + 99);
const COUNT = Math.ceil(song.bytes.length / PIECE_BYTES);
const from = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);
/** In two runs, and the last one among them. */
const KEPT = [...from(0, 10), 20, 21, COUNT - 1];
const MISSING = from(0, COUNT).filter(piece => !KEPT.includes(piece));
const bytesOf = (of: TestSong, piece: number): Buffer =>
  of.bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);

/** The files that a peer leaves that had these pieces of a song when it ended. */
async function leave(t: Test, folder: string, pieces: readonly number[], of = song): Promise<string> {
  const { cache } = await openCached(t, folder);
  const hashes = PieceHashes.prove(of.nodes, of.hash)!;
  for (const piece of pieces) cache.keep(toFetch(of), piece, bytesOf(of, piece), hashes);
  await cache.stop();
  return join(folder, of.hash);
}

/** Which pieces a host was asked for, in order. */
const askedOf = (host: ScriptedHost): number[] =>
  host.asked
    .flatMap(request =>
      request.type !== 'RANGE' ? [] : from(request.offset / PIECE_BYTES, request.count / PIECE_BYTES),
    )
    .sort((a, b) => a - b);

t.test('hosts are asked for what is missing, and then the song is whole', async t => {
  const folder = await tempFolder(t);
  const name = await leave(t, folder, KEPT);
  t.same(
    new Set(await readdir(folder)),
    new Set(['part', 'map', 'json'].map(kind => `${song.hash}.${kind}`)),
  );
  const host = await scriptedHost(t, [song]);
  const fixture = await openCached(t, folder);
  const stream = fixture.fetcher.open(toFetch(song, host));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  t.same(askedOf(host), MISSING);
  t.notOk(
    host.asked.some(({ type }) => type === 'HASHES'),
    'its hashes are known',
  );
  const keptBytes = song.bytes.length - host.sentBytes;
  t.match(stream.report(), {
    sources: [
      { host: 'cache', bytes: keptBytes },
      { host: host.address, bytes: host.sentBytes },
    ],
    verified: true,
    failed: [],
  });
  await cached(fixture, song);
  t.ok((await readFile(`${name}.mp3`)).equals(song.bytes));
  t.match(fixture.cache.get(song.hash)!.offer, { title: 'title 1', size: song.bytes.length });
  await fixture.cache.stop();
  t.same(new Set(await readdir(folder)), new Set(['mp3', 'json'].map(kind => `${song.hash}.${kind}`)));
});

t.test('a part that ends before the song does is as good from anywhere, and to a command', async t => {
  const folder = await tempFolder(t);
  await leave(t, folder, KEPT);
  const host = await scriptedHost(t, [song]);
  const cache = new CacheReader(folder);
  await cache.look(song.hash);
  const fromByte = 5 * PIECE_BYTES + 1;
  const stream = fetcher(t, { cache }).open(toFetch(song, host), { fromByte });
  t.ok((await collectWithin(stream)).equals(song.bytes.subarray(fromByte)));
  t.same(askedOf(host), MISSING);
  t.equal((await readdir(folder)).length, 3, 'a command changes nothing');
});

const damages: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
  'a flipped bit in the song': async name => {
    const bytes = await readFile(`${name}.part`);
    bytes[5 * PIECE_BYTES + 3]! ^= 1;
    await writeFile(`${name}.part`, bytes);
  },
  'a song that was cut': name => truncate(`${name}.part`, 3 * PIECE_BYTES + 7),
  'a song that grew': async name => {
    await writeFile(`${name}.part`, Buffer.alloc(300_000, 7), { flag: 'a' });
  },
  'an empty map': name => truncate(`${name}.map`, 0),
  'a map that promises everything': name => writeFile(`${name}.map`, Buffer.alloc(1_000, 0xff)),
  'no map': name => rm(`${name}.map`),
  'half a note': async name => truncate(`${name}.json`, 100),
  'the nodes of another song': async name => {
    const note = JSON.parse(await readFile(`${name}.json`, 'utf8'));
    await writeFile(`${name}.json`, JSON.stringify({ ...note, nodes: '' }));
  },
  'a note that is no note': name => writeFile(`${name}.json`, 'null'),
};

for (const [what, damage] of Object.entries(damages)) {
  t.test(`${what} costs a new fetch, and nothing else`, async t => {
    const folder = await tempFolder(t);
    const name = await leave(t, folder, KEPT);
    await damage(name);
    const host = await scriptedHost(t, [song]);
    const fixture = await openCached(t, folder);
    t.ok((await collectWithin(fixture.fetcher.open(toFetch(song, host)))).equals(song.bytes));
    const asked = askedOf(host);
    t.same(
      MISSING.filter(piece => !asked.includes(piece)),
      [],
    );
    t.same(fixture.full, []);
    await cached(fixture, song);
    t.ok((await readFile(`${name}.mp3`)).equals(song.bytes));
  });
}

t.test('a peer that ended between the last piece and the name has the whole song', async t => {
  const folder = await tempFolder(t);
  const name = await leave(t, folder, from(0, COUNT - 1));
  await writeFile(`${name}.part`, bytesOf(song, COUNT - 1), { flag: 'a' });
  await writeFile(`${name}.map`, Buffer.alloc(Math.ceil(COUNT / 8), 0xff));
  const fixture = await openCached(t, folder);
  await cached(fixture, song);
  t.ok((await collectWithin(fixture.fetcher.open(toFetch(song)))).equals(song.bytes));
});

t.test('a song that has to go while it gets its name leaves nothing', async t => {
  const folder = await tempFolder(t);
  const whole = async (): Promise<PartialSong> => {
    const hashes = PieceHashes.prove(song.nodes, song.hash)!;
    const { hash } = song;
    const partial = new PartialSong(new CacheFiles(folder, hash), { title: 'A', hash }, hashes);
    await Promise.all(from(0, COUNT).map(piece => partial.add(piece, bytesOf(song, piece))));
    return partial;
  };
  const early = await whole();
  const named = early.finish();
  await early.discard();
  await named.catch(() => undefined);
  t.same(await readdir(folder), [], 'during it');
  const late = await whole();
  await late.finish();
  await late.discard();
  t.same(await readdir(folder), [], 'before it is noted as a song');
  const gone = await whole();
  const going = gone.discard();
  t.equal(await gone.finish(), undefined, 'that is not a song any more');
  await going;
  t.same(await readdir(folder), []);
});

t.test('going back in a song takes from disk what came before', async t => {
  const host = await scriptedHost(t, [song]);
  const { cache, fetcher } = await openCached(t, await tempFolder(t));
  const later = fetcher.open(toFetch(song, host), { fromByte: 15 * PIECE_BYTES });
  for await (const chunk of later) if (chunk.length > 0) break;
  await until('a piece of it is kept', () => (cache.partly(song.hash)?.indexes.size ?? 0) > 0);
  const stream = fetcher.open(toFetch(song, host));
  t.ok((await collectWithin(stream)).equals(song.bytes));
  const fromDisk = stream.report().sources.find(source => source.host === 'cache');
  t.ok((fromDisk?.bytes ?? 0) >= PIECE_BYTES, JSON.stringify(stream.report()));
});

t.test('parts count like songs, and the least recently played of both go first', async t => {
  const folder = await tempFolder(t);
  const others = [2, 3].map(id => testSong(MIB, id, id));
  await leave(t, folder, from(0, 10));
  const host = await scriptedHost(t, others);
  const fixture = await openCached(t, folder, { maxBytes: (COUNT + 8) * PIECE_BYTES });
  t.equal(fixture.cache.partly(song.hash)?.indexes.size, 10);
  await collectWithin(fixture.fetcher.open(toFetch(others[0]!, host)));
  await cached(fixture, others[0]!);
  t.ok(fixture.cache.partly(song.hash), 'there is room for both');
  await collectWithin(fixture.fetcher.open(toFetch(others[1]!, host)));
  await cached(fixture, others[1]!);
  t.notOk(fixture.cache.partly(song.hash) === undefined, 'it was looked at last but one');
  t.notOk(fixture.cache.get(others[0]!.hash), 'longest ago');
  await fixture.fetcher.stop();
  await fixture.cache.stop();
  const smaller = await openCached(t, folder, { maxBytes: 10 * PIECE_BYTES });
  t.ok(
    smaller.cache.bytes + (smaller.cache.partly(song.hash)?.indexes.size ?? 0) * PIECE_BYTES <=
      10 * PIECE_BYTES,
  );
});

t.test('whoever clears the cache away meanwhile disturbs nobody', async t => {
  const folder = await tempFolder(t);
  const name = await leave(t, folder, KEPT);
  const host = await scriptedHost(t, [song]);
  const fixture = await openCached(t, folder);
  for (const kind of ['part', 'map', 'json']) await rm(`${name}.${kind}`);
  t.ok((await collectWithin(fixture.fetcher.open(toFetch(song, host)))).equals(song.bytes));
  t.same(fixture.full, [], 'and caching goes on');
  await collectWithin(fixture.fetcher.open(toFetch(song, host)));
  await cached(fixture, song);
  t.ok((await readFile(`${name}.mp3`)).equals(song.bytes));
});

/** The bench's song, of which these pieces are on disk; read as soon as the logic wants them. */
class KeptBench extends Bench {
  #read = 0;

  constructor(kept: readonly number[], hosts: readonly string[] = [A]) {
    super({ hosts, hashes: PieceHashes.prove(benchSong.nodes, benchSong.hash)!, kept });
  }

  /** What the logic wanted since, as it is on disk, or as `bytes` says. */
  load(bytes: (piece: number) => Uint8Array | undefined = piece => bytesOf(benchSong, piece)): number[] {
    const pieces = this.did('read')
      .flatMap(effect => effect.pieces)
      .slice(this.#read);
    this.#read += pieces.length;
    for (const piece of pieces) this.do(this.logic.read(piece, bytes(piece), this.now));
    return pieces;
  }

  get asked(): number[] {
    return (this.owed.get(A) ?? []).flatMap(question =>
      question.type === 'RANGE' ? from(question.offset / PIECE_BYTES, question.count / PIECE_BYTES) : [],
    );
  }
}

t.test('nobody is asked before something is missing', async t => {
  const bench = new KeptBench(from(0, 40));
  t.same(bench.did('read'), [{ do: 'read', pieces: [0] }], 'the first sound waits for nothing else');
  t.same(bench.askedHosts, []);
  bench.load();
  t.same(bench.asked, [40], 'now the one that is missing is in the window');
  while (bench.load().length > 0);
  bench.answer(A);
  t.match(bench.ending, { do: 'finish' });
  t.equal(bench.delivered, benchSong.bytes.length);
});

t.test('with the whole song on disk nobody is asked at all', async t => {
  const bench = new KeptBench(from(0, 41));
  while (bench.load().length > 0);
  t.match(bench.ending, { do: 'finish' });
  t.same(bench.askedHosts, []);
});

t.test('a piece on disk that is none is asked of a host', async t => {
  const bench = new KeptBench(from(0, 41));
  bench.load();
  bench.load(piece => (piece === 7 ? undefined : bytesOf(benchSong, piece)));
  t.same(bench.asked, [7]);
  while (bench.load().length > 0);
  bench.answer(A);
  t.match(bench.ending, { do: 'finish' });
});

t.test('a disk that does not answer is given up, as a host would be', async t => {
  const bench = new KeptBench(from(0, 41));
  bench.pass(GIVE_UP_MS);
  t.same(bench.asked, [0]);
  while (bench.ending === undefined) bench.answer(A);
  t.match(bench.ending, { do: 'finish' });
});

t.test('a song that becomes whole while it is heard goes on from there', async t => {
  const folder = await tempFolder(t);
  const long = testSong(8 * MIB, 5);
  const count = 8 * 16;
  await leave(
    t,
    folder,
    from(0, count).filter(piece => piece !== 1),
    long,
  );
  const host = await scriptedHost(t, [long]);
  const fixture = await openCached(t, folder);
  const reader = fixture.fetcher.open(toFetch(long, host))[Symbol.asyncIterator]();
  const parts = [(await reader.next()).value, (await reader.next()).value];
  await cached(fixture, long);
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) parts.push(next.value);
  t.ok(Buffer.concat(parts).equals(long.bytes));
  t.same(askedOf(host), [1]);
});

t.test('without a host what is there is heard, and then the song fails', async t => {
  const bench = new KeptBench(from(0, 10), []);
  while (bench.load().length > 0);
  t.equal(bench.delivered, 10 * PIECE_BYTES);
  t.match(bench.ending, { do: 'fail' });
});
