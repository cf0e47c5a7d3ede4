/** The host's end of a connection against its published table, on a clock of the test's own, and in random orders. */
import fc from 'fast-check';
import t from 'tap';
import { RemoteProtocolError } from '../../../protocol/errors.js';
import {
  CONNECTION_IDLE_MS,
  MAX_PIPELINED_REQUESTS,
  MESSAGE_TYPE,
  type MessageName,
  READER_STALL_CONTENDED_MS,
  READER_STALL_MS,
  SLOT_IDLE_MS,
} from '../../../protocol/tsp/constants.js';
import type { FrameEvent } from '../../../protocol/tsp/framing.js';
import { UPLOAD_TABLE, type UploadEffect, UploadSession } from '../../../protocol/tsp/upload.js';
import { arrival, SAMPLES } from './samples.js';

const arrives = (name: MessageName): FrameEvent => arrival(SAMPLES[name]);

const errorTo = (type: number, code: string) => ({
  do: 'send',
  message: { type: 'ERROR', song: 0, error: { code, type } },
});

t.test('every message does what the state table says', async t => {
  for (const name of Object.keys(SAMPLES) as MessageName[]) {
    const session = new UploadSession(0);
    const effects = session.receive(arrives(name), 0);
    const type = MESSAGE_TYPE[name];
    switch (UPLOAD_TABLE.open[name]) {
      case 'answer':
        t.strictSame(effects, [{ do: 'answer', request: SAMPLES[name] }], name);
        break;
      case 'PONG':
        t.strictSame(effects, [
          { do: 'echo', value: 77 },
          { do: 'send', message: { type: 'PONG', value: 77 } },
        ]);
        break;
      case 'unknown-type':
        t.match(effects, [errorTo(type, 'unknown-type')], name);
        t.equal(session.state, 'open', name);
        break;
      case 'end':
        t.strictSame(effects, [{ do: 'end' }], name);
        break;
      case 'close':
        t.strictSame(effects, [{ do: 'abort', why: 'stopped' }], name);
        break;
      case 'nothing':
        t.strictSame(effects, [], name);
        t.equal(session.state, 'open', name);
        break;
      case undefined:
        t.match(effects, [errorTo(type, 'bad-message')], name);
        t.strictSame(session.answered(0), [{ do: 'end' }], name);
        break;
    }
  }
});

t.test('when the end has begun nothing more is read', async t => {
  for (const name of Object.keys(SAMPLES) as MessageName[]) {
    const session = new UploadSession(0);
    session.receive(arrives('PLAY'), 0);
    session.finish();
    t.equal(session.wantsInput, false);
    t.strictSame(session.receive(arrives(name), 0), [], name);
    t.strictSame(session.fail(new RemoteProtocolError('too-slow', 'late'), 0), []);
  }
  t.strictSame({ ...UPLOAD_TABLE.ending, ...UPLOAD_TABLE.closed }, {});
});

t.test(
  'an unknown request is answered in its turn; the payload of an answer nobody asked for is not',
  async t => {
    const session = new UploadSession(0);
    t.match(session.receive({ kind: 'unknown', type: 0x30 }, 0), [errorTo(0x30, 'unknown-type')]);
    t.strictSame(session.receive({ kind: 'data', bytes: new Uint8Array(3) }, 0), []);
  },
);

t.test('requests are answered one by one, in their order', async t => {
  const session = new UploadSession(0);
  t.strictSame(session.receive(arrives('PLAY'), 0), [{ do: 'answer', request: SAMPLES.PLAY }]);
  t.strictSame(session.receive(arrives('PING'), 0), [{ do: 'echo', value: 77 }]);
  t.strictSame(session.receive(arrives('LIST'), 0), []);
  t.strictSame(session.answered(1), [{ do: 'send', message: { type: 'PONG', value: 77 } }]);
  t.strictSame(session.answered(2), [{ do: 'answer', request: SAMPLES.LIST }]);
  t.equal(session.busy, true);
  t.strictSame(session.answered(3), []);
  t.equal(session.busy, false);
});

t.test('the sixteenth request without an answer stops the reading, until one is answered', async t => {
  const session = new UploadSession(0);
  for (let i = 0; i < MAX_PIPELINED_REQUESTS; i++) {
    t.equal(session.wantsInput, true);
    session.receive(arrives('LIST'), 0);
  }
  t.equal(session.wantsInput, false);
  session.answered(0);
  t.equal(session.wantsInput, true);
});

t.test('STOP drops what is queued and gives the slot back, also when nothing is being sent', async t => {
  const session = new UploadSession(0);
  session.receive(arrives('PLAY'), 0);
  session.slotTaken();
  session.receive(arrives('LIST'), 0);
  t.strictSame(session.receive(arrives('STOP'), 0), [
    { do: 'release-slot' },
    { do: 'abort', why: 'stopped' },
  ]);
  t.strictSame(session.answered(0), []);
  t.equal(session.state, 'closed');
  t.equal(session.nextDeadline(false), undefined);
});

t.test('a half-close, QUIT and a broken rule leave what was asked before to be answered', async t => {
  const endings: [string, (session: UploadSession) => void, number][] = [
    ['half-close', session => session.finish(), 0],
    ['QUIT', session => session.receive(arrives('QUIT'), 0), 0],
    ['an answer nobody asked for', session => session.receive(arrives('SONG_DATA'), 0), 1],
    ['too slow', session => session.fail(new RemoteProtocolError('too-slow', 'late'), 0), 1],
  ];
  for (const [name, end, errors] of endings) {
    const session = new UploadSession(0);
    session.receive(arrives('PLAY'), 0);
    session.receive(arrives('INFO'), 0);
    end(session);
    const rest = [...session.answered(0), ...session.answered(0)];
    t.match(rest[0], { do: 'answer', request: SAMPLES.INFO }, name);
    if (errors === 1) t.match(rest[1], { do: 'send', message: { type: 'ERROR' } }, name);
    const last = errors === 1 ? session.answered(0) : rest.slice(1);
    t.strictSame(last, [{ do: 'end' }], name);
    t.strictSame(session.finish(), [], name);
  }
});

