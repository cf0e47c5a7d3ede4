/** The peer's end of a registration, on virtual time and without a socket. */
import fc from 'fast-check';
import t from 'tap';
import { RemoteProtocolError, TransportError } from '../../../protocol/errors.js';
import { encode } from '../../../protocol/tsp/codec.js';
import {
  KEEPALIVE_MS,
  MAX_LIST_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_PIPELINED_REQUESTS,
  MAX_PROOF_PINGS_PER_MINUTE,
  MAX_ROW_BYTES,
  MESSAGE_TYPE,
  type MessageName,
  SILENCE_MS,
} from '../../../protocol/tsp/constants.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import type { ErrorBody, Message, SongId, StreamHeader } from '../../../protocol/tsp/messages.js';
import { LIST_AGAIN_MS, PeerSession, REGISTRATION_MS } from '../../../protocol/tsp/peer-session.js';
import {
  PEER_TABLE,
  type PeerEffect,
  type PeerState,
  type TrackerQuestion,
} from '../../../protocol/tsp/peer-table.js';
import { encodeRow, type OfferChange } from '../../../protocol/tsp/rows.js';
import { hashOf } from '../../support/content.js';
import { SAMPLES, type Samples } from './samples.js';

const song = 10 as SongId;
const offer = (n: number): OfferChange => ({ hash: hashOf(n), title: `song ${n}` });
const LIST: Message = { type: 'LIST' };
const welcome = (listed: string[] = ['127.0.0.1:7461'], revision = 5): Samples['WELCOME'] => ({
  type: 'WELCOME',
  revision,
  welcome: { tsp: 1, tracker: '0123456789abcdef', listed },
});
const error = (body: ErrorBody): Samples['ERROR'] => ({ type: 'ERROR', song: 0, error: body });

const MESSAGES: Samples = {
  ...SAMPLES,
  PONG: { type: 'PONG', value: 0 },
  WELCOME: welcome(),
  ERROR: error({ code: 'too-many' }),
};

function hear(session: PeerSession, now: number, ...parts: (Message | Uint8Array)[]): PeerEffect[] {
  const framer = new Framer();
  const effects: PeerEffect[] = [];
  for (const part of parts) framer.push(part instanceof Uint8Array ? part : encode(part));
  for (let event = framer.next(); event !== undefined; event = framer.next())
    effects.push(...session.receive(event, now));
  return effects;
}

type RowsHeader = StreamHeader extends infer H ? (H extends StreamHeader ? Omit<H, 'length'> : never) : never;

/** A message that is read as it comes, with its rows. */
function rows(header: RowsHeader, ...objects: object[]): Uint8Array {
  const payload = Buffer.concat(objects.map(encodeRow));
  return Buffer.concat([encode({ ...header, length: payload.length } as StreamHeader), payload]);
}

const songIds = (...objects: object[]): Uint8Array => rows({ type: 'SONG_IDS' }, ...objects);
const sent = (effects: PeerEffect[]): Message[] =>
  effects.flatMap(effect => (effect.do === 'send' ? [effect.message] : []));

function inState(state: PeerState): PeerSession {
  const session = new PeerSession({ port: 7461, hello: { name: 'kitchen' } }, 0);
  session.start();
  if (state === 'proving' || state === 'registered') hear(session, 0, LIST);
  if (state === 'registered') hear(session, 0, songIds(), welcome());
  if (state === 'closed') session.quit();
  return session;
}

t.test('a host registers as TSP §5.1 draws it', async t => {
  const session = new PeerSession({ port: 7461, hello: { name: 'kitchen' } }, 0);
  t.same(session.start(), [
    { do: 'send', message: { type: 'HELLO', port: 7461, hello: { tsp: 1, name: 'kitchen' } } },
  ]);
  t.equal(session.state, 'greeting');
  t.ok(session.idsOwed);
  t.same(hear(session, 1, LIST), [{ do: 'send-songs' }]);
  t.same(session.echo(77, 2), [{ do: 'send', message: { type: 'PONG', value: 77 } }]);
  t.ok(session.idsOwed);
  t.same(hear(session, 3, songIds({ hash: hashOf(1), id: 10 }, { hash: hashOf(2), error: 'refused' })), [
    {
      do: 'song-ids',
      rows: [
        { hash: hashOf(1), id: 10 },
        { hash: hashOf(2), error: 'refused' },
      ],
    },
  ]);
  t.notOk(session.idsOwed);
  t.match(hear(session, 4, welcome()), [
    { do: 'welcomed', revision: 5, welcome: { listed: ['127.0.0.1:7461'] } },
  ]);
  t.equal(session.state, 'registered');
  t.same(session.echo(78, 5), [], 'proven: a PING to the song server is nobody’s proof');
  t.same(
    hear(session, 6, rows({ type: 'BROADCAST_LIST', revision: 5 }, { whole: true }, { id: 10, title: 'a' })),
    [
      { do: 'list-begin', revision: 5, whole: false },
      { do: 'list-rows', rows: [{ kind: 'whole' }, { kind: 'song', id: 10, change: { title: 'a' } }] },
      { do: 'list-end' },
    ],
  );
});

