/** How often, how many, and from where: the limits that a tracker and a host share, as pure logic. */
import t from 'tap';
import { BucketTable, TokenBucket } from '../../../protocol/token-bucket.js';
import { Doorkeeper } from '../../../protocol/tsp/doorkeeper.js';

t.test('a bucket gives its burst at once, then at its rate; credit says how long to wait', async t => {
  const bucket = new TokenBucket({ burst: 10, perSecond: 2 }, 0);
  t.ok(bucket.take(10, 0));
  t.notOk(bucket.take(1, 499));
  t.ok(bucket.take(1, 500));
  t.equal(bucket.takeAnyway(4, 500), 2_000);
  t.equal(bucket.waitFor(3, 2_500), 1_500);
  bucket.giveBack(1);
  t.equal(bucket.waitFor(3, 2_500), 1_000);
  t.equal(bucket.waitFor(1, 2_500), 0);
  t.notOk(bucket.isFull(6_500));
  t.ok(bucket.isFull(7_000));
  bucket.giveBack(5);
  t.notOk(bucket.take(11, 7_000), 'never more than the burst');
});

t.test('buckets that are full again are forgotten when there are many', async t => {
  const table = new BucketTable({ burst: 1, perSecond: 1 });
  const first = table.of('first', 0);
  first.take(1, 0);
  for (let n = 0; n < 5_000; n += 1) table.of(`${n}`, 100).take(0, 100);
  t.equal(table.of('first', 100), first, 'not yet full');
  for (let n = 5_000; n < 20_000; n += 1) table.of(`${n}`, 9_000);
  t.not(table.of('first', 9_000), first);
});

t.test('the door: places, places of one address, their rate, and those who say nothing', async t => {
  const door = new Doorkeeper<string>({ maxConnections: 100, maxPerAddress: 64 });
  for (let n = 0; n < 40; n += 1) {
    t.equal(door.refusal('a', 0), undefined);
    t.equal(door.entered('a', `a${n}`), n < 25 ? undefined : `a${n - 25}`, 'a quarter may be silent');
  }
  t.match(door.refusal('a', 0), { code: 'too-many', message: /new connections/ });
  t.equal(door.refusal('a', 50), undefined, '20 more each second');
  t.equal(door.refusal('b', 0), undefined, 'others come in');
  for (let n = 40; n < 64; n += 1) door.entered('a', `a${n}`);
  t.match(door.refusal('a', 60_000), { code: 'too-many', message: /from your address/ });
  for (let n = 0; n < 36; n += 1) door.entered(`${n}`, `${n}`);
  t.match(door.refusal('z', 0), { message: /every connection/ });
  for (let n = 0; n < 64; n += 1) door.greeted(`a${n}`);
  door.left('a', 'a0');
  t.equal(door.refusal('z', 0), undefined);
  t.equal(door.entered('z', 'z'), '11', 'the oldest that is still silent');
  const open = new Doorkeeper<number>({ maxConnections: Infinity, maxPerAddress: Infinity });
  for (let n = 0; n < 1_000; n += 1)
    if (open.refusal('a', 0) !== undefined || open.entered('a', n) !== undefined) t.fail();
});

t.test('the rate of new connections goes with how many an address may have', async t => {
  for (const [maxPerAddress, atOnce] of [
    [1, 1],
    [4, 3],
    [640, 400],
  ] as const) {
    const door = new Doorkeeper<number>({ maxConnections: Number.POSITIVE_INFINITY, maxPerAddress });
    let count = 0;
    while (door.refusal('a', 0) === undefined) {
      door.entered('a', count);
      count += 1;
    }
    t.equal(count, atOnce, `${maxPerAddress}`);
  }
});
