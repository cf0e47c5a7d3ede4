/**
 * Stored songs over RTMP, on real sockets and files and a virtual clock: every frame as it is in the file, at the player's
 * pace, from anywhere.
 */
import { truncate } from 'node:fs/promises';
import t from 'tap';
import type { SongStream } from '../../../peer/listening/song-stream.js';
import { LEAST_LEAD_MS, PlayPace } from '../../../peer/live/play-pace.js';
import { FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import { CLOSE_AFTER_MS } from '../../../protocol/rtmp/constants.js';
import { SLOT_IDLE_MS } from '../../../protocol/tsp/constants.js';
import { mp3Bytes } from '../../support/mp3.js';
import { command, RtmpClient } from '../../support/rtmp-client.js';
import { until } from '../../support/until.js';
import { rtmpRoom } from './rtmp-room.js';

const FRAME_MS = (1152 * 1000) / 44_100;

/** The frames of a song but the first, which tells of the others. */
function musicOf(bytes: Uint8Array): Uint8Array[] {
  const scanner = new FrameScanner();
  return [...scanner.push(bytes), ...scanner.end()].slice(1).map(frame => frame.bytes);
}

const bodies = ({ hearing }: RtmpClient): Buffer =>
  Buffer.concat(hearing.audio.map(({ body }) => body.subarray(1)));

/** As rtmpdump says it: as fast as it comes. */
const withoutPace = (client: RtmpClient): void =>
  client.say({ kind: 'user-control', event: 'set-buffer-length', stream: 1, ms: 36_000_000 });

t.test('a song comes whole, frame for frame, and ends as each player understands', async t => {
  const { port, bytes, song, clock } = await rtmpRoom(t);
  for (const name of ['7', song.hash]) {
    const player = await RtmpClient.connected(t, port, 'songs');
    withoutPace(player);
    player.play(name, 0);
    await player.told('stream-eof');
    t.ok(bodies(player).equals(Buffer.concat(musicOf(bytes))), 'the file’s own frames');
    t.match(player.hearing.told.slice(-3), ['onPlayStatus', 'NetStream.Play.Stop', 'stream-eof']);
    const last = player.hearing.audio.at(-1)!;
    t.equal(last.timestamp, Math.round((player.hearing.audio.length - 1) * FRAME_MS));
    clock.advance(CLOSE_AFTER_MS);
    await player.over;
  }
});

t.test('a song that is not here', async t => {
  const { port } = await rtmpRoom(t);
  for (const name of ['8', '0', '99999999999', 'ab'.repeat(32), 'lluvia', '']) {
    const player = await RtmpClient.connected(t, port, 'songs');
    player.play(name);
    t.ok(await player.told('NetStream.Play.StreamNotFound'), name);
  }
});

t.test('a player takes an upload slot until its song is over, and is told when there is none', async t => {
  const { port, clock, uploads } = await rtmpRoom(t, { limits: { slots: 1 } });
  const first = await RtmpClient.connected(t, port, 'songs');
  first.play('7');
  await first.heard(1);
  t.equal(uploads.slots.used, 1);
  const second = await RtmpClient.connected(t, port, 'songs');
  second.play('7');
  await second.told('NetStream.Play.Failed');
  const refusal = second.hearing.status('NetStream.Play.Failed');
  t.equal(refusal?.get('level'), 'error');
  t.match(refusal?.get('description'), /busy: its one upload slot is taken/);
  clock.advance(CLOSE_AFTER_MS);
  await second.over;
  first.say(command('seek', 0, null, 10_000), 1);
  await first.told('NetStream.Seek.Notify');
  t.equal(uploads.slots.used, 1, 'a seek keeps it');
  withoutPace(first);
  await first.told('stream-eof');
  t.equal(uploads.slots.used, 0);
  const third = await RtmpClient.connected(t, port, 'songs');
  third.play('7');
  await third.heard(1);
  third.socket.destroy();
  await until('it is free again', () => uploads.slots.used === 0);
});

t.test('who pauses for long gives its slot back, and needs another to go on', async t => {
  const { port, clock, uploads } = await rtmpRoom(t, { limits: { slots: 1 } });
  const pause = (player: RtmpClient, paused: boolean): void =>
    player.say(command('pause', 0, null, paused, 0), 1);
  const first = await RtmpClient.connected(t, port, 'songs');
  first.play('7');
  await first.heard(1);
  pause(first, true);
  await first.told('NetStream.Pause.Notify');
  await clock.advanceSlowly(SLOT_IDLE_MS - 100);
  t.equal(uploads.slots.used, 1, 'for a moment it is kept');
  await clock.advanceSlowly(100);
  t.equal(uploads.slots.used, 0);
  pause(first, false);
  await first.told('NetStream.Unpause.Notify');
  t.equal(uploads.slots.used, 1, 'and had again');
  pause(first, true);
  await first.told('NetStream.Pause.Notify', 2);
  await clock.advanceSlowly(SLOT_IDLE_MS);
  const second = await RtmpClient.connected(t, port, 'songs');
  second.play('7');
  await second.heard(1);
  pause(first, false);
  await first.told('NetStream.Play.Failed');
  clock.advance(CLOSE_AFTER_MS);
  await first.over;
  t.equal(uploads.slots.used, 1, 'the second has it');
});

t.test('a seek in a pause goes on with a slot, or not at all', async t => {
  const { port, clock, uploads } = await rtmpRoom(t, { limits: { slots: 1 } });
  const pauseAndSeek = async (player: RtmpClient, pausedMs: number): Promise<void> => {
    player.say(command('pause', 0, null, true, 0), 1);
    await player.told('NetStream.Pause.Notify');
    await clock.advanceSlowly(pausedMs);
    player.say(command('seek', 0, null, 10_000), 1);
  };
  const first = await RtmpClient.connected(t, port, 'songs');
  first.play('7');
  await first.heard(1);
  await pauseAndSeek(first, SLOT_IDLE_MS - 100);
  await first.told('NetStream.Seek.Notify');
  await clock.advanceSlowly(100);
  t.equal(uploads.slots.used, 1, 'it is heard, so it keeps its slot');
  first.socket.destroy();
  await until('it is free again', () => uploads.slots.used === 0);
  const second = await RtmpClient.connected(t, port, 'songs');
  second.play('7');
  await second.heard(1);
  await pauseAndSeek(second, SLOT_IDLE_MS);
  await second.told('NetStream.Seek.Notify');
  t.equal(uploads.slots.used, 1, 'it had given it back, and has it again');
  second.say(command('pause', 0, null, true, 0), 1);
  await second.told('NetStream.Pause.Notify', 2);
  await clock.advanceSlowly(SLOT_IDLE_MS);
  const third = await RtmpClient.connected(t, port, 'songs');
  third.play('7');
  await third.heard(1);
  second.say(command('seek', 0, null, 10_000), 1);
  await second.told('NetStream.Play.Failed');
});

t.test('who takes nothing loses its connection when others wait for its slot', async t => {
  const { port, clock, uploads, server } = await rtmpRoom(t, {
    limits: { slots: 1 },
    song: { seconds: 900 },
  });
  const first = await RtmpClient.connected(t, port, 'songs');
  withoutPace(first);
  first.play('7');
  await first.heard(1);
  first.socket.pause();
  await until('it is dropped', async () => {
    // Somebody asks again and again, as who was told that all are taken does.
    if (uploads.slots.take(clock.now())) return true;
    await clock.advanceSlowly(1_000);
    return false;
  });
  await until('the connection too', () => server.connections === 0);
});

t.test('the upload rate holds for songs too', async t => {
  const { port, clock, uploads } = await rtmpRoom(t, { limits: { bytesPerSecond: 20_000 } });
  const player = await RtmpClient.connected(t, port, 'songs');
  withoutPace(player);
  player.play('7');
  await until('it begins', async () => {
    await clock.advanceSlowly(100);
    return player.hearing.audio.length > 0;
  });
  const before = uploads.sentBytes;
  await clock.advanceSlowly(2_000);
  t.ok(
    uploads.sentBytes - before <= 2.25 * 20_000 + 7_000,
    'two seconds, a burst, and the batch that waited',
  );
  await until('all of it', async () => {
    await clock.advanceSlowly(2_000);
    return player.hearing.told.includes('stream-eof');
  });
});

t.test('a player is sent as far ahead as it buffers', async t => {
  const { port, clock } = await rtmpRoom(t);
  const player = await RtmpClient.connected(t, port, 'songs');
  player.play('7');
  const reached = (ms: number) =>
    until(`${ms} ms`, async () => {
      // Lets what waits for the file go on; time stands still.
      await clock.advanceSlowly(0);
      return (player.hearing.audio.at(-1)?.timestamp ?? 0) >= ms - 16 * FRAME_MS;
    });
  await reached(LEAST_LEAD_MS);
  t.ok(player.hearing.audio.at(-1)!.timestamp < LEAST_LEAD_MS + 16 * FRAME_MS);
  await clock.advanceSlowly(2_000);
  await reached(LEAST_LEAD_MS + 2_000);
  player.say({ kind: 'user-control', event: 'set-buffer-length', stream: 1, ms: 12_000 });
  await reached(14_000);
  player.say(command('pause', 0, null, true, 5), 1);
  await player.told('NetStream.Pause.Notify');
  const before = player.hearing.audio.length;
  await clock.advanceSlowly(5_000);
  player.say(command('pause', 0, null, false, 5), 1);
  await player.told('NetStream.Unpause.Notify');
  await clock.advanceSlowly(0);
  t.equal(player.hearing.audio.length, before, 'a pause is no time');
  await clock.advanceSlowly(3_000);
  await reached(17_000);
});

for (const [what, vbr] of [
  ['a constant', undefined],
  ['a variable', [96_000, 128_000, 160_000]],
] as const) {
  t.test(`seek and ranges at ${what} bitrate`, async t => {
    const { port, bytes } = await rtmpRoom(
      t,
      vbr === undefined ? {} : { song: { bitrate: vbr, header: 'Xing' } },
    );
    const whole = Buffer.concat(musicOf(bytes));
    const player = await RtmpClient.connected(t, port, 'songs');
    player.play('7', 5_000, 2_000);
    await player.told('stream-eof');
    const part = player.hearing.audio;
    t.ok(Math.abs(part.length - 2_000 / FRAME_MS) <= 2, 'two seconds');
    t.ok(part[0]!.timestamp < FRAME_MS || part[0]!.timestamp > 2 ** 32 - FRAME_MS, 'that begin at 0');
    const at = whole.indexOf(bodies(player));
    t.ok(at > 0, 'of the song’s own frames');
    if (vbr === undefined) t.ok(Math.abs(at / whole.length - 5 / 30) < 0.003, 'five seconds into it');
    const about = player.hearing.messages.find(
      message => message.kind === 'data' && message.values[0] === 'onMetaData',
    );
    t.notMatch(about, { values: ['onMetaData', new Map([['duration', 30]])] }, 'not the whole’s duration');

    const seeker = await RtmpClient.connected(t, port, 'songs');
    withoutPace(seeker);
    seeker.play('7');
    await seeker.told('stream-eof');
    const again = await RtmpClient.connected(t, port, 'songs');
    again.play('7');
    await again.heard(16);
    again.say(command('seek', 0, null, 20_000), 1);
    withoutPace(again);
    await again.told('stream-eof');
    const sought = again.hearing.audio.findIndex(({ timestamp }) => timestamp >= 19_900);
    t.ok(Math.abs(again.hearing.audio[sought]!.timestamp - 20_000) <= FRAME_MS, 'from there');
    const rest = Buffer.concat(again.hearing.audio.slice(sought).map(({ body }) => body.subarray(1)));
    t.ok(whole.subarray(-rest.length).equals(rest), 'to the end');
  });
}

t.test('a song that changed on disk breaks off, it does not end', async t => {
  const { port, path, logger } = await rtmpRoom(t);
  const player = await RtmpClient.connected(t, port, 'songs');
  player.play('7');
  await player.heard(16);
  await truncate(path, 1_000);
  const again = await RtmpClient.connected(t, port, 'songs');
  again.play('7');
  await again.over;
  t.notOk(again.hearing.told.includes('NetStream.Play.Stop'));
  t.ok(logger.messages('warn').some(message => /could not be read/.test(message)));
});

t.test('a player that seeks again and again, and leaves', async t => {
  const { port } = await rtmpRoom(t);
  const player = await RtmpClient.connected(t, port, 'songs');
  player.play('7');
  for (let ms = 1_000; ms <= 20_000; ms += 1_000) player.say(command('seek', 0, null, ms), 1);
  await player.told('NetStream.Seek.Notify', 20);
  player.play('7');
  player.say(command('closeStream', 0, null), 1);
  player.say(command('createStream', 9, null));
  await player.told('_result', 2);
  const before = player.hearing.audio.length;
  withoutPace(player);
  player.say(command('createStream', 10, null));
  await player.told('_result', 3);
  t.equal(player.hearing.audio.length, before);
});

t.test('who seeks faster than files are opened has one open at a time', async t => {
  const bytes = mp3Bytes({ seconds: 30 });
  const reading = { now: 0, most: 0 };
  async function* read() {
    reading.now += 1;
    reading.most = Math.max(reading.most, reading.now);
    try {
      await new Promise(resolve => setImmediate(resolve));
      yield bytes;
    } finally {
      reading.now -= 1;
    }
  }
  const size = Promise.resolve(bytes.length);
  const report = () => ({ sources: [], failed: [], verified: true });
  const open = (): SongStream => ({ size, report, cancel() {}, [Symbol.asyncIterator]: read });
  const findSong = () => ({ fields: { duration: 30 }, size: bytes.length, open });
  const { port } = await rtmpRoom(t, { server: { findSong } });
  const player = await RtmpClient.connected(t, port, 'songs');
  player.play('7');
  await player.heard(1);
  player.socket.cork();
  for (let ms = 1; ms <= 100; ms += 1) player.say(command('seek', 0, null, ms), 1);
  player.say(command('closeStream', 0, null), 1);
  player.play('7');
  player.socket.uncork();
  await player.told('NetStream.Play.Start', 102);
  t.equal(reading.most, 1);
});

t.test('pace: pausing twice is pausing once, and resuming what runs is nothing', async t => {
  const pace = new PlayPace(1_000, 0);
  t.equal(pace.dueAt(LEAST_LEAD_MS + 1_500), 500);
  pace.resume(100);
  pace.pause(100);
  pace.pause(200);
  t.equal(pace.dueAt(0), undefined);
  pace.resume(300);
  t.equal(pace.dueAt(LEAST_LEAD_MS + 1_500), 700);
});