t.test('a host that greets is no tracker', async t => {
  for (const port of [0, 7461]) {
    const session = new PeerSession({ port, hello: {} }, 0);
    session.start();
    const greeting = { type: 'WELCOME', revision: 0, welcome: { tsp: 1, name: 'kitchen' } } as const;
    t.match(hear(session, 1, greeting), [{ do: 'close', error: { message: /is a host, not a tracker/ } }]);
    t.equal(session.state, 'closed');
  }
});

t.test('who only listens is welcomed at once, and may say INIT', async t => {
  const session = new PeerSession({ port: 0 }, 0);
  t.same(session.start(), [{ do: 'send', message: { type: 'INIT', port: 0 } }]);
  t.notOk(session.idsOwed);
  t.throws(() => hear(session, 0, LIST), { code: 'bad-message' }, 'there is nothing to list');
  t.match(hear(session, 0, welcome([])), [{ do: 'welcomed' }]);
  t.same(session.offer([offer(1)], 0), []);
  t.same(session.echo(1, 0), []);
});

t.test('the table is what the session does, in every state', async t => {
  for (const state of Object.keys(PEER_TABLE) as PeerState[]) {
    for (const name of Object.keys(MESSAGES) as MessageName[]) {
      const session = inState(state);
      if (state === 'closed') {
        t.same(hear(session, 0, MESSAGES[name]), [], `${name} when closed is not looked at`);
        continue;
      }
      if (PEER_TABLE[state][name] === undefined) {
        t.throws(() => hear(session, 0, MESSAGES[name]), { code: 'bad-message' }, `${name} when ${state}`);
        continue;
      }
      if (name === 'LIST_INFO') session.askList(0);
      if (name === 'SONG_INFO') session.ask({ type: 'INFO', song }, 0);
      if (name === 'PONG') session.expire(KEEPALIVE_MS);
      if (name === 'SONG_IDS' && state === 'registered') session.offer([offer(1)], 0);
      const message = name === 'PONG' ? ({ type: 'PONG', value: KEEPALIVE_MS } as const) : MESSAGES[name];
      t.doesNotThrow(() => hear(session, 0, message), `${name} when ${state}`);
    }
  }
});

t.test('answers that nobody asked for are refused', async t => {
  for (const message of [MESSAGES.LIST_INFO, MESSAGES.SONG_INFO, MESSAGES.PONG])
    t.throws(() => hear(inState('registered'), 0, message), { code: 'bad-message' }, message.type);
  const other = error({ code: 'busy', type: MESSAGE_TYPE.FIND });
  t.throws(() => hear(inState('registered'), 0, other), { code: 'bad-message' });
  const session = inState('registered');
  session.expire(KEEPALIVE_MS);
  t.throws(() => hear(session, 0, { type: 'PONG', value: 1 }), { code: 'bad-message' });
  t.same(hear(session, 0, error({ code: 'internal', type: MESSAGE_TYPE.PING })), [], 'a PING may be refused');
});

t.test('more than there is room for is not read', async t => {
  const tooLarge = (session: PeerSession, header: StreamHeader): void => {
    t.throws(() => hear(session, 0, header), { code: 'too-large' }, header.type);
  };
  const length = MAX_LIST_BYTES + 1;
  tooLarge(inState('registered'), { type: 'BROADCAST_LIST', revision: 6, length });
  const [listing, asking] = [inState('registered'), inState('registered')];
  listing.askList(0);
  tooLarge(listing, { type: 'LIST_INFO', revision: 6, length });
  asking.ask({ type: 'INFO', song }, 0);
  tooLarge(asking, { type: 'SONG_INFO', song, length: MAX_ROW_BYTES + 2 });
});

t.test('questions are answered in order, and more than sixteen wait', async t => {
  const session = inState('registered');
  const questions = Array.from({ length: 20 }, (_, n): TrackerQuestion => ({ type: 'FIND', words: `${n}` }));
  const messages = questions.flatMap(question => sent(session.ask(question, 0)));
  t.same(messages, questions.slice(0, MAX_PIPELINED_REQUESTS));
  const row = { id: 10, hash: hashOf(1), hosts: [':7461'] };
  const effects = hear(session, 0, rows({ type: 'SONG_INFO', song: 0 }, row));
  t.match(effects, [
    { do: 'rows', question: questions[0], rows: [{ id: 10, hostCount: 1 }] },
    { do: 'answered', question: questions[0] },
    { do: 'send', message: questions[16] },
  ]);
  t.match(hear(session, 0, error({ code: 'unavailable', type: MESSAGE_TYPE.FIND })), [
    { do: 'refused', question: questions[1], error: { code: 'unavailable' } },
    { do: 'send', message: questions[17] },
  ]);
});

