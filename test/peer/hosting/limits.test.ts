/** The limits of hosting as pure logic: slots, rate, memory; and what the kernel tells of a connection. */
import fc from 'fast-check';
import t from 'tap';
import { BURST_MS, RateLimit } from '../../../peer/hosting/rate-limit.js';
import { parseSendQueues, queueKey, readSendQueues } from '../../../peer/hosting/send-queues.js';
import { type Slice, SliceMemory } from '../../../peer/hosting/slice-memory.js';
import { BUSY_RETRY_MS, type Upload, UploadSlots } from '../../../peer/hosting/slots.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { noProc } from '../../support/proc.js';
import { connectTsp, listenTsp } from '../../support/tsp-client.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

t.test(
  'a slot is refused when all are taken, and slots count as contended until the refused come back',
  async t => {
    const slots = new UploadSlots(2);
    t.strictSame([slots.take(0), slots.take(0)], [true, true]);
    t.equal(slots.contended(0), false);
    t.equal(slots.take(100), false);
    t.equal(slots.used, 2);
    t.equal(slots.contended(100 + BUSY_RETRY_MS), true);
    t.equal(slots.contended(100 + 2 * BUSY_RETRY_MS), false);
    slots.release();
    t.equal(slots.take(200), true);
    slots.release();
    slots.release();
    t.equal(slots.used, 0);
    const unlimited = new UploadSlots(Number.POSITIVE_INFINITY);
    for (let i = 0; i < 100; i++) unlimited.take(0);
    t.equal(unlimited.used, 100);
  },
);

t.test('without a rate everything is granted at once', async t => {
  const rate = new RateLimit(Number.POSITIVE_INFINITY, new VirtualClock());
  t.equal(rate.take({}, 1_000_000), 1_000_000);
});

t.test('over any span no more leaves than the rate and one burst, whoever asks for what', async t => {
  const lanes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 8 });
  const rule = fc.asyncProperty(
    fc.integer({ min: 20, max: 50_000_000 }),
    lanes,
    async (bytesPerSecond, wanted) => {
      const clock = new VirtualClock();
      const rate = new RateLimit(bytesPerSecond, clock);
      const sent: { at: number; bytes: number }[] = [];
      let going = true;
      const run = async (most: number) => {
        const lane = {};
        while (going) {
          const bytes = await rate.take(lane, most);
          sent.push({ at: clock.now(), bytes });
          // As a listener whose line takes a moment.
          await new Promise<void>(resolve => clock.after(1, resolve));
        }
      };
      for (const most of wanted) void run(most);
      for (let ms = 0; ms < 1_000; ms++) {
        await new Promise(resolve => setImmediate(resolve));
        clock.advance(1);
      }
      going = false;
      for (const [index, { at }] of sent.entries()) {
        let bytes = 0;
        for (const later of sent.slice(index)) {
          bytes += later.bytes;
          const allowed = ((later.at - at + BURST_MS) / 1_000) * bytesPerSecond;
          if (bytes > Math.max(1, allowed) + 1e-6) throw new Error(`${bytes} > ${allowed}`);
        }
      }
    },
  );
  await t.resolves(fc.assert(rule, { numRuns: 15 }));
});

t.test('waiting lanes take turns, and one that leaves holds up nobody', async t => {
  const clock = new VirtualClock();
  const rate = new RateLimit(1_000, clock);
  t.equal(rate.take({}, 1_000), 50, 'a share is 50 ms');
  for (let i = 0; i < 4; i++) rate.take({}, 50);
  const turns: string[] = [];
  const lanes = ['a', 'b', 'c'].map(name => ({ name }));
  const wait = async (lane: { name: string }) => {
    for (;;) {
      const bytes = await rate.take(lane, 50);
      if (bytes === 0) return;
      turns.push(lane.name);
    }
  };
  for (const lane of lanes) void wait(lane);
  await clock.advanceSlowly(300);
  t.equal(turns.join(''), 'abcabc');
  rate.cancel(lanes[0]!);
  rate.cancel({});
  await clock.advanceSlowly(200);
  t.equal(turns.join(''), 'abcabcbcbc');
  rate.cancel(lanes[1]!);
  rate.cancel(lanes[2]!);
  t.equal(clock.pending, 0);
});

t.test('what could not be used is given back', async t => {
  const rate = new RateLimit(1_000, new VirtualClock());
  for (let i = 0; i < 5; i++) t.equal(rate.take({}, 50), 50);
  rate.giveBack(50);
  t.equal(rate.take({}, 50), 50);
  t.type(rate.take({}, 1), Promise);
});

