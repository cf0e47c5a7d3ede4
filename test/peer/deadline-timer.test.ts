/** One timer for a deadline that moves. */
import t from 'tap';
import { DeadlineTimer } from '../../peer/deadline-timer.js';
import { VirtualClock } from '../support/virtual-clock.js';

function setUp() {
  const clock = new VirtualClock();
  const start = clock.now();
  const fired: number[] = [];
  const state: { deadline: number | undefined } = { deadline: undefined };
  const timer = new DeadlineTimer(
    clock,
    () => state.deadline,
    now => {
      fired.push(now - start);
      state.deadline = undefined;
    },
  );
  const arm = (afterMs: number | undefined): void => {
    state.deadline = afterMs === undefined ? undefined : start + afterMs;
    timer.arm();
  };
  return { clock, timer, arm, fired };
}

t.test('without a deadline nothing is due, and with one it is due once', async t => {
  const { clock, arm, fired } = setUp();
  arm(undefined);
  await clock.advance(1_000);
  arm(1_500);
  arm(1_500);
  await clock.advance(499);
  t.same(fired, []);
  await clock.advance(1_000);
  t.same(fired, [1_500]);
});

t.test('a deadline that went back is due when it comes, one that came nearer at once then', async t => {
  const { clock, arm, fired } = setUp();
  arm(100);
  arm(300);
  await clock.advance(299);
  t.same(fired, []);
  await clock.advance(1);
  t.same(fired, [300]);
  arm(900);
  arm(500);
  await clock.advance(200);
  t.same(fired, [300, 500]);
});

t.test(
  'one that has passed is due in the next turn; a cancelled one never, until it is armed again',
  async t => {
    const { clock, timer, arm, fired } = setUp();
    await clock.advance(50);
    arm(10);
    t.same(fired, []);
    await clock.advance(0);
    t.same(fired, [50]);
    arm(100);
    timer.cancel();
    await clock.advance(200);
    t.same(fired, [50]);
    timer.arm();
    await clock.advance(0);
    t.same(fired, [50, 250]);
  },
);
