/**
 * The server's session, driven with the messages that clients send, on a clock of numbers: who may say what when, what it
 * answers, how it ends, and each of its deadlines.
 */
import t from 'tap';
import { U32_MAX } from '../../../protocol/bytes.js';
import {
  CLOSE_AFTER_MS,
  CONNECT_MS,
  HANDSHAKE_MS,
  MAX_MESSAGE_STREAMS,
  PING_MS,
  PLAYER_SILENCE_MS,
  ROLE_MS,
} from '../../../protocol/rtmp/constants.js';
import type { RtmpEffect } from '../../../protocol/rtmp/effects.js';
import type { Message } from '../../../protocol/rtmp/messages.js';
import { ServerSession } from '../../../protocol/rtmp/server-session.js';
import { arrivals } from '../../support/arrivals.js';
import { clientHello, command, connect, metadata, RtmpHearing, said } from '../../support/rtmp-client.js';
import { filler } from '../../support/rtmp-vectors.js';

const FRAME = Buffer.concat([Buffer.of(0x2f), filler(417, 3)]);

/** What the shell does with each question; the default lets everybody in. */
type Answers = { readonly [K in RtmpEffect['do']]?: (session: ServerSession, effect: never) => RtmpEffect[] };

/** A session, what its client hears, and what the shell was told to do. */
function converse(answers: Answers = {}) {
  const session = new ServerSession({ randomBytes: length => filler(length, 7), now: 0 });
  const hearing = new RtmpHearing();
  const effects: RtmpEffect[] = [];
  let now = 0;
  const usual: Answers = {
    connect: () => session.admit(now),
    publish: () => session.publishing(now),
    play: () => session.playing({ isRecorded: false, about: { audiocodecid: 2 } }, now),
    seek: () => session.sought(),
  };
  const perform = (some: readonly RtmpEffect[]): void => {
    for (const effect of some) {
      if (effect.do === 'send') for (const piece of effect.pieces) hearing.hear(piece);
      else effects.push(effect);
      const answer = answers[effect.do] ?? usual[effect.do];
      if (answer !== undefined) perform(answer(session, effect as never));
    }
  };
  const settle = (some: readonly RtmpEffect[]): void => {
    for (let more = some; more.length > 0; more = session.proceed(now)) perform(more);
  };
  const receive = (bytes: Uint8Array): void => settle(session.receive(bytes, now));
  return {
    session,
    hearing,
    effects,
    receive,
    settle,
    say: (message: Message, stream = 0) => receive(said(message, stream)),
    at: (ms: number) => {
      now = ms;
      settle(session.expire(now));
    },
    did: (kind: RtmpEffect['do']) => effects.filter(effect => effect.do === kind),
  };
}

/** Up to createStream. */
function connected(answers: Answers = {}, app = 'live') {
  const conversation = converse(answers);
  conversation.receive(clientHello());
  conversation.say(connect(app));
  conversation.say(command('createStream', 2, null));
  return conversation;
}

function publishing(answers: Answers = {}) {
  const conversation = connected(answers);
  conversation.say(command('publish', 5, null, 'key', 'live'), 1);
  return conversation;
}

function playing(answers: Answers = {}) {
  const conversation = connected(answers);
  conversation.say(command('play', 4, null, 'name', -2000), 1);
  return conversation;
}

const WHOLE_PUBLISH = Buffer.concat([
  clientHello(),
  said({ kind: 'set-chunk-size', bytes: 128 }),
  said(connect('live')),
  said(command('releaseStream', 2, null, 'key')),
  said(command('FCPublish', 3, null, 'key')),
  said(command('createStream', 4, null)),
  said(command('publish', 5, null, 'key', 'live'), 1),
  said(metadata({ title: 'Olé', audiocodecid: 2 }), 1),
  said({ kind: 'audio', timestamp: 0, body: FRAME }, 1, 0),
  said({ kind: 'audio', timestamp: 26, body: FRAME }, 1, 26),
  said(command('FCUnpublish', 6, null, 'key')),
  said(command('deleteStream', 7, null, 1)),
]);

