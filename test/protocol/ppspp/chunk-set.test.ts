/** Sets of chunks beside sets of numbers, and with more ranges than anybody is believed. */
import fc from 'fast-check';
import t from 'tap';
import { ChunkSet, MAX_RANGES } from '../../../protocol/ppspp/chunk-set.js';

t.test('a chunk set is what a set of numbers is', async t => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(60), fc.nat(20)), { maxLength: 40 }),
      fc.nat(60),
      (steps, from) => {
        const set = new ChunkSet();
        const plain = new Set<number>();
        for (const [add, start, length] of steps) {
          const range = { start, end: start + length };
          if (add) set.add(range);
          else set.delete(range);
          for (let i = start; i <= start + length; i += 1) add ? plain.add(i) : plain.delete(i);
        }
        t.equal(set.size, plain.size);
        t.equal(set.isEmpty, plain.size === 0);
        for (let i = 0; i < 90; i += 1) if (set.has(i) !== plain.has(i)) t.fail(`${i}`);
        const gaps = set
          .gaps({ start: from, end: 80 }, 100)
          .flatMap(({ start, end }) => Array.from({ length: end - start + 1 }, (_, i) => start + i));
        t.same(
          gaps,
          Array.from({ length: 81 - from }, (_, i) => from + i).filter(i => !plain.has(i)),
        );
      },
    ),
  );
});

t.test('2^32 chunks cost what one does, and every other one is not believed for ever', async t => {
  const set = new ChunkSet();
  set.add({ start: 0, end: 0xffff_ffff });
  t.equal(set.ranges.length, 1);
  t.same(set.rangeAround(77), { start: 0, end: 0xffff_ffff });
  const hostile = new ChunkSet();
  for (let i = 0; i < MAX_RANGES; i += 1)
    t.ok(hostile.add({ start: 4 * i, end: 4 * i + 2 })) || t.bailout('full');
  t.notOk(hostile.add({ start: 0x7fff_ffff, end: 0x7fff_ffff }));
  hostile.delete({ start: 1, end: 1 });
  t.equal(hostile.ranges.length, MAX_RANGES);
});
