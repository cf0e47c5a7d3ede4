/** A song from several hosts at once, on virtual time: who is asked for what, and what happens to the slow and the false. */
import t from 'tap';
import { LATE_MS, STALL_MS } from '../../../peer/listening/fetch-effects.js';
import { SWARM_REST_MS, SWARM_SILENT_MS } from '../../../peer/listening/swarm-share.js';
import { PIECE_BYTES } from '../../../protocol/tsp/constants.js';
import { A, B, Bench, C, song } from './fetch-bench.js';
import { testSong } from './scripted-host.js';

const byRange = { usesSwarms: false } as const;

/** A has sent its first piece. */
function begun(task: ConstructorParameters<typeof Bench>[0] = {}, of = song): Bench {
  const bench = new Bench(task, of);
  bench.answer(A);
  bench.answer(A);
  return bench;
}

const sourcesOf = (bench: Bench): string[] => bench.logic.report(bench.now).sources.map(({ host }) => host);

t.test('from the first piece on, hosts share a song, no piece twice', async t => {
  const bench = new Bench(byRange);
  bench.answer(A);
  t.same(new Set(bench.askedHosts), new Set([A]), 'nobody else before that');
  bench.answer(A);
  t.same(new Set(bench.askedHosts), new Set([A, B, C]));
  for (let turn = 0; bench.ending === undefined; turn += 1) {
    const host = [A, B, C][turn % 3]!;
    bench.now += 5;
    if ((bench.owed.get(host)?.length ?? 0) > 0) bench.answer(host);
  }
  t.equal(bench.ending.do, 'finish');
  const asked = bench.did('ask').flatMap(({ asks }) => asks.map(ask => ask.question));
  const bytes = asked.reduce((sum, question) => sum + ('count' in question ? question.count : 0), 0);
  t.equal(bytes, 41 * PIECE_BYTES);
  t.same(new Set(sourcesOf(bench)), new Set([A, B, C]));
  t.same(
    bench.did('deliver').map(({ index }) => index),
    Array.from({ length: 41 }, (_, index) => index),
    'in order',
  );
});

t.test('a helper that falls silent loses what it owes', async t => {
  const bench = begun({ ...byRange, hosts: [A, B] });
  t.match(bench.owed.get(B), [{ type: 'RANGE' }]);
  for (let step = 0; bench.ending === undefined && step < 100; step += 1) {
    if ((bench.owed.get(A)?.length ?? 0) > 0) bench.answer(A);
    else bench.pass(100);
  }
  t.equal(bench.ending?.do, 'finish');
  t.same(sourcesOf(bench), [A]);
  t.ok(bench.now < 1_000 + STALL_MS + 1_000, 'nobody waited much longer than for a stall');
});

t.test('a helper that lies is named, and its pieces come from the others', async t => {
  const other = testSong(song.bytes.length, 1, 99);
  const bench = begun({ ...byRange, hosts: [A, B] });
  bench.answer(B, undefined, { ...other, id: song.id });
  t.match(bench.logic.report(bench.now).failed, [{ host: B, lied: true }]);
  while (bench.ending === undefined) bench.answer(A);
  t.equal(bench.ending.do, 'finish');
  t.same(sourcesOf(bench), [A]);
});

t.test('a piece that holds up the others is asked of a quicker one, and who was late rests', async t => {
  const bench = begun({ ...byRange, hosts: [A, B] });
  // B brings its first piece, and then the next one byte by byte.
  bench.answer(B, PIECE_BYTES);
  let lateFor = 0;
  while (bench.logic.report(bench.now).failed.length === 0 && bench.owed.has(B) && lateFor < 5_000) {
    while ((bench.owed.get(A)?.length ?? 0) > 0) bench.answer(A);
    bench.pass(100);
    const range = bench.owed.get(B)?.[0];
    if (range !== undefined)
      bench.do(
        bench.logic.receive(
          B,
          { kind: 'data', question: range, bytes: song.bytes.subarray(0, 1) },
          bench.now,
        ),
      );
    lateFor += 100;
  }
  t.ok(lateFor <= 2 * LATE_MS, `${lateFor} ms`);
  while (bench.ending === undefined) bench.answer(A);
  t.equal(bench.ending.do, 'finish');
});

