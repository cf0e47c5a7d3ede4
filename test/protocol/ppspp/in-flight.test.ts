/** What counts as lost and is sent again: by later arrivals, at the tail, and in a lossy, reordering simulation. */
import fc from 'fast-check';
import t from 'tap';
import { InFlight } from '../../../protocol/ppspp/in-flight.js';

const one = (chunk: number) => ({ start: chunk, end: chunk });

t.test('a chunk is lost when three sent after it have arrived', async t => {
  const flight = new InFlight(1_000);
  for (let chunk = 0; chunk < 5; chunk += 1) t.ok(flight.sent(chunk, 1_000, chunk));
  t.notOk(flight.sent(4, 1_000, 9), 'it is on its way');
  t.same(flight.acked(one(1), 10, 20), []);
  t.same(flight.acked(one(2), 10, 21), []);
  t.same(flight.acked(one(3), 10, 22), [0]);
  t.same(flight.acked(one(3), 10, 23), [], 'twice is once');
  t.same(flight.acked({ start: 0, end: 2 ** 52 }, 10, 24), [], 'everything there is costs nothing');
  t.equal(flight.chunks, 0);
  t.equal(flight.nextDeadline(), undefined);
  t.equal(flight.ledbat.flightBytes, 0);
});

t.test(
  'where datagrams overtake one another, what was sent a moment before the newest is waited for',
  async t => {
    for (const isSentAgain of [false, true]) {
      const flight = new InFlight(1_000);
      const send = (first: number, last: number, now: number): void => {
        for (let chunk = first; chunk <= last; chunk += 1) flight.sent(chunk, 1_000, now);
      };
      send(0, 0, 0);
      flight.acked(one(0), 10, 40);
      send(1, 4, 50);
      t.same(flight.acked({ start: 2, end: 4 }, 10, 90), [1]);
      if (isSentAgain) send(1, 1, 91);
      flight.acked(one(1), 10, 95);
      send(10, 13, 100);
      t.same(flight.acked({ start: 11, end: 13 }, 10, 140), [], 'it may be about to come, as 1 did');
      send(14, 14, 110);
      t.same(flight.acked(one(14), 10, 150), [10], 'a quarter of a round trip is enough');
    }
  },
);

t.test('what comes a round trip after it was sent again was lost', async t => {
  const flight = new InFlight(1_000);
  flight.sent(0, 1_000, 0);
  flight.acked(one(0), 10, 40);
  for (const chunk of [1, 2, 3, 4]) flight.sent(chunk, 1_000, 50);
  t.same(flight.acked({ start: 2, end: 4 }, 10, 90), [1]);
  flight.sent(1, 1_000, 91);
  flight.acked(one(1), 10, 131);
  for (const chunk of [10, 11, 12, 13]) flight.sent(chunk, 1_000, 140);
  t.same(flight.acked({ start: 11, end: 13 }, 10, 180), [10]);
});

t.test('at the tail the timeout finds it, and what is sent twice says nothing of the round trip', async t => {
  const flight = new InFlight(1_000);
  flight.sent(7, 1_000, 100);
  t.same(flight.expire(1_099), []);
  t.same(flight.expire(1_100), [7]);
  flight.sent(7, 1_000, 1_100);
  t.ok(flight.has(7));
  t.equal(flight.nextDeadline(), 1_100 + 2_000);
  flight.acked(one(7), 10, 1_101);
  t.equal(flight.ledbat.roundTripMs, undefined);
  flight.sent(8, 1_000, 1_200);
  flight.forget(one(8));
  flight.forget(one(8));
  t.same([flight.chunks, flight.ledbat.flightBytes], [0, 0]);
});

