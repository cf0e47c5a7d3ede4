/** Quotas, floods and faults: refused politely, and everybody else goes on (TSP §5.1, §6, §7). */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { RequestError } from '../../protocol/errors.js';
import { encode } from '../../protocol/tsp/codec.js';
import { TURN_MS, Turns } from '../../protocol/turns.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import { hashOf } from '../support/content.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { ended, registerHost, registerListener, settledList, song, startTracker } from './tracker-fixture.js';

t.test('songs past a quota are refused row by row, and the rest is listed', async t => {
  const tracker = await startTracker(t, { maxSongsPerPeer: 3, maxSongs: 4, maxIds: 5 });
  const one = await registerHost(t, tracker, { songs: [1, 2, 3, 4, 5].map(n => song(n)) });
  t.strictSame(
    one.ids.map(row => row.error ?? row.id),
    ['refused', 'refused', 1, 2, 3],
  );
  one.client.send({ type: 'UPDATE', changes: [song(2, { title: 'changed' }), song(6)] });
  t.strictSame((await one.client.await('SONG_IDS')).rows, [
    { hash: hashOf(6), error: 'refused' },
    { hash: hashOf(2), id: 2 },
  ]);
  const two = await registerHost(t, tracker, { songs: [song(1), song(6), song(7)] });
  t.strictSame(
    two.ids.map(row => row.error ?? row.id),
    [1, 4, 'refused'],
    'four songs in all',
  );
  one.client.send({ type: 'UPDATE', changes: [{ hash: hashOf(3), gone: true }] });
  await one.client.await('SONG_IDS');
  two.client.send({ type: 'UPDATE', changes: [song(7)] });
  t.match((await two.client.await('SONG_IDS')).rows, [{ id: 5 }]);
  two.client.send({ type: 'UPDATE', changes: [{ hash: hashOf(7), gone: true }] });
  await two.client.await('SONG_IDS');
  two.client.send({ type: 'UPDATE', changes: [song(8)] });
  t.match((await two.client.await('SONG_IDS')).rows, [{ error: 'refused' }], 'five IDs for good');
  two.client.send({ type: 'UPDATE', changes: [song(3)] });
  t.match((await two.client.await('SONG_IDS')).rows, [{ id: 3 }], 'known content has its ID still');
});

t.test('a song that takes the place of another in one UPDATE is past no quota', async t => {
  for (const quota of [{ maxSongsPerPeer: 2 }, { maxSongs: 2 }]) {
    const { client } = await registerHost(t, await startTracker(t, quota), { songs: [song(1), song(2)] });
    client.send({ type: 'UPDATE', changes: [song(3), { hash: hashOf(1), gone: true }, song(4)] });
    const { rows } = await client.await('SONG_IDS');
    t.match(
      rows.find(({ hash }) => hash === hashOf(3)),
      { id: 3 },
    );
    t.match(
      rows.find(({ hash }) => hash === hashOf(4)),
      { error: 'refused' },
    );
  }
});

t.test('peers that come at once have no more songs together than one after the other', async t => {
  const tracker = await startTracker(t, { maxSongs: 600 });
  const library = (first: number, count: number) => Array.from({ length: count }, (_, n) => song(first + n));
  await registerHost(t, tracker, { songs: library(1, 400) });
  const hosts = await Promise.all(
    [1_001, 2_001].map(first => registerHost(t, tracker, { songs: library(first, 200) })),
  );
  t.equal(hosts.flatMap(({ ids }) => ids).filter(({ id }) => id !== undefined).length, 200);
});

t.test('a limit that a restart lowers holds for what was listed before', async t => {
  const store = new MemoryStore();
  const run = (maxSongs: number) =>
    startTracker(t, { maxSongs, registry: new MemoryRegistry({ randomBytes }, store) });
  const before = await run(3);
  const songs = [song(1), song(2), song(3)];
  const hello = { instance: 'the same' };
  await registerHost(t, before, { songs, hello });
  await settledList(t, before);
  await before.tracker.stop();
  const after = await run(2);
  t.equal(after.tracker.status().songs, 2);
  const { ids } = await registerHost(t, after, { songs, hello });
  t.match(ids, [{ hash: hashOf(3), error: 'refused' }, { id: 1 }, { id: 2 }]);
  t.equal((await settledList(t, after)).length, 2);
  await after.tracker.stop();
  t.equal((await run(3)).tracker.status().songs, 2, 'what was refused is not shown by the next run');
});

