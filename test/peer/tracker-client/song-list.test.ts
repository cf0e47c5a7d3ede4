/** The list against a model, and what it tells a listener to dial. */
import fc from 'fast-check';
import t from 'tap';
import { type BatchOutcome, resolveHost, SongList } from '../../../peer/tracker-client/song-list.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import type { BroadcastRow, SongRow } from '../../../protocol/tsp/rows.js';
import { hashOf } from '../../support/content.js';

const row = (id: number, change: Partial<Omit<SongRow, 'id'>> = {}): BroadcastRow => ({
  kind: 'song',
  id: id as SongId,
  change: { hash: hashOf(id), title: `song ${id}`, hosts: ['10.0.0.1:7461'], hostCount: 1, ...change },
});
const partial = (id: number, change: Partial<Omit<SongRow, 'id'>>): BroadcastRow => ({
  kind: 'song',
  id: id as SongId,
  change,
});
const WHOLE: BroadcastRow = { kind: 'whole' };

function batch(list: SongList, revision: number, rows: BroadcastRow[], whole = false): BatchOutcome {
  list.begin(revision, whole);
  list.rows(rows);
  return list.end();
}

/** A list that is current at `revision` and has songs 1 … `songs`. */
function current(revision = 5, songs = 2): SongList {
  const list = new SongList();
  list.welcomed(revision, '10.0.0.9');
  batch(list, revision, [WHOLE, ...Array.from({ length: songs }, (_, n) => row(n + 1))]);
  return list;
}

const ids = (list: SongList): number[] => list.songs.map(song => song.id);

t.test('a whole batch is the list; the next ones change it', async t => {
  const list = new SongList();
  t.equal(list.stale, true, 'before the first list');
  list.welcomed(5, '10.0.0.9');
  t.same(batch(list, 5, [WHOLE, row(1), row(2)]), {
    kind: 'applied',
    change: { added: 2, left: 0, changed: 0 },
  });
  t.equal(list.stale, false);
  t.same(ids(list), [1, 2]);
  t.match(batch(list, 6, [row(3), partial(1, { title: 'new' }), partial(2, { hosts: [] })]), {
    change: { added: 1, left: 1, changed: 1 },
  });
  t.same(ids(list), [1, 3]);
  t.match(list.get(1 as SongId), { title: 'new', hash: hashOf(1), hosts: ['10.0.0.1:7461'], hostCount: 1 });
  t.equal(list.size, 2);
  t.equal(list.revision, 6);
});

t.test('a song that comes back has its old place', async t => {
  const list = current(5, 3);
  batch(list, 6, [partial(2, { hosts: [] })]);
  batch(list, 7, [row(2)]);
  t.same(ids(list), [1, 2, 3]);
});

t.test('keys that did not change may be left out; a change of hosts alone is no news', async t => {
  const list = current();
  t.match(batch(list, 6, [partial(1, { hosts: ['10.0.0.2:1', '10.0.0.3:1'], hostCount: 7 })]), {
    change: { added: 0, left: 0, changed: 0 },
  });
  t.match(list.get(1 as SongId), { title: 'song 1', hostCount: 7 });
  batch(list, 7, [partial(1, { hosts: ['10.0.0.4:1'] })]);
  t.equal(list.get(1 as SongId)?.hostCount, 1);
  batch(list, 8, [partial(99, { title: 'who?' })]);
  t.equal(list.get(99 as SongId), undefined, 'a change of a song that nobody named');
  batch(list, 9, [partial(4, { live: true, feed: hashOf(4), title: 'live', hosts: [':1'] })]);
  t.equal(list.get(4 as SongId)?.live, true, 'a feed has no hash');
});

t.test('a host that is gone leaves every song, and songs that nobody else has leave with it', async t => {
  const list = current(5, 1);
  batch(list, 6, [row(2, { hosts: ['10.0.0.1:7461', '10.0.0.2:7461'], hostCount: 2 })]);
  t.match(batch(list, 7, [{ kind: 'host-gone', host: '10.0.0.1:7461' }]), { change: { left: 1 } });
  t.match(list.songs, [{ id: 2, hosts: ['10.0.0.2:7461'], hostCount: 1 }]);
});

