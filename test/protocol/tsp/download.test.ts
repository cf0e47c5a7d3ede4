/** The asking end of a transfer, told by hand and by bytes. */
import fc from 'fast-check';
import t from 'tap';
import { LocalProtocolError, RemoteProtocolError, TransportError } from '../../../protocol/errors.js';
import { encode } from '../../../protocol/tsp/codec.js';
import {
  MAX_FIND_ROWS,
  MAX_LIST_BYTES,
  MAX_PIPELINED_REQUESTS,
  MAX_ROW_BYTES,
  MESSAGE_TYPE,
  type MessageName,
} from '../../../protocol/tsp/constants.js';
import {
  DOWNLOAD_TABLE,
  Download,
  type DownloadEvent,
  MAX_HASH_LIST_BYTES,
  type Question,
} from '../../../protocol/tsp/download.js';
import { type FrameEvent, Framer } from '../../../protocol/tsp/framing.js';
import type { ErrorBody, Message, SongId } from '../../../protocol/tsp/messages.js';
import { SAMPLES, type Samples } from './samples.js';

const song = 10 as SongId;
const PATIENCE_MS = 5_000;

const QUESTIONS: { readonly [T in Question['type']]: Extract<Question, { type: T }> } = {
  LIST: { type: 'LIST' },
  INFO: { type: 'INFO', song },
  FIND: { type: 'FIND', words: 'so what' },
  PLAY: { type: 'PLAY', song },
  RANGE: { type: 'RANGE', song, offset: 0, count: 4 },
  HASHES: { type: 'HASHES', song, level: 6 },
  PING: { type: 'PING', value: 77 },
  HELLO: { type: 'HELLO', port: 0, hello: { tsp: 1 } },
};

const MESSAGES: Samples = {
  ...SAMPLES,
  ERROR: { type: 'ERROR', song, error: { code: 'internal', type: 0 } },
};

function session(...questions: Question[]): Download {
  const download = new Download({ patienceMs: PATIENCE_MS });
  for (const question of questions) download.ask(question, 0);
  return download;
}

/** What the session makes of these bytes. */
function hear(download: Download, ...parts: (Message | Uint8Array)[]): DownloadEvent[] {
  const framer = new Framer();
  const events: DownloadEvent[] = [];
  for (const part of parts) framer.push(part instanceof Uint8Array ? part : encode(part));
  for (let event = framer.next(); event !== undefined; event = framer.next())
    events.push(...download.receive(event, 0));
  return events;
}

const refusal = (question: Question, error: Omit<ErrorBody, 'type'>): Message => ({
  type: 'ERROR',
  song,
  error: { ...error, type: MESSAGE_TYPE[question.type] },
});
const badMessage = { name: 'RemoteProtocolError', code: 'bad-message' };

t.test('the table is what the session does, for every question and every message', async t => {
  for (const state of Object.keys(DOWNLOAD_TABLE) as (keyof typeof DOWNLOAD_TABLE)[]) {
    for (const name of Object.keys(MESSAGES) as MessageName[]) {
      const live = state === 'live PLAY';
      const question = state === 'idle' ? undefined : live ? QUESTIONS.PLAY : QUESTIONS[state];
      const download = new Download({ patienceMs: PATIENCE_MS });
      if (question !== undefined) download.ask(question, 0, { live });
      const message =
        name === 'ERROR' && question !== undefined ? refusal(question, { code: 'busy' }) : MESSAGES[name];
      const step = DOWNLOAD_TABLE[state][name];
      const unasked = name === 'ERROR' && question === undefined;
      if (step === undefined || unasked)
        t.throws(() => hear(download, message), badMessage, `${name} when ${state}`);
      else {
        const kinds = hear(download, message).map(event => event.kind);
        const expected = {
          answer: 'answered',
          run: 'begun',
          news: 'begun',
          'answer the PING': 'send',
          refusal: 'refused',
          warning: 'warned',
        }[step];
        t.ok(kinds.includes(expected as (typeof kinds)[number]), `${name} when ${state}: ${kinds}`);
      }
    }
  }
});