t.test('a publisher, however its bytes come', async t => {
  for (const pieces of arrivals(WHOLE_PUBLISH)) {
    const { receive, hearing, effects, session } = converse();
    for (const piece of pieces) receive(piece);
    t.same(hearing.told, [
      'window-ack-size',
      'set-peer-bandwidth',
      'set-chunk-size',
      'NetConnection.Connect.Success',
      '_result',
      '_result',
      '_result',
      'NetStream.Publish.Start',
    ]);
    t.same(
      effects.map(effect => effect.do),
      ['connect', 'publish', 'metadata', 'audio', 'audio', 'done'],
    );
    t.same(effects[1], { do: 'publish', path: { room: 'live', name: 'key' } });
    t.same(effects[3], { do: 'audio', timestamp: 0, body: FRAME });
    t.equal(session.state, 'idle');
  }
});

t.test('createStream answers with the stream that publish must name', async t => {
  const { hearing, say } = connected();
  t.same(hearing.messages.at(-1), { kind: 'command', name: '_result', transaction: 2, values: [null, 1] });
  t.throws(() => say(command('publish', 0, null, 'key'), 2), { code: 'bad-message' }, 'nobody made it');
});

t.test('so many message streams and not one more', async t => {
  const { hearing, say } = connected();
  for (let i = 1; i < MAX_MESSAGE_STREAMS; i += 1) say(command('createStream', 2 + i, null));
  t.equal(hearing.status('NetConnection.Call.Failed'), undefined);
  say(command('createStream', 99, null));
  t.ok(hearing.status('NetConnection.Call.Failed'));
  say(command('deleteStream', 0, null, 1));
  say(command('createStream', 100, null));
  t.same(hearing.messages.at(-1), {
    kind: 'command',
    name: '_result',
    transaction: 100,
    values: [null, MAX_MESSAGE_STREAMS + 1],
  });
});

t.test('GStreamer: publish with transaction 0, metadata again and again', async t => {
  const { say, did } = connected();
  say(command('publish', 0, null, 'key', 'live'), 1);
  say({ kind: 'data', values: ['onMetaData', new Map([['title', 'a']])] }, 1);
  say(metadata({ title: 'b' }), 1);
  t.equal(did('metadata').length, 2);
  say({ kind: 'data', values: ['@setDataFrame'] }, 1);
  say({ kind: 'data', values: ['onCuePoint', new Map()] }, 1);
  t.equal(did('metadata').length, 2, 'other data means nothing');
});

t.test('what comes before its time is not taken', async t => {
  const { receive, say, hearing, effects } = converse();
  receive(clientHello());
  say(command('createStream', 2, null));
  say(command('publish', 3, null, 'key'), 1);
  say({ kind: 'audio', timestamp: 0, body: FRAME }, 1);
  say(metadata({ title: 'x' }), 1);
  t.same([hearing.told, effects], [[], []]);
  say(connect('live'));
  say({ kind: 'audio', timestamp: 0, body: FRAME }, 1);
  say(metadata({ title: 'x' }), 1);
  say(command('seek', 0, null, 5), 1);
  say(command('pause', 0, null, true, 5), 1);
  t.same(
    effects.map(effect => effect.do),
    ['connect'],
  );
});

t.test('connect without an application, and a name that is none', async t => {
  const { receive, say, effects } = converse();
  receive(clientHello());
  say(command('connect', 1));
  t.same(effects, [{ do: 'connect', app: '' }]);
  say(command('createStream', 2));
  say(command('publish', 3, null, 7), 1);
  t.same(effects.at(-1), { do: 'publish', path: undefined });
});

t.test('while a question is open nothing is read', async t => {
  const { session, receive, did, settle, hearing } = connected({ publish: () => [] });
  receive(
    Buffer.concat([
      said(command('publish', 5, null, 'key'), 1),
      said({ kind: 'audio', timestamp: 0, body: FRAME }, 1),
    ]),
  );
  t.notOk(session.wantsInput);
  receive(said({ kind: 'audio', timestamp: 0, body: FRAME }, 1));
  t.equal(session.nextDeadline(), undefined, 'and nothing expires');
  t.same(did('audio'), []);
  settle(session.publishing(0));
  t.equal(did('audio').length, 2);
  t.ok(hearing.status('NetStream.Publish.Start'));
  t.throws(() => session.publishing(0), /nobody asked/, 'an answer to nothing is a bug of ours');
});