t.test('what was said before is ignored, a jump asks for the list and loses nothing', async t => {
  const list = current(5, 1);
  t.same(batch(list, 5, [row(9)]), { kind: 'ignored' });
  t.same(batch(list, 4, [row(9)]), { kind: 'ignored' });
  t.same(batch(list, 8, [row(8)]), { kind: 'jump' });
  t.same(batch(list, 9, [row(9)]), { kind: 'jump' });
  t.same(ids(list), [1]);
  t.match(batch(list, 7, [row(1), row(7)], true), { kind: 'applied', change: { added: 3 } });
  t.same(ids(list), [1, 7, 8, 9], 'the batches after it were kept');
  t.equal(list.revision, 9);
});

t.test('a whole list that is still too old asks again; the missing batch closes the gap', async t => {
  const list = current(5, 1);
  batch(list, 8, [row(8)]);
  t.same(batch(list, 6, [row(1), row(6)], true), { kind: 'jump' });
  t.match(batch(list, 7, [row(7)]), { kind: 'applied', change: { added: 2 } });
  t.same(ids(list), [1, 6, 7, 8]);
  t.same(batch(list, 7, [row(1)], true), { kind: 'ignored' }, 'an answer to LIST may be a second old');
});

t.test('a batch may lead from an older revision than the one before: from ours, or it is a jump', async t => {
  const since = (revision: number): BroadcastRow => ({ kind: 'since', revision });
  const list = current(5, 2);
  list.lost();
  list.welcomed(70_000, '10.0.0.9');
  t.same(batch(list, 70_000, [since(4), row(9)]), { kind: 'jump' });
  t.same(batch(list, 70_001, [row(3)]), { kind: 'jump' }, 'the next one waits');
  t.match(batch(list, 70_000, [since(5), partial(1, { hosts: [] }), row(2, { title: 'new' })]), {
    change: { added: 1, left: 1, changed: 1 },
  });
  t.same(ids(list), [2, 3]);
  t.equal(list.revision, 70_001);
  t.equal(list.stale, false);
  t.same(batch(list, 70_001, [since(5), row(9)]), { kind: 'ignored' });
  t.same(
    batch(list, 70_001, [row(4), since(70_000)]),
    { kind: 'ignored' },
    'it is only said in the first row',
  );
});

t.test('revisions go round and skip 0', async t => {
  const list = current(0xffff_fffe, 1);
  t.equal(batch(list, 0xffff_ffff, [row(2)]).kind, 'applied');
  t.equal(batch(list, 1, [row(3)]).kind, 'applied');
  t.equal(batch(list, 0xffff_ffff, [row(4)]).kind, 'ignored');
  t.same(ids(list), [1, 2, 3]);
});

t.test('when the tracker is lost the list stays, marked stale; half a batch is dropped', async t => {
  const list = current(5, 2);
  list.begin(6, false);
  list.rows([row(3)]);
  list.lost();
  t.equal(list.stale, true);
  t.same(ids(list), [1, 2]);
  list.welcomed(6, '10.0.0.9');
  t.equal(list.stale, true, 'revision 6 is not here yet');
  batch(list, 6, [row(3)]);
  t.equal(list.stale, false);
  list.lost();
  list.welcomed(6, '10.0.0.9');
  t.equal(list.stale, false, 'nothing has changed meanwhile');
});

t.test('a tracker that begins to count again is believed after a loss', async t => {
  const list = current(500, 2);
  list.lost();
  list.welcomed(3, '10.0.0.9');
  batch(list, 3, [WHOLE, row(7)]);
  t.same(ids(list), [7]);
  t.equal(list.stale, false);
});

t.test('another tracker’s list replaces everything', async t => {
  const list = current();
  list.clear();
  t.equal(list.size, 0);
  t.equal(list.revision, undefined);
  t.same(batch(list, 6, [row(1)]), { kind: 'jump' }, 'there is no list yet to which it could be applied');
});

t.test('the kept batches are bounded', async t => {
  const list = current(5, 0);
  for (let revision = 7; revision < 2_000; revision += 1) batch(list, revision, [row(revision)]);
  t.match(batch(list, 1_990, [], true), { kind: 'applied' });
  t.equal(list.revision, 1_999);
  const rows = Array.from({ length: 30_000 }, (_, n) => row(n + 1));
  for (let revision = 2_001; revision < 2_006; revision += 1) batch(list, revision, rows);
  t.match(batch(list, 2_001, [], true), { kind: 'jump' }, 'by their rows, too');
  t.match(batch(list, 2_002, [], true), { kind: 'applied' });
  t.equal(list.revision, 2_005, 'the last are there');
});

