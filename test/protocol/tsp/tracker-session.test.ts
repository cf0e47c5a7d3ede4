/** The tracker's end of a connection (TSP §3, §5.1, §6): against its table, a virtual clock, and random orders. */
import fc from 'fast-check';
import t from 'tap';
import { RemoteProtocolError } from '../../../protocol/errors.js';
import {
  CONNECTION_IDLE_MS,
  KEEPALIVE_MS,
  MAX_LIST_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_PIPELINED_REQUESTS,
  MAX_REQUEST_BYTES,
  MESSAGE_TYPE,
  type MessageName,
  REREGISTER_MS,
  SILENCE_MS,
  UNREACHABLE_RETRY_MS,
} from '../../../protocol/tsp/constants.js';
import type { FrameEvent } from '../../../protocol/tsp/framing.js';
import type { TrackerEffect } from '../../../protocol/tsp/tracker-effects.js';
import { TRACKER_TABLE, type TrackerState } from '../../../protocol/tsp/tracker-table.js';
import { at, HASH, header, IDS, message, said, sample, session, songs } from './tracker-conversation.js';

t.test('every cell of the table is what the session does', async t => {
  const FIRST: { readonly [state: string]: (name: MessageName) => string[] } = {
    register: () => ['admit'],
    answer: name => (name === 'PING' ? ['PONG'] : ['answer']),
    wait: () => [],
    'take the songs': () => [],
    'no songs': () => ['prove'],
    echo: () => [],
    update: () => ['update'],
    ignore: () => [],
    'not-registered': () => ['not-registered'],
    'unknown-type': () => ['unknown-type'],
  };
  for (const [state, row] of Object.entries(TRACKER_TABLE)) {
    for (const name of Object.keys(MESSAGE_TYPE) as MessageName[]) {
      const peer = at(state as TrackerState);
      t.equal(peer.state, state);
      const step = row[name];
      const effects = said(peer.receive(sample(name), REREGISTER_MS));
      const leave = state === 'light' ? [] : ['leave'];
      const expected =
        state === 'closed'
          ? []
          : step === undefined
            ? ['bad-message', ...leave, 'end']
            : step === 'close'
              ? [...leave, 'end']
              : step === 'echo' && state === 'proving'
                ? ['echo']
                : FIRST[step]!(name);
      t.strictSame(effects, expected, `${name} while ${state}`);
    }
  }
});

t.test('a whole registration, effect by effect', async t => {
  const peer = session();
  t.equal(peer.maxPayloadBytes, MAX_REQUEST_BYTES);
  const hello = {
    tsp: 1,
    name: 'kitchen',
    instance: 's',
    since: { tracker: '0123456789abcdef', revision: 4 },
  } as const;
  const { tsp: _, ...rest } = hello;
  const claim = { ...rest, port: 7461 };
  t.strictSame(peer.receive(message({ type: 'HELLO', port: 7461, hello }), 0), [{ do: 'admit', claim }]);
  t.strictSame(said(peer.admitted(0)), ['LIST']);
  t.equal(peer.maxPayloadBytes, MAX_PAYLOAD_BYTES);
  const effects = [...songs(`{"hash":"${HASH}","title":"a"}\n{"hash":"${HASH}"}`)].flatMap(event =>
    peer.receive(event, 0),
  );
  t.strictSame(effects, [
    { do: 'offer', offers: [{ hash: HASH, title: 'a' }] },
    { do: 'offer', offers: [{ hash: HASH }] },
    { do: 'prove', attempt: 1, claim },
  ]);
  t.strictSame(peer.receive(message({ type: 'PONG', value: 5 }), 0), [{ do: 'echo', value: 5 }]);
  t.strictSame(peer.proved(1, { addresses: [':7461'] }, 0), [{ do: 'enlist', claim, addresses: [':7461'] }]);
  t.strictSame(peer.enlisted({ rows: IDS }, 0), [
    { do: 'send-rows', header: { type: 'SONG_IDS', length: 9 }, rows: IDS },
    { do: 'publish' },
    { do: 'welcome', listed: [':7461'] },
    { do: 'subscribe', since: hello.since },
  ]);
  t.strictSame(said(peer.receive(message({ type: 'UPDATE', changes: [] }), 0)), ['update']);
  t.strictSame(said(peer.updated({ rows: [] }, 0)), ['send-rows', 'publish']);
  t.strictSame(said(peer.receive(message({ type: 'QUIT' }), 0)), ['leave', 'end']);
  t.equal(peer.nextDeadline(), undefined);
});

t.test('a listener is registered at once; UPDATE is not for it', async t => {
  const peer = session();
  peer.receive(message({ type: 'HELLO', port: 0, hello: { tsp: 1, broadcasts: false } }), 0);
  t.strictSame(said(peer.admitted(0)), ['welcome']);
  t.strictSame(said(peer.receive(message({ type: 'UPDATE', changes: [] }), 0)), ['not-registered']);
});

