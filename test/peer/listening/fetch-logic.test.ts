/** What a fetch decides, on virtual time: who is asked, when, and how it ends. */
import t from 'tap';
import { GIVE_UP_MS, HEDGE_MS, MORE_HOSTS_MS, STALL_MS } from '../../../peer/listening/fetch-effects.js';
import { WINDOW_BYTES } from '../../../peer/listening/range-plan.js';
import { toHex } from '../../../protocol/bytes.js';
import { RequestError, TransportError } from '../../../protocol/errors.js';
import { CHUNK_BYTES, foldNodes, MerkleTree, nodesAbove } from '../../../protocol/merkle.js';
import { HASH_BYTES, PIECE_BYTES, PIECE_LEVEL } from '../../../protocol/tsp/constants.js';
import type { Question } from '../../../protocol/tsp/download.js';
import type { ErrorBody } from '../../../protocol/tsp/messages.js';
import { A, B, Bench, C, song } from './fetch-bench.js';
import { testSong } from './scripted-host.js';

t.test('one host: hashes and the first piece first, then larger ranges, two at a time', async t => {
  const bench = new Bench({ hosts: [A] });
  t.match(bench.owed.get(A), [
    { type: 'HASHES', level: 6 },
    { type: 'RANGE', offset: 0, count: PIECE_BYTES, hash: song.hash },
  ]);
  t.equal(bench.owed.get(A)!.length, 2, 'nothing more before somebody who waits has that piece');
  while (bench.ending === undefined) {
    t.ok((bench.owed.get(A) ?? []).filter(question => question.type === 'RANGE').length <= 2);
    bench.now += 1;
    bench.answer(A);
  }
  t.equal(bench.ending.do, 'finish');
  t.equal(bench.delivered, song.bytes.length);
});

t.test('nobody is asked for more than the reader’s window', async t => {
  const large = testSong(WINDOW_BYTES + 20 * PIECE_BYTES);
  const bench = new Bench({ hosts: [A], urgency: 'ahead' }, large);
  bench.autoConsume = false;
  while (bench.owed.get(A)!.length > 0) bench.answer(A);
  t.equal(bench.delivered, WINDOW_BYTES);
  bench.pass(60_000);
  t.equal(bench.ending, undefined, 'a reader that pauses is no fault of anybody');
  bench.do(bench.logic.consumed(PIECE_BYTES, bench.now));
  t.equal(bench.owed.get(A)!.length, 0, 'no crumbs');
  bench.do(bench.logic.consumed(4 * PIECE_BYTES, bench.now));
  t.ok(bench.owed.get(A)!.length > 0);
});

t.test('a host that does not answer gets a rival; the first proven piece decides', async t => {
  const bench = new Bench();
  bench.pass(HEDGE_MS - 1);
  t.same(bench.askedHosts, [A]);
  bench.pass(1);
  t.same(bench.askedHosts, [A, B]);
  t.match(
    bench.owed.get(B),
    [{ type: 'HASHES' }, { type: 'RANGE', count: PIECE_BYTES }],
    'one piece, not more',
  );
  bench.answer(B);
  bench.answer(B);
  t.ok(
    bench.log.some(effect => effect.do === 'let-go' && effect.host === A && effect.keep),
    'A did nothing wrong',
  );
  t.same(bench.logic.report(bench.now).failed, []);
  t.same(bench.logic.report(bench.now).sources, [{ host: B, bytes: PIECE_BYTES }]);
});

t.test('a host that stalls is overtaken by the next, which starts at that piece', async t => {
  const bench = new Bench();
  for (let answers = 0; answers < 3; answers += 1) bench.answer(A);
  const stalledAt = bench.delivered;
  bench.answer(A, 10_000);
  bench.pass(STALL_MS);
  t.same(new Set(bench.askedHosts), new Set([A, B]));
  t.match(bench.owed.get(B), [{ type: 'RANGE', offset: stalledAt, count: PIECE_BYTES }]);
  bench.answer(B);
  t.match(bench.logic.report(bench.now).failed, [{ host: A, why: 'sent nothing for 2 s' }]);
  t.ok(bench.log.some(effect => effect.do === 'let-go' && effect.host === A && !effect.keep));
});

t.test('a stalled host that comes back before the rival goes on', async t => {
  const bench = new Bench();
  bench.answer(A);
  bench.answer(A);
  bench.pass(STALL_MS + 200);
  bench.answer(A);
  t.ok(bench.log.some(effect => effect.do === 'let-go' && effect.host === B && effect.keep));
  t.same(bench.logic.report(bench.now).failed, []);
  while (bench.ending === undefined) bench.answer(A);
  t.equal(bench.ending.do, 'finish');
});

