/** The list and its changes: batches, revisions, `since`, slow readers (TSP §3.1), mostly without sockets. */
import fc from 'fast-check';
import t from 'tap';
import type { SongId } from '../../protocol/tsp/messages.js';
import { nextRevision } from '../../protocol/tsp/revision.js';
import { KEPT_BATCHES_MS, MAX_BATCH_ROWS, MAX_MISSED_BYTES } from '../../tracker/broadcast.js';
import { ListSegments, SEGMENT_BYTES } from '../../tracker/list-segments.js';
import { LIST_READER_STALL_MS, Outbox, OwnBytes } from '../../tracker/outbox.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { historySteps, listOfSongs, ModelReader, sorted } from './list-fixture.js';
import { ended, registerHost, registerListener, settledList, song, startTracker } from './tracker-fixture.js';

t.test('property: whoever applies the batches has what LIST says, at every revision', async t => {
  const step = historySteps({ hosts: 14, songs: 4 }, ['prepare', 'flush', 'flush']);
  const ends = { host: 1, song: 1, title: 'a', vbr: true, what: 'flush' };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), steps => {
      const { broadcast, act, listed } = listOfSongs();
      const reader = new ModelReader(broadcast.revision);
      for (const step of [...steps, ends]) {
        act(step);
        if (step.what === 'prepare') void broadcast.prepare(async () => undefined);
        else if (step.what === 'flush') {
          const before = broadcast.revision;
          const batch = broadcast.flush(0);
          if (batch !== undefined) {
            reader.deliver([], batch.pieces);
            if (batch.revision !== nextRevision(before)) return false;
          }
          const [said, whole] = [reader.songs, listed()];
          if (said.size !== whole.size) return false;
          for (const [id, row] of whole)
            if (JSON.stringify(sorted(row)) !== JSON.stringify(sorted(said.get(id)!))) return false;
        }
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass('500 histories');
});

t.test('a host that leaves with many songs is one row', async t => {
  const { broadcast, table, host, place } = listOfSongs();
  const [one, two] = [host(1), host(2)];
  for (let n = 1; n <= 50; n += 1) place(one, n);
  place(two, 1);
  broadcast.flush(0);
  table.removeHost(one);
  for (const hash of [...one.songs.keys()]) table.withdraw(one, hash);
  const batch = broadcast.flush(0)!;
  t.equal(batch.pieces[0]!.subarray(9).toString(), '{"host":"192.0.2.1:7461","gone":true}\n');
  t.equal(broadcast.flush(0), undefined, 'nothing more to say');
});

t.test('a host that leaves while more is new than a batch holds has left LIST and readers alike', t => {
  const { broadcast, table, host, place, listed } = listOfSongs();
  const [one, two, three] = [host(1), host(2), host(3)];
  for (let n = 1; n <= 4; n += 1) place(one, n);
  place(two, 4);
  const first = broadcast.flush(0)!;
  for (let n = 5; n <= MAX_BATCH_ROWS + 10; n += 1) place(three, n);
  table.removeHost(one);
  const [early, ...late] = [...one.songs.keys()];
  table.withdraw(one, early!);
  const follower = new ModelReader(first.revision - 1);
  follower.deliver([], first.pieces);
  const agree = (): void => {
    follower.deliver([], broadcast.flush(0)!.pieces);
    const rows = [...follower.songs.values()].sort((a, b) => a.id - b.id);
    t.equal(JSON.stringify(rows.map(sorted)), JSON.stringify([...listed().values()].map(sorted)));
  };
  agree();
  for (const hash of late) table.withdraw(one, hash);
  for (let n = MAX_BATCH_ROWS + 11; n <= 2 * MAX_BATCH_ROWS; n += 1) place(three, n);
  agree();
  place(two, 5);
  agree();
  t.notOk(broadcast.pending);
  t.equal(listed().size, 2 * MAX_BATCH_ROWS - 3);
  t.end();
});

t.test('ten hosts stand in a row; INFO turns through all of them', async t => {
  const { table, host, place, broadcast, listed } = listOfSongs();
  const hosts = Array.from({ length: 25 }, (_, n) => host(n + 1));
  for (const where of hosts) place(where, 1);
  broadcast.flush(0);
  t.match(listed().get(1), { hostCount: 25, hosts: { length: 10 } });
  const seen = new Set<string>();
  for (let n = 0; n < 25; n += 1)
    for (const address of table.infoRow(table.song(1 as SongId)!).hosts) seen.add(address);
  t.equal(seen.size, 25);
});

t.test('addresses come with how many hosts there are, also where only the addresses are others', t => {
  const { table, broadcast, host, place, listed } = listOfSongs();
  const hosts = Array.from({ length: 12 }, (_, n) => host(n + 1));
  for (const where of hosts) place(where, 1);
  const reader = new ModelReader(broadcast.revision);
  reader.deliver([], broadcast.flush(0)!.pieces);
  const [first] = hosts;
  table.removeHost(first!);
  for (const hash of [...first!.songs.keys()]) table.withdraw(first!, hash);
  reader.deliver([], broadcast.flush(0)!.pieces);
  t.match(reader.songs.get(1), { hostCount: 11, hosts: { length: 10 } });
  t.same(sorted(reader.songs.get(1)!), sorted(listed().get(1)!));
  t.end();
});

t.test('a batch is bounded, and the rest follows', async t => {
  const { broadcast, host, place, clock, fanOut, listed } = listOfSongs();
  const reader = new ModelReader();
  fanOut.subscribe(reader, undefined);
  const one = host(1);
  for (let n = 1; n <= MAX_BATCH_ROWS + 500; n += 1) place(one, n);
  await clock.advanceSlowly(0);
  t.equal(reader.songs.size, MAX_BATCH_ROWS);
  t.equal(listed().size, MAX_BATCH_ROWS, 'LIST says what its revision says');
  await clock.advanceSlowly(99);
  t.equal(reader.songs.size, MAX_BATCH_ROWS, 'at most ten batches a second');
  await clock.advanceSlowly(1);
  t.equal(reader.songs.size, MAX_BATCH_ROWS + 500);
  t.notOk(broadcast.pending);
});

t.test('above 5,000 readers there are two batches a second at most', async t => {
  const { broadcast, host, place, clock, fanOut } = listOfSongs();
  for (let n = 0; n <= 5_000; n += 1)
    fanOut.subscribe({ revision: undefined, isReady: true, deliver: () => undefined }, undefined);
  place(host(1), 1);
  await clock.advanceSlowly(0);
  const { revision } = broadcast;
  place(host(2), 2);
  await clock.advanceSlowly(499);
  t.equal(broadcast.revision, revision);
  await clock.advanceSlowly(1);
  t.equal(broadcast.revision, nextRevision(revision));
  fanOut.stop();
});

t.test('`since`: what changed, nothing, or the whole list', async t => {
  const { broadcast, host, place, fanOut, clock } = listOfSongs();
  const one = host(1);
  const at: number[] = [];
  for (let n = 1; n <= 3; n += 1) {
    place(one, n);
    await clock.advanceSlowly(1_000);
    at.push(broadcast.revision);
  }
  const resumed = async (revision: number): Promise<ModelReader['summary']> => {
    const reader = new ModelReader(revision);
    fanOut.subscribe(reader, { tracker: 'ours', revision });
    fanOut.unsubscribe(reader);
    return reader.summary;
  };
  t.match(await resumed(at[0]!), { wholes: 0, songs: 2, revision: at[2] });
  t.match(await resumed(at[2]!), { wholes: 0, songs: 0, revision: at[2] }, 'up to date, and told so');
  t.match(await resumed(at[2]! + 1), { wholes: 1, songs: 3 }, 'a revision that is none of ours');
  await clock.advanceSlowly(KEPT_BATCHES_MS + 2_000);
  place(one, 4);
  await clock.advanceSlowly(100);
  t.match(await resumed(at[0]!), { wholes: 1, songs: 4 }, 'not kept any more');
});

t.test('a reader without room gets what it missed, or the list once if that is much', async t => {
  const { broadcast, host, place, fanOut, clock } = listOfSongs();
  const one = host(1);
  const reader = new ModelReader();
  fanOut.subscribe(reader, undefined);
  t.equal(reader.wholes, 1);
  reader.isReady = false;
  place(one, 1);
  await clock.advanceSlowly(1_000);
  place(one, 2);
  await clock.advanceSlowly(1_000);
  t.equal(reader.songs.size, 0);
  reader.isReady = true;
  fanOut.catchUp(reader);
  t.match(reader.summary, { wholes: 1, songs: 2, revision: broadcast.revision });

  reader.isReady = false;
  const bytesASong = 1_000;
  for (let n = 3; n * bytesASong < MAX_MISSED_BYTES * 1.5; n += 1)
    place(one, n, { title: 'x'.repeat(bytesASong) });
  await clock.advanceSlowly(5_000);
  reader.isReady = true;
  fanOut.catchUp(reader);
  t.match(reader.summary, { wholes: 2, revision: broadcast.revision });
  fanOut.unsubscribe(reader);
  fanOut.stop();
});

t.test('property: segments hold every row once, in the order of IDs, none past 64 KiB', async t => {
  const change = fc.record({
    id: fc.integer({ min: 1, max: 300 }),
    size: fc.option(fc.integer({ min: 2, max: 3_000 })),
  });
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 100 }), { maxLength: 12 }), batches => {
      const segments = new ListSegments();
      const model = new Map<number, Buffer>();
      for (const batch of batches) {
        const rows = new Map<SongId, Buffer | undefined>();
        for (const { id, size } of batch) {
          const row = size === null ? undefined : rowOf(id, size);
          rows.set(id as SongId, row);
          if (row === undefined) model.delete(id);
          else model.set(id, row);
        }
        segments.apply(rows);
        for (const { id } of batch) {
          const row = segments.get(id as SongId);
          if (model.get(id)?.equals(row!) === false || (row === undefined) === model.has(id)) return false;
        }
      }
      const { segments: bytes, length } = segments.whole();
      const expected = Buffer.concat([...model].sort(([a], [b]) => a - b).map(([, row]) => row));
      return (
        expected.equals(Buffer.concat(bytes)) &&
        length === expected.length &&
        bytes.every(segment => segment.length <= SEGMENT_BYTES)
      );
    }),
    { numRuns: 200 },
  );
  t.pass('200 lists');
});