t.test('a slot is kept until 10 s after the last PLAY or RANGE was answered', async t => {
  const session = new UploadSession(0);
  session.receive(arrives('RANGE'), 0);
  session.slotTaken();
  t.equal(session.holdsSlot, true);
  session.answered(30_000);
  t.equal(session.nextDeadline(false), 30_000 + SLOT_IDLE_MS);
  t.strictSame(session.expire(30_000 + SLOT_IDLE_MS - 1, true), []);
  // Other questions don't count.
  session.receive(arrives('LIST'), 35_000);
  session.answered(35_000);
  t.strictSame(session.expire(30_000 + SLOT_IDLE_MS, true), [{ do: 'release-slot' }]);
  t.equal(session.holdsSlot, false);
  t.equal(session.nextDeadline(false), 35_000 + CONNECTION_IDLE_MS);
});

t.test('an idle connection closes after 60 s, and its slot goes with it', async t => {
  const session = new UploadSession(0);
  t.strictSame(session.expire(CONNECTION_IDLE_MS - 1, false), []);
  t.strictSame(session.expire(CONNECTION_IDLE_MS, false), [{ do: 'end' }]);
  t.strictSame(session.expire(CONNECTION_IDLE_MS, false), []);

  const holder = new UploadSession(0);
  holder.slotTaken();
  t.strictSame(holder.expire(CONNECTION_IDLE_MS, false), [{ do: 'release-slot' }, { do: 'end' }]);
});

t.test(
  'a listener that takes nothing is dropped after 60 s, or 10 s if others wait for its slot',
  async t => {
    const waiting = () => {
      const session = new UploadSession(0);
      session.receive(arrives('PLAY'), 0);
      return session;
    };
    const alone = waiting();
    alone.slotTaken();
    t.strictSame(alone.expire(READER_STALL_MS - 1, false), []);
    alone.progressed(READER_STALL_MS - 1);
    t.strictSame(alone.expire(READER_STALL_MS, false), []);
    t.strictSame(alone.expire(2 * READER_STALL_MS - 1, false), [
      { do: 'release-slot' },
      { do: 'abort', why: 'stalled' },
    ]);

    const contended = waiting();
    contended.slotTaken();
    t.equal(contended.nextDeadline(true), READER_STALL_CONTENDED_MS);
    t.match(contended.expire(READER_STALL_CONTENDED_MS, true), [{ do: 'release-slot' }, { do: 'abort' }]);

    const withoutSlot = waiting();
    t.equal(withoutSlot.nextDeadline(true), READER_STALL_MS);
  },
);

t.test('a lost connection gives its slot back once', async t => {
  const session = new UploadSession(0);
  session.receive(arrives('PLAY'), 0);
  session.slotTaken();
  t.strictSame(session.lost(), [{ do: 'release-slot' }]);
  t.strictSame(session.lost(), []);
  t.strictSame(session.answered(0), []);
});

t.test(
  'whatever is asked and in whatever order, each request gets one turn, in order, one at a time',
  async t => {
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...(Object.keys(SAMPLES) as MessageName[])) },
      { weight: 8, arbitrary: fc.constant('answered' as const) },
      { weight: 1, arbitrary: fc.constantFrom('finish' as const, 'lost' as const) },
      { weight: 2, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
    );
    const rule = fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const session = new UploadSession(0);
      const expected: string[] = [];
      const turns: string[] = [];
      let now = 0;
      let open = 0;
      let over = false;
      let slots = 0;
      const perform = (effects: readonly UploadEffect[]) => {
        for (const effect of effects) {
          if (over && effect.do !== 'release-slot') throw new Error(`${effect.do} after the end`);
          if (effect.do === 'answer' || effect.do === 'send') {
            turns.push(effect.do === 'answer' ? effect.request.type : effect.message.type);
            open += 1;
            if (open > 1) throw new Error('two turns at once');
          }
          if (effect.do === 'answer' && effect.request.type === 'PLAY' && !session.holdsSlot) {
            session.slotTaken();
            slots += 1;
          }
          if (effect.do === 'release-slot') slots -= 1;
          if (effect.do === 'end' && open > 0) throw new Error('ended with a turn open');
          if (effect.do === 'end' || effect.do === 'abort') over = true;
        }
      };
      for (const what of steps) {
        if (typeof what === 'number') {
          now += what;
          perform(session.expire(now, what % 2 === 0));
        } else if (what === 'answered') {
          if (open === 0 || over) continue;
          open -= 1;
          perform(session.answered(now));
        } else if (what === 'finish') {
          perform(session.finish());
        } else if (what === 'lost') {
          perform(session.lost());
          over = true;
        } else if (session.wantsInput) {
          const reaction = UPLOAD_TABLE.open[what];
          if (reaction === 'answer') expected.push(what);
          if (reaction === 'PONG') expected.push('PONG');
          if (reaction === 'unknown-type' || reaction === undefined) expected.push('ERROR');
          perform(session.receive(arrives(what), now));
        }
        if (slots < 0 || slots > 1 || slots !== Number(session.holdsSlot))
          throw new Error('slots miscounted');
        if (over && session.nextDeadline(true) !== undefined) throw new Error('over, but still waiting');
      }
      return JSON.stringify(turns) === JSON.stringify(expected.slice(0, turns.length));
    });
    t.doesNotThrow(() => fc.assert(rule, { numRuns: 2_000 }));
  },
);