t.test('a rival that stalls, too, makes place for the next', async t => {
  const bench = new Bench();
  bench.pass(HEDGE_MS);
  bench.pass(STALL_MS + 200);
  t.same(new Set(bench.askedHosts), new Set([A, B, C]));
  bench.answer(C);
  bench.answer(C);
  t.equal(bench.delivered, PIECE_BYTES);
});

t.test('a sole host that stalls is given up 8 s after its last byte', async t => {
  const bench = new Bench({ hosts: [A] });
  for (let answers = 0; answers < 3; answers += 1) bench.answer(A);
  bench.pass(GIVE_UP_MS - 1);
  t.equal(bench.ending, undefined);
  t.match(bench.logic.report(bench.now).waiting, /waiting for 10.0.0.1/);
  bench.pass(1);
  t.ok(bench.error instanceof TransportError);
  t.match((bench.error as Error).message, /10.0.0.1:1 sent nothing for 8 s/);
});

t.test('a host that broke off is tried again while the song is under way', async t => {
  const bench = new Bench({ hosts: [A] });
  for (let answers = 0; answers < 3; answers += 1) bench.answer(A);
  bench.do(bench.logic.lost(A, 'ended the connection', bench.now));
  t.match(bench.logic.report(bench.now).waiting, /no host left/);
  bench.pass(1_000);
  t.ok(bench.owed.has(A), 'asked again');
  while (bench.ending === undefined) bench.answer(A);
  t.equal(bench.ending.do, 'finish');
  t.match(bench.logic.report(bench.now), { failed: [{ host: A, why: 'ended the connection' }] });
});

t.test('while there is something in store, hosts are tried for as long as it lasts', async t => {
  const bench = new Bench({ hosts: [A], urgency: 'ahead' });
  bench.autoConsume = false;
  for (let answers = 0; answers < 3; answers += 1) bench.answer(A);
  const lose = (): void => {
    if (bench.owed.has(A)) bench.do(bench.logic.lost(A, 'ended the connection', bench.now));
  };
  lose();
  for (let seconds = 0; seconds < 60; seconds += 1) {
    bench.pass(1_000);
    lose();
  }
  t.equal(bench.ending, undefined);
  bench.do(bench.logic.consumed(bench.delivered, bench.now));
  for (let seconds = 0; seconds < 10; seconds += 1) {
    bench.pass(1_000);
    lose();
  }
  t.ok(bench.error instanceof TransportError, 'the reader has nothing left');
});

t.test('before the first piece nothing is waited for', async t => {
  const bench = new Bench();
  for (const host of [A, B, C]) bench.do(bench.logic.lost(host, 'nobody listens', bench.now));
  t.match((bench.error as Error).message, /10.0.0.1:1 nobody listens; 10.0.0.2:1 nobody.*10.0.0.3/);
});

t.test('busy hosts are asked again when they said so, but not for ever', async t => {
  const bench = new Bench({ hosts: [A] });
  const busy: ErrorBody = { code: 'busy', retryAfterMs: 3_000 };
  bench.answer(A);
  bench.refuse(A, busy);
  t.ok(
    bench.log.some(effect => effect.do === 'let-go' && effect.keep),
    'its connection is as good as before',
  );
  bench.pass(2_999);
  t.equal(bench.owed.get(A), undefined);
  bench.pass(1);
  t.ok(bench.owed.get(A));
  bench.refuse(A, busy);
  t.match(bench.logic.report(bench.now).waiting, /^all hosts are busy, trying again$/);
  bench.pass(3_000);
  t.equal(bench.error, undefined);
  bench.refuse(A, busy);
  t.ok(bench.error instanceof RequestError, 'its next time would be later than we wait');
  t.match(bench.error, { code: 'busy' });
});

t.test('what a host says of the song decides whether it is asked again', async t => {
  for (const [error, verdict] of [
    [{ code: 'no-such-song' }, { code: 'no-such-song' }],
    [{ code: 'song-changed' }, { code: 'song-changed' }],
    [{ code: 'internal', message: 'oh' }, TransportError],
    [{ code: 'bad-range' }, TransportError],
  ] as const) {
    const bench = new Bench({ hosts: [A] });
    bench.answer(A);
    bench.refuse(A, error);
    t.match(bench.error, verdict, error.code);
  }
  const bench = new Bench({ hosts: [A] });
  bench.refuse(A, { code: 'unavailable', retryAfterMs: 500 });
  bench.pass(500);
  t.ok(bench.owed.get(A), 'its ID was not known yet');
  bench.do(bench.logic.receive(A, { kind: 'warned', error: { code: 'too-many' } }, bench.now));
  t.match((bench.error as Error).message, /said too-many/);
});