t.test('the whole list is asked once at a time, and once a second', async t => {
  const session = inState('registered');
  t.same(sent(session.askList(10)), [LIST]);
  t.same(session.askList(11), [], 'it is on its way');
  const effects = hear(session, 20, rows({ type: 'LIST_INFO', revision: 9 }, { id: 10, hash: hashOf(1) }));
  t.match(effects, [
    { do: 'list-begin', revision: 9, whole: true },
    { do: 'list-rows', rows: [{ kind: 'song', id: 10 }] },
    { do: 'list-end' },
  ]);
  t.same(session.askList(30), []);
  t.equal(session.nextDeadline(), 10 + LIST_AGAIN_MS);
  t.same(sent(session.expire(10 + LIST_AGAIN_MS)), [LIST]);
  t.same(hear(session, 2_000, error({ code: 'unavailable', type: MESSAGE_TYPE.LIST })), []);
});

t.test('own changes: the newest of each song, in UPDATEs of 64 KiB, two at a time', async t => {
  const session = inState('registered');
  const updates = (effects: PeerEffect[]) => sent(effects).filter(message => message.type === 'UPDATE');
  t.same(updates(session.offer([offer(1)], 0)), [{ type: 'UPDATE', changes: [offer(1)] }]);
  const many = Array.from({ length: 3_000 }, (_, n) => offer(n + 1));
  const second = updates(session.offer(many, 0));
  t.equal(second.length, 1, 'the first is still unanswered, and one more may be');
  t.ok(encode(second[0]!).length <= MAX_PAYLOAD_BYTES + 9);
  t.same(session.offer([{ hash: hashOf(2_999), gone: true }], 0), []);
  t.ok(session.idsOwed);
  const said = [...second];
  for (let answers = 0; answers < 20 && session.idsOwed; answers += 1)
    said.push(...updates(hear(session, 0, songIds())));
  const changes = said.flatMap(update => (update.type === 'UPDATE' ? update.changes : []));
  t.equal(changes.length, 3_000);
  t.same(
    changes.filter(change => change.hash === hashOf(2_999)),
    [{ hash: hashOf(2_999), gone: true }],
  );
  t.notOk(session.idsOwed);
});

t.test('changes wait for the WELCOME, and those from before LIST are in the list', async t => {
  const session = inState('greeting');
  t.same(session.offer([offer(1)], 0), []);
  hear(session, 0, LIST);
  t.same(session.offer([offer(2)], 0), []);
  hear(session, 0, songIds());
  t.same(sent(hear(session, 0, welcome())), [{ type: 'UPDATE', changes: [offer(2)] }]);
});

t.test('changes that the tracker delays are said again, others are given up', async t => {
  const session = inState('registered');
  session.offer([offer(1), offer(2)], 0);
  const delay = error({ code: 'busy', type: MESSAGE_TYPE.UPDATE, retryAfterMs: 700 });
  t.same(hear(session, 100, delay), []);
  t.same(session.offer([{ hash: hashOf(2), gone: true }], 200), []);
  t.equal(session.nextDeadline(), 800);
  t.same(sent(session.expire(800)), [
    { type: 'UPDATE', changes: [offer(1), { hash: hashOf(2), gone: true }] },
  ]);
  t.match(hear(session, 900, error({ code: 'refused', type: MESSAGE_TYPE.UPDATE })), [
    { do: 'changes-refused', changes: [offer(1), { gone: true }], error: { code: 'refused' } },
  ]);
});

t.test('an unreachable peer stays, echoes later proofs, and takes the IDs that they bring', async t => {
  const session = inState('proving');
  const unreachable = error({ code: 'unreachable', type: MESSAGE_TYPE.HELLO });
  t.match(hear(session, 0, unreachable), [{ do: 'unreachable' }]);
  t.match(hear(session, 0, welcome([])), [{ do: 'welcomed' }]);
  t.notOk(session.idsOwed);
  session.offer([offer(1)], 0);
  hear(session, 0, songIds({ hash: hashOf(1), error: 'unreachable' }));
  t.same(sent(session.echo(9, 300_000)), [{ type: 'PONG', value: 9 }]);
  t.match(hear(session, 300_001, songIds({ hash: hashOf(1), id: 3 })), [{ do: 'song-ids' }]);
  hear(session, 300_002, welcome());
  t.same(session.echo(10, 300_003), []);
  const onlyListens = new PeerSession({ port: 0 }, 0);
  hear(onlyListens, 0, welcome([]));
  t.throws(() => hear(onlyListens, 0, songIds()), { code: 'bad-message' }, 'who hosts nothing is owed none');
});

