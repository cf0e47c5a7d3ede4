/** The player's logic on a virtual clock, with an audio process that says what the test wants to hear. */
import t from 'tap';
import { Player } from '../../../peer/playback/player.js';
import type { PlayableSong, PlayerEvent } from '../../../peer/playback/player-events.js';
import { Queue } from '../../../peer/playback/queue.js';
import { RequestError, TransportError } from '../../../protocol/errors.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import { mp3Bytes } from '../../support/mp3.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { FakeAudio } from './fake-audio.js';
import { streamOf } from './jukebox.js';

const LENGTH = 200_000;
const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 20; turns++) await new Promise(resolve => setImmediate(resolve));
};

interface Opened {
  readonly song: string;
  readonly fromByte: number;
  readonly urgency: string | undefined;
  cancelled: boolean;
}

function stage() {
  const clock = new VirtualClock(1_000);
  const audio = new FakeAudio();
  const player = new Player({ audio, clock, logger: new RecordingLogger() });
  const events: PlayerEvent[] = [];
  player.onEvent(event => {
    if (event.kind !== 'progress') events.push(event);
  });
  const opened: Opened[] = [];
  const song = (
    title: string,
    options: { bytes?: Uint8Array; duration?: number; breaks?: Error; waiting?: string } = {},
  ): PlayableSong => ({
    row: {
      id: 1 as SongId,
      title,
      duration: options.duration ?? 100,
      bitrate: 128_000,
      hosts: [],
      hostCount: 1,
    },
    open: (fromByte, urgency) => {
      const one: Opened = { song: title, fromByte, urgency, cancelled: false };
      opened.push(one);
      const stream = streamOf(options.bytes ?? Buffer.alloc(LENGTH), fromByte, options.breaks);
      const { waiting } = options;
      const report = () => ({ ...stream.report(), ...(waiting !== undefined && { waiting }) });
      return { ...stream, report, cancel: () => (one.cancelled = true) };
    },
  });
  /** What was told, shortly. */
  const story = (): string[] =>
    events.splice(0).map(event => {
      if (event.kind === 'ended') return `${event.song.title} ${event.summary.outcome}`;
      if (event.kind === 'started') return `${event.song.title} started in ${event.startedInMs}`;
      return event.kind;
    });
  return { clock, audio, player, events, opened, song, story };
}

t.test('a song is handed over whole, and told of from its start to its end', async t => {
  const { clock, audio, player, song, story } = stage();
  t.equal(player.state().state, 'stopped');
  player.play([song('a')]);
  t.match(player.state(), { state: 'buffering', waiting: 'loading', song: { title: 'a' }, current: 0 });
  await settled();
  t.equal(player.state().waiting, 'opening the sound', 'the bytes are here');
  t.strictSame(audio.told, ['begin 1', 'end 1']);
  t.equal(Buffer.concat(audio.songs[0]!.bytes).length, LENGTH);
  clock.advance(10);
  audio.started(1, 2);
  audio.position(1, 12.5);
  t.match(player.state(), {
    state: 'playing',
    positionSeconds: 12.5,
    durationSeconds: 100,
    bufferedSeconds: 12.5,
  });
  audio.position(1, 13, 1, true);
  t.equal(player.state().state, 'buffering');
  audio.ended(1);
  t.strictSame(story(), ['a started in 8', 'a finished', 'idle']);
  t.match(player.state(), { state: 'stopped', positionSeconds: 0, current: undefined, song: undefined });
});

t.test('who waits for a host is told for which', async t => {
  const { audio, player, song } = stage();
  player.play([song('a', { waiting: 'waiting for 10.0.0.4:7461' })]);
  t.match(player.state(), { state: 'buffering', waiting: 'waiting for 10.0.0.4:7461' });
  await settled();
  audio.started(1);
  audio.position(1, 1);
  t.equal(player.state().waiting, undefined, 'it plays');
});

t.test('the next song is handed over behind this one, as soon as this one is whole', async t => {
  const { clock, audio, player, opened, song, story } = stage();
  player.play([song('a'), song('b'), song('c'), song('d'), song('e')]);
  await settled();
  t.strictSame(
    opened.map(each => [each.song, each.urgency]),
    [
      ['a', 'now'],
      ['b', 'ahead'],
      ['c', 'ahead'],
      ['d', 'ahead'],
    ],
  );
  t.strictSame(audio.told.slice(0, 4), ['begin 1', 'end 1', 'begin 2', 'end 2'], 'never before');
  audio.started(1);
  clock.advance(100_000);
  audio.ended(1);
  audio.started(2);
  await settled();
  t.strictSame(story(), ['a started in 0', 'a finished', 'b started in 0']);
  t.equal(opened.length, 5, 'and then the one after');
  t.match(player.state(), { song: { title: 'b' }, current: 1 });
});

