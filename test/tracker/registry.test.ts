/** The registry, in memory and on disk: the contract, many writers, a full disk (TSP §2.3). */
import { execFileSync, spawnSync } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from 'lmdb';
import t from 'tap';
import type { OpenDisk } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { openDisk } from '../../src/disk.js';
import { IdIndex } from '../../tracker/registry/id-index.js';
import { LmdbRegistry } from '../../tracker/registry/lmdb.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import { hashOf } from '../support/content.js';
import { range } from '../support/crowd.js';
import { tempFolder } from '../support/temp-folder.js';
import { registryContract } from './registry-contract.js';

t.test('in memory', async t => {
  registryContract(t, async () => {
    const store = new MemoryStore();
    return { open: async options => new MemoryRegistry({ randomBytes, ...options }, store) };
  });
});

t.test('an index finds each ID by its hash, and asks of few others whether they are it', async t => {
  const hashes = range(20_000).map(n => Buffer.from(digestOf(n), 'hex'));
  const alike = range(20_000).map(n => Buffer.from(hashOf(n), 'hex'));
  for (const all of [hashes, alike]) {
    const index = new IdIndex(randomBytes);
    const [known, others] = [all.slice(0, 10_000), all.slice(10_000)];
    for (const [n, hash] of known.entries()) index.add((n + 1) as SongId, hash);
    t.equal(index.size, known.length);
    t.same(
      known.map((hash, n) => index.find(hash, id => id === n + 1)),
      known.map((_, n) => n + 1),
    );
    let asked = 0;
    const isIts = () => {
      asked += 1;
      return false;
    };
    for (const hash of others) index.find(hash, isIts);
    t.ok(asked < 10, `${asked} were asked of`);
  }
});