t.test('when the lead dies, a helper leads', async t => {
  const bench = begun(byRange);
  bench.answer(B);
  bench.do(bench.logic.lost(A, 'ended the connection', bench.now));
  while (bench.ending === undefined)
    for (const host of [B, C]) if ((bench.owed.get(host)?.length ?? 0) > 0) bench.answer(host);
  t.equal(bench.ending.do, 'finish');
  t.match(bench.logic.report(bench.now).failed, [{ host: A, why: 'ended the connection' }]);
});

const large = testSong(100 * PIECE_BYTES + 100);

/** A and B speak PPSPP; the swarm is joined. */
function inSwarm(hosts: readonly string[] = [A, B]): Bench {
  const bench = begun({ hosts }, large);
  for (const host of hosts) bench.greet(host, 6_778);
  while (bench.did('join').length === 0) {
    bench.now += 500;
    bench.answer(A);
  }
  bench.do(bench.logic.joined(bench.now));
  return bench;
}

t.test('hosts that speak PPSPP are met there, once the last piece has told the size', async t => {
  const bench = begun({ hosts: [A, B] });
  t.same(
    bench.did('greet').map(({ host }) => host),
    [A, B],
  );
  bench.greet(B, 6_778);
  t.same(bench.did('meet'), [{ do: 'meet', host: B, port: 6_778 }]);
  t.match(bench.owed.get(A)!.at(-1), { type: 'RANGE', offset: 40 * PIECE_BYTES });
  while (bench.did('join').length === 0) bench.answer(A);
  t.same(bench.did('join')[0]!.lastPiece, song.bytes.subarray(40 * PIECE_BYTES));
  t.ok(bench.askedHosts.includes(B), 'and by RANGE, until it brings as much there');
});

t.test('what the swarm brings is asked of nobody else, and who gives there is let alone', async t => {
  const bench = inSwarm();
  t.equal(bench.wanted.size, 8);
  for (const piece of bench.wanted)
    t.notOk([...bench.owed.values()].flat().some(q => 'offset' in q && q.offset === piece * PIECE_BYTES));
  while (bench.ending === undefined) {
    const [piece] = bench.wanted;
    const [host] = [...bench.owed].find(([, owed]) => owed.length > 0) ?? [];
    bench.now += 20;
    if (piece !== undefined) bench.bring(piece, piece % 2 === 0 ? A : B);
    else if (host !== undefined) bench.answer(host);
    else bench.pass(10);
  }
  t.equal(bench.ending.do, 'finish');
  const { sources } = bench.logic.report(bench.now);
  t.same(new Set(sources.map(({ host }) => host)), new Set([A, B]));
  t.equal(
    sources.reduce((sum, { bytes }) => sum + bytes, 0),
    large.bytes.length,
  );
});

t.test('a swarm that is silent costs nothing: the same hosts are asked by RANGE', async t => {
  const bench = inSwarm();
  const begunAt = bench.now;
  while (bench.ending === undefined) {
    const [host] = [...bench.owed].find(([, owed]) => owed.length > 0) ?? [];
    if (host !== undefined) bench.answer(host);
    else bench.pass(50);
  }
  t.equal(bench.ending.do, 'finish');
  t.ok(bench.now - begunAt <= SWARM_SILENT_MS + LATE_MS);
  t.same(bench.logic.report(bench.now).failed, [], 'a firewall is no fault of theirs');
});

t.test('deaf hosts are remembered, so that the next song does not try again', async t => {
  const bench = inSwarm();
  bench.pass(SWARM_SILENT_MS);
  t.equal(bench.wanted.size, 0);
  t.same(bench.book.cardOf(B, bench.now), {});
  bench.pass(SWARM_REST_MS);
  t.equal(bench.did('meet').length, 2);
});

t.test('who lies in the swarm is asked no more in any way', async t => {
  const bench = inSwarm();
  const questionsTo = (host: string) => bench.did('ask').filter(ask => ask.host === host).length;
  const before = questionsTo(B);
  bench.do(bench.logic.swarmLied(B, 'sent what is not in the file', bench.now));
  t.match(bench.logic.report(bench.now).failed, [{ host: B, lied: true }]);
  bench.pass(SWARM_SILENT_MS);
  while (bench.ending === undefined)
    if ((bench.owed.get(A)?.length ?? 0) > 0) bench.answer(A);
    else bench.pass(100);
  t.equal(questionsTo(B), before);
});

t.test('one host alone that is quick enough is not even greeted', async t => {
  const bench = begun({ hosts: [A] });
  while (bench.ending === undefined) bench.answer(A);
  t.same(bench.did('greet'), []);
});