t.test('the next song is opened when 30 s are left, and handed over in its turn', async t => {
  const { audio, player, opened, song } = stage();
  audio.full = true;
  player.play([song('a'), song('b')]);
  await settled();
  audio.started(1);
  audio.position(1, 69);
  t.equal(opened.length, 1);
  audio.position(1, 71);
  t.strictSame(
    opened.map(each => each.song),
    ['a', 'b'],
  );
  await settled();
  t.strictSame(audio.told, ['begin 1']);
  audio.full = false;
  audio.drain();
  await settled();
  t.strictSame(audio.told, ['begin 1', 'end 1', 'begin 2', 'end 2']);
});

t.test('stop is at once: silence, streams cancelled, and the queue stays', async t => {
  const { audio, player, opened, song, story } = stage();
  player.play([song('a'), song('b')]);
  await settled();
  player.stop();
  t.equal(audio.told.at(-1), 'flush 2');
  t.ok(opened.every(each => each.cancelled));
  t.strictSame(story(), ['a stopped', 'idle']);
  audio.started(1);
  audio.ended(1);
  t.strictSame(story(), [], 'nothing more is heard of it');
  t.equal(player.next(), true);
  t.match(player.state().song, { title: 'b' });
  player.stop();
  player.stop();
  t.equal(player.prev(), true, 'the song that was stopped, from its beginning');
  t.match(player.state().song, { title: 'b' });
});

t.test('next and prev', async t => {
  const { audio, player, song, story } = stage();
  player.play([song('a'), song('b'), song('c')]);
  t.equal(player.prev(), false);
  t.equal(player.next(), true);
  t.equal(player.next(), true);
  t.equal(player.next(), false);
  t.strictSame(story(), ['a stopped', 'b stopped']);
  await settled();
  const song3 = audio.songs.at(-1)!.number;
  audio.started(song3);
  audio.position(song3, 5);
  t.equal(player.prev(), true, 'late in a song, to its beginning');
  t.match(player.state(), { song: { title: 'c' }, positionSeconds: 0 });
  t.equal(player.prev(), true, 'early, to the song before');
  t.match(player.state().song, { title: 'b' });
});

t.test('a queue that grows plays on, and one that was played out plays what comes', async t => {
  const { audio, player, song, story } = stage();
  player.enqueue([song('a')]);
  await settled();
  audio.started(1);
  player.enqueue([song('b')]);
  await settled();
  audio.ended(1);
  audio.started(2);
  audio.ended(2);
  t.strictSame(story(), ['a started in 0', 'a finished', 'b started in 0', 'b finished', 'idle']);
  player.enqueue([song('c')]);
  t.match(player.state(), { song: { title: 'c' }, current: 2 });
  t.strictSame(
    player.state().queue.map(row => row.title),
    ['a', 'b', 'c'],
  );
  player.stop();
  player.enqueue([song('d')]);
  t.match(player.state().song, { title: 'd' }, 'what was stopped is not taken up again');
  player.play([]);
  t.equal(player.state().state, 'stopped');
});

t.test('pause, resume, volume and mute reach the audio process', async t => {
  const { audio, player, song } = stage();
  player.pause();
  player.resume();
  t.strictSame(audio.told, [], 'nothing to pause');
  player.play([song('a')]);
  await settled();
  player.pause();
  player.pause();
  t.equal(player.state().state, 'paused');
  player.resume();
  player.volume(30);
  player.mute(true);
  player.volume(999);
  t.match(player.state(), { volume: 100, muted: true });
  t.strictSame(audio.told, [
    'begin 1',
    'end 1',
    'pause',
    'resume',
    'volume 30',
    'volume 30 muted',
    'volume 100 muted',
  ]);
  player.pause();
  player.play([song('b')]);
  t.equal(player.state().state, 'buffering', 'a new song is not paused');
});

t.test('a seek opens the song elsewhere, and is one song still', async t => {
  const { audio, player, opened, song, story } = stage();
  const bytes = mp3Bytes({ seconds: 100, header: 'Info' });
  player.play([song('a', { bytes }), song('b')]);
  await settled();
  audio.started(1);
  audio.position(1, 20, 2);
  player.seek(60);
  await settled();
  t.equal(opened[0]?.cancelled, true);
  const again = opened.findLast(each => each.song === 'a')!;
  t.ok(Math.abs(again.fromByte - 60 * 16_000) < 6_000, `${again.fromByte}`);
  const number = audio.songs.find(each => each.begin.startSeconds === 60)!.number;
  t.match(player.state(), { positionSeconds: 60, state: 'buffering' });
  audio.started(number);
  audio.position(number, 61, 1);
  player.seek(-5);
  t.equal(player.state().positionSeconds, 0);
  const { events } = { events: story() };
  t.strictSame(events, ['a started in 0'], 'neither ended nor started again');
  player.seek(1_000);
  t.match(player.state().song, { title: 'b' }, 'past the end is the next song');
  player.seek(1_000);
  t.equal(player.state().state, 'stopped');
});

