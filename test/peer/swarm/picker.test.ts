/** The picker against hosts of any speed on a clock of their own: what it asks first, whom it leaves, what it never does. */
import fc from 'fast-check';
import t from 'tap';
import type { Asked } from '../../../peer/swarm/asked-host.js';
import { Picker, WINDOW_CHUNKS } from '../../../peer/swarm/picker.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import type { ChunkRange } from '../../../protocol/ppspp/messages.js';

const STEP_MS = 10;

const setOf = (...ranges: readonly ChunkRange[]): ChunkSet => {
  const set = new ChunkSet();
  for (const range of ranges) set.add(range);
  return set;
};

/** Gives what it is asked for, in that order, so many chunks a second. */
class Host implements Asked {
  readonly mayRequest = true;
  readonly peerHas: ChunkSet;
  readonly asked: ChunkRange[] = [];
  readonly given: number[] = [];
  perSecond: number;
  readonly #wanted = new ChunkSet();
  readonly #queue: number[] = [];
  #credit = 0;

  constructor(perSecond: number, ...has: readonly ChunkRange[]) {
    this.perSecond = perSecond;
    this.peerHas = setOf(...has);
  }

  get wanted(): readonly ChunkRange[] {
    return this.#wanted.ranges;
  }

  request(range: ChunkRange): boolean {
    this.asked.push(range);
    for (let chunk = range.start; chunk <= range.end; chunk += 1) this.#queue.push(chunk);
    return this.#wanted.add(range);
  }

  cancel(range: ChunkRange): void {
    this.#wanted.delete(range);
  }

  /** What comes of it in one step. */
  step(): number[] {
    const came: number[] = [];
    this.#credit = Math.min(this.perSecond, this.#credit + (this.perSecond * STEP_MS) / 1_000);
    while (this.#credit >= 1 && this.#queue.length > 0) {
      const chunk = this.#queue.shift()!;
      if (!this.#wanted.has(chunk)) continue;
      this.#wanted.delete({ start: chunk, end: chunk });
      this.#credit -= 1;
      came.push(chunk);
    }
    this.given.push(...came);
    return came;
  }
}

/** A listener of `chunks` chunks. */
class Listener {
  readonly have = new ChunkSet();
  readonly picker: Picker;
  /** When each chunk came. */
  readonly cameAt = new Map<number, number>();
  /** Chunks that came twice. */
  doubles = 0;
  now = 0;

  constructor(
    readonly chunks: number,
    readonly hosts: Host[],
    place = 0,
  ) {
    this.picker = new Picker(this.have, place);
    for (const host of hosts) this.picker.add(host);
  }

  get isComplete(): boolean {
    return this.have.covers({ start: 0, end: this.chunks - 1 });
  }

  /** Until it is done, or so much time has passed. */
  run(ms: number, done: () => boolean = () => this.isComplete): boolean {
    for (const end = this.now + ms; this.now < end && !done(); this.now += STEP_MS) {
      this.picker.pick(this.chunks, this.now);
      for (const host of this.hosts) for (const chunk of host.step()) this.#take(chunk, host);
    }
    return done();
  }

  #take(chunk: number, host: Host): void {
    if (this.have.has(chunk)) this.doubles += 1;
    else this.cameAt.set(chunk, this.now);
    this.have.add({ start: chunk, end: chunk });
    this.picker.came({ start: chunk, end: chunk }, host, this.now);
  }
}

const ALL = (chunks: number): ChunkRange => ({ start: 0, end: chunks - 1 });

t.test('hosts give as they can, and are done together', async t => {
  const hosts = [3_000, 2_000, 1_000].map(rate => new Host(rate, ALL(18_000)));
  const listener = new Listener(18_000, hosts, 0.5);
  t.ok(listener.run(10_000));
  t.ok(listener.now <= 3_000 * 1.25, `${listener.now} ms, of 3000 if nobody ever waited`);
  const shares = hosts.map(({ given }) => given.length / 18_000);
  t.ok(shares[0]! > shares[1]! && shares[1]! > shares[2]!, `${shares}`);
  t.ok(listener.doubles < 18, `${listener.doubles} came twice`);
});

t.test('who gives at once whatever it is asked is asked for more and more', async t => {
  const listener = new Listener(20_000, [new Host(1_000_000, ALL(20_000))]);
  t.ok(listener.run(500), `after ${listener.have.size} chunks of 20000`);
});

t.test('the window comes in order', async t => {
  const host = new Host(1_000, ALL(5_000));
  const listener = new Listener(5_000, [host], 0.9);
  listener.run(100);
  t.same(
    host.given,
    [...host.given].sort((a, b) => a - b),
  );
  t.equal(host.given[0], 0);
});

t.test('what comes into the window is asked for in whole pieces, which cost fewer proofs', async t => {
  const hosts = [230, 240, 250].map(rate => new Host(rate, ALL(20_000)));
  const listener = new Listener(20_000, hosts, 0.5);
  listener.run(10_000);
  const ranges = hosts.reduce((sum, { asked }) => sum + asked.length, 0);
  t.ok(listener.have.size / ranges > 26, `${listener.have.size} chunks in ${ranges} ranges`);
});

t.test('beyond the window what one host has comes before what all have', async t => {
  const rare = { start: 6_400, end: 6_463 };
  const [one, other] = [
    new Host(2_000, ALL(10_000)),
    new Host(2_000, ALL(6_400), { start: 6_464, end: 9_999 }),
  ];
  const listener = new Listener(10_000, [one, other]);
  listener.run(10_000, () => listener.have.covers(rare));
  t.ok(listener.have.size < 2_500, `after ${listener.have.size} chunks of 10000`);
});