t.test('questions wait for the one before, and at sixteen reading stops', async t => {
  const peer = at('listing');
  for (let n = 0; n < MAX_PIPELINED_REQUESTS; n += 1) {
    t.ok(peer.reading);
    t.strictSame(peer.receive(message({ type: 'PING', value: n }), 0), []);
  }
  t.notOk(peer.reading);
  for (const event of songs('')) peer.receive(event, 0);
  t.strictSame(said(peer.proved(1, { addresses: [] }, 0)), [
    'unlist',
    'unreachable',
    'welcome',
    'subscribe',
    ...Array.from({ length: MAX_PIPELINED_REQUESTS }, () => 'PONG'),
  ]);
  t.ok(peer.reading);

  const light = session();
  t.strictSame(said(light.receive(sample('LIST'), 0)), ['answer']);
  t.strictSame(said(light.receive(sample('FIND'), 0)), []);
  t.strictSame(said(light.receive({ kind: 'unknown', type: 0x30 }, 0)), []);
  t.strictSame(said(light.answered(0)), ['answer']);
  t.strictSame(light.refuse({ code: 'no-such-song', message: 'no' }, 0).slice(0, 1), [
    {
      do: 'send',
      message: { type: 'ERROR', song: 0, error: { code: 'no-such-song', message: 'no', type: 0x42 } },
    },
  ]);
  t.strictSame(said(light.receive({ kind: 'unknown', type: 0x30 }, 0)), ['unknown-type']);
});

t.test('an ERROR repeats the song of its question', async t => {
  const peer = session();
  peer.receive(sample('INFO'), 0);
  t.match(peer.refuse({ code: 'no-such-song' }, 0), [{ message: { song: 1, error: { type: 2 } } }]);
  t.match(peer.receive(sample('HASHES'), 0), [{ message: { song: 1, error: { code: 'unknown-type' } } }]);
});

t.test(
  'half-close: light clients get every answer, a registering peer has left, a registered one after its answers',
  async t => {
    const light = session();
    light.receive(sample('LIST'), 0);
    light.receive(sample('INFO'), 0);
    t.strictSame(light.inputEnded(0), []);
    t.strictSame(said(light.answered(0)), ['answer']);
    t.strictSame(light.answered(0), [{ do: 'end', fatal: false }]);
    t.strictSame(said(session().inputEnded(0)), ['end']);
    for (const state of ['listing', 'proving', 'enlisting'] as const)
      t.strictSame(said(at(state).inputEnded(0)), ['leave', 'end']);
    const peer = at('registered');
    peer.receive(sample('UPDATE'), 0);
    t.strictSame(peer.inputEnded(0), []);
    t.strictSame(said(peer.updated({ rows: IDS }, 0)), ['send-rows', 'publish', 'leave', 'end']);
  },
);

t.test('an unreachable peer stays, is tried again each 5 minutes, and then enlisted', async t => {
  const peer = at('proving');
  const failed = said(peer.proved(1, { addresses: [] }, 0));
  t.strictSame(failed, ['unlist', 'unreachable', 'welcome', 'subscribe']);
  let now = 0;
  const wait = (until: number): TrackerEffect[] => {
    const effects: TrackerEffect[] = [];
    while (now < until) {
      now = Math.min(until, peer.nextDeadline()!);
      peer.heard(now);
      effects.push(...peer.expire(now));
    }
    return effects.filter(effect => effect.do !== 'send');
  };
  t.match(wait(UNREACHABLE_RETRY_MS), [{ do: 'prove', attempt: 2 }]);
  t.strictSame(peer.proved(1, { addresses: [':1'] }, now), [], 'an old attempt');
  t.strictSame(said(peer.receive(message({ type: 'PONG', value: 3 }), now)), ['echo']);
  t.strictSame(peer.proved(2, { addresses: [], retryInMs: 9_000 }, now), []);
  t.match(wait(now + 9_000), [{ do: 'prove', attempt: 3 }]);
  peer.receive(sample('LIST'), now);
  t.strictSame(peer.proved(3, { addresses: [':7461'] }, now), [], 'after the answer that is under way');
  t.match(peer.answered(now), [{ do: 'enlist', addresses: [':7461'] }]);
  t.strictSame(said(peer.refuse({ code: 'unavailable' }, now)), [], 'nobody asked');
  t.match(wait(now + UNREACHABLE_RETRY_MS), [{ do: 'enlist' }]);
  t.strictSame(said(peer.enlisted({ rows: IDS, retryInMs: 60_000 }, now)), ['send-rows', 'publish']);
  t.match(wait(now + 60_000), [{ do: 'enlist' }]);
  t.strictSame(said(peer.enlisted({ rows: [] }, now)), [], 'no news');
});

