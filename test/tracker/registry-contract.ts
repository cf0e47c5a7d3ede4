/**
 * What every registry promises, run against each of them: IDs given once, rows kept by host, and all of it there after
 * a restart, whether the process before it ended well or was killed.
 */
import type { Test } from 'tap';
import { FIRST_SONG_ID, LAST_SONG_ID } from '../../protocol/tsp/constants.js';
import type { OfferRow } from '../../protocol/tsp/rows.js';
import { asSongId } from '../../protocol/tsp/song-id.js';
import type { Registry } from '../../tracker/registry/registry.js';
import { hashOf } from '../support/content.js';

/** Opens a registry on the same store each time it is called; `kill` drops it without closing. */
export interface Subject {
  open(options?: { readonly firstSongId?: number }): Promise<Registry>;
}

const row = (n: number, fields: Omit<OfferRow, 'hash'> = {}): OfferRow => ({ hash: hashOf(n), ...fields });

export function registryContract(t: Test, makeSubject: (t: Test) => Promise<Subject>): void {
  t.test('IDs are sequential, and the same hash has the same one', async t => {
    const registry = await (await makeSubject(t)).open();
    t.equal(registry.idOf(hashOf(1)), undefined);
    t.equal(registry.assignId(hashOf(1)), FIRST_SONG_ID);
    t.equal(registry.assignId(hashOf(2)), FIRST_SONG_ID + 1);
    t.equal(registry.idOf(hashOf(1)), FIRST_SONG_ID);
    t.equal(registry.idOf(hashOf(2)), FIRST_SONG_ID + 1, 'readable before it is durable');
    t.equal(registry.idCount, 2);
    await registry.flushed();
    t.equal(registry.idOf(hashOf(2)), FIRST_SONG_ID + 1);
    t.equal(registry.idCount, 2);
    await registry.close();
  });

  t.test('after a restart the name, the IDs and the count are those of before', async t => {
    const subject = await makeSubject(t);
    const before = await subject.open();
    for (let n = 0; n < 5_000; n += 1) before.assignId(hashOf(n));
    await before.close();
    const after = await subject.open();
    t.match(after.tracker, /^[0-9a-f]{16}$/);
    t.equal(after.tracker, before.tracker);
    t.equal(after.idCount, 5_000);
    t.equal(after.idOf(hashOf(4_999)), FIRST_SONG_ID + 4_999);
    t.equal(after.assignId(hashOf(5_000)), FIRST_SONG_ID + 5_000, 'none is given twice');
    await after.close();
  });

  t.test('at the end of the range no ID is given, and none wraps', async t => {
    const registry = await (await makeSubject(t)).open({ firstSongId: LAST_SONG_ID });
    t.equal(registry.assignId(hashOf(1)), LAST_SONG_ID);
    t.throws(() => registry.assignId(hashOf(2)), { name: 'RequestError', code: 'refused' });
    t.equal(registry.idOf(hashOf(1)), LAST_SONG_ID, 'what has one keeps it');
    await registry.close();
  });

  t.test('hosts and their rows are kept apart, changed and removed', async t => {
    const subject = await makeSubject(t);
    const before = await subject.open();
    const [one, two] = [before.nextHostKey(), before.nextHostKey()];
    t.ok(two > one);
    before.putHost({ key: one, addresses: ['192.0.2.1:7461', '[2001:db8::1]:7461'], instance: 'secret' });
    before.putHost({ key: two, addresses: [':7461'] });
    before.putRow(one, asSongId(1), row(1, { title: 'Ätna', duration: 1.5, vbr: true }));
    before.putRow(one, asSongId(2), row(2, { title: 'gone soon' }));
    before.putRow(two, asSongId(1), row(1, { title: 'the other' }));
    before.putRow(two, asSongId(LAST_SONG_ID), row(3));
    before.removeRow(one, asSongId(2));
    before.putRow(two, asSongId(1), row(1, { title: 'mine' }));
    await before.close();

    const after = await subject.open();
    t.strictSame(
      [...after.hosts()],
      [
        { key: one, addresses: ['192.0.2.1:7461', '[2001:db8::1]:7461'], instance: 'secret' },
        { key: two, addresses: [':7461'] },
      ],
    );
    t.strictSame([...after.rows(one)], [[1, row(1, { title: 'Ätna', duration: 1.5, vbr: true })]]);
    t.strictSame(
      [...after.rows(two)],
      [
        [1, row(1, { title: 'mine' })],
        [LAST_SONG_ID, row(3)],
      ],
    );
    t.ok(after.nextHostKey() > two);
    after.removeRow(two, asSongId(1));
    after.putRow(one, asSongId(4), row(4));
    after.removeHost(one);
    await after.flushed();
    t.strictSame([...after.hosts()], [{ key: two, addresses: [':7461'] }]);
    t.strictSame([...after.rows(one)], [], 'a host leaves with all its rows');
    t.strictSame([...after.rows(two)], [[LAST_SONG_ID, row(3)]]);
    await after.close();
  });

  t.test('of a library each row is changed and removed by itself, whatever is written with it', async t => {
    const registry = await (await makeSubject(t)).open();
    const key = registry.nextHostKey();
    registry.putHost({ key, addresses: [':7461'] });
    const songs = Array.from({ length: 3_000 }, (_, n) => asSongId(1 + n));
    const rows = new Map(songs.map(id => [id, row(id, { title: 'first' })]));
    for (const [id, row] of [...rows].reverse()) registry.putRow(key, id, row);
    await registry.flushed();
    t.strictSame([...registry.rows(key)], [...rows]);
    for (const id of songs) {
      if (id % 7 === 0) {
        registry.putRow(key, id, row(id, { title: 'second' }));
        rows.set(id, row(id, { title: 'second' }));
      } else if (id % 5 === 0 || id > 2_500) {
        registry.removeRow(key, id);
        rows.delete(id);
      }
    }
    await registry.flushed();
    t.strictSame([...registry.rows(key)], [...rows]);
    registry.removeHost(key);
    registry.putHost({ key, addresses: [':7461'] });
    registry.putRow(key, asSongId(1), row(1, { title: 'back' }));
    await registry.flushed();
    t.strictSame([...registry.rows(key)], [[1, row(1, { title: 'back' })]], 'only what came after it left');
    await registry.close();
  });

  t.test('what was flushed is there for the next process, even if this one never closes', async t => {
    const subject = await makeSubject(t);
    const killed = await subject.open();
    const id = killed.assignId(hashOf(7));
    killed.putHost({ key: killed.nextHostKey(), addresses: ['192.0.2.7:7461'] });
    await killed.flushed();
    const next = await subject.open();
    t.equal(next.idOf(hashOf(7)), id);
    t.equal([...next.hosts()].length, 1);
    await next.close();
    await killed.close();
  });

  t.test('each run begins past every revision of the one before', async t => {
    const subject = await makeSubject(t);
    const first = await subject.open();
    await first.flushed();
    const second = await subject.open();
    t.ok(second.revision > first.revision + 1_000);
    second.saveTold({ runs: [{ first: 1, last: second.revision + 100_000 }], blocks: [] });
    await second.flushed();
    const third = await subject.open();
    t.ok(third.revision > second.revision + 100_000);
    for (const registry of [first, second, third]) await registry.close();
  });

  t.test('what readers were told is there after a restart, block by block', async t => {
    const subject = await makeSubject(t);
    const before = await subject.open();
    t.strictSame([before.told().runs, [...before.told().blocks]], [[], []]);
    const block = (text: string): Buffer => Buffer.from(text);
    const runs = [
      { first: 5, last: 9 },
      { first: 70_000, last: 70_001 },
    ];
    // More than go into one transaction by themselves.
    const many = Array.from({ length: 3_000 }, (_, n) => [n, block(`${n}`)] as const);
    before.saveTold({ runs: runs.slice(0, 1), blocks: many });
    before.saveTold({
      runs,
      blocks: [
        [1, undefined],
        [7, block('seven')],
        [2 ** 26 - 1, block('the last')],
      ],
    });
    await before.close();
    const after = await subject.open();
    const { runs: again, blocks } = after.told();
    const found = new Map([...blocks].map(([number, bytes]) => [number, bytes?.toString()]));
    t.strictSame(again, runs);
    t.equal(found.size, 3_000);
    t.strictSame(
      [0, 1, 7, 2 ** 26 - 1].map(n => found.get(n)),
      ['0', undefined, 'seven', 'the last'],
    );
    await after.close();
  });
}