t.test('who is no host, or sends what is not asked, is struck off', async t => {
  const tracker = new Bench({ hosts: [A, B] });
  tracker.answer(A);
  const range = tracker.owed.get(A)![0]!;
  const header = { type: 'SONG_INFO', song: 0, length: 0 } as const;
  tracker.do(tracker.logic.receive(A, { kind: 'begun', question: range, header }, tracker.now));
  t.match(tracker.logic.report(tracker.now).failed, [{ host: A, why: 'is a tracker, not a host' }]);
  const short = new Bench({ hosts: [A] });
  short.answer(A);
  const few = { type: 'SONG_DATA', song: song.id, length: 7 } as const;
  short.do(
    short.logic.receive(A, { kind: 'begun', question: short.owed.get(A)![0]!, header: few }, short.now),
  );
  t.match((short.error as Error).message, /sent 7 of 65536 bytes/);
});

t.test('a lie is remembered by the book', async t => {
  const other = testSong(song.bytes.length, 1, 99);
  const bench = new Bench({ hosts: [A, B] });
  bench.answer(A);
  bench.answer(A, undefined, { ...other, id: song.id });
  t.ok(bench.book.hasLied(A, bench.now));
  t.match(bench.logic.report(bench.now).failed, [{ host: A, lied: true }]);
  t.equal(bench.delivered, 0);
  const asked = [{ type: 'HASHES' }, { type: 'RANGE', offset: 0 }];
  t.match(bench.owed.get(B), asked, 'and what it told of the song is not believed, either');
  while (bench.ending === undefined) bench.answer(B);
  t.equal(bench.ending.do, 'finish');
});

t.test('who lies later is no reason to ask for hashes again', async t => {
  const bench = new Bench({ hosts: [A, B], usesSwarms: false });
  bench.answer(A);
  bench.answer(A);
  bench.answer(A, undefined, { ...testSong(song.bytes.length, 1, 99), id: song.id });
  t.ok(bench.book.hasLied(A, bench.now));
  while (bench.ending === undefined) bench.answer(B);
  t.equal(bench.ending.do, 'finish');
  t.equal(bench.did('ask').filter(({ asks }) => asks[0]?.question.type === 'HASHES').length, 1);
});

t.test('hashes of another level fold to the song, too, and are not held against who sends it', async t => {
  const wrong = { ...song, nodes: nodesAbove(song.nodes, PIECE_LEVEL, PIECE_LEVEL + 1) };
  const leaves = new Bench({ hosts: [A, B] });
  leaves.answer(A, undefined, wrong);
  leaves.do(leaves.logic.lost(A, 'ended the connection', leaves.now));
  t.match(leaves.owed.get(B), [{ type: 'RANGE', offset: 0 }]);
  leaves.answer(B);
  t.match(leaves.owed.get(B), [{ type: 'HASHES' }, { type: 'RANGE', offset: 0 }], 'it is heard itself');
  while (leaves.ending === undefined) leaves.answer(B);
  t.equal(leaves.ending.do, 'finish');
  t.match(leaves.logic.report(leaves.now).failed, [{ host: A, why: /its hashes do not fit/ }]);

  const stays = new Bench({ hosts: [A, B] });
  stays.answer(A, undefined, wrong);
  stays.pass(HEDGE_MS);
  stays.answer(B);
  t.ok(stays.logic.vouchedHashes === undefined, 'nothing for the next fetch');
  t.notOk(stays.owed.has(A), 'what it was asked is for nothing');
  while (stays.ending === undefined) stays.answer(B);
  t.equal(stays.ending.do, 'finish');

  const short = testSong(40_000);
  const alone = new Bench({ hosts: [A, B] }, short);
  const nodes = Buffer.concat([0, 1].map(half => childOfRoot(short.bytes, half)));
  alone.answer(A, undefined, { ...short, nodes });
  alone.do(alone.logic.lost(A, 'ended the connection', alone.now));
  while (alone.ending === undefined) alone.answer(B);
  t.equal(alone.ending.do, 'finish', 'nor is its length');
});

t.test('two nodes in a row are no song, though they have its hash', async t => {
  const children = Buffer.concat([0, 1].map(half => childOfRoot(song.bytes, half)));
  const root = { ...song, nodes: foldNodes(song.nodes, PIECE_LEVEL), bytes: children };
  t.equal(toHex(new MerkleTree().update(children).digest().root), song.hash);
  const bench = new Bench({ hosts: [A] });
  bench.answer(A, undefined, root);
  bench.answer(A, undefined, root);
  t.equal(bench.delivered, 0);
  t.match(bench.logic.report(bench.now).failed, [{ host: A, lied: true }]);
});