t.test('INIT again: not too soon; proves a new address, keeps the songs; or hosts no more', async t => {
  const peer = at('registered');
  t.match(peer.receive(sample('INIT'), REREGISTER_MS - 1), [
    { message: { error: { code: 'refused', type: 0, retryAfterMs: 1 } } },
  ]);
  t.strictSame(said(peer.receive(sample('HELLO'), REREGISTER_MS)), ['admit']);
  t.match(peer.admitted(0), [{ do: 'prove', attempt: 2 }], 'its songs are known');
  t.strictSame(said(peer.proved(2, { addresses: [] }, 0)), ['unlist', 'unreachable', 'welcome']);
  peer.receive(message({ type: 'INIT', port: 7461 }), 2 * REREGISTER_MS);
  peer.admitted(0);
  peer.proved(3, { addresses: [':7461'] }, 0);
  t.strictSame(said(peer.enlisted({ rows: [] }, 0)), ['send-rows', 'publish', 'welcome']);
  peer.receive(message({ type: 'INIT', port: 0 }), 3 * REREGISTER_MS);
  t.strictSame(said(peer.admitted(0)), ['leave', 'welcome', 'subscribe']);
});

t.test('what waits to be enlisted again is dropped with the address', async t => {
  const peer = at('enlisting');
  peer.enlisted({ rows: IDS, retryInMs: 5 }, 0);
  peer.receive(sample('UPDATE'), 0);
  peer.receive(message({ type: 'INIT', port: 0 }), REREGISTER_MS);
  t.strictSame(peer.expire(REREGISTER_MS), [], 'after the UPDATE and the INIT');
  t.strictSame(said(peer.updated({ rows: [], retryInMs: 5 }, REREGISTER_MS)), [
    'send-rows',
    'publish',
    'admit',
  ]);
  t.strictSame(said(peer.admitted(REREGISTER_MS)), ['leave', 'welcome', 'subscribe']);
});

t.test('a mistake of our own is not taken for the other side’s', async t => {
  t.throws(() => session().receive({ kind: 'message', message: undefined as never }, 0), TypeError);
});

t.test('a refused registration makes a light client, and the rest of its list is read past', async t => {
  const peer = at('listing');
  const [begin, data, end] = [...songs(`{"hash":"${HASH}"}\n`)] as [FrameEvent, FrameEvent, FrameEvent];
  peer.receive(begin, 0);
  t.strictSame(said(peer.refuse({ code: 'unavailable' }, 0)), ['unavailable', 'leave']);
  t.equal(peer.state, 'light');
  t.strictSame(peer.receive(data, 0), []);
  t.strictSame(peer.receive(end, 0), []);
  t.strictSame(said(peer.receive(sample('PING'), 0)), ['PONG']);

  const full = session();
  full.receive(sample('INIT'), 0);
  t.strictSame(said(full.refuse({ code: 'too-many' }, 0)), ['too-many', 'end']);
});

t.test('a list that is too long, or twice, or of bad rows ends the connection', async t => {
  t.strictSame(
    said(at('listing').receive({ kind: 'stream', header: header('LIST_INFO', MAX_LIST_BYTES + 1) }, 0)),
    ['too-large', 'leave', 'end'],
  );
  const twice = at('listing');
  twice.receive(sample('LIST_INFO'), 0);
  t.strictSame(said(twice.receive(sample('LIST_INFO'), 0)), ['bad-message', 'leave', 'end']);
  const bad = [...songs('{"hash":1}\n')].flatMap((event, index, all) => (index < all.length ? [event] : []));
  const peer = at('listing');
  t.strictSame(
    bad.flatMap(event => said(peer.receive(event, 0))),
    ['bad-message', 'leave', 'end'],
  );
  const inside = at('listing');
  inside.receive(sample('LIST_INFO'), 0);
  t.strictSame(said(inside.receive(sample('ERROR'), 0)), [], 'ERROR inside its answer is nothing');
});

