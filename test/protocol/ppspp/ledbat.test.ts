/** LEDBAT on a virtual bottleneck: it fills it, keeps its queue near the target, yields, makes way for TCP, shares with its like. */
import t from 'tap';
import { Ledbat } from '../../../protocol/ppspp/ledbat.js';

const SEGMENT = 1_000;
const BASE_MS = 20;
/** One segment a millisecond: 8 Mbit/s. */
const SERVICE_MS = 1;

type Sender = Pick<Ledbat, 'maySend' | 'sent' | 'acked' | 'lost'>;

interface Flow<S extends Sender = Sender> {
  readonly sender: S;
  /** When it has something to send. */
  readonly from: number;
  readonly until: number;
  /** When each segment arrived. */
  readonly arrivals: number[];
}

const flowOf = <S extends Sender>(sender: S, from = 0, until = Number.POSITIVE_INFINITY): Flow<S> => ({
  sender,
  from,
  until,
  arrivals: [],
});
const ledbatFlow = (): Flow<Ledbat> => flowOf(new Ledbat(SEGMENT));

interface Bottleneck {
  /** What would wait longer is dropped. */
  readonly mostQueuedMs?: number;
  /** Segments a tick of somebody else's, which go first. */
  readonly crossing?: (now: number) => number;
}

/** Flows through one queue, tick by tick; how long it was. */
function run(
  flows: readonly Flow[],
  untilMs: number,
  { mostQueuedMs = Number.POSITIVE_INFINITY, crossing = () => 0 }: Bottleneck = {},
): number[] {
  let queueFreeAt = 0;
  const queueing: number[] = [];
  /** What a flow hears of a segment, when its answer has come back. */
  const answers = new Map<number, (() => void)[]>();
  const answerAt = (at: number, answer: () => void): unknown =>
    answers.set(Math.ceil(at), [...(answers.get(Math.ceil(at)) ?? []), answer]);
  for (let now = 0; now < untilMs; now += SERVICE_MS) {
    for (const answer of answers.get(now) ?? []) answer();
    queueFreeAt = Math.max(queueFreeAt, now) + crossing(now) * SERVICE_MS;
    for (const { sender, from, until, arrivals } of flows) {
      while (now >= from && now < until && sender.maySend(SEGMENT)) {
        sender.sent(SEGMENT);
        const isDropped = queueFreeAt - now >= mostQueuedMs;
        if (!isDropped) queueFreeAt = Math.max(queueFreeAt, now) + SERVICE_MS;
        const delayMs = queueFreeAt - now + BASE_MS;
        const at = now + delayMs + BASE_MS;
        const sentAt = now;
        const ack = { bytes: SEGMENT, delayUs: delayMs * 1_000 - 7e9 };
        answerAt(at, () => {
          if (isDropped) return sender.lost(SEGMENT, Math.ceil(at));
          arrivals.push(at);
          sender.acked({ ...ack, roundTripMs: Math.ceil(at) - sentAt, now: Math.ceil(at) });
        });
      }
    }
    queueing.push(Math.max(0, queueFreeAt - now));
  }
  return queueing;
}

/** TCP (RFC 5681): it grows until something is lost. */
class Reno implements Sender {
  #window = 2 * SEGMENT;
  #threshold = Number.POSITIVE_INFINITY;
  #flight = 0;
  #recoversUntil = 0;
  #roundTripMs = 0;

  maySend(bytes: number): boolean {
    return this.#flight + bytes <= this.#window;
  }

  sent(bytes: number): void {
    this.#flight += bytes;
  }

  acked({ bytes, roundTripMs = 0 }: Parameters<Ledbat['acked']>[0]): void {
    this.#flight -= bytes;
    this.#roundTripMs = roundTripMs;
    this.#window += this.#window < this.#threshold ? bytes : (bytes * SEGMENT) / this.#window;
  }