const rowOf = (id: number, size: number): Buffer => Buffer.from(`${id}`.padEnd(size - 1, '.').concat('\n'));

t.test('while a batch is being made LIST says what the last one said', async t => {
  const { broadcast, host, place } = listOfSongs();
  const one = host(1);
  for (let n = 1; n <= 200; n += 1) place(one, n);
  broadcast.flush(0);
  const before = { list: broadcast.list(), revision: broadcast.revision };
  for (let n = 1; n <= 200; n += 1) place(one, n, { title: 'changed' });
  let pauses = 0;
  await broadcast.prepare(async () => {
    pauses += 1;
    place(one, 1, { title: `changed again, ${pauses}` });
    t.strictSame({ list: broadcast.list(), revision: broadcast.revision }, before);
  });
  t.ok(pauses > 2);
  broadcast.flush(0);
});

t.test('segments that shrank become one again', async t => {
  const segments = new ListSegments();
  const row = (id: number): Buffer => rowOf(id, 1_000);
  const ids = Array.from({ length: 500 }, (_, index) => (index + 1) as SongId);
  for (const id of ids) segments.apply(new Map([[id, row(id)]]));
  const before = segments.whole();
  t.equal(before.segments.length, 8, 'they were filled');
  const copies = before.segments.map(segment => Buffer.from(segment));
  segments.apply(new Map(ids.filter(id => id % 50 !== 0).map(id => [id, undefined])));
  t.same(before.segments, copies, 'what was handed out has not changed');
  const { segments: bytes, length } = segments.whole();
  t.equal(bytes.length, 1);
  t.equal(length, 10_000);
  t.ok(
    Buffer.concat(bytes).equals(Buffer.concat([50, 100, 150, 200, 250, 300, 350, 400, 450, 500].map(row))),
  );
});

