/** LEDBAT on a virtual bottleneck: it fills it, keeps its queue near the target, yields, and shares with its like. */
import t from 'tap';
import { Ledbat } from '../../../protocol/ppspp/ledbat.js';

const SEGMENT = 1_000;
const BASE_MS = 20;
/** One segment a millisecond: 8 Mbit/s. */
const SERVICE_MS = 1;

interface Flow {
  readonly ledbat: Ledbat;
  readonly from: number;
  delivered: number;
}

/** Flows through one queue, tick by tick; `crossing` segments a tick of somebody else's go first. */
function run(flows: readonly Flow[], untilMs: number, crossing: (now: number) => number = () => 0): number[] {
  let queueFreeAt = 0;
  const queueing: number[] = [];
  const arriving = new Map<number, { flow: Flow; delayMs: number; sentAt: number }[]>();
  for (let now = 0; now < untilMs; now += SERVICE_MS) {
    for (const { flow, delayMs, sentAt } of arriving.get(now) ?? []) {
      flow.delivered += 1;
      flow.ledbat.acked({ bytes: SEGMENT, delayUs: delayMs * 1_000 - 7e9, roundTripMs: now - sentAt, now });
    }
    queueFreeAt = Math.max(queueFreeAt, now) + crossing(now) * SERVICE_MS;
    for (const flow of flows) {
      while (now >= flow.from && flow.ledbat.maySend(SEGMENT)) {
        flow.ledbat.sent(SEGMENT);
        queueFreeAt = Math.max(queueFreeAt, now) + SERVICE_MS;
        const delayMs = queueFreeAt - now + BASE_MS;
        const at = Math.ceil(now + delayMs + BASE_MS);
        arriving.set(at, [...(arriving.get(at) ?? []), { flow, delayMs, sentAt: now }]);
      }
    }
    queueing.push(Math.max(0, queueFreeAt - now));
  }
  return queueing;
}

const flowFrom = (from: number): Flow => ({ ledbat: new Ledbat(SEGMENT), from, delivered: 0 });

t.test('one flow fills the bottleneck and holds its queue at 100 ms at most', async t => {
  const flow = flowFrom(0);
  const queueing = run([flow], 60_000);
  t.ok(flow.delivered > 0.9 * 60_000, `${flow.delivered} segments`);
  t.ok(Math.max(...queueing.slice(30_000)) < 110);
  t.ok(flow.ledbat.roundTripMs! > 2 * BASE_MS);
});

t.test('it yields to what does not yield', async t => {
  const flow = flowFrom(0);
  run([flow], 30_000);
  const alone = flow.delivered;
  const pressed = flowFrom(0);
  run([pressed], 30_000, now => (now > 10_000 && now % 10 < 9 ? 1 : 0));
  t.ok(pressed.delivered < alone / 2, `${pressed.delivered} of ${alone}`);
});

t.test('two that start together share evenly', async t => {
  const flows = [flowFrom(0), flowFrom(0)];
  run(flows, 60_000);
  const [a, b] = flows.map(flow => flow.delivered);
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
