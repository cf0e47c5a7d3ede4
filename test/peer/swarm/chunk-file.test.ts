/** The file behind a swarm, beside the plainest model of one, and through crashes; and who is dialled when. */
import {
  appendFileSync,
  constants,
  copyFileSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ChunkFile } from '../../../peer/swarm/chunk-file.js';
import { FetchedFile, partOf } from '../../../peer/swarm/fetched-file.js';
import { Neighbours } from '../../../peer/swarm/neighbours.js';
import { staticMetadata } from '../../../peer/swarm/static-swarm.js';
import { Claims } from '../../../protocol/ppspp/claims.js';
import { HashTree } from '../../../protocol/ppspp/hash-tree.js';
import { Chance } from '../../simulation/chance.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';
import { wholeTree } from '../../support/whole-tree.js';

const CHUNK_BYTES = 1_024;
const CHUNKS = 1_500;
const CONTENT = new Chance(11).bytes(CHUNKS * CHUNK_BYTES - 300);
const SOURCE = wholeTree(CONTENT);
const METADATA = staticMetadata(SOURCE.root, 'sha256', CHUNK_BYTES);

const chunkOf = (chunk: number): Uint8Array =>
  CONTENT.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);

function shuffled(chance: Chance, count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = chance.int(0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** A file on its way, and how a chunk comes into it: proven. */
async function fetching(folder: string) {
  const tree = new HashTree({ root: SOURCE.root, size: CONTENT.length });
  const broken: unknown[] = [];
  const fetched = await FetchedFile.open({
    path: join(folder, 'out'),
    metadata: METADATA,
    tree,
    onLoaded: () => {},
    onBroken: error => broken.push(error),
  });
  const take = (chunk: number): void => {
    const claims = new Claims();
    for (const claim of SOURCE.proofOf(chunk, true, () => false))
      if (claim.type === 'INTEGRITY') claims.add(claim.range, claim.hash);
    if (tree.verify(chunk, chunkOf(chunk), claims) !== 'verified')
      throw new Error(`chunk ${chunk} is not proven`);
    fetched.chunks.write(chunk, [chunkOf(chunk)]);
  };
  return { fetched, tree, take, broken };
}

t.test('whatever is written in any order, what is read is that or nothing, and so is the file', async t => {
  const chance = new Chance(5);
  const folder = await tempFolder(t);
  const file = await open(join(folder, 'file'), 'w+');
  const chunks = new ChunkFile({
    file,
    chunkBytes: CHUNK_BYTES,
    onLoaded: () => {},
    onBroken: error => t.fail(String(error)),
  });
  const written = new Set<number>();
  let found = 0;
  for (const chunk of shuffled(chance, CHUNKS)) {
    chunks.write(chunk, [chunkOf(chunk)]);
    written.add(chunk);
    const asked = chance.pick([...written]);
    const bytes = chunks.read(asked);
    if (bytes !== undefined && ++found && Buffer.compare(bytes, chunkOf(asked)) !== 0)
      t.fail(`chunk ${asked}`);
    if (chance.is(0.01)) await chunks.checkpoint();
  }
  await chunks.checkpoint();
  t.ok(found > 0, `${found} were at hand`);
  t.same(chunks.written.ranges, [{ start: 0, end: CHUNKS - 1 }]);
  t.ok(readFileSync(join(folder, 'file')).equals(CONTENT));
  for (const chunk of [0, 700, CHUNKS - 1]) {
    const bytes = await until(`chunk ${chunk}`, () => chunks.read(chunk));
    t.ok(Buffer.compare(bytes, chunkOf(chunk)) === 0, 'a chunk is loaded, the last at its own length');
  }
  await chunks.settled();
  await file.close();
});

t.test('a block that is written while it is loaded is loaded again', async t => {
  const path = join(await tempFolder(t), 'file');
  const file = await open(path, 'w+');
  const held: (() => void)[] = [];
  // What was read is kept back until the test lets it go.
  const read = file.read.bind(file) as (...where: unknown[]) => Promise<unknown>;
  const slow = Object.assign(file, {
    read: async (...where: unknown[]) => {
      const result = await read(...where);
      await new Promise<void>(resolve => held.push(resolve));
      return result;
    },
  });
  const chunks = new ChunkFile({
    file: slow,
    chunkBytes: CHUNK_BYTES,
    onLoaded: () => {},
    onBroken: error => t.fail(String(error)),
  });
  const [early, late, last] = [3, 5, CHUNKS - 1];
  writeFileSync(path, new Uint8Array(CONTENT.length));
  chunks.write(last, [chunkOf(last)]);
  await chunks.settled();
  chunks.write(early, [chunkOf(early)]);
  t.equal(chunks.read(late), undefined);
  await until('the block is read', () => held.length > 0);
  chunks.write(late, [chunkOf(late)]);
  const written = chunks.checkpoint();
  await until('it is written', () => chunks.written.has(late));
  for (const loaded of [early, late]) {
    const bytes = await until(`chunk ${loaded}`, () => {
      for (const letGo of held.splice(0)) letGo();
      return chunks.read(loaded);
    });
    t.ok(Buffer.compare(bytes, chunkOf(loaded)) === 0, `chunk ${loaded} as it was written`);
  }
  await written;
  await file.close();
});

t.test('a crash at any moment leaves what the note says, or begins anew', async t => {
  const chance = new Chance(6);
  for (let round = 0; round < 6; round += 1) {
    const [folder, crashed] = [await tempFolder(t), await tempFolder(t)];
    const { fetched, take } = await fetching(folder);
    const order = shuffled(chance, CHUNKS).slice(0, chance.int(50, CHUNKS));
    for (const [i, chunk] of order.entries()) {
      take(chunk);
      if (i === Math.floor(order.length / 2)) await fetched.save();
    }
    // What a machine that dies now has on its disk: the note, and of the rest of the file anything.
    copyFileSync(join(folder, 'out.part'), join(crashed, 'out.part'), constants.COPYFILE_FICLONE);
    copyFileSync(join(folder, 'out.part.json'), join(crashed, 'out.part.json'));
    const again = await fetching(crashed);
    const { ranges } = again.fetched.chunks.written;
    const half = new Set(order.slice(0, Math.floor(order.length / 2) + 1));
    for (const chunk of half)
      if (!ranges.some(({ start, end }) => start <= chunk && chunk <= end)) t.fail(`chunk ${chunk} was lost`);
    for (const { start, end } of ranges)
      for (let chunk = start; chunk <= end; chunk += 1)
        if (!half.has(chunk)) t.fail(`chunk ${chunk} is made up`);
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) if (!half.has(chunk)) again.take(chunk);
    await again.fetched.finish();
    t.ok(readFileSync(join(crashed, 'out')).equals(CONTENT), `round ${round}: ${half.size} chunks were kept`);
    t.same(again.broken, []);
    await fetched.discard();
  }
});

t.test('one at a time fetches to a place', async t => {
  const folder = await tempFolder(t);
  const { fetched, take } = await fetching(folder);
  take(3);
  const inUse = { code: 'in-use', message: `Process ${process.pid} is fetching to ${join(folder, 'out')}.` };
  t.match(await fetching(folder).catch(error => error), { failure: inUse });
  await fetched.close();
  const again = await fetching(folder);
  t.same(again.fetched.chunks.written.ranges, [{ start: 3, end: 3 }], 'nothing was spoiled');
  await again.fetched.discard();
  t.same(readdirSync(folder), [], 'nothing is left lying about');
});

t.test(
  'what was damaged while nobody was here is fetched again, and what lies around it is kept',
  async t => {
    const damage: [string, have: number, (path: string) => void, lost: number][] = [
      ['a changed byte', 1_001, path => flip(path, 700 * CHUNK_BYTES + 5), 2],
      ['one in the last chunk but one', CHUNKS, path => flip(path, CONTENT.length - CHUNK_BYTES), 2],
      ['a lost end', 1_001, path => truncateSync(path, 999 * CHUNK_BYTES + 5), 3],
      ['a longer end', CHUNKS, path => appendFileSync(path, 'more'), 0],
      ['nothing left', 1_001, path => truncateSync(path, 0), 1_001],
      ['an end far behind it', 1_001, path => truncateSync(path, 2 * CONTENT.length), 0],
    ];
    for (const [what, have, spoil, lost] of damage) {
      const folder = await tempFolder(t);
      const { fetched, take } = await fetching(folder);
      for (let chunk = 0; chunk < have; chunk += 1) take(chunk);
      await fetched.close();
      spoil(partOf(join(folder, 'out')));
      const again = await fetching(folder);
      const { written } = again.fetched.chunks;
      t.same([again.fetched.lostChunks, written.size], [lost, have - lost], what);
      for (let chunk = 0; chunk < CHUNKS; chunk += 1) if (!written.has(chunk)) again.take(chunk);
      await again.fetched.finish();
      t.ok(readFileSync(join(folder, 'out')).equals(CONTENT), `${what}: byte by byte`);
    }
  },
);

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

t.test('a note about what is not so is not believed', async t => {
  const spoil: Record<string, (folder: string) => void> = {
    'a changed hash': folder => {
      const note = readFileSync(join(folder, 'out.part.json'), 'utf8');
      writeFileSync(join(folder, 'out.part.json'), note.replace(/"[0-9a-f]{4}(?=[0-9a-f]*"\]\])/, '"0000'));
    },
    'no note': folder => writeFileSync(join(folder, 'out.part.json'), '{"swarm":'),
    'less than a note': folder => {
      const note = JSON.parse(readFileSync(join(folder, 'out.part.json'), 'utf8'));
      writeFileSync(join(folder, 'out.part.json'), JSON.stringify({ ...note, have: undefined }));
    },
    'another swarm': folder => {
      const note = readFileSync(join(folder, 'out.part.json'), 'utf8');
      writeFileSync(join(folder, 'out.part.json'), note.replace(/"swarm":"../, '"swarm":"00'));
    },
  };
  for (const [what, change] of Object.entries(spoil)) {
    const folder = await tempFolder(t);
    const { fetched, take } = await fetching(folder);
    for (let chunk = 0; chunk < 300; chunk += 1) take(chunk);
    await fetched.close();
    change(folder);
    const again = await fetching(folder);
    t.ok(again.fetched.chunks.written.isEmpty, what);
    await again.fetched.discard();
    t.throws(() => readFileSync(partOf(join(folder, 'out'))), { code: 'ENOENT' }, 'nothing stays');
  }
});