t.test('the summary adds up what the song’s streams gave', async t => {
  const { audio, player, song, events } = stage();
  const bytes = mp3Bytes({ seconds: 20 });
  player.play([song('a', { bytes, duration: 20 })]);
  await settled();
  audio.started(1);
  audio.position(1, 10, 3);
  player.seek(5);
  await settled();
  audio.started(2);
  audio.say({ is: 'ended', song: 2, stutters: 1 });
  const ended = events.find(event => event.kind === 'ended')!;
  const fromSeek = Buffer.concat(audio.songs[1]!.bytes).length;
  t.match(ended, {
    summary: {
      outcome: 'finished',
      stutters: 4,
      startedInMs: 0,
      report: { sources: [{ host: 'memory', bytes: bytes.length + fromSeek }], failed: [], verified: true },
    },
  });
});

t.test(
  'a stream that breaks ends its song as failed, with what broke it, and the next one plays',
  async t => {
    const { audio, player, song, events, story } = stage();
    const gone = new TransportError('all hosts are gone');
    player.play([
      song('a', { breaks: gone }),
      song('b'),
      song('c', { bytes: Buffer.alloc(0), breaks: new RequestError('busy', 'all hosts are busy') }),
    ]);
    await settled();
    audio.started(1);
    audio.ended(1);
    const ended = events.find(event => event.kind === 'ended')!;
    t.match(ended, { summary: { outcome: 'failed', reason: 'all hosts are gone', error: gone } });
    audio.started(2);
    audio.ended(2);
    audio.ended(3, 'there is no MP3 in it');
    t.match(events.at(-2), {
      summary: { outcome: 'failed', reason: 'all hosts are busy', startedInMs: undefined },
    });
    t.strictSame(story(), ['a started in 0', 'a failed', 'b started in 0', 'b finished', 'c failed', 'idle']);
  },
);

t.test('a song without music fails and says so', async t => {
  const { audio, player, song, events, opened } = stage();
  audio.full = true;
  player.play([song('a'), song('b')]);
  await settled();
  audio.ended(1, 'there is no MP3 in it');
  t.match(
    events.find(event => event.kind === 'ended'),
    { summary: { outcome: 'failed', error: { name: 'DecoderError' } } },
  );
  t.equal(opened[0]?.cancelled, true);
  t.match(player.state().song, { title: 'b' });
});

t.test('when the audio process dies, the song goes on from where the sound was', async t => {
  const { audio, player, song, opened, story } = stage();
  player.play([song('a'), song('b')]);
  await settled();
  audio.started(1);
  audio.position(1, 42);
  player.pause();
  audio.say({ is: 'restarted', why: 'SIGSEGV' });
  await settled();
  const again = audio.songs.find(each => each.begin.startSeconds === 42);
  t.ok(again, 'begun again at 42 s');
  t.ok(audio.told.lastIndexOf('pause') > audio.told.indexOf('pause'), 'paused as it was');
  t.equal(opened.filter(each => each.song === 'b').length, 2, 'the song opened ahead is opened again');
  audio.say({ is: 'restarted', why: 'SIGSEGV' });
  t.equal(player.state().song?.title, 'a');
  audio.say({ is: 'restarted', why: 'SIGSEGV' });
  t.strictSame(story(), ['a started in 0', 'a failed'], 'the third time it is left');
  t.equal(player.state().song?.title, 'b');
});

t.test('when no output works, the song fails and the queue does not run through in silence', async t => {
  const { audio, player, song, events, story } = stage();
  audio.say({ is: 'silent', error: new Error('nobody listens') });
  audio.say({ is: 'output', name: 'null', why: 'as asked' });
  player.play([song('a'), song('b')]);
  player.pause();
  await settled();
  audio.say({ is: 'silent', error: new Error('no sound device') });
  t.match(
    events.find(event => event.kind === 'ended'),
    { summary: { outcome: 'failed', reason: 'no sound device' } },
  );
  t.strictSame(story(), ['output', 'a failed', 'idle']);
  t.match(player.state(), { state: 'stopped', output: 'null' });
  audio.say({ is: 'restarted', why: 'later' });
  t.equal(player.state().state, 'stopped');
});

t.test('what a listener asks for while it is told of an end is done', async t => {
  const { audio, player, song, story } = stage();
  const once = player.onEvent(event => {
    if (event.kind !== 'ended') return;
    once();
    player.enqueue([song('c')]);
  });
  player.play([song('a'), song('b')]);
  await settled();
  audio.ended(1);
  audio.ended(2);
  await settled();
  audio.ended(3);
  t.strictSame(story(), ['a finished', 'b finished', 'c finished', 'idle']);
});

t.test('a queue moves only to where a song is', async t => {
  const queue = new Queue<string>();
  t.equal(queue.current, undefined);
  t.equal(queue.move(1), false);
  queue.replace(['a', 'b']);
  t.equal(queue.move(1), true);
  t.equal(queue.move(1), false);
  t.equal(queue.current, 'b');
  queue.advance();
  queue.advance();
  t.equal(queue.current, undefined);
  t.equal(queue.cursor, 2);
  t.equal(queue.peek(-1), 'b');
  queue.append(['c']);
  t.equal(queue.current, 'c');
  queue.playOut();
  t.equal(queue.current, undefined);
  t.strictSame(queue.songs, ['a', 'b', 'c']);
});