t.test('two listeners begin at different places', async t => {
  const first = [0, 0.5].map(place => {
    const host = new Host(500, ALL(50_000));
    new Listener(50_000, [host], place).run(2_000);
    return host.given.find(chunk => chunk > 2 * WINDOW_CHUNKS);
  });
  t.not(first[0], first[1]);
});

t.test('a dead host stops who reads for no longer than two and a half seconds', async t => {
  const [dying, living] = [new Host(2_000, ALL(20_000)), new Host(2_000, ALL(20_000))];
  const listener = new Listener(20_000, [dying, living]);
  listener.run(1_000);
  t.ok(dying.wanted.length > 0, 'it owes something');
  const [{ start }] = listener.have.gaps(ALL(20_000), 1) as [ChunkRange];
  dying.perSecond = 0;
  t.ok(listener.run(2_500, () => listener.have.covers({ start, end: start + WINDOW_CHUNKS - 1 })));
  const asked = dying.asked.length;
  t.ok(listener.run(20_000));
  t.ok(dying.asked.length <= asked + 8, 'it was hardly asked again');
});

t.test('a slow host loses the end of what it owes', async t => {
  const [slow, fast] = [new Host(50, ALL(4_000)), new Host(4_000, ALL(4_000))];
  const listener = new Listener(4_000, [slow, fast]);
  t.ok(listener.run(10_000));
  t.ok(listener.now < 2_500, `${listener.now} ms`);
});

t.test('who plays has what it needs when it needs it', async t => {
  const [good, poor] = [new Host(120, ALL(3_000)), new Host(30, ALL(3_000))];
  const listener = new Listener(3_000, [good, poor], 0.7);
  // 100 chunks a second, after two seconds of buffering.
  for (let played = 0; played < 1_500; played += 1) {
    const at = 2_000 + played * 10;
    listener.picker.playFrom({ chunk: played, chunksPerSecond: 100, ahead: 800 }, listener.now);
    listener.run(at - listener.now, () => listener.now >= at);
    if (!listener.have.has(played)) t.fail(`chunk ${played} is not here at ${at} ms`);
  }
  t.pass();
});

t.test('nothing is asked further ahead than was said', async t => {
  const host = new Host(1_000, ALL(10_000));
  const listener = new Listener(10_000, [host]);
  listener.picker.playFrom({ chunk: 1_000, ahead: 300 }, 0);
  listener.run(3_000);
  t.same(listener.have.ranges, [{ start: 1_000, end: 1_299 }]);
  listener.picker.playFrom({ chunk: 1_100, ahead: 300 }, listener.now);
  listener.run(3_000);
  t.same(listener.have.ranges, [{ start: 1_000, end: 1_399 }]);
});

t.test('a reader that follows closely is never kept waiting for more than the way to the host', async t => {
  const host = new Host(2_000, ALL(4_000));
  const listener = new Listener(4_000, [host]);
  for (let chunk = 0; chunk < 2_000; chunk += 64) {
    listener.picker.playFrom({ chunk, ahead: 200 }, listener.now);
    listener.run(5_000, () => listener.have.covers({ start: chunk, end: chunk + 63 }));
  }
  t.ok(listener.now < 1_000 * 1.5, `${listener.now} ms for a second's worth`);
});

t.test('after a jump what was asked elsewhere makes way', async t => {
  const host = new Host(200, ALL(10_000));
  const listener = new Listener(10_000, [host]);
  listener.run(3_000);
  listener.picker.playFrom({ chunk: 8_000 }, listener.now);
  const at = listener.now;
  t.ok(listener.run(1_000, () => listener.have.has(8_000)));
  t.ok(listener.now - at <= 200, `${listener.now - at} ms`);
});

t.test('any hosts, of any speed, that come and go: all comes if somebody has it', async t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3_000 }),
      fc.array(
        fc.record({
          perSecond: fc.integer({ min: 20, max: 4_000 }),
          from: fc.nat(3_000),
          length: fc.nat(2_000),
        }),
        { maxLength: 5 },
      ),
      fc.nat(),
      (chunks, others, seed) => {
        const steady = new Host(1_000, ALL(chunks));
        const hosts = others.map(
          ({ perSecond, from, length }) => new Host(perSecond, { start: from, end: from + length }),
        );
        const listener = new Listener(chunks, [steady, ...hosts], (seed % 100) / 100);
        for (const [i, host] of hosts.entries()) {
          listener.run(100 + (seed % 700));
          if (i % 2 === 0) host.perSecond = 0;
          else listener.picker.remove(host);
        }
        return listener.run(60_000);
      },
    ),
    { numRuns: 40 },
  );
  t.pass();
});

t.test('while nobody knows how much there is, everybody is asked for the first chunk alone', async t => {
  const hosts = [new Host(100, ALL(9)), new Host(100, ALL(9))];
  const picker = new Picker(new ChunkSet(), 0);
  for (const host of hosts) picker.add(host);
  picker.pick(undefined, 0);
  picker.pick(undefined, 10);
  t.same(
    hosts.map(({ asked }) => asked),
    [[{ start: 0, end: 0 }], [{ start: 0, end: 0 }]],
  );
});

t.test('a live swarm ends where somebody has the last chunk so far', async t => {
  const host = new Host(1_000, { start: 5_000, end: 5_063 });
  const listener = new Listener(Number.POSITIVE_INFINITY, [host]);
  listener.picker.playFrom({ chunk: 5_000 }, 0);
  listener.run(1_000, () => listener.have.covers({ start: 5_000, end: 5_063 }));
  t.same(listener.have.ranges, [{ start: 5_000, end: 5_063 }]);
  host.peerHas.add({ start: 5_064, end: 5_127 });
  t.ok(listener.run(1_000, () => listener.have.covers({ start: 5_000, end: 5_127 })));
});
