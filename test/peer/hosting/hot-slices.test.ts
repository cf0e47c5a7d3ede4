/** Slices that many are sent: whichever form they have, what comes is what lies in the slot at that moment. */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { type Kernel, loadKernel } from '../../../peer/hosting/kernel.js';
import { openPageArena, PageArena } from '../../../peer/hosting/page-arena.js';
import { MIB } from '../../support/hosted-songs.js';
import { arenaMissing, connection } from '../../support/page-arenas.js';
import { type Teardown, until } from '../../support/until.js';

const NO_HEADER = new Uint8Array();
/** More than it takes. */
const OFTEN = 20;
const MOST_HOT = 16;

const openDescriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length;

/** Sends slices and answers what came, for one listener that reads as quickly as it can. */
async function listener(t: Teardown, arena: PageArena) {
  const { far, descriptor } = await connection(t);
  let came: Buffer[] = [];
  let count = 0;
  far.on('data', chunk => {
    came.push(chunk);
    count += chunk.length;
  });
  far.resume();
  return async (bytes: Uint8Array): Promise<Buffer> => {
    came = [];
    count = 0;
    for (let sent = 0; sent < bytes.length; await setImmediate())
      sent += arena.send(descriptor, NO_HEADER, bytes.subarray(sent));
    await until('all has come', () => count === bytes.length);
    return Buffer.concat(came);
  };
}

/** A slot with `length` bytes of its own. */
function filled(arena: PageArena, length: number): { slot: Uint8Array; bytes: Buffer } {
  const bytes = randomBytes(length);
  const slot = arena.allocate(length)!;
  slot.set(bytes);
  return { slot, bytes };
}

t.test('what is sent often has a copy, and comes exactly, from wherever', { skip: arenaMissing }, async t => {
  const arena = await openPageArena(2 * MIB);
  const send = await listener(t, arena);
  const { slot, bytes } = filled(arena, MIB - 7);
  const before = await openDescriptors();
  for (let sending = 0; sending < OFTEN; sending++)
    if (!(await send(slot)).equals(bytes)) t.fail(`sending ${sending}`);
  t.equal(await openDescriptors(), before + 1);
  for (const [start, end] of [
    [0, 1],
    [1, 4_097],
    [32_767, 65_537],
    [700_001, MIB - 7],
    [MIB - 8, MIB - 7],
  ] as const)
    t.ok((await send(slot.subarray(start, end))).equals(bytes.subarray(start, end)), `${start} to ${end}`);
  arena.rest(slot);
  t.equal(await openDescriptors(), before, 'a slice at rest has none');
  for (let sending = 0; sending < OFTEN; sending++) t.ok((await send(slot)).equals(bytes));
  t.equal(await openDescriptors(), before + 1);
  arena.free(slot);
  t.equal(await openDescriptors(), before, 'nor has a slot that is given back');
  const other = filled(arena, MIB);
  t.equal(other.slot.byteOffset, slot.byteOffset);
  t.ok((await send(other.slot)).equals(other.bytes), 'what lies there now');
  arena.close();
});

t.test('a copy of the beginning is not taken for the whole', { skip: arenaMissing }, async t => {
  const arena = await openPageArena(MIB);
  const send = await listener(t, arena);
  const { slot, bytes } = filled(arena, MIB);
  const before = await openDescriptors();
  for (let sending = 0; sending < OFTEN; sending++) await send(slot.subarray(0, 1_000));
  t.ok((await send(slot)).equals(bytes));
  t.ok((await send(slot.subarray(900, 1_100))).equals(bytes.subarray(900, 1_100)));
  for (let sending = 0; sending < OFTEN; sending++) t.ok((await send(slot)).equals(bytes));
  t.equal(await openDescriptors(), before + 1, 'one copy, of the longest that was sent');
  arena.close();
});

t.test(
  'the sixteen that were sent last have copies, and none is left open',
  { skip: arenaMissing },
  async t => {
    const slots = MOST_HOT + 4;
    const arena = await openPageArena((slots + 1) * MIB);
    const send = await listener(t, arena);
    const before = await openDescriptors();
    const all = Array.from({ length: slots }, () => filled(arena, 5_000));
    for (const { slot, bytes } of all)
      for (let sending = 0; sending < OFTEN; sending++) t.ok((await send(slot)).equals(bytes));
    t.equal(await openDescriptors(), before + MOST_HOT);
    for (const { slot, bytes } of all) t.ok((await send(slot)).equals(bytes), 'with a copy or without');
    arena.close();
    t.equal(await openDescriptors(), before - 3, 'nor the pipe of the arena');
  },
);

for (const refused of ['pipe2', 'fcntl', 'socketpair', 'send', 'splice', 'tee'] as const)
  t.test(`without ${refused}, slices are sent from their pages`, { skip: arenaMissing }, async t => {
    const kernel = await loadKernel();
    let pair: number[] = [];
    let refuses = false;
    let refusals = 0;
    const socketpair: Kernel['socketpair'] = (family, type, protocol, ends) => {
      pair = ends;
      return kernel.socketpair(family, type, protocol, ends);
    };
    const call = { ...kernel, socketpair }[refused] as (...given: unknown[]) => unknown;
    const refusing = (...given: unknown[]): unknown => {
      // By the same call slices go to listeners.
      const isOfCopy = refused !== 'splice' || pair.includes(given[0] as number);
      if (!refuses || !isOfCopy) return call(...given);
      refusals += 1;
      return -1;
    };
    const arena = new PageArena({ ...kernel, socketpair, [refused]: refusing }, 2 * MIB);
    const send = await listener(t, arena);
    const { slot, bytes } = filled(arena, MIB);
    const before = await openDescriptors();
    refuses = true;
    for (let sending = 0; sending < OFTEN; sending++) t.ok((await send(slot)).equals(bytes));
    t.ok(refusals > 0);
    t.equal(await openDescriptors(), refused === 'tee' ? before + 1 : before);
    arena.close();
  });