t.test('what went with eight chunks in a row goes not with the ninth, unless something was lost', async t => {
  const flight = new InFlight(1_000);
  for (let chunk = 10; chunk < 18; chunk += 1) {
    t.notOk(flight.tells(10, chunk));
    flight.sent(chunk, 1_000, 0);
  }
  t.ok(flight.tells(10, 18), 'all eight had it');
  t.notOk(flight.tells(11, 18), 'and of this only seven');
  t.notOk(flight.tells(10, 20), 'what follows no run of them is told all');
  flight.sent(18, 1_000, 0);
  for (const chunk of [11, 12, 13]) flight.acked(one(chunk), 10, 1);
  t.notOk(flight.tells(11, 19), '10 is lost: nobody knows what else is');
  flight.sent(10, 1_000, 1);
  for (let chunk = 19; chunk < 27; chunk += 1) flight.sent(chunk, 1_000, 1);
  t.ok(flight.tells(19, 27));
  flight.expire(flight.nextDeadline()!);
  for (let chunk = 14; chunk < 22; chunk += 1) flight.sent(chunk, 1_000, 2_000);
  t.notOk(flight.tells(14, 22), 'what goes again goes with everything');
});

t.test(
  'while nothing is lost what went once goes not again, and whoever was wrong in that takes longer to think so',
  async t => {
    const flight = new InFlight(1_000);
    let next = 0;
    const arrive = (chunks: number) => {
      for (const end = next + chunks; next < end; next += 1) {
        flight.sent(next, 1_000, next);
        flight.acked(one(next), 10, next);
      }
    };
    const lose = () => {
      flight.sent(next, 1_000, next);
      t.same(flight.expire(flight.nextDeadline()!), [next]);
      next += 1;
    };
    arrive(63);
    t.notOk(flight.tells(62, 63));
    for (const calm of [64, 128, 256, 512, 512]) {
      next += 1_000;
      arrive(calm);
      t.ok(flight.tells(next - 1, next), `after ${calm}`);
      t.notOk(flight.tells(next, next), 'what begins with it was never told');
      t.notOk(flight.tells(next - 1, next + 1), 'it may be another that proves it');
      lose();
      arrive(calm - 1);
      t.notOk(flight.tells(next - 1, next), 'one was lost');
      lose();
    }
  },
);

t.test('a chunk that was lost goes with all its proofs, also behind others that do not', async t => {
  const flight = new InFlight(1_000);
  flight.sent(18, 1_000, 0);
  t.same(flight.expire(flight.nextDeadline()!), [18]);
  for (let chunk = 10; chunk < 18; chunk += 1) flight.sent(chunk, 1_000, 2_000);
  t.notOk(flight.tells(10, 18));
});

t.test('what was lost ten times is not sent again', async t => {
  const flight = new InFlight(1_000);
  let losses = 0;
  for (let again = [7]; again.length > 0; losses += 1) {
    flight.sent(7, 1_000, flight.nextDeadline() ?? 0);
    again = flight.expire(flight.nextDeadline()!);
    if (losses > 99) break;
  }
  t.equal(losses, 10);
});

t.test('everything arrives through loss, reordering and doubles', async t => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.nat(99)), fc.integer({ min: 0, max: 30 }), (chance, lossPercent) => {
      const dice = () => chance.next().value as number;
      const flight = new InFlight(1_000);
      const todo = Array.from({ length: 60 }, (_, i) => i);
      const arrived = new Set<number>();
      const acks: { at: number; chunk: number }[] = [];
      let now = 0;
      for (; arrived.size < 60 || flight.chunks > 0; now += 1) {
        if (now > 3_000_000) return false;
        for (const ack of acks.filter(({ at }) => at === now))
          todo.push(...flight.acked(one(ack.chunk), 500, now));
        todo.push(...flight.expire(now));
        // What was lost ten times is not sent again unless it is asked for.
        if (todo.length === 0 && flight.chunks === 0)
          for (let chunk = 0; chunk < 60; chunk += 1) if (!arrived.has(chunk)) todo.push(chunk);
        while (todo.length > 0 && (flight.chunks === 0 || flight.ledbat.maySend(1_000))) {
          const chunk = todo.shift()!;
          flight.sent(chunk, 1_000, now);
          if (dice() < lossPercent) continue;
          arrived.add(chunk);
          for (let copies = dice() < 10 ? 2 : 1; copies > 0; copies -= 1)
            if (dice() >= lossPercent) acks.push({ at: now + 20 + (dice() % 10), chunk });
        }
      }
      return true;
    }),
    { numRuns: 15 },
  );
  t.pass();
});