t.test('PINGs at the song server are echoed at most 32 times a minute', async t => {
  const session = inState('proving');
  const echoed = (now: number) => Array.from({ length: 40 }, (_, n) => session.echo(n, now)).flat().length;
  t.equal(echoed(0), MAX_PROOF_PINGS_PER_MINUTE);
  t.equal(echoed(59_999), 0);
  t.equal(echoed(60_000), MAX_PROOF_PINGS_PER_MINUTE);
});

t.test('why a registration ends is told', async t => {
  const replaced = inState('registered');
  t.match(hear(replaced, 0, error({ code: 'replaced' })), [{ do: 'close', error: { code: 'replaced' } }]);
  t.equal(replaced.state, 'closed');
  t.equal(replaced.nextDeadline(), undefined);
  t.same(replaced.expire(1e9), []);
  t.same(replaced.quit(), []);
  const refused = inState('greeting');
  t.match(hear(refused, 0, error({ code: 'refused', type: MESSAGE_TYPE.HELLO })), [
    { do: 'close', error: { code: 'refused' } },
  ]);
  t.match(hear(inState('greeting'), 0, error({ code: 'internal' })), [{ do: 'warned' }]);
  t.match(sent(inState('registered').quit()), [{ type: 'QUIT' }]);
});

t.test('a peer that is silent is pinged for, a tracker that is silent is gone', async t => {
  const session = inState('registered');
  t.equal(session.nextDeadline(), KEEPALIVE_MS);
  session.spoke(5_000);
  t.same(session.expire(KEEPALIVE_MS), []);
  t.match(sent(session.expire(5_000 + KEEPALIVE_MS)), [{ type: 'PING' }]);
  t.same(hear(session, 21_000, { type: 'PONG', value: 20_000 }), []);
  session.heard(30_000);
  session.spoke(74_000);
  t.equal(session.nextDeadline(), 30_000 + SILENCE_MS);
  t.match(session.expire(30_000 + SILENCE_MS), [{ do: 'close', error: TransportError }]);
});

t.test('a keepalive needs no room of its own', async t => {
  const session = inState('registered');
  for (let n = 0; n < MAX_PIPELINED_REQUESTS; n += 1) session.ask({ type: 'FIND', words: `${n}` }, 0);
  session.heard(KEEPALIVE_MS);
  t.same(session.expire(KEEPALIVE_MS), []);
  t.equal(session.nextDeadline(), 2 * KEEPALIVE_MS);
});

t.test('a registration that takes too long is given up', async t => {
  const session = inState('greeting');
  session.heard(REGISTRATION_MS - 1);
  session.spoke(REGISTRATION_MS - 1);
  t.equal(session.nextDeadline(), REGISTRATION_MS);
  t.match(session.expire(REGISTRATION_MS), [{ do: 'close', error: TransportError }]);
});

t.test('a PONG while proving is taken wherever the songs stand', async t => {
  const session = inState('proving');
  t.match(sent(session.expire(KEEPALIVE_MS)), [{ type: 'PING', value: KEEPALIVE_MS }]);
  t.same(hear(session, KEEPALIVE_MS, { type: 'PONG', value: KEEPALIVE_MS }), []);
  t.match(hear(session, KEEPALIVE_MS, songIds({ hash: hashOf(1), id: 1 })), [{ do: 'song-ids' }]);
});

t.test('a request that we don’t know is told so', async t => {
  t.match(sent(hear(inState('registered'), 0, Buffer.from([0x30, 0, 0, 0, 0]))), [
    { type: 'ERROR', error: { code: 'unknown-type', type: 0x30 } },
  ]);
  t.match(sent(hear(inState('registered'), 0, { type: 'PING', value: 6 })), [{ type: 'PONG', value: 6 }]);
});

t.test('whatever comes, it is an effect or a RemoteProtocolError', async () => {
  const message = fc.constantFrom(...Object.values(MESSAGES));
  fc.assert(
    fc.property(
      fc.constantFrom<PeerState>('greeting', 'proving', 'registered'),
      fc.array(message),
      (state, messages) => {
        const session = inState(state);
        try {
          for (const [index, one] of messages.entries()) {
            hear(session, index, one);
            session.askList(index);
            session.offer([offer(index)], index);
          }
        } catch (failure) {
          if (!(failure instanceof RemoteProtocolError)) throw failure;
        }
      },
    ),
  );
});