t.test('a served file that changes is given no more', async t => {
  const folder = await tempFolder(t);
  const path = join(folder, 'file');
  writeFileSync(path, CONTENT);
  const file = await opened(t, path);
  const unchanged = await file.stat({ bigint: true });
  const broken: unknown[] = [];
  const onBroken = (error: unknown): unknown => broken.push(error);
  const chunks = new ChunkFile({ file, chunkBytes: CHUNK_BYTES, unchanged, onLoaded: () => {}, onBroken });
  await until('a chunk', () => chunks.read(3));
  writeFileSync(path, CONTENT.subarray(1));
  await until('it was noticed', () => {
    chunks.read(CHUNKS - 1);
    return broken.length > 0;
  });
  t.match(broken, [{ message: /has changed/ }]);
  t.equal(chunks.read(3), undefined, 'not even what is in memory');
});

async function opened(t: Teardown, path: string) {
  const file = await open(path);
  t.teardown(() => file.close());
  return file;
}

t.test('neighbours: those that were named are dialled for ever, others once, liars never', async t => {
  const at = (port: number) => ({ address: '10.0.0.1', port });
  const neighbours = new Neighbours({ named: [at(1)], maxPeers: 3 });
  t.same(neighbours.due(0), [at(1)]);
  t.same(neighbours.due(0), [], 'not twice');
  let now = 0;
  const waits: number[] = [];
  for (let i = 0; i < 9; i += 1) {
    neighbours.left(at(1), now, false);
    const next = neighbours.nextDeadline()!;
    waits.push(next - now);
    now = next;
    t.same(neighbours.due(now), [at(1)]);
  }
  t.same(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  neighbours.opened(at(1));
  neighbours.left(at(1), now, false);
  t.equal(neighbours.nextDeadline(), now + 1_000, 'who was there is soon tried again');
  neighbours.heardOf(at(2));
  neighbours.heardOf(at(2));
  t.same(neighbours.due(now), [at(2)]);
  neighbours.left(at(2), now, false);
  neighbours.heardOf(at(3));
  t.same(neighbours.due(now + 1), [at(3)], 'who did not answer is forgotten');
  neighbours.left(at(3), now, true);
  neighbours.heardOf(at(3));
  t.same(neighbours.due(now + 2), [], 'who lied is not');
  for (const port of [4, 5, 6]) neighbours.heardOf(at(port));
  t.equal(neighbours.due(now + 2).length, 3, 'as many as there may be');
  t.equal(neighbours.nextDeadline(), undefined);
  neighbours.arrived(at(9));
  t.equal(neighbours.count, 4, 'who came by itself counts too');
  neighbours.name(at(5));
  neighbours.left(at(5), now + 2, false);
  neighbours.left(at(6), now + 2, false);
  t.same(neighbours.due(now + 10_000), [at(1)], 'room again: who was named first');
  neighbours.arrived(at(4));
  neighbours.left(at(4), now, false);
  neighbours.heardOf(at(4));
  neighbours.left(at(9), now, false);
  t.same(neighbours.due(now + 10_001), [at(5)], 'of two channels one is left, so it is here still');
});

t.test('neighbours: the next address of a name is dialled when the one before has not answered', async t => {
  const [ipv6, ipv4] = ['2001:db8::1', '192.0.2.1'];
  const named = [{ address: ipv6, port: 1, others: [ipv4] }];
  const silent = new Neighbours({ named, maxPeers: 3 });
  t.same(silent.due(0), [{ address: ipv6, port: 1 }]);
  const then = silent.nextDeadline()!;
  t.same(silent.due(then - 1), []);
  t.same(silent.due(then), [{ address: ipv4, port: 1 }]);
  t.equal(silent.nextDeadline(), undefined, 'there are no more');

  const there = new Neighbours({ named, maxPeers: 3 });
  there.due(0);
  there.opened({ address: ipv6, port: 1 });
  t.equal(there.nextDeadline(), undefined, 'who answered is not dialled elsewhere too');
});
