/** Who is listed with what, when long work of several is under way at once: each slice of it comes when a test says so. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { OfferChange, OfferRow } from '../../protocol/tsp/rows.js';
import { DEFAULT_TRACKER_CONFIG, type TrackerConfig } from '../../tracker/config.js';
import { Member } from '../../tracker/member.js';
import { Registrar } from '../../tracker/registrar.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import { SongTable } from '../../tracker/song-table.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { song } from './tracker-fixture.js';

const ADDRESS = '192.0.2.1:7461';
/** Three slices. */
const LIBRARY: readonly OfferRow[] = Array.from({ length: 250 }, (_, n) => song(n + 1));

function registrarInSlices(config: TrackerConfig = DEFAULT_TRACKER_CONFIG) {
  const store = new MemoryStore();
  const registry = new MemoryRegistry({ randomBytes }, store);
  const table = new SongTable({ touched() {}, changed() {}, addressGone() {} });
  const logger = new RecordingLogger();
  const waiting: (() => void)[] = [];
  const pause = (): Promise<void> => new Promise(resolve => waiting.push(resolve));
  const registrar = new Registrar({ table, registry, config, clock: new VirtualClock(), logger, pause });
  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  /** Lets everybody who pauses go on, once or until nobody pauses. */
  const slice = async (): Promise<void> => {
    for (const resume of waiting.splice(0)) resume();
    await settle();
  };
  const finish = async <T>(work?: Promise<T>): Promise<T | undefined> => {
    do await slice();
    while (waiting.length > 0);
    return await work;
  };
  const member = (replaced = (): void => {}): Member => new Member('192.0.2.1', '192.0.2.1', replaced);
  const enlist = async (
    who: Member,
    songs: readonly OfferRow[],
    { instance = 'the same', address = ADDRESS }: { instance?: string | undefined; address?: string } = {},
  ): Promise<void> => {
    registrar.offer(who, songs);
    await finish(registrar.enlist(who, { port: 7461, instance }, [address]));
  };
  const stored = (): number => [...registry.hosts()].flatMap(({ key }) => [...registry.rows(key)]).length;
  return { registrar, table, logger, slice, finish, member, enlist, stored };
}

t.test('who is back before all its songs have left has all of them in the list', async t => {
  const { registrar, table, logger, finish, member, enlist, stored } = registrarInSlices();
  const [before, after] = [member(), member()];
  await enlist(before, LIBRARY);
  registrar.publish(before);
  await finish();
  await enlist(after, LIBRARY.toReversed());
  registrar.leave(before);
  t.equal(table.songCount, LIBRARY.length - 100, 'a slice has left');
  registrar.publish(after);
  await finish();
  t.equal(table.songCount, LIBRARY.length);
  t.equal(stored(), LIBRARY.length, 'and so it is for the next run');
  registrar.leave(after);
  await finish();
  t.strictSame([table.songCount, stored(), logger.messages('error')], [0, 0, []]);
});

t.test('a song that is gone before all that was offered with it is listed stays away', async t => {
  const { registrar, table, finish, member, enlist, stored } = registrarInSlices();
  const host = member();
  await enlist(host, LIBRARY);
  registrar.publish(host);
  t.equal(table.songCount, 100, 'the first slice at once');
  const { hash } = LIBRARY.at(-1)!;
  const gone: OfferChange = { hash, gone: true };
  await finish(registrar.update(host, [gone]).then(() => registrar.publish(host)));
  await finish();
  t.equal(table.songOf(hash), undefined);
  t.strictSame([table.songCount, stored()], [LIBRARY.length - 1, LIBRARY.length - 1]);
});

t.test('a library that is told anew leaves the songs that it no longer names', async t => {
  const { registrar, table, finish, member, enlist, stored } = registrarInSlices();
  const [before, after] = [member(), member()];
  await enlist(before, LIBRARY);
  registrar.publish(before);
  await finish();
  await enlist(after, LIBRARY.slice(0, 40));
  registrar.publish(after);
  await finish();
  t.strictSame([table.songCount, stored(), table.hosts.size], [40, 40, 1]);
});

const ELSEWHERE = '192.0.2.1:7462';

t.test('changes of somebody who leaves before they are noted take no room', async t => {
  const songs = LIBRARY.length;
  const { registrar, finish, member, enlist } = registrarInSlices({
    ...DEFAULT_TRACKER_CONFIG,
    maxSongs: songs,
  });
  const who = member();
  await enlist(who, LIBRARY);
  registrar.publish(who);
  const update = registrar.update(
    who,
    LIBRARY.map(offer => ({ ...offer, title: 'another' })),
  );
  registrar.leave(who);
  t.strictSame((await finish(update))?.rows, [], 'nobody is there to be told');
  const next = member();
  t.doesNotThrow(() => registrar.offer(next, LIBRARY), 'all the room is there again');
});

t.test('who has the address that another peer had is not that peer', async t => {
  const { registrar, table, finish, member, enlist } = registrarInSlices();
  const replaced: string[] = [];
  const listed = async (name: string, songs: readonly OfferRow[], as: Parameters<typeof enlist>[2]) => {
    const who = member(() => {
      replaced.push(name);
      registrar.leave(who);
    });
    await enlist(who, songs, as);
    registrar.publish(who);
    await finish();
  };
  await listed('first', LIBRARY.slice(0, 1), { instance: 'one' });
  await listed('second', LIBRARY.slice(1, 2), { instance: 'two' });
  t.strictSame(replaced, ['first'], 'it has proven the same address');
  await listed('first again', LIBRARY.slice(0, 1), { instance: 'one', address: ELSEWHERE });
  t.strictSame([replaced.length, table.songCount, table.hosts.size], [1, 2, 2], 'and both are there');
  await listed('nobody', LIBRARY.slice(2, 3), { instance: undefined });
  await listed('second again', LIBRARY.slice(1, 2), { instance: 'two', address: '192.0.2.1:7463' });
  t.strictSame([replaced, table.songCount], [['first', 'second'], 3], 'not those who say INIT, either');
});