t.test('answers come in the order of the questions', async t => {
  const first: Question = { type: 'RANGE', song, offset: 0, count: 4 };
  const second: Question = { type: 'RANGE', song, offset: 4, count: 4 };
  const download = session(QUESTIONS.HASHES, first, QUESTIONS.INFO, second);
  t.equal(download.owed, 4);
  t.equal(download.room, MAX_PIPELINED_REQUESTS - 4);
  const nodes = Buffer.alloc(64, 7);
  const row = Buffer.from('{"id":10,"title":"a"}\n{"id":11}');
  const events = hear(
    download,
    { type: 'HASH_LIST', song, length: 64 },
    nodes,
    { type: 'SONG_DATA', song, length: 4 },
    Buffer.from('abcd'),
    { type: 'SONG_INFO', song, length: row.length },
    row,
    { type: 'SONG_DATA', song, length: 2 },
    Buffer.from('ef'),
  );
  t.match(events, [
    { kind: 'begun', question: QUESTIONS.HASHES },
    { kind: 'answered', question: QUESTIONS.HASHES, nodes: new Uint8Array(nodes) },
    { kind: 'begun', question: first },
    { kind: 'data', question: first },
    { kind: 'answered', question: first },
    { kind: 'begun', question: QUESTIONS.INFO },
    { kind: 'rows', rows: [{ id: 10, title: 'a' }] },
    { kind: 'rows', rows: [{ id: 11 }] },
    { kind: 'answered', question: QUESTIONS.INFO },
    { kind: 'begun', question: second },
    { kind: 'data', question: second },
    { kind: 'answered', question: second },
  ]);
  t.equal(download.owed, 0);
});

t.test('what was not asked for is refused', async t => {
  const cases: Record<string, [Question, Message, number?]> = {
    'more than asked': [QUESTIONS.RANGE, { type: 'SONG_DATA', song, length: 5 }],
    'less than there must be': [QUESTIONS.RANGE, { type: 'SONG_DATA', song, length: 3 }, 4],
    'less than the least': [QUESTIONS.RANGE, { type: 'SONG_DATA', song, length: 1 }, 2],
    'another song': [QUESTIONS.PLAY, { type: 'SONG_DATA', song: 11 as SongId, length: 4 }],
    'another ping': [QUESTIONS.PING, { type: 'PONG', value: 78 }],
    'another error': [QUESTIONS.PLAY, refusal(QUESTIONS.INFO, { code: 'busy' })],
  };
  for (const [name, [question, message, least]] of Object.entries(cases)) {
    const download = new Download({ patienceMs: PATIENCE_MS });
    download.ask(question, 0, { least });
    t.throws(() => hear(download, message), badMessage, name);
  }
  t.throws(
    () => hear(session(QUESTIONS.HASHES), { type: 'HASH_LIST', song, length: MAX_HASH_LIST_BYTES + 32 }),
    { code: 'too-large' },
    'hashes of a song longer than any',
  );
  const info = (question: Question, length: number) => () =>
    hear(session(question), { type: 'SONG_INFO', song: 'song' in question ? question.song : 0, length });
  const row = MAX_ROW_BYTES + 1;
  for (const question of [QUESTIONS.INFO, QUESTIONS.RANGE]) {
    t.doesNotThrow(info(question, row));
    t.throws(info(question, row + 1), { code: 'too-large' }, `more than a row to ${question.type}`);
  }
  t.doesNotThrow(info(QUESTIONS.FIND, MAX_FIND_ROWS * row));
  t.throws(info(QUESTIONS.FIND, MAX_FIND_ROWS * row + 1), { code: 'too-large' }, 'more than FIND has');
  const list = (length: number) => () =>
    hear(session(QUESTIONS.LIST), { type: 'LIST_INFO', revision: 1, length });
  for (const whole of [list, (length: number) => info({ type: 'INFO', song: 0 }, length)]) {
    t.doesNotThrow(whole(MAX_LIST_BYTES));
    t.throws(whole(MAX_LIST_BYTES + 1), { code: 'too-large' }, 'more of a list than there is room for');
  }
});

t.test('a question by hash alone may be answered with the ID that the host knows', async t => {
  const range: Question = { type: 'RANGE', song: 0, offset: 0, count: 0 };
  t.equal(hear(session(range), { type: 'SONG_DATA', song, length: 0 }).at(-1)?.kind, 'answered');
});