t.test('on disk', async t => {
  registryContract(t, async t => {
    const folder = join(await tempFolder(t), 'registry');
    return { open: options => LmdbRegistry.open(folder, { randomBytes, openDisk, ...options }) };
  });

  t.test('many writers wait for their own writes, and share them', async t => {
    const registry = await LmdbRegistry.open(join(await tempFolder(t), 'registry'), {
      randomBytes,
      openDisk,
    });
    await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const id = registry.assignId(hashOf(n));
        await registry.flushed();
        t.equal(registry.idOf(hashOf(n)), id);
      }),
    );
    await registry.close();
  });

  t.test('a store of before, with a key for each hash, keeps its IDs', async t => {
    const folder = join(await tempFolder(t), 'registry');
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;
    const old = open<Buffer, Buffer>({ path: folder, maxDbs: 5, ...binary });
    const [ids, meta] = [old.openDB({ name: 'ids', ...binary }), old.openDB({ name: 'meta', ...binary })];
    const u32 = (value: number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    };
    for (const n of range(3_000)) void ids.put(Buffer.from(digestOf(n), 'hex'), u32(10 + n));
    await meta.put(Buffer.from('lastSongId'), Buffer.from('3009'));
    await old.close();
    for (const count of [3_000, 3_001]) {
      const registry = await LmdbRegistry.open(folder, { randomBytes, openDisk });
      t.same(
        range(count).map(n => registry.idOf(digestOf(n))),
        range(count).map(n => 10 + n),
      );
      t.equal(registry.idCount, count);
      t.equal(registry.assignId(digestOf(count)), 10 + count);
      await registry.close();
    }
    const rewritten = open<Buffer, Buffer>({ path: folder, maxDbs: 5, ...binary });
    const keys = [...rewritten.openDB<Buffer, Buffer>({ name: 'ids', ...binary }).getKeys()];
    t.ok(
      keys.every(key => key.length === 4),
      'and has them as others do',
    );
    await rewritten.close();
  });

  t.test(
    'what was written of a round that failed in the middle is known, and the rest given anew',
    async t => {
      const folder = join(await tempFolder(t), 'registry');
      let commits = Number.NEGATIVE_INFINITY;
      const failingOnce: OpenDisk = (...where) => {
        const disk = openDisk(...where);
        const { commit } = disk;
        disk.commit = perform => {
          commits += 1;
          return commits === 2 ? Promise.reject(new Error('for this moment')) : commit.call(disk, perform);
        };
        return disk;
      };
      const registry = await LmdbRegistry.open(folder, { randomBytes, openDisk: failingOnce });
      // In blocks of 32 more than one transaction.
      const all = range(40_000);
      const first = all.map(n => registry.assignId(hashOf(n)));
      commits = 0;
      await t.rejects(registry.flushed(), { code: 'unavailable' });
      const kept = all.filter(n => registry.idOf(hashOf(n)) !== undefined);
      t.ok(kept.length > 0 && kept.length < all.length, `${kept.length} were written`);
      t.equal(registry.idCount, kept.length);
      t.ok(kept.every(n => registry.idOf(hashOf(n)) === first[n]));
      const ids = all.map(n => registry.idOf(hashOf(n)) ?? registry.assignId(hashOf(n)));
      t.equal(new Set([...first, ...ids]).size, 2 * all.length - kept.length, 'none is given twice');
      await registry.close();
      const after = await LmdbRegistry.open(folder, { randomBytes, openDisk });
      t.ok(all.every(n => after.idOf(hashOf(n)) === ids[n]));
      t.equal(after.idCount, all.length);
      await after.close();
    },
  );

  t.test('on a disk with too little room it is not opened, says why, and leaves nothing open', async t => {
    const folder = join(await tempFolder(t), 'registry');
    let closed = 0;
    const watched: OpenDisk = (...place) => {
      const disk = openDisk(...place);
      const { close } = disk;
      return Object.assign(disk, {
        close: () => {
          closed += 1;
          return close.call(disk);
        },
      });
    };
    const options = { randomBytes, openDisk: watched, minFreeBytes: Number.MAX_SAFE_INTEGER };
    await t.rejects(LmdbRegistry.open(folder, options), { code: 'ENOSPC', path: folder });
    t.equal(closed, 1);
  });

  const skip = canMount() ? false : 'only root can mount a small disk';
  t.test('with the disk full nothing is acknowledged, no ID twice, and room mends it', { skip }, async t => {
    const folder = await tempFolder(t);
    const disk = join(folder, 'small');
    await mkdir(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]);
    t.teardown(() => execFileSync('umount', [disk]));
    const filler = join(disk, 'filler');
    writeFileSync(filler, Buffer.alloc(2_000_000));

    const options = { randomBytes, openDisk, minFreeBytes: 1_000_000 };
    const registry = await LmdbRegistry.open(join(disk, 'registry'), options);
    const said = new Map<number, number>();
    let refused = 0;
    // A transaction each.
    for (let n = 0; refused === 0 && n < 100_000; n += 900) {
      const ids = Array.from({ length: 900 }, (_, i) => [n + i, registry.assignId(hashOf(n + i))] as const);
      try {
        await registry.flushed();
        for (const [song, id] of ids) said.set(song, id);
      } catch (error) {
        t.match(error, { name: 'RequestError', code: 'unavailable', retryAfterMs: Number });
        refused = n;
      }
    }
    t.ok(refused > 0, 'the disk did fill');
    t.equal(registry.idOf(hashOf(refused)), undefined, 'what was not acknowledged is not known');
    t.equal(registry.idCount, said.size);

    rmSync(filler);
    said.set(refused, registry.assignId(hashOf(refused)));
    await registry.flushed();
    await registry.close();
    t.equal(new Set(said.values()).size, said.size, 'no ID twice');

    const after = await LmdbRegistry.open(join(disk, 'registry'), options);
    for (const [song, id] of said) if (after.idOf(hashOf(song)) !== id) t.fail(`song ${song} lost its ID`);
    t.equal(after.idCount, said.size);
    await after.close();
  });
});

/** As contents have them: alike in nothing. */
const digestOf = (n: number) => hash('sha256', String(n)) as ContentHash;

/** Root in a container may not be allowed to. */
function canMount(): boolean {
  return spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
}
