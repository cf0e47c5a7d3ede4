/** Deadlines of a sender, and the lines that `--trace-wire` prints. */
import t from 'tap';
import { encode } from '../../../protocol/tsp/codec.js';
import { describe, describeEvent, nameOf } from '../../../protocol/tsp/describe.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import type { Message } from '../../../protocol/tsp/messages.js';
import { ReadingPace } from '../../../protocol/tsp/reading-pace.js';
import { asSongId } from '../../../protocol/tsp/song-id.js';
import { vectors } from '../../support/vectors.js';

/** A connection on which bytes arrive at given times. */
class Arrival {
  readonly framer = new Framer();
  readonly pace = new ReadingPace(0);

  receive(bytes: Uint8Array, now: number): number | undefined {
    this.framer.push(bytes);
    while (this.framer.next() !== undefined);
    this.pace.received(this.framer, now);
    return this.pace.nextDeadline();
  }
}

const PING = encode({ type: 'PING', value: 1 });
const LIST_OF_100_KB = encode({ type: 'LIST_INFO', revision: 1, length: 100_000 });

t.test('the first header has 5 s from the connection, however it drips', async t => {
  const arrival = new Arrival();
  t.equal(arrival.pace.nextDeadline(), 5_000);
  t.equal(arrival.receive(PING.subarray(0, 1), 1_000), 5_000);
  t.equal(arrival.receive(PING.subarray(1, 4), 4_999), 5_000);
  t.equal(arrival.pace.expired(4_999), undefined);
  t.match(arrival.pace.expired(5_000), { code: 'too-slow' });
});

t.test('between messages nothing is owed; a later header has 5 s from its first byte', async t => {
  const arrival = new Arrival();
  t.equal(arrival.receive(PING, 1_000), undefined);
  t.equal(arrival.pace.expired(1_000_000), undefined);
  t.equal(arrival.receive(PING.subarray(0, 1), 60_000), 65_000);
  t.equal(arrival.receive(PING.subarray(1, 2), 62_000), 65_000);
  t.equal(arrival.receive(PING.subarray(2), 63_000), undefined);
});

t.test('a payload that is held has 5 s and a second for each 8 KiB, 30 s at most', async t => {
  const short = new Arrival();
  t.equal(short.receive(encode({ type: 'FIND', words: 'x'.repeat(8_193) }).subarray(0, 10), 0), 6_000);
  t.equal(short.receive(Buffer.from('x'), 5_000), 6_000, 'and does not win time by dripping');
  const long = new Framer({ maxPayloadBytes: 10_000_000 });
  long.push(Buffer.from([0x42, 0, 0, 0, 0, 0, 0x80, 0, 0]));
  while (long.next() !== undefined);
  const pace = new ReadingPace(0);
  pace.received(long, 100);
  t.equal(pace.nextDeadline(), 30_100);
});

t.test('a payload that is read as it comes owes 8 KiB, or what is left, in each 5 s', async t => {
  const arrival = new Arrival();
  t.equal(arrival.receive(LIST_OF_100_KB, 0), 5_000);
  t.equal(arrival.receive(Buffer.alloc(8_191), 4_000), 5_000);
  t.equal(arrival.receive(Buffer.alloc(1), 4_500), 9_500);
  t.equal(arrival.receive(Buffer.alloc(91_000), 9_000), 14_000);
  t.equal(arrival.receive(Buffer.alloc(808), 13_999), undefined, 'done');
});

t.test('every message is one printable line that begins with its name', async t => {
  for (const { message, name } of [...vectors.messages, ...vectors.streams]) {
    const line = describe(message as Message);
    t.match(line, /^[ -~·…]+$/, name);
    t.ok(line.startsWith(message.type), name);
    t.ok(line.length < 300, name);
  }
});

t.test('the lines say what matters', async t => {
  const song = asSongId(10);
  t.equal(describe({ type: 'PLAY', song }), 'PLAY 10');
  t.equal(describe({ type: 'SONG_DATA', song, length: 5 }), 'SONG_DATA 10 · 5 bytes');
  t.equal(
    describe({
      type: 'ERROR',
      song,
      error: { code: 'busy', type: 3, retryAfterMs: 2_000, message: 'all 8 slots' },
    }),
    'ERROR busy to PLAY · retry in 2000 ms · "all 8 slots"',
  );
  t.equal(
    describe({ type: 'ERROR', song: 0, error: { code: 'unknown-type', type: 0x2a } }),
    'ERROR unknown-type to 0x2a',
  );
  t.equal(describe({ type: 'FIND', words: '\u009b31m\u202eevil' }), 'FIND "\\u009b31m\\u202eevil"');
  t.match(describe({ type: 'FIND', words: 'x'.repeat(1_000) }), /…$/);
  t.equal(nameOf(0x03), 'PLAY');
  t.equal(describeEvent({ kind: 'message', message: { type: 'LIST' } }), 'LIST');
  const header = { type: 'SONG_DATA', song, length: 4 } as const;
  t.equal(describeEvent({ kind: 'stream', header }), 'SONG_DATA 10 · 4 bytes');
  t.equal(describeEvent({ kind: 'data', bytes: Buffer.alloc(4) }), undefined);
  t.equal(describeEvent({ kind: 'unknown', type: 0x2a }), '0x2a');
});

t.test('an instance is a secret', async t => {
  const hello = { tsp: 1, name: 'kitchen', instance: 'hunter2' } as const;
  t.notMatch(describe({ type: 'HELLO', port: 7461, hello }), /hunter2/);
  t.match(describe({ type: 'HELLO', port: 7461, hello: { tsp: 1 } }), 'HELLO port 7461 {"tsp":1}');
});
