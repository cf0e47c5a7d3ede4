/** `since` over the end of a run: what was told, what of that is on disk, and what those who come back are sent (TSP §3.1). */
import fc from 'fast-check';
import t from 'tap';
import type { SongId } from '../../protocol/tsp/messages.js';
import { nextRevision } from '../../protocol/tsp/revision.js';
import type { SongRow } from '../../protocol/tsp/rows.js';
import { KEPT_BATCHES_MS } from '../../tracker/broadcast.js';
import { FORGOTTEN_AT_ONCE, Journal, MAX_CHANGES } from '../../tracker/journal.js';
import { MemoryStore } from '../../tracker/registry/memory.js';
import type { Host } from '../../tracker/song-table.js';
import { hashOf } from '../support/content.js';
import { until } from '../support/until.js';
import { historySteps, listOfSongs, ModelReader, sorted } from './list-fixture.js';

type List = ReturnType<typeof listOfSongs>;

/** A reader who had these songs at this revision, back. */
function back({ fanOut }: List, at: number, songs: ReadonlyMap<number, SongRow>): ModelReader {
  const reader = new ModelReader(at, songs);
  fanOut.subscribe(reader, { tracker: 'ours', revision: at });
  fanOut.unsubscribe(reader);
  return reader;
}

const asText = (songs: ReadonlyMap<number, SongRow>): string =>
  JSON.stringify([...songs.values()].sort((a, b) => a.id - b.id).map(sorted));

/** The next run, from what is in the store, with the songs of the run before. */
function restarted(before: List, store: MemoryStore, songs = [...before.table.songs()]): List {
  const list = listOfSongs(store);
  const hosts = new Map<Host, Host>();
  for (const song of songs)
    for (const { host, offer } of song.holdings) {
      const again = hosts.get(host) ?? list.host(host.key, ...host.addresses);
      hosts.set(host, again);
      list.table.place(again, song.id, offer);
    }
  list.broadcast.settle();
  return list;
}

t.test('who missed nothing but the restart is sent nothing but the new revision', async t => {
  const store = new MemoryStore();
  const first = listOfSongs(store);
  const one = first.host(1);
  for (let n = 1; n <= 1_000; n += 1) first.place(one, n);
  const { revision } = first.broadcast.flush(0)!;
  await first.broadcast.saved();
  const songs = first.listed();

  const second = restarted(first, store);
  t.not(second.broadcast.revision, revision);
  const reader = back(second, revision, songs);
  t.match(reader.summary, { wholes: 0, songs: 1_000, revision: second.broadcast.revision });
  t.ok(reader.bytes < 64, `${reader.bytes} bytes`);

  const third = restarted(second, new MemoryStore(store), [...second.table.songs()].slice(2));
  const late = back(third, revision, songs);
  t.match(late.summary, { wholes: 0, songs: 998 });
  t.ok(late.bytes < 1_500, 'two songs that left, and at most as much again');
  t.equal(
    back(third, nextRevision(revision), songs).wholes,
    1,
    'a revision that no run is known to have had',
  );
});

t.test('who was told what is not on disk gets the list', async t => {
  const store = new MemoryStore();
  const first = listOfSongs(store);
  const one = first.host(1);
  for (let n = 1; n <= 100; n += 1) first.place(one, n);
  const told = first.broadcast.flush(0)!.revision;
  await first.broadcast.saved();
  const songs = first.listed();
  const disk = new MemoryStore(store);
  first.table.withdraw(one, hashOf(1));
  const lost = first.broadcast.flush(0)!.revision;
  const fewer = first.listed();

  // The song is back: that it left is not on disk, either.
  const before = listOfSongs();
  const again = before.host(1);
  for (let n = 1; n <= 100; n += 1) before.place(again, n);
  const second = restarted(before, disk);
  t.match(back(second, told, songs).summary, { wholes: 0, songs: 100 });
  t.match(back(second, lost, fewer).summary, { wholes: 1, songs: 100 });
});

t.test('what a full disk refuses is written with the next batch', async t => {
  const store = new MemoryStore();
  const list = listOfSongs(store);
  const { broadcast, host, place, registry } = list;
  for (let n = 1; n <= 50; n += 1) place(host(n), n);
  broadcast.flush(0);
  await broadcast.saved();
  const { saveTold, flushed } = registry;
  registry.saveTold = () => undefined;
  registry.flushed = async () => {
    throw new Error('full');
  };
  place(host(100), 1);
  const { revision } = broadcast.flush(0)!;
  const songs = list.listed();
  await broadcast.saved();
  Object.assign(registry, { saveTold, flushed });
  place(host(101), 2);
  broadcast.flush(0);
  await broadcast.saved();
  const next = restarted(list, store);
  const reader = back(next, revision, songs);
  t.match(reader.summary, { wholes: 0, songs: 50 });
  t.equal(asText(reader.songs), asText(next.listed()));
});

t.test('in one run, too: batches that are not kept any more are made up for', async t => {
  const list = listOfSongs();
  const { broadcast, host, place, clock } = list;
  const one = host(1);
  for (let n = 1; n <= 100; n += 1) place(one, n);
  await clock.advanceSlowly(0);
  const { revision } = broadcast;
  const songs = list.listed();
  place(one, 1, { title: 'another' });
  await clock.advanceSlowly(KEPT_BATCHES_MS + 1_000);
  place(one, 2, { title: 'another' });
  await clock.advanceSlowly(100);
  const reader = back(list, revision, songs);
  t.match(reader.summary, { wholes: 0, songs: 100 });
  t.equal(asText(reader.songs), asText(list.listed()));
  place(one, 3, {});
  await clock.advanceSlowly(100);
  t.equal(asText(back(list, revision, songs).songs), asText(list.listed()), 'and the batches after that');
});