t.test('never-seen songs of one address past 10,000 wait for their ID, and get it unasked', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { clock, maxPerAddress: 64 });
  const host = await registerHost(t, tracker, { songs: Array.from({ length: 10_002 }, (_, n) => song(n)) });
  t.match(
    host.ids.filter(row => row.error !== undefined),
    [{ error: 'unavailable' }, { error: 'unavailable' }],
  );
  t.equal(tracker.tracker.status().ids, 10_000);
  await until('they are listed', () => tracker.tracker.status().songs === 10_000);
  await settledList(t, tracker);
  for (let n = 0; n < 5; n += 1) {
    clock.advance(10_000);
    host.client.send({ type: 'PING', value: n });
    await host.client.await('PONG', pong => pong.value === n);
  }
  clock.advance(10_000);
  const { rows } = await host.client.await('SONG_IDS');
  t.strictSame(rows, [
    { hash: hashOf(10_000), id: 10_001 },
    { hash: hashOf(10_001), id: 10_002 },
  ]);
  await until('all are listed', () => tracker.tracker.status().songs === 10_002);
});

t.test('UPDATE rows past the rate are late, not lost', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { clock });
  const host = await registerHost(t, tracker, { songs: [] });
  const changes = Array.from({ length: 500 }, (_, n) => ({ hash: hashOf(n), gone: true }) as const);
  for (let n = 0; n < 10; n += 1) host.client.send({ type: 'UPDATE', changes });
  for (let n = 0; n < 10; n += 1) await host.client.await('SONG_IDS');
  for (let n = 0; n < 11; n += 1) host.client.send({ type: 'UPDATE', changes });
  for (let n = 0; n < 10; n += 1) await host.client.await('SONG_IDS');
  host.client.send({ type: 'PING', value: 9 });
  await until('the last UPDATE waits', () => clock.nextAt !== undefined);
  for (let n = 0; n < 12; n += 1) await clock.advanceSlowly(1_000);
  await host.client.await('SONG_IDS');
  t.match(await host.client.next(), { type: 'PONG', value: 9 });
});

t.test('registered peers are bounded; light clients are not turned away for it', async t => {
  const tracker = await startTracker(t, { maxPeers: 1 });
  await registerListener(t, tracker);
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'LIST' }, { type: 'INIT', port: 0 });
  await client.receive('LIST_INFO');
  t.match((await client.receive('ERROR')).error, { code: 'too-many', type: 0, retryAfterMs: 30_000 });
  await ended(client);
});

t.test('a flood from one address is told so at the door, and leaves no trace', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { maxPerAddress: 4, clock });
  const good = [await connectTsp(t, tracker.port), await connectTsp(t, tracker.port)];
  const flood = await Promise.all(Array.from({ length: 60 }, () => connectTsp(t, tracker.port)));
  await until('59 are turned away', () => flood.filter(client => client.ended).length === 59);
  t.equal(tracker.tracker.status().refused, 59);
  const told = flood.find(client => client.ended)!;
  t.match(await told.next(), { type: 'ERROR', error: { code: 'too-many', retryAfterMs: 2_000 } });
  good[0]!.send({ type: 'PING', value: 1 });
  t.match(await good[0]!.next(), { type: 'PONG', value: 1 });
  clock.advance(5_000);
  await until('only the good one is left', () => {
    clock.advance(1_000);
    return tracker.tracker.status().connections === 1;
  });
});

t.test('with 17 questions at once everything is answered, in order', async t => {
  const tracker = await startTracker(t);
  await registerHost(t, tracker, { songs: [song(1)] });
  await settledList(t, tracker);
  const client = await connectTsp(t, tracker.port);
  for (let n = 0; n < 100; n += 1) client.send({ type: 'LIST' }, { type: 'PING', value: n });
  client.end();
  const answers = await client.drain();
  t.equal(answers.length, 200);
  t.strictSame(
    answers.flatMap(answer => (answer.type === 'PONG' ? [answer.value] : [])),
    Array.from({ length: 100 }, (_, n) => n),
  );
});