t.test('memory for slices is bounded, the longest unused goes first, what is in use stays', async t => {
  const memory = new SliceMemory(300);
  const forgotten: string[] = [];
  const reserve = (name: string, length = 100) =>
    memory.reserve(length, () => void forgotten.push(name)) ?? t.fail(`no room for ${name}`);
  const [a, , c] = [reserve('a'), reserve('b'), reserve('c')] as Slice[];
  t.equal(memory.heldBytes, 300);
  memory.pin(a!);
  reserve('d');
  t.strictSame(forgotten, ['b']);
  memory.pin(c!);
  reserve('e');
  t.strictSame(forgotten, ['b', 'd']);
  t.notOk(
    memory.reserve(301, () => {}),
    'too large',
  );
  t.notOk(
    memory.reserve(200, () => {}),
    'only e could go',
  );
  memory.forget(a!);
  memory.forget(a!);
  t.strictSame(forgotten, ['b', 'd', 'e', 'a']);
  t.equal(memory.heldBytes, 200, 'what is forgotten counts as long as somebody uses it');
  memory.pin(a!);
  memory.release(a!);
  t.equal(memory.heldBytes, 200);
  memory.release(a!);
  t.equal(memory.heldBytes, 100);
  t.equal(memory.slices, 1);
  memory.release(c!);
  t.ok(reserve('f', 300));
  t.strictSame(forgotten.at(-1), 'c');
});

t.test('send queues are read from the tables of proc(5)', async t => {
  const queues = parseSendQueues(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt
   0: 0100007F:1D25 0100007F:C3A8 01 0027AC40:00000000 01:00000000 00000000     0        0 1 1 0000000000000000 20 0 0 10 -1
   1: 0200007F:1D25 0200007F:C3A8 01 00000001:00000000 01:00000000 00000000     0        0 1 1 0000000000000000 20 0 0 10 -1
   2: 00000000000000000000000001000000:1D26 00000000000000000000000001000000:0050 06 00000000:00000000 03:0000000 0
`);
  t.equal(queues.get(queueKey({ localPort: 7461, remotePort: 50_088 })), 0x27_ac41);
  t.equal(queues.get(queueKey({ localPort: 7462, remotePort: 80 })), 0);
  t.equal(queues.size, 2);
});

t.test('the kernel says what a connection has not taken', { skip: noProc }, async t => {
  const { port } = await listenTsp(t, client => {
    client.socket.pause();
    client.write(Buffer.alloc(16 * 1024 * 1024));
  });
  const client = await connectTsp(t, port);
  client.socket.pause();
  const key = queueKey({ localPort: port, remotePort: client.socket.localPort! });
  await until('the kernel holds some of it', async () => ((await readSendQueues()).get(key) ?? 0) > 0);
});

t.test('a connection and a channel to one address with one song have one slot', async t => {
  const slots = new UploadSlots(2);
  const [song, other] = ['a', 'b'].map(digit => digit.repeat(64) as ContentHash);
  const upload = (way: Upload['way'], of = song, to = '192.0.2.7'): Upload => ({ to, song: of!, way });
  t.ok(slots.take(0, upload('connection')));
  t.ok(slots.take(0, upload('channel')));
  t.equal(slots.used, 1);
  t.ok(slots.take(0, upload('channel')), 'a second channel is another listener');
  t.equal(slots.used, 2);
  t.notOk(slots.take(0, upload('channel', song, '192.0.2.8')), 'another address');
  t.notOk(slots.take(0, upload('channel', other)), 'another song');
  t.ok(slots.take(0, upload('connection')), 'to the second listener, too');
  slots.release(upload('connection'));
  slots.release(upload('channel'));
  t.equal(slots.used, 1);
  slots.release(upload('connection'));
  t.equal(slots.used, 1, 'the channel has it');
  t.same(slots.turn(upload('channel'), upload('channel', other)), upload('channel', other));
  t.equal(slots.used, 1);
  t.ok(slots.take(0));
  t.ok(slots.take(0, upload('connection', other)));
  t.same(
    slots.turn(upload('connection', other), upload('connection')),
    upload('connection', other),
    'no room',
  );
  for (const way of ['connection', 'channel'] as const) slots.release(upload(way, other));
  slots.release();
  t.equal(slots.used, 0);
});