t.test('too much is the list instead', async t => {
  const store = new MemoryStore();
  const first = listOfSongs(store);
  const { place, broadcast } = first;
  const one = first.host(1);
  const third = MAX_CHANGES / 2;
  const at: number[] = [];
  for (const begin of [0, third, 2 * third]) {
    for (let n = 1; n <= third; n += 1) place(one, begin + n);
    for (let batch = broadcast.flush(0); batch !== undefined; batch = broadcast.flush(0));
    at.push(broadcast.revision);
  }
  await broadcast.saved();
  const wholes = (list: List): number[] => at.map(revision => back(list, revision, new Map()).wholes);
  t.strictSame(wholes(first), [0, 0, 0]);
  t.strictSame(wholes(restarted(first, new MemoryStore(store))), [0, 0, 0]);
  const fewer = restarted(first, store, [...first.table.songs()].slice(FORGOTTEN_AT_ONCE));
  t.strictSame(wholes(fewer), [1, 0, 0], 'more than is remembered');
});

t.test('what left long ago is forgotten, and with it who has been away so long', async t => {
  const store = new MemoryStore();
  const { registry } = listOfSongs(store);
  const journal = new Journal(registry);
  const ids = Array.from({ length: MAX_CHANGES + FORGOTTEN_AT_ONCE }, (_, n) => ((n + 1) * 64) as SongId);
  for (const id of ids) journal.note(id, Buffer.from(`${id}`));
  journal.turn();
  const before = journal.revision;
  const after = ids.map(id => {
    journal.note(id, undefined);
    journal.turn();
    return journal.revision;
  });
  t.notOk(journal.knows(before));
  const lost = after[FORGOTTEN_AT_ONCE - 2]!;
  const known = after[FORGOTTEN_AT_ONCE - 1]!;
  t.notOk(journal.knows(lost));
  t.ok(journal.knows(known), 'it is what left after that which is still known');
  t.equal(journal.changes().length, MAX_CHANGES);
  await journal.save();
  t.equal(store.blocks.size, MAX_CHANGES);
  const next = new Journal(registry);
  t.strictSame([next.knows(lost), next.knows(known)], [false, true]);
  t.strictSame(next.changes(), journal.changes());
});

t.test('property: whoever comes back, whenever, whatever was on disk, has what LIST says', async t => {
  const step = historySteps({ hosts: 6, songs: 5 }, ['flush', 'flush', 'save', 'crash']);
  const ends = { host: 1, song: 1, title: 'a', vbr: true, what: 'crash', chance: 0 };
  let [comebacks, wholes] = [0, 0];
  const history = fc.asyncProperty(fc.array(step, { maxLength: 100 }), async steps => {
    let store = new MemoryStore();
    let list = listOfSongs(store);
    /** Of which the next run may begin from any. */
    let disks = [new MemoryStore(store)];
    const told = new Map<number, ReadonlyMap<number, SongRow>>();
    for (const step of [...steps, ends]) {
      const { table, broadcast } = list;
      const { what, chance } = step;
      list.act(step);
      if (what === 'flush' && broadcast.flush(0) !== undefined) told.set(broadcast.revision, list.listed());
      else if (what === 'save') {
        await broadcast.saved();
        disks.push(new MemoryStore(store));
      } else if (what === 'crash') {
        store = disks[chance % disks.length]!;
        // What is listed then is another matter: any song may have got lost, or have come back.
        const songs = [...table.songs()].filter(({ id }) => (chance + id) % 5 > 0);
        list = restarted(list, store, songs);
        await list.broadcast.saved();
        disks = [new MemoryStore(store)];
        told.set(list.broadcast.revision, list.listed());
      }
      if (what === 'flush' || what === 'crash')
        for (const [revision, had] of told) {
          const reader = back(list, revision, had);
          comebacks += 1;
          wholes += reader.wholes;
          if (asText(reader.songs) !== asText(list.listed()) || reader.at !== list.broadcast.revision)
            return false;
        }
    }
    return true;
  });
  await fc.assert(history, { numRuns: 300 });
  t.ok(wholes < comebacks, `${comebacks} came back, ${wholes} to the whole list`);
});

t.test('a batch is nobody’s before it is on disk, nor theirs who come just then', async t => {
  const { registry, broadcast, fanOut, clock, host, place, logger } = listOfSongs();
  const written: (() => void)[] = [];
  registry.flushed = () => new Promise(resolve => written.push(resolve));
  const early = new ModelReader(broadcast.revision);
  fanOut.subscribe(early, { tracker: 'ours', revision: broadcast.revision });
  place(host(1), 1);
  clock.advance(1);
  await until('it is being written', () => written.length === 1);
  const [late, other] = [new ModelReader(), new ModelReader(early.at)];
  fanOut.subscribe(late, undefined);
  fanOut.subscribe(other, { tracker: 'ours', revision: early.at });
  fanOut.catchUp(early);
  t.strictSame([early.songs.size, late.songs.size, other.songs.size], [0, 0, 0]);
  written[0]!();
  await until('all are told', () => early.songs.size + late.songs.size + other.songs.size === 3);

  place(host(2), 2);
  clock.advance(1_000);
  await until('it is being written', () => written.length === 2);
  clock.advance(1_000);
  await until('a disk that takes so long is not waited for', () => late.songs.size === 2);
  t.strictSame(logger.messages('error'), []);
});