t.test('who breaks a rule while an answer is being made is heard out, and not reset', async t => {
  const clock = new VirtualClock();
  const { tracker, port } = await startTracker(t, { clock });
  const [client, other] = [await connectTsp(t, port), await connectTsp(t, port)];
  client.write(
    Buffer.concat([
      encode({ type: 'INFO', song: 0 }),
      encode({ type: 'WELCOME', revision: 0, welcome: { tsp: 1 } }),
    ]),
  );
  t.match(await client.receive('ERROR'), { error: { code: 'bad-message' } });
  other.send({ type: 'PING', value: 1 });
  await other.receive('PONG');
  t.equal(tracker.status().connections, 2, 'what still comes is read for a second');
  clock.advance(1_000);
  await until('and no longer', () => tracker.status().connections === 1);
});

t.test('who asks and does not read is not read either, and then gets everything', async t => {
  const tracker = await startTracker(t);
  const long = { title: 'x'.repeat(250), artist: 'y'.repeat(250) };
  await registerHost(t, tracker, { songs: Array.from({ length: 20 }, (_, n) => song(n, long)) });
  const client = await connectTsp(t, tracker.port);
  client.socket.pause();
  // Of 13 KB each: the system takes some 10 MB, so the rest must wait at the tracker.
  const questions = 2_500;
  client.send(...Array.from({ length: questions }, () => ({ type: 'FIND', words: 'x' }) as const));
  client.end();
  await until('an answer waits', () => tracker.tracker.status().unsentBytes > 0);
  t.ok(tracker.tracker.status().unsentBytes < 20_000, 'one, and no more');
  client.socket.resume();
  t.equal((await client.drain()).length, questions);
});

t.test(
  'at its end a tracker waits ten seconds for who does not read, and for nobody who is at rest',
  async t => {
    const clock = new VirtualClock();
    const tracker = await startTracker(t, { clock });
    const long = { title: 'x'.repeat(250), artist: 'y'.repeat(250) };
    await registerHost(t, tracker, { songs: Array.from({ length: 2_000 }, (_, n) => song(n, long)) });
    await until('all are listed', () => tracker.tracker.status().songs === 2_000);
    await settledList(t, tracker);
    const atRest = await registerListener(t, tracker);
    const stalled = await connectTsp(t, tracker.port);
    stalled.send(...Array.from({ length: 40 }, () => ({ type: 'LIST' }) as const));
    await stalled.receive('LIST_INFO');
    stalled.socket.pause();
    let isOver = false;
    const stopped = tracker.tracker.stop().then(() => {
      isOver = true;
    });
    await ended(atRest.client);
    t.notOk(isOver);
    clock.advance(10_000);
    await stopped;
    t.ok(isOver);
  },
);

t.test('who drips is told so after 5 s, who is idle is let go after 60', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { clock });
  const dripping = await connectTsp(t, tracker.port);
  dripping.write('\x01\0\0');
  const idle = await connectTsp(t, tracker.port);
  idle.send({ type: 'PING', value: 1 });
  await idle.receive('PONG');
  clock.advance(5_000);
  t.match((await dripping.receive('ERROR')).error, { code: 'too-slow' });
  clock.advance(54_999);
  t.notOk(idle.ended);
  clock.advance(1);
  await ended(idle);
});

t.test('a list that is longer than a peer’s songs can be is refused on its length', async t => {
  const tracker = await startTracker(t);
  const client = await connectTsp(t, tracker.port);
  client.send({ type: 'INIT', port: 7461 });
  await client.receive('LIST');
  client.write(Buffer.from('810000000010000001', 'hex'));
  t.match((await client.receive('ERROR')).error, { code: 'too-large' });
});

