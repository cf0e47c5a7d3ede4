/** Songs that the kernel sends from where they lie: byte-exact whatever becomes of their memory meanwhile. */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { Socket } from 'node:net';
import t from 'tap';
import type { Kernel } from '../../../peer/hosting/kernel.js';
import { openPageArena, PageArena } from '../../../peer/hosting/page-arena.js';
import { hostSongs, MIB, play, songBytes } from '../../support/hosted-songs.js';
import { arenaMissing, connection } from '../../support/page-arenas.js';
import { connectTsp } from '../../support/tsp-client.js';
import { until } from '../../support/until.js';

const NO_HEADER = new Uint8Array();

async function take(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let taken = 0;
  socket.on('data', chunk => {
    chunks.push(chunk);
    taken += chunk.length;
  });
  socket.resume();
  await until('all has come', () => taken >= count);
  return Buffer.concat(chunks);
}

t.test(
  'what is under way stays as it was sent, though its slot is filled anew',
  { skip: arenaMissing },
  async t => {
    const arena = await openPageArena(MIB);
    const { far, descriptor } = await connection(t);
    const expected: Buffer[] = [];
    let sent = 0;
    for (;;) {
      const slot = arena.allocate(MIB)!;
      const bytes = randomBytes(MIB);
      slot.set(bytes);
      const count = arena.send(descriptor, NO_HEADER, slot);
      expected.push(bytes.subarray(0, count));
      arena.free(slot);
      sent += count;
      if (count < MIB) break;
    }
    t.ok(sent > 0);
    const last = arena.allocate(MIB)!;
    t.notOk(
      last.some(byte => byte !== 0),
      'the slot has new pages, whatever the kernel still sends',
    );
    last.fill(0xff);
    t.ok((await take(far, sent)).equals(Buffer.concat(expected)));
    arena.close();
  },
);

t.test('headers are copied, and go before what they announce', { skip: arenaMissing }, async t => {
  const arena = await openPageArena(MIB);
  const { far, descriptor } = await connection(t);
  const slot = arena.allocate(MIB)!.fill(0xff);
  const expected: Buffer[] = [];
  let sent = 0;
  for (let number = 0; number < 20_000; number++) {
    const header = Buffer.alloc(9);
    header.writeUInt32BE(number, 1);
    expected.push(Buffer.concat([header, slot.subarray(0, 3)]));
    const count = arena.send(descriptor, header, slot.subarray(0, 3));
    header.fill(0xee);
    sent += count;
    if (count < 12) break;
  }
  t.ok((await take(far, sent)).equals(Buffer.concat(expected).subarray(0, sent)));
  const whole = arena.send(descriptor, Uint8Array.of(1), slot);
  t.ok(whole > 64 * 1024, 'a header, and what it announces behind it');
  arena.close();
});

t.test('an arena has as many slots as fit, and takes them back', { skip: arenaMissing }, async t => {
  const arena = await openPageArena(2.5 * MIB);
  const [first, second] = [arena.allocate(10)!, arena.allocate(MIB)!];
  t.equal(arena.costOf(), MIB);
  t.strictSame([first.length, second.length, arena.allocate(1)], [10, MIB, undefined]);
  t.ok(arena.holds(first.subarray(2, 5)));
  t.notOk(arena.holds(Buffer.alloc(10)));
  arena.free(first);
  t.equal(arena.allocate(5)?.byteOffset, first.byteOffset);
  arena.close();
  t.notOk(arena.holds(second), 'closed: it is to be written');
});

t.test(
  'to a socket that is gone nothing is sent, and nothing of it comes to the next',
  { skip: arenaMissing },
  async t => {
    const arena = await openPageArena(MIB);
    const gone = await connection(t);
    gone.far.resetAndDestroy();
    gone.near.on('error', () => {});
    const slot = arena.allocate(MIB)!.fill(1);
    await until(
      'it is seen',
      () => arena.send(gone.descriptor, NO_HEADER, slot) === 0 || gone.near.destroyed,
    );
    const { far, descriptor } = await connection(t);
    slot.fill(2, 0, 1_000);
    t.equal(arena.send(descriptor, NO_HEADER, slot.subarray(0, 1_000)), 1_000);
    t.ok((await take(far, 1_000)).equals(Buffer.alloc(1_000, 2)));
    arena.close();
  },
);

t.test('a kernel that refuses is not used, and leaves nothing open', { skip: arenaMissing }, async t => {
  const kernel = (changes: Partial<Kernel>): Kernel => ({
    mmap: () => 0x1000_0000,
    madvise: () => 0,
    pipe2: () => -1,
    socketpair: () => -1,
    fcntl: () => MIB,
    send: (_socket, _bytes, count) => count,
    vmsplice: () => 1,
    splice: () => 1,
    tee: () => -1,
    view: (_, length) => new ArrayBuffer(length),
    ...changes,
  });
  await t.rejects(openPageArena(MIB - 1), { message: /small/ });
  t.throws(() => new PageArena(kernel({ mmap: () => -1 }), MIB), { message: /mapped/ });
  t.throws(() => new PageArena(kernel({}), MIB), { message: /pipe/ });
  const descriptors = await readdir('/proc/self/fd');
  const { load } = await import('koffi');
  const pipe2 = load(null).func('int pipe2(_Out_ int *ends, int flags)') as Kernel['pipe2'];
  t.throws(() => new PageArena(kernel({ pipe2, fcntl: () => 4096 }), MIB), { message: /1 MiB/ });
  t.throws(() => new PageArena(kernel({ pipe2, vmsplice: () => -1 }), MIB), { message: /splice/ });
  t.strictSame(await readdir('/proc/self/fd'), descriptors);
  let isStuck = false;
  const sticking = kernel({
    pipe2,
    vmsplice: (_pipe, pieces) => Number(pieces[1]),
    splice: (_from, _a, _to, _b, count) => (isStuck ? 1 : count),
  });
  const stuck = new PageArena(sticking, MIB);
  const slot = stuck.allocate(3)!;
  t.equal(stuck.send(0, Uint8Array.of(1, 2), slot), 5);
  isStuck = true;
  t.equal(stuck.send(0, NO_HEADER, slot), 1);
  t.notOk(stuck.holds(slot), 'a pipe that was not emptied is not used again');
  stuck.close();
});

for (const copying of [false, true]) {
  const how = copying ? 'copied' : 'not copied';
  t.test(
    `songs come exactly to slow and quick listeners, ${how}`,
    { skip: !copying && arenaMissing },
    async t => {
      const files = { 1: songBytes(9 * MIB + 77), 2: songBytes(5 * MIB), 3: songBytes(100) };
      // Less than one song: slots are filled anew all the time.
      const host = await hostSongs(t, files, { cacheBytes: 4 * MIB, copying });
      const listen = async (song: 1 | 2 | 3, slow: boolean) => {
        const client = await connectTsp(t, host.port);
        if (slow) client.socket.pause();
        client.send(play(song), play(song));
        if (slow) {
          await until('the socket is full', () => host.server.status().uploads > 0);
          client.socket.resume();
        }
        for (let again = 0; again < 2; again++) {
          const { payload } = await client.receive('SONG_DATA');
          t.ok(payload.equals(files[song]), `song ${song}`);
        }
      };
      await Promise.all(
        [1, 2, 3].flatMap(song => [false, true, false].map(slow => listen(song as 1 | 2 | 3, slow))),
      );
      t.ok(host.server.status().cachedBytes <= 4 * MIB);
    },
  );
}