t.test('time: keepalive, silence, a LIST that nobody answers, and idle light clients', async t => {
  const peer = at('registered');
  t.equal(peer.nextDeadline(), KEEPALIVE_MS);
  t.strictSame(said(peer.expire(KEEPALIVE_MS - 1)), []);
  t.strictSame(said(peer.expire(KEEPALIVE_MS)), ['PING']);
  peer.spoke(20_000);
  t.equal(peer.nextDeadline(), 35_000);
  t.strictSame(said(peer.expire(SILENCE_MS)), ['leave', 'end']);
  t.strictSame(peer.expire(SILENCE_MS), []);
  t.strictSame(peer.fail(new RemoteProtocolError('too-slow', '')), []);

  const mute = at('listing');
  mute.heard(40_000);
  t.strictSame(said(mute.expire(SILENCE_MS)), ['too-slow', 'leave', 'end']);

  const stuck = at('registered');
  stuck.receive(sample('UPDATE'), 0);
  for (let n = 0; n < MAX_PIPELINED_REQUESTS; n += 1) stuck.receive(sample('PING'), 0);
  t.strictSame(said(stuck.expire(SILENCE_MS)), ['PING'], 'what is not read can’t be heard');

  const light = session();
  t.equal(light.nextDeadline(), CONNECTION_IDLE_MS);
  light.receive(sample('LIST'), 5_000);
  t.equal(light.nextDeadline(), undefined, 'an answer may take its time');
  t.strictSame(light.expire(1e9), []);
  light.answered(6_000);
  light.spoke(6_000);
  t.strictSame(said(light.expire(6_000 + CONNECTION_IDLE_MS)), ['end']);
});

t.test('after the end nothing has an effect', async t => {
  const peer = at('closed');
  t.ok(peer.reading);
  for (const effects of [
    peer.admitted(0),
    peer.answered(0),
    peer.proved(1, { addresses: [] }, 0),
    peer.enlisted({ rows: [] }, 0),
    peer.updated({ rows: [] }, 0),
    peer.refuse({ code: 'busy' }, 0),
    peer.inputEnded(0),
    peer.expire(1e9),
  ])
    t.strictSame(effects, []);
});

t.test(
  'property: in any order of messages each question has one answer, in order, or the connection ended',
  async t => {
    const names = Object.keys(MESSAGE_TYPE) as MessageName[];
    const HAS_ANSWER: readonly string[] = [
      'LIST',
      'INFO',
      'PLAY',
      'RANGE',
      'FIND',
      'UPDATE',
      'HASHES',
      'PING',
    ];
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...names.filter(name => name in TRACKER_TABLE.light)) },
      { weight: 1, arbitrary: fc.constantFrom('songs', 'proved', 'unreachable', 'later', 'refused') },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const peer = session();
        const asked: number[] = [];
        const answered: number[] = [];
        let now = 0;
        const pending: TrackerEffect[] = [];
        const perform = (effects: readonly TrackerEffect[]): void => {
          for (const effect of effects) {
            if (effect.do === 'send' && effect.message.type === 'ERROR') {
              const { type } = effect.message.error;
              if (type !== undefined && type !== MESSAGE_TYPE.INIT && type !== MESSAGE_TYPE.HELLO)
                answered.push(type);
            } else if (effect.do === 'send' && effect.message.type === 'PONG')
              answered.push(MESSAGE_TYPE.PING);
            else if (['answer', 'update', 'admit', 'enlist', 'prove'].includes(effect.do))
              pending.push(effect);
          }
        };
        /** What is done elsewhere comes back. */
        const settle = (how: string): void => {
          const current = pending.shift();
          const isRefused = how === 'refused';
          if (current?.do === 'answer') {
            if (!isRefused) answered.push(MESSAGE_TYPE[current.request.type]);
            perform(isRefused ? peer.refuse({ code: 'no-such-song' }, now) : peer.answered(now));
          } else if (current?.do === 'update') {
            if (!isRefused) answered.push(MESSAGE_TYPE.UPDATE);
            perform(isRefused ? peer.refuse({ code: 'unavailable' }, now) : peer.updated({ rows: [] }, now));
          } else if (current?.do === 'admit') perform(peer.admitted(now));
          else if (current?.do === 'enlist') perform(peer.enlisted({ rows: IDS }, now));
          else if (current?.do === 'prove') {
            const addresses = how === 'proved' ? [':1'] : [];
            perform(peer.proved(current.attempt, { addresses }, now));
          }
        };
        for (const name of steps) {
          now += 100;
          if (!(name in MESSAGE_TYPE)) {
            if (name === 'songs' && peer.state === 'listing')
              for (const event of songs('')) perform(peer.receive(event, now));
            else if (name === 'later') {
              now += 10_000;
              perform(peer.expire(now));
            } else settle(name);
            continue;
          }
          if (name === 'QUIT' || !peer.reading) continue;
          if (HAS_ANSWER.includes(name)) asked.push(MESSAGE_TYPE[name as MessageName]);
          perform(peer.receive(sample(name as MessageName), now));
        }
        if (peer.state === 'listing') for (const event of songs('')) perform(peer.receive(event, now));
        for (let n = 0; n < 200 && pending.length > 0; n += 1) {
          settle('proved');
          if (peer.state === 'listing') for (const event of songs('')) perform(peer.receive(event, now));
        }
        if (peer.state === 'closed') return asked.slice(0, answered.length).join() === answered.join();
        return asked.join() === answered.join();
      }),
      { numRuns: 1_000 },
    );
    t.pass('1,000 conversations');
  },
);