t.test('a live feed is one run after the other, with news between, until one is empty', async t => {
  const download = new Download({ patienceMs: PATIENCE_MS });
  download.ask(QUESTIONS.PLAY, 0, { live: true });
  const row = Buffer.from('{"live":true,"title":"So What"}\n');
  const heard = hear(
    download,
    { type: 'SONG_INFO', song, length: row.length },
    row,
    { type: 'SONG_DATA', song, length: 2 },
    Buffer.from('ab'),
    { type: 'PING', value: 3 },
    { type: 'SONG_DATA', song, length: 1 },
    Buffer.from('c'),
  );
  t.same(
    heard.map(({ kind }) => kind),
    ['begun', 'rows', 'begun', 'data', 'send', 'begun', 'data'],
  );
  t.equal(download.owed, 1);
  t.same(
    hear(download, { type: 'SONG_DATA', song, length: 0 }).map(({ kind }) => kind),
    ['begun', 'answered'],
  );
  t.equal(download.owed, 0);
  download.ask(QUESTIONS.PLAY, 0, { live: true });
  t.throws(
    () => hear(download, { type: 'SONG_DATA', song, length: 65_537 }),
    badMessage,
    'no run is so long',
  );
});

t.test('an ERROR without a type is a warning in any state; unknown requests are told so', async t => {
  const warning: Message = { type: 'ERROR', song: 0, error: { code: 'too-many' } };
  const asked = session(QUESTIONS.PLAY);
  t.match(hear(asked, warning), [{ kind: 'warned', error: { code: 'too-many' } }]);
  t.equal(asked.owed, 1);
  t.match(hear(session(), Buffer.from([0x09, 0, 0, 0, 0])), [
    { kind: 'send', message: { type: 'ERROR', error: { code: 'unknown-type', type: 9 } } },
  ]);
});

t.test('sixteen questions are open at most', async t => {
  const download = session(...Array.from({ length: MAX_PIPELINED_REQUESTS }, () => ({ ...QUESTIONS.LIST })));
  t.equal(download.room, 0);
  t.throws(() => download.ask(QUESTIONS.LIST, 0), LocalProtocolError);
});

t.test('patience runs while an answer is owed, and every part of one renews it', async t => {
  const download = session();
  t.equal(download.nextDeadline(), undefined);
  t.equal(download.expire(1e9), undefined);
  download.ask(QUESTIONS.PING, 1_000);
  t.equal(download.nextDeadline(), 1_000 + PATIENCE_MS);
  download.ask(QUESTIONS.LIST, 1_000);
  download.receive({ kind: 'message', message: { type: 'PONG', value: QUESTIONS.PING.value } }, 3_000);
  t.equal(download.expire(1_000 + PATIENCE_MS), undefined);
  t.equal(download.nextDeadline(), 3_000 + PATIENCE_MS);
  const warning = { type: 'ERROR', song: 0, error: { code: 'internal' } } as const;
  download.receive({ kind: 'message', message: { type: 'PING', value: 1 } }, 5_000);
  download.receive({ kind: 'message', message: warning }, 5_000);
  download.receive({ kind: 'unknown', type: 0x3f }, 5_000);
  t.ok(download.expire(3_000 + PATIENCE_MS) instanceof TransportError, 'who says nothing else has no answer');
  const feed = new Download({ patienceMs: PATIENCE_MS });
  feed.ask(QUESTIONS.PLAY, 1_000, { live: true });
  feed.receive({ kind: 'message', message: { type: 'PING', value: 1 } }, 3_000);
  t.equal(feed.nextDeadline(), 3_000 + PATIENCE_MS, 'a feed may have nothing to say for a while');
});

t.test('whatever frames come, the session ends in a RemoteProtocolError or goes on', async () => {
  const frame = fc.constantFrom<FrameEvent>(
    ...Object.values(MESSAGES).flatMap((message): FrameEvent[] => {
      if (!('length' in message)) return [{ kind: 'message', message } as FrameEvent];
      const header = { ...message, length: 64 } as Extract<FrameEvent, { kind: 'stream' }>['header'];
      return [{ kind: 'stream', header }];
    }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...Object.values(QUESTIONS)), { maxLength: 16 }),
      fc.array(frame),
      (asked, frames) => {
        const download = session(...asked);
        try {
          for (const event of frames) {
            download.receive(event, 0);
            if (event.kind !== 'stream') continue;
            download.receive({ kind: 'data', bytes: Buffer.from(`{"a":1}\n`.repeat(8)) }, 0);
            download.receive({ kind: 'end', header: event.header }, 0);
          }
        } catch (error) {
          if (!(error instanceof RemoteProtocolError)) throw error;
        }
      },
    ),
  );
});