t.test(
  'a refused publisher reads why before the connection ends, and nothing more is read of it',
  async t => {
    const refuse = (session: ServerSession) => session.refuse('NetStream.Publish.BadName', 'Taken.');
    const { hearing, did, session, receive, settle } = publishing({ publish: refuse });
    t.equal(hearing.status('NetStream.Publish.BadName')?.get('level'), 'error');
    t.same(did('close'), [{ do: 'close', afterMs: CLOSE_AFTER_MS, why: 'NetStream.Publish.BadName' }]);
    t.notOk(session.wantsInput);
    t.same(session.receive(said(command('createStream', 9, null)), 0), []);
    t.same([session.dismiss('again'), session.nextDeadline()], [[], undefined]);
    settle(session.endPlay('song'));
    receive(Buffer.of(1));
  },
);

t.test('a rejected connect', async t => {
  const reject = (session: ServerSession) => session.reject('NetConnection.Connect.InvalidApp', 'No.');
  const { hearing, did } = connected({ connect: reject });
  t.same(hearing.told, ['NetConnection.Connect.InvalidApp']);
  t.equal(hearing.messages.length, 1);
  t.equal(did('close').length, 1);
});

t.test('a player hears that it begins before the audio, and each end that some client waits for', async t => {
  const { session, hearing, settle, did } = playing();
  t.same(hearing.told.slice(5), [
    'stream-begin',
    'NetStream.Play.Reset',
    'NetStream.Play.Start',
    '|RtmpSampleAccess',
    'onMetaData',
  ]);
  t.same(did('play'), [
    { do: 'play', path: { room: 'live', name: 'name' }, startMs: 0, lengthMs: undefined },
  ]);
  const [title] = session.tell({ title: 'Next' });
  t.ok(title);
  settle(session.endPlay('feed'));
  t.same(hearing.told.slice(10), ['NetStream.Play.UnpublishNotify', 'NetStream.Play.Stop', 'stream-eof']);
  t.equal(did('close').length, 1);
  t.same(session.tell({ title: 'Too late' }), []);
});

t.test('a song that ends, and one that the peer ends', async t => {
  const song = playing({
    play: session => session.playing({ isRecorded: true, about: { duration: 3 } }, 0),
  });
  song.settle(song.session.endPlay('song'));
  t.same(song.hearing.told.slice(10), ['onPlayStatus', 'NetStream.Play.Stop', 'stream-eof']);
  const stopped = playing();
  stopped.settle(stopped.session.dismiss('the peer stops'));
  t.ok(stopped.hearing.status('NetStream.Play.UnpublishNotify'));
});

t.test('play from there, for so long', async t => {
  const { say, did } = connected();
  say(command('play', 4, null, 'name', 5000, 2000), 1);
  t.match(did('play'), [{ startMs: 5000, lengthMs: 2000 }]);
  say(command('play', 5, null, 'other', -1000, -1), 1);
  t.equal(did('done').length, 1, 'the first is done');
  t.match(did('play')[1], { startMs: 0, lengthMs: undefined });
  say(command('play', 6, null, 'other', Number.NaN, Number.NaN), 1);
  t.match(did('play')[2], { startMs: 0, lengthMs: undefined });
});

t.test('seek, pause and the buffer', async t => {
  const { say, hearing, did } = playing();
  say({ kind: 'user-control', event: 'set-buffer-length', stream: 1, ms: 3000 });
  t.same(did('buffer-length'), [{ do: 'buffer-length', ms: 3000 }]);
  say(command('seek', 0, null, 8000), 1);
  say(command('seek', 0, null, Number.POSITIVE_INFINITY), 1);
  t.same(did('seek'), [
    { do: 'seek', ms: 8000 },
    { do: 'seek', ms: U32_MAX },
  ]);
  t.same(hearing.told.slice(-3), ['stream-begin', 'NetStream.Seek.Notify', 'NetStream.Play.Start']);
  say(command('pause', 0, null, true, 8000), 1);
  say(command('pauseRaw', 0, null, false, 8000), 1);
  t.same(did('pause'), [
    { do: 'pause', paused: true },
    { do: 'pause', paused: false },
  ]);
  t.same(hearing.told.slice(-2), ['NetStream.Pause.Notify', 'NetStream.Unpause.Notify']);
  say(command('closeStream', 0, null), 1);
  t.equal(did('done').length, 1);
});