  lost(bytes: number, now: number): void {
    this.#flight -= bytes;
    if (now < this.#recoversUntil) return;
    this.#recoversUntil = now + this.#roundTripMs;
    this.#window = this.#threshold = Math.max(2 * SEGMENT, this.#window / 2);
  }
}

t.test('one flow fills the bottleneck and holds its queue at 100 ms at most', async t => {
  const flow = ledbatFlow();
  const queueing = run([flow], 60_000);
  t.ok(flow.arrivals.length > 0.9 * 60_000, `${flow.arrivals.length} segments`);
  t.ok(Math.max(...queueing.slice(30_000)) < 110);
  t.ok(flow.sender.roundTripMs! > 2 * BASE_MS);
});

t.test('it yields to what does not yield', async t => {
  const flow = ledbatFlow();
  run([flow], 30_000);
  const alone = flow.arrivals.length;
  const pressed = ledbatFlow();
  run([pressed], 30_000, { crossing: now => (now > 10_000 && now % 10 < 9 ? 1 : 0) });
  t.ok(pressed.arrivals.length < alone / 2, `${pressed.arrivals.length} of ${alone}`);
});

t.test(
  'beside TCP it has the smaller part and still moves, whoever was first; left alone it has everything',
  async t => {
    for (const [tcpFrom, mostQueuedMs] of [
      [10_000, 200],
      [10_000, 400],
      [0, 200],
    ] as const) {
      const ledbat = ledbatFlow();
      const tcp = flowOf(new Reno(), tcpFrom, 60_000);
      run([tcp, ledbat], 80_000, { mostQueuedMs });
      const part = ({ arrivals }: Flow, from: number, until: number): number =>
        arrivals.filter(at => at >= from && at < until).length / (until - from);
      const [tcps, ledbats] = [part(tcp, 30_000, 60_000), part(ledbat, 30_000, 60_000)];
      const parts = `TCP has ${tcps}, LEDBAT ${ledbats}`;
      t.ok(tcps + ledbats > 0.95, 'nothing is left over');
      t.ok(tcps > 3 * ledbats && ledbats > 0.005, parts);
      t.ok(part(ledbat, 65_000, 80_000) > 0.95, 'alone');
    }
  },
);

t.test('two that start together share evenly', async t => {
  const flows = [ledbatFlow(), ledbatFlow()];
  run(flows, 60_000);
  const [a, b] = flows.map(({ arrivals }) => arrivals.length);
  t.ok(Math.min(a!, b!) / Math.max(a!, b!) > 0.8, `${a} and ${b}`);
});

t.test('a loss halves the window once a round trip, a timeout leaves one segment', async t => {
  const ledbat = new Ledbat(SEGMENT);
  t.equal(ledbat.windowBytes, 2 * SEGMENT);
  t.equal(ledbat.timeoutMs, 1_000);
  for (let i = 0; i < 200; i += 1) {
    while (ledbat.maySend(SEGMENT)) ledbat.sent(SEGMENT);
    ledbat.acked({ bytes: SEGMENT, delayUs: 500, roundTripMs: 50, now: i * 10 });
  }
  const before = ledbat.windowBytes;
  ledbat.lost(SEGMENT, 2_000);
  t.equal(ledbat.windowBytes, before / 2);
  ledbat.lost(SEGMENT, 2_010);
  t.equal(ledbat.windowBytes, before / 2, 'the same round trip');
  const timeout = ledbat.timeoutMs;
  ledbat.timedOut();
  t.equal(ledbat.windowBytes, SEGMENT);
  t.equal(ledbat.flightBytes, 0);
  t.equal(ledbat.timeoutMs, 2 * timeout);
  ledbat.lost(SEGMENT, 9_000);
  t.equal(ledbat.windowBytes, SEGMENT, 'a loss makes nothing larger');
});

t.test('after ten minutes the oldest delay is forgotten, and a wild one does no great harm', async t => {
  const ledbat = new Ledbat(SEGMENT);
  for (let minute = 0; minute < 12; minute += 1)
    ledbat.acked({ bytes: SEGMENT, delayUs: minute < 1 ? 0 : 90_000_000, now: minute * 60_000 });
  ledbat.sent(SEGMENT);
  ledbat.sent(SEGMENT);
  const before = ledbat.windowBytes;
  ledbat.acked({ bytes: SEGMENT, delayUs: 90_000_000, now: 12 * 60_000 });
  t.ok(ledbat.windowBytes > before, 'what was far is now the rule');
  const wild = new Ledbat(SEGMENT);
  for (let i = 0; i < 40; i += 1) {
    while (wild.maySend(SEGMENT)) wild.sent(SEGMENT);
    wild.acked({ bytes: SEGMENT, delayUs: 500, now: i });
  }
  const grown = wild.windowBytes;
  for (let i = 0; i < 4; i += 1) wild.acked({ bytes: SEGMENT, delayUs: 9e12, now: 50 });
  t.ok(wild.windowBytes >= grown - (4 * SEGMENT * SEGMENT) / (grown - 4 * SEGMENT));
});