/** The hash of the left or the right part of a song that has more than one chunk. */
function childOfRoot(bytes: Uint8Array, half: number): Uint8Array {
  const leaves = Math.ceil(bytes.length / CHUNK_BYTES);
  const left = 2 ** (Math.ceil(Math.log2(leaves)) - 1);
  if (half === 0) return new MerkleTree().update(bytes.subarray(0, left * CHUNK_BYTES)).digest().root;
  let node = new MerkleTree().update(bytes.subarray(left * CHUNK_BYTES)).digest().root;
  for (let width = 2 ** Math.ceil(Math.log2(leaves - left)); width < left; width *= 2)
    node = new MerkleTree().update(Buffer.concat([node, Buffer.alloc(HASH_BYTES)])).digest().root;
  return node;
}

t.test('more hosts are asked for once, and awaited for 2 s', async t => {
  const more = { song: { hash: song.hash, hosts: [], moreHosts: async () => [] } };
  const bench = new Bench({ ...more, hosts: [] });
  const asks = (): number => bench.log.filter(effect => effect.do === 'more-hosts').length;
  t.equal(asks(), 1);
  bench.pass(MORE_HOSTS_MS - 1);
  t.equal(bench.ending, undefined);
  t.match(bench.logic.report(bench.now).waiting, /who else/);
  bench.do(bench.logic.moreHosts([B], bench.now));
  t.ok(bench.owed.has(B));
  const late = new Bench({ ...more, hosts: [] });
  late.pass(3 * MORE_HOSTS_MS + GIVE_UP_MS);
  t.match((late.error as Error).message, /nobody hosts/);
  late.do(late.logic.moreHosts([A], late.now));
  t.notOk(late.owed.has(A), 'too late');
});

t.test('a host slower than the song is exchanged only while little is in store', async t => {
  const drip = (bench: Bench, seconds: number): void => {
    const question = bench.owed.get(A)![0] as Extract<Question, { type: 'RANGE' }>;
    bench.do(
      bench.logic.receive(
        A,
        { kind: 'begun', question, header: { type: 'SONG_DATA', song: song.id, length: question.count } },
        bench.now,
      ),
    );
    for (let at = 0; at < 2 * seconds; at += 1) {
      bench.pass(500);
      const bytes = song.bytes.subarray(question.offset + at, question.offset + at + 1);
      bench.do(bench.logic.receive(A, { kind: 'data', question, bytes }, bench.now));
    }
  };
  const loud = { hash: song.hash, hosts: [A, B], bitrate: 320_000 };
  const forLater = { song: loud, urgency: 'ahead' } as const;
  const slow = new Bench({ song: loud, hosts: [A, B] });
  for (let answers = 0; answers < 2; answers += 1) slow.answer(A);
  drip(slow, 4);
  t.ok(slow.askedHosts.includes(B), '64 KiB are 1.6 s at 320 kbit/s');
  const stored = new Bench({ song: { hash: song.hash, hosts: [A, B], bitrate: 32_000 }, hosts: [A, B] });
  for (let answers = 0; answers < 2; answers += 1) stored.answer(A);
  drip(stored, 4);
  t.notOk(stored.askedHosts.includes(B), '64 KiB are 16 s at 32 kbit/s');
  const next = new Bench({ ...forLater, hosts: [A, B] });
  next.answer(A);
  drip(next, 4);
  t.ok(next.askedHosts.includes(B), 'nothing at all is there of the next song');
  const later = new Bench({ ...forLater, hosts: [A, B] });
  later.autoConsume = false;
  for (let answers = 0; answers < 2; answers += 1) later.answer(A);
  drip(later, 4);
  t.notOk(later.askedHosts.includes(B), 'nobody waits for it yet');
  later.do(later.logic.consumed(later.delivered, later.now));
  later.pass(1_000);
  t.ok(later.askedHosts.includes(B), 'its reader wants more than there is');
});

t.test('an offset past the end is the end', async t => {
  const bench = new Bench({ hosts: [A], fromByte: song.bytes.length + 10 * PIECE_BYTES });
  bench.answer(A);
  t.equal(bench.ending?.do, 'finish');
  t.same(bench.logic.cancel(), []);
  t.equal(bench.logic.nextDeadline(), undefined);
  t.same(bench.logic.expire(1e9), []);
});

t.test('a cancelled fetch lets everybody go', async t => {
  const bench = new Bench();
  bench.pass(HEDGE_MS);
  bench.do(bench.logic.cancel());
  t.equal(bench.owed.size, 0);
  t.same(bench.logic.lost(A, 'late', bench.now), []);
});