t.test('a peer is known by the instance that it has named last', async t => {
  const { registrar, table, finish, member, enlist } = registrarInSlices();
  const replaced: string[] = [];
  const [before, after] = ['before', 'after'].map(name => {
    const who = member(() => {
      replaced.push(name);
      registrar.leave(who);
    });
    return who;
  }) as [Member, Member];
  const tell = async (who: Member, as: Parameters<typeof enlist>[2]) => {
    await enlist(who, LIBRARY.slice(0, 1), as);
    registrar.publish(who);
    await finish();
  };
  await tell(before, { instance: 'one' });
  await tell(after, { instance: undefined, address: ELSEWHERE });
  t.strictSame([replaced, table.hosts.size], [[], 2]);
  await tell(after, { instance: 'one', address: ELSEWHERE });
  t.strictSame([replaced, table.hosts.size], [['before'], 1]);
});

const LISTED_ELSEWHERE = ['192.0.2.2:7461', '192.0.2.3:7461', '192.0.2.4:7461'] as const;

t.test('a full list stays within its limit when songs leave that another was just promised', async t => {
  const { registrar, table, finish, member, enlist } = registrarInSlices({
    ...DEFAULT_TRACKER_CONFIG,
    maxSongs: 100,
  });
  const listed = async (who: Member, songs: readonly OfferRow[], address: string): Promise<void> => {
    await enlist(who, songs, { instance: address, address });
    registrar.publish(who);
    await finish();
  };
  const [before, promised] = [member(), member()];
  await listed(before, LIBRARY.slice(0, 50), ADDRESS);
  await enlist(promised, LIBRARY.slice(0, 50), { instance: 'promised', address: LISTED_ELSEWHERE[0] });
  registrar.leave(before);
  await finish();
  t.equal(table.songCount, 0, 'they have left, and their other host was told that they are listed');
  await listed(member(), LIBRARY.slice(50, 100), LISTED_ELSEWHERE[1]);
  await listed(member(), LIBRARY.slice(100, 150), LISTED_ELSEWHERE[2]);
  t.equal(table.songCount, 50, 'the other half of the list is kept for that host');
  registrar.publish(promised);
  await finish();
  t.equal(table.songCount, 100);
  registrar.leave(promised);
  await finish();
  await listed(member(), LIBRARY.slice(200, 250), ADDRESS);
  t.equal(table.songCount, 100, 'and free when it has left');
});

t.test('a song that makes room for another has its place no more, whoever comes with it', async t => {
  const [filler, old, fresh] = LIBRARY as readonly OfferRow[] as [OfferRow, OfferRow, OfferRow];
  const { registrar, table, finish, member, enlist } = registrarInSlices({
    ...DEFAULT_TRACKER_CONFIG,
    maxSongs: 2,
  });
  const [host, other] = [member(), member()];
  await enlist(host, [filler, old]);
  registrar.publish(host);
  await finish();
  await finish(registrar.update(host, [{ hash: old.hash, gone: true }, fresh]));
  await enlist(other, [old], { instance: 'other', address: LISTED_ELSEWHERE[0] });
  registrar.publish(other);
  registrar.publish(host);
  await finish();
  t.strictSame(
    [...table.songs()].map(({ hash }) => hash),
    [filler.hash, fresh.hash],
  );
});

t.test('who registers again while what it told is being listed is told the same of it', async t => {
  const { registrar, table, finish, member } = registrarInSlices({
    ...DEFAULT_TRACKER_CONFIG,
    maxSongs: LIBRARY.length,
  });
  const who = member();
  const claim = { port: 7461, instance: 'the same' };
  registrar.offer(who, LIBRARY);
  await finish(registrar.enlist(who, claim, [ADDRESS]));
  registrar.publish(who);
  const again = await finish(registrar.enlist(who, claim, [ELSEWHERE]));
  t.notMatch(Buffer.concat(again?.rows ?? []).toString(), 'refused');
  registrar.publish(who);
  await finish();
  t.equal(table.songCount, LIBRARY.length);
});

t.test('songs that wait for their ID keep nobody out who has one', async t => {
  const songs = Array.from({ length: 12_500 }, (_, n) => song(n));
  const { registrar, table, finish, member, enlist } = registrarInSlices({
    ...DEFAULT_TRACKER_CONFIG,
    maxSongs: 2_500,
  });
  const listed = async (who: Member, from: number): Promise<void> => {
    await enlist(who, songs.slice(from, from + 2_500));
    registrar.publish(who);
    await finish();
  };
  for (let from = 0; from < 10_000; from += 2_500) {
    const who = member();
    await listed(who, from);
    registrar.leave(who);
    await finish();
  }
  const waiting = member();
  await listed(waiting, 10_000);
  t.equal(table.songCount, 0, 'its address has had its 10,000 IDs');
  await listed(member(), 0);
  t.equal(table.songCount, 2_500);
  const again = registrar.enlist(waiting, { port: 7461 }, [ELSEWHERE]);
  await t.rejects(again, { code: 'too-many' }, 'it is to tell its songs anew');
});
