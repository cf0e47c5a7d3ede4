/** What a listener remembers: of hosts, of its attempts, of the IDs of its own songs. */
import t from 'tap';
import { HostBook } from '../../../peer/listening/choose-host.js';
import { Backoff, RESET_AFTER_MS } from '../../../peer/tracker-client/backoff.js';
import { OwnSongIds } from '../../../peer/tracker-client/own-song-ids.js';
import { PIECE_BYTES, RECONNECT_MAX_MS, RECONNECT_MIN_MS } from '../../../protocol/tsp/constants.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';

t.test('the book: alive and quick first, then strangers, then who failed, then who lied', async t => {
  const book = new HostBook(() => 0);
  book.alive('near', 1);
  book.delivered('near', 10 * PIECE_BYTES, 10);
  book.alive('far', 300);
  book.failed('weak', 0);
  book.busy('full', 60_000);
  book.lied('liar', 0);
  const all = ['liar', 'full', 'weak', 'far', 'stranger', 'near', 'near'];
  t.same(book.rank(all, 0), ['near', 'stranger', 'far', 'weak', 'full', 'liar']);
  t.same(book.rank(['weak', 'far'], 10 * 60_000), ['weak', 'far'], 'failures fade');
  t.same(book.rank(['full', 'far'], 60_001), ['full', 'far'], 'the busy are free again');
  t.notOk(book.hasLied('liar', 61 * 60_000), 'a lie is forgiven after an hour');
  t.equal(book.bytesPerSecond('near'), 65_536_000);
  book.delivered('near', 100, 1);
  t.equal(book.bytesPerSecond('near'), 65_536_000, 'a few bytes say nothing of the line');
  t.equal(book.bytesPerSecond('stranger'), undefined);
});

t.test('the book shuffles strangers and stays bounded', async t => {
  let chance = 0;
  const book = new HostBook(() => {
    chance = (chance + 0.37) % 1;
    return chance;
  });
  const firsts = new Set(Array.from({ length: 20 }, () => book.rank(['a', 'b', 'c'], 0)[0]));
  t.equal(firsts.size, 3);
  for (let n = 0; n < 2_500; n += 1) book.delivered(`host ${n}`, PIECE_BYTES, 1);
  t.equal(book.bytesPerSecond('host 0'), undefined);
  t.ok(book.bytesPerSecond('host 2499'));
});

t.test('reconnecting: full jitter between 0.25 and 30 s, quick again after a minute up', async t => {
  const longest = new Backoff(() => 1);
  const delays = Array.from({ length: 12 }, () => longest.next(0));
  t.same(delays.slice(0, 3), [2_500, 5_000, 10_000]);
  t.equal(delays.at(-1), RECONNECT_MAX_MS);
  t.equal(longest.next(RESET_AFTER_MS - 1), RECONNECT_MAX_MS);
  t.equal(longest.next(RESET_AFTER_MS), 2_500);
  const shortest = new Backoff(() => 0);
  for (let attempts = 0; attempts < 9; attempts += 1) t.equal(shortest.next(0), RECONNECT_MIN_MS);
});

t.test('own IDs belong to one tracker', async t => {
  const ids = new OwnSongIds();
  const [one, two] = ['1'.repeat(64), '2'.repeat(64)] as ContentHash[];
  const id = 7 as SongId;
  ids.connected();
  ids.add(one!, id);
  t.equal(ids.idOf(one!), id, 'before WELCOME it is this connection’s');
  t.equal(ids.welcomed('aa'), false);
  ids.add(two!, 8 as SongId);
  ids.connected();
  t.equal(ids.hashOf(8 as SongId), two);
  t.equal(ids.welcomed('aa'), true);
  t.equal(ids.hashOf(id), one, 'the same tracker: all stay');
  ids.connected();
  ids.add(one!, 9 as SongId);
  t.equal(ids.welcomed('bb'), false);
  t.equal(ids.hashOf(id), undefined);
  t.equal(ids.idOf(two!), undefined);
  t.equal(ids.idOf(one!), 9);
  t.equal(ids.welcomed(undefined), false, 'a tracker without a name is always another');
});

t.test('the cheapest come first where an ALTO server says what they cost, unless they do harm', t => {
  const costs = new Map([
    ['10.0.0.1', 30],
    ['10.0.0.2', 10],
    ['10.0.0.3', 20],
    ['2001:db8::4', 10],
  ]);
  const considered: string[] = [];
  const book = new HostBook(() => 0, {
    cost: address => costs.get(address),
    consider: peers => considered.push(...peers.map(({ address }) => address)),
  });
  const hosts = ['10.0.0.9:1', '10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1', '[2001:db8::4]:1', 'a.example:1'];
  book.considerCosts(hosts);
  t.same(considered, ['10.0.0.9', '10.0.0.1', '10.0.0.2', '10.0.0.3', '2001:db8::4'], 'a name costs nothing');
  t.same(book.rank(hosts, 0), [hosts[2], hosts[4], hosts[3], hosts[1], hosts[0], hosts[5]]);
  book.lied(hosts[2]!, 0);
  book.failed(hosts[4]!, 0);
  t.same(book.rank(hosts, 0), [hosts[3], hosts[1], hosts[0], hosts[5], hosts[4], hosts[2]]);
  t.end();
});