t.test('hosts are made ready to be dialled', async t => {
  t.equal(resolveHost(':7461', '10.0.0.9'), '10.0.0.9:7461');
  t.equal(resolveHost(':7461', '::ffff:10.0.0.9'), '10.0.0.9:7461');
  t.equal(resolveHost(':7461', '2001:db8::1'), '[2001:db8::1]:7461');
  t.equal(resolveHost(':7461', undefined), undefined);
  t.equal(resolveHost('127.0.0.1:7461', '10.0.0.9'), undefined, 'it is not on our machine');
  t.equal(resolveHost('127.0.0.1:7461', '127.0.0.1'), '127.0.0.1:7461');
  t.equal(resolveHost('127.0.0.1:7461', '::1'), '127.0.0.1:7461');
  t.equal(resolveHost('192.0.2.7:7461', '10.0.0.9'), '192.0.2.7:7461');
  t.equal(resolveHost('a name:7461', '10.0.0.9'), undefined);
  t.same(current().hostsOf({ hosts: [':1', '127.0.0.1:2', '[2001:db8::2]:3'] }), [
    '10.0.0.9:1',
    '[2001:db8::2]:3',
  ]);
});

t.test('batches in any order, some twice and some lost, end as the tracker’s own list', async () => {
  const change = fc.record({
    id: fc.integer({ min: 1, max: 6 }),
    what: fc.constantFrom('put', 'title', 'leave', 'host-gone'),
    title: fc.string({ maxLength: 3 }),
  });
  type Change = typeof change extends fc.Arbitrary<infer C> ? C : never;
  const toRow = ({ id, what, title }: Change): BroadcastRow => {
    if (what === 'put') return row(id, { title, hosts: [`10.0.0.${id % 3}:1`] });
    if (what === 'title') return partial(id, { title });
    return what === 'leave' ? partial(id, { hosts: [] }) : { kind: 'host-gone', host: `10.0.0.${id % 3}:1` };
  };
  /** The tracker: every revision's list, and its batch. */
  const history = (batches: Change[][]): { rows: BroadcastRow[]; list: Map<number, SongRow> }[] => {
    const list = new Map<number, SongRow>();
    const states = [{ rows: [] as BroadcastRow[], list: new Map(list) }];
    for (const changes of batches) {
      const rows = changes.map(toRow);
      for (const one of rows) {
        if (one.kind === 'host-gone') {
          for (const [id, song] of list) if (song.hosts.includes(one.host)) list.delete(id);
        } else if (one.kind === 'song') {
          const before = list.get(one.id);
          if (one.change.hosts?.length === 0) list.delete(one.id);
          else if (before !== undefined || one.change.hash !== undefined)
            list.set(one.id, { ...before, ...one.change, id: one.id } as SongRow);
        }
      }
      states.push({ rows, list: new Map(list) });
    }
    return states;
  };
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { maxLength: 4 }), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 5 })),
      (batches, chances) => {
        const states = history(batches);
        const last = states.length - 1;
        const list = new SongList();
        const chance = (): number => chances.next().value;
        const wholeAt = (revision: number): BroadcastRow[] =>
          [...states[revision]!.list.values()].map(({ id, ...rest }) => partial(id, rest));
        list.welcomed(1, '10.0.0.9');
        batch(list, 1, [WHOLE]);
        let asked = false;
        for (let revision = 1; revision <= last; revision += 1) {
          if (chance() === 0) continue; // lost
          for (let times = chance() === 1 ? 2 : 1; times > 0; times -= 1)
            asked = batch(list, revision + 1, states[revision]!.rows).kind === 'jump' || asked;
          // The answer to LIST comes some time later, and may be older than what was seen already.
          if (asked && chance() === 2)
            asked = batch(list, revision, wholeAt(revision - 1), true).kind === 'jump';
        }
        while (batch(list, last + 1, wholeAt(last), true).kind === 'jump') {
          // Kept batches beyond the last there are none.
          throw new Error('the last list is not the last');
        }
        const expected = [...states[last]!.list.values()];
        const plain = (songs: readonly SongRow[]) =>
          songs.map(({ id, title, hosts }) => ({ id, title, hosts }));
        const sorted = (songs: readonly SongRow[]) =>
          JSON.stringify(plain(songs.toSorted((a, b) => a.id - b.id)));
        if (sorted(list.songs) !== sorted(expected))
          throw new Error(`${sorted(list.songs)} ≠ ${sorted(expected)}`);
      },
    ),
  );
});