t.test('what is out of order ends the connection, and no other', async t => {
  const tracker = await startTracker(t);
  const host = await registerHost(t, tracker, { songs: [song(1)] });
  const list = Buffer.from('8100000000ffffffff', 'hex');
  for (const [bytes, code] of [
    [list, 'bad-message'],
    ['\x85\0\0\0\0\0\0\0\x02{}', 'bad-message'],
    ['\x40\0\0\0\0\0\0\x10\x01', 'too-large'],
    ['\x40\0\0\0\0\0\0\0\x01{', 'bad-message'],
    ['\x1f\0\0\0\0'.repeat(8), 'bad-message'],
  ] as const) {
    const client = await connectTsp(t, tracker.port);
    client.write(bytes);
    t.match((await client.await('ERROR', ({ error }) => error.code !== 'unknown-type')).error.code, code);
    await ended(client);
  }
  const asked = await connectTsp(t, tracker.port);
  asked.send({ type: 'INIT', port: 7461 });
  await asked.receive('LIST');
  asked.sendRows({ type: 'LIST_INFO', revision: 0 }, [{ hash: 'nonsense' }]);
  t.match((await asked.receive('ERROR')).error, { code: 'bad-message' });
  host.client.send({ type: 'PING', value: 1 });
  await host.client.await('PONG');
});

t.test('a bug of ours is `internal` on the wire, and the tracker lives', async t => {
  const registry = new MemoryRegistry({ randomBytes });
  const tracker = await startTracker(t, { registry });
  registry.assignId = () => {
    throw new TypeError('a bug');
  };
  await t.rejects(registerHost(t, tracker, { songs: [song(1)] }), { message: /"code":"internal"/ });
  t.ok(tracker.logger.messages('error').includes('internal error'));
  t.strictSame(await settledList(t, tracker), []);
});

t.test(
  'a registry that can’t be written refuses registrations and changes, and the rest goes on',
  async t => {
    const registry = new MemoryRegistry({ randomBytes });
    const tracker = await startTracker(t, { registry });
    const host = await registerHost(t, tracker, { songs: [song(1)] });
    registry.flushed = () => Promise.reject(new RequestError('unavailable', 'the disk is full'));
    host.client.send({ type: 'UPDATE', changes: [song(2)] });
    t.match((await host.client.await('ERROR')).error, { code: 'unavailable', type: 0x43 });
    await t.rejects(registerHost(t, tracker, { songs: [song(3)] }), { message: /"unavailable"/ });
    t.equal((await settledList(t, tracker)).length, 1);
    t.match(tracker.tracker.status(), { hosts: 1 });
  },
);

t.test('who has long work takes turns, and whoever comes between them waits for a few slices', async t => {
  const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  const clock = new VirtualClock();
  const turns = new Turns(clock, nextTurn);
  const slices = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  const working = slices.map(async (_, worker) => {
    while (slices[worker]! < 5) {
      await turns.pause();
      clock.advance(1);
      slices[worker]! += 1;
    }
  });
  const done = (): number => slices.reduce((sum, count) => sum + count, 0);
  for (let turn = 1; done() < 50; turn += 1) {
    const before = done();
    await nextTurn();
    t.ok(done() - before <= TURN_MS, `${done() - before} ms of work in turn ${turn}`);
    t.ok(Math.max(...slices) - Math.min(...slices) <= 1, 'nobody is ahead of the others');
  }
  await Promise.all(working);
});

t.test('short work is done at once, and what is too much of it in one turn a turn later', async t => {
  const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  const clock = new VirtualClock();
  const turns = new Turns(clock, nextTurn);
  let done = 0;
  const work = (): void => {
    clock.advance(1);
    done += 1;
  };
  for (let n = 0; n < 10; n += 1) turns.soon(work);
  t.equal(done, TURN_MS, 'so much at once');
  await nextTurn();
  t.equal(done, 2 * TURN_MS);
  await until('all is done', () => done === 10);
  turns.soon(work);
  t.equal(done, 11, 'and at once again');
});

t.test('while newcomers come, long work takes a quarter of the time', async t => {
  const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  const clock = new VirtualClock();
  const turns = new Turns(clock, nextTurn);
  let worked = 0;
  const working = (async () => {
    for (; worked < 40; worked += 1) {
      await turns.pause();
      clock.advance(4);
    }
  })();
  let came = 0;
  for (; worked < 40; came += 1) {
    turns.newcomer();
    clock.advance(0.5);
    await nextTurn();
  }
  await working;
  t.ok(came > 40 * 20 && came < 40 * 30, `${came} of half a millisecond came to 40 slices of four`);
});
