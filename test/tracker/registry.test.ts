/** The registry, in memory and on disk: the contract, many writers, a full disk (TSP §2.3). */
import { execFileSync, spawnSync } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { openDisk } from '../../src/disk.js';
import { GivenHashes } from '../../tracker/registry/given-hashes.js';
import { LmdbRegistry } from '../../tracker/registry/lmdb.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import { range } from '../support/crowd.js';
import { tempFolder } from '../support/temp-folder.js';
import { hashOf, registryContract } from './registry-contract.js';

t.test('in memory', async t => {
  registryContract(t, async () => {
    const store = new MemoryStore();
    return { open: async options => new MemoryRegistry({ randomBytes, ...options }, store) };
  });
});

t.test('a hash that was never noted is mostly known for one', async t => {
  const given = new GivenHashes();
  for (const n of range(20_000)) given.add(digestOf(n));
  t.ok(range(20_000).every(n => given.mayHave(digestOf(n))));
  const mistaken = range(20_000).filter(n => given.mayHave(digestOf(20_000 + n))).length;
  t.ok(mistaken < 60, `${mistaken} of 20,000 would be looked up`);
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

  t.test('whatever has an ID is found while the store is read at a start, and after that', async t => {
    const folder = join(await tempFolder(t), 'registry');
    const before = await LmdbRegistry.open(folder, { randomBytes, openDisk });
    const ids = range(5_000).map(n => before.assignId(digestOf(n)));
    await before.close();
    const after = await LmdbRegistry.open(folder, { randomBytes, openDisk });
    const found = () => range(5_000).map(n => after.idOf(digestOf(n)));
    t.same(found(), ids);
    for (const _ of range(50)) await nextTurn();
    t.same(found(), ids);
    t.equal(after.idOf(digestOf(5_000)), undefined);
    t.equal(after.assignId(digestOf(5_000)), after.idOf(digestOf(5_000)));
    await after.close();
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