t.test('a connection does one thing', async t => {
  const { say } = publishing();
  say(command('createStream', 6, null));
  t.throws(() => say(command('play', 7, null, 'name'), 2), { code: 'too-many' });
});

t.test('a stream that is deleted twice, and one that there is not', async t => {
  const { say, did } = publishing();
  say(command('deleteStream', 0, null, 77));
  say(command('deleteStream', 0, null, 'x'));
  say(command('closeStream', 0, null), 5);
  t.same(did('done'), []);
  say(command('deleteStream', 0, null, 1));
  say(command('deleteStream', 0, null, 1));
  say(command('FCUnpublish', 0, null, 'key'));
  t.equal(did('done').length, 1);
});

t.test('pings are answered, commands that there are not get an error, others silence', async t => {
  const { say, hearing } = playing();
  const before = hearing.messages.length;
  say({ kind: 'user-control', event: 'ping-request', value: 7 });
  t.same(hearing.messages.at(-1), { kind: 'user-control', event: 'ping-response', value: 7 });
  say(command('getStreamLength', 3, null, 'name'));
  say(command('_checkbw', 8, null));
  say(command('whatever', 0, null));
  say({ kind: 'abort', chunkStream: 9 });
  say({ kind: 'user-control', event: 'stream-eof', stream: 1 });
  t.equal(hearing.messages.length, before + 1);
  say(command('play2', 9, null));
  t.equal(hearing.messages.at(-1)?.kind === 'command' && hearing.told.at(-1), 'NetConnection.Call.Failed');
});

t.test('half a window after the last, what arrived is acknowledged', async t => {
  const { say, receive, hearing } = publishing();
  say({ kind: 'window-ack-size', bytes: 1 });
  const acknowledged = () => hearing.messages.filter(({ kind }) => kind === 'acknowledgement');
  t.equal(acknowledged().length, 1, 'a window of a byte is 4 KiB: all that came so far');
  for (let i = 0; i < 4; i += 1) receive(said({ kind: 'audio', timestamp: 0, body: FRAME }, 1));
  t.equal(acknowledged().length, 1);
  for (let i = 0; i < 4; i += 1) receive(said({ kind: 'audio', timestamp: 0, body: FRAME }, 1));
  t.equal(acknowledged().length, 2);
});

t.test('each state has its time', async t => {
  const silent = converse();
  silent.receive(clientHello().subarray(0, 1_000));
  silent.at(HANDSHAKE_MS - 1);
  t.same(silent.effects, []);
  silent.at(HANDSHAKE_MS);
  t.match(silent.effects, [{ do: 'close' }]);

  const greeted = converse();
  greeted.receive(clientHello());
  t.equal(greeted.session.nextDeadline(), CONNECT_MS);
  greeted.at(CONNECT_MS);
  t.match(greeted.effects, [{ do: 'close' }]);

  const idle = connected();
  t.equal(idle.session.nextDeadline(), ROLE_MS);
  idle.at(ROLE_MS);
  t.equal(idle.did('close').length, 1);

  t.equal(publishing().session.nextDeadline(), undefined, 'a publisher’s silence is its feed’s affair');
});

t.test('a player is asked whether it lives, and dropped when it says nothing', async t => {
  const { session, at, hearing, say, did } = playing();
  at(PING_MS - 1);
  t.notOk(hearing.told.includes('ping-request'));
  at(PING_MS);
  t.ok(hearing.told.includes('ping-request'));
  say({ kind: 'user-control', event: 'ping-response', value: PING_MS });
  at(2 * PING_MS);
  at(PING_MS + PLAYER_SILENCE_MS - 1);
  t.equal(session.state, 'playing');
  at(PING_MS + PLAYER_SILENCE_MS);
  t.equal(did('close').length, 1);
});

t.test('the peer dismisses whoever is there', async t => {
  const publisher = publishing();
  publisher.settle(publisher.session.dismiss('Somebody else took over.'));
  t.equal(
    publisher.hearing.status('NetStream.Publish.Rejected')?.get('description'),
    'Somebody else took over.',
  );
  const idle = connected();
  idle.settle(idle.session.dismiss('The peer stops.'));
  t.equal(idle.did('close').length, 1);
});