t.test('an outbox hands over as the reader takes, and knows a stalled one', async t => {
  const taken: Buffer[] = [];
  let room = 1;
  const all = new OwnBytes();
  const outbox = new Outbox({ write: bytes => taken.push(Buffer.from(bytes)) > 0 && --room > 0 }, all);
  let written = 0;
  outbox.send([Buffer.from('a'), Buffer.from('b')], 100, { written: () => ++written });
  outbox.send([Buffer.from('shared')], 100, { shared: true });
  t.match({ own: outbox.ownBytes, total: all.total, written }, { own: 2, total: 2, written: 0 });
  t.equal(outbox.stalledAt, 100 + LIST_READER_STALL_MS);
  room = 9;
  outbox.drained(200);
  t.match(
    { own: outbox.ownBytes, total: all.total, written, stalled: outbox.stalledAt },
    { own: 0, total: 0, written: 1 },
  );
  t.ok(outbox.isEmpty);
  t.equal(Buffer.concat(taken).toString(), 'abshared');
  room = 1;
  outbox.send([Buffer.from('c')], 300);
  outbox.send([Buffer.from('d')], 300);
  outbox.clear();
  t.equal(all.total, 0);
});

t.test('over sockets: a batch reaches everybody, and a reader that stalls is dropped', async t => {
  const clock = new VirtualClock();
  const tracker = await startTracker(t, { clock });
  const songs = Array.from({ length: 20_000 }, (_, n) =>
    song(n, { title: `${n} `.padEnd(250, 'x'), artist: 'x'.repeat(250) }),
  );
  const host = await registerHost(t, tracker, { songs });
  await until('all are listed', () => tracker.tracker.status().songs === songs.length);
  await settledList(t, tracker);
  // The host reads: what it was sent of the list is off the tracker's hands.
  host.client.send({ type: 'PING', value: 1 });
  await host.client.await('PONG');
  const stalled = await connectTsp(t, tracker.port);
  stalled.socket.pause();
  stalled.send({ type: 'INIT', port: 0 });
  await until('it is registered', () => tracker.tracker.status().readers === 2);
  clock.advance(LIST_READER_STALL_MS);
  await until('it is dropped', () => tracker.tracker.status().peers === 1);

  const quick = await connectTsp(t, tracker.port);
  quick.send({ type: 'INIT', port: 0 });
  const whole = await quick.await('BROADCAST_LIST');
  t.equal(whole.rows.length, 20_001);
  host.client.send({ type: 'UPDATE', changes: [{ ...songs[0]!, title: 'new' }] });
  await host.client.await('SONG_IDS');
  clock.advance(100);
  const batch = await quick.await('BROADCAST_LIST');
  t.strictSame(batch.rows, [{ id: 1, title: 'new' }]);
  t.equal(batch.revision, nextRevision(whole.revision));
});

t.test('over sockets: `since` another tracker’s revision gives the whole list', async t => {
  const tracker = await startTracker(t);
  await registerHost(t, tracker, { songs: [song(1)] });
  await settledList(t, tracker);
  const { revision, welcome, client } = await registerListener(t, tracker);
  const since = { tracker: welcome.tracker!, revision };
  t.strictSame((await registerListener(t, tracker, { since })).list.rows, []);
  const other = { tracker: '0123456789abcdef', revision };
  t.strictSame((await registerListener(t, tracker, { since: other })).list.rows[0], { whole: true });
  client.end();
  await ended(client);
});
