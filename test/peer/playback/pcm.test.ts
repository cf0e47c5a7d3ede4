/** Samples and what carries them, around the engine: mixing, resampling, the play head, the pipe and its window. */
import t from 'tap';
import { encodeFrame, FrameReader } from '../../../peer/playback/audio-frames.js';
import type { AudioCommand } from '../../../peer/playback/audio-messages.js';
import { Converter } from '../../../peer/playback/convert.js';
import { gainOf, interleave, type Pcm, type PcmFormat, remix, scale } from '../../../peer/playback/pcm.js';
import { PlayHead } from '../../../peer/playback/play-head.js';
import { Resampler } from '../../../peer/playback/resample.js';
import { SendWindow } from '../../../peer/playback/send-window.js';
import { chirp, correlation } from './sound.js';

const CD: PcmFormat = { sampleRate: 44_100, channels: 2 };

t.test('the play head reckons what a device holds', async t => {
  const head = new PlayHead(0.5);
  t.equal(head.isDry(0), true);
  head.wrote(0.4, 0, 0);
  head.mark(1, 'ends');
  t.equal(head.pending(100), 0.3);
  t.equal(Math.round(head.sounded(100) * 1e6), 100_000);
  t.equal(head.untilNextMark(100), 300);
  t.strictSame(head.passed(100), []);
  t.strictSame(head.passed(400), [{ song: 1, kind: 'ends', at: 0.4 }]);
  t.equal(head.untilNextMark(400), undefined);
  t.equal(head.isDry(405), false, 'so little is not heard');
  t.equal(head.isDry(500), true);
  head.wrote(9, 500, 500);
  t.equal(head.pending(500), 0.5, 'never more than its buffer');
  head.wrote(0.01, 2_000, 2_050);
  t.ok(head.pending(2_050) >= 0.1, 'a device that made a write wait is not empty');
  const file = new PlayHead(0);
  file.wrote(3, 0, 0);
  t.equal(file.pending(0), 0);
  t.equal(file.isDry(99), false);
});

t.test('samples: interleaved, mixed, scaled, clipped', async t => {
  const left = Float32Array.of(0, 0.5, -1, 1.5);
  const right = Float32Array.of(0.25, 0, 1, -1.5);
  t.strictSame([...interleave(left, right, 2)], [0, 8_192, 16_384, 0, -32_768, 32_767, 32_767, -32_768]);
  t.strictSame([...interleave(left, left, 1)], [0, 16_384, -32_768, 32_767]);
  const stereo: Pcm = { ...CD, samples: Int16Array.of(10, 20, -30, -50) };
  t.strictSame([...remix(stereo, 1).samples], [15, -40]);
  t.strictSame([...remix(remix(stereo, 1), 2).samples], [15, 15, -40, -40]);
  t.equal(remix(stereo, 2), stereo);
  t.strictSame([...scale(stereo.samples, 0.5)], [5, 10, -15, -25]);
  t.equal(scale(stereo.samples, 1), stereo.samples, 'full volume touches nothing');
  t.strictSame([gainOf(100), gainOf(0), gainOf(-3), gainOf(200), gainOf(50)], [1, 0, 0, 1, 0.125]);
});

t.test('resampling keeps the sound, its length, and does not depend on the blocks', async t => {
  for (const [from, to] of [
    [48_000, 44_100],
    [44_100, 48_000],
    [22_050, 44_100],
    [11_025, 48_000],
  ] as const) {
    const samples = chirp(0.5, { sampleRate: from, channels: 2 });
    const whole = new Resampler(from, to, 2);
    const one = [...whole.push(samples).samples, ...whole.end().samples];
    const cut = new Resampler(from, to, 2);
    const many: number[] = [];
    for (let at = 0; at < samples.length; at += 734)
      many.push(...cut.push(samples.slice(at, at + 734)).samples);
    many.push(...cut.end().samples);
    t.ok(
      Buffer.from(Int16Array.from(many).buffer).equals(Buffer.from(Int16Array.from(one).buffer)),
      `${from} → ${to}: in blocks as whole`,
    );
    t.ok(
      Math.abs(one.length / samples.length - to / from) * samples.length <= 2,
      `${one.length / 2} samples`,
    );
    t.ok(
      correlation(Int16Array.from(one), chirp(0.5, { sampleRate: to, channels: 2 })) > 0.999,
      'the same sound',
    );
  }
  const converter = new Converter(CD);
  const right: Pcm = { ...CD, samples: Int16Array.of(1, 2) };
  t.strictSame(converter.push(right), [right]);
  t.strictSame(converter.end(), []);
});

t.test('frames on the pipe do not depend on how they arrive', async t => {
  const said: AudioCommand[] = [
    { do: 'begin', song: 7, startSeconds: 1.5 },
    { do: 'data', song: 7, bytes: Buffer.from('abc') },
    { do: 'end', song: 7 },
  ];
  const bytes = Buffer.concat(said.map(encodeFrame));
  for (const size of [1, 5, bytes.length]) {
    const reader = new FrameReader<AudioCommand>();
    const heard: AudioCommand[] = [];
    for (let at = 0; at < bytes.length; at += size) heard.push(...reader.push(bytes.subarray(at, at + size)));
    t.strictSame(heard, said, `${size}`);
  }
});

t.test('the window: little until the first song sounds, then each song its own', async t => {
  const window = new SendWindow();
  t.equal(window.take(1, 10), false, 'not begun');
  t.equal(await window.room(1), false);
  window.open(1);
  window.open(2);
  window.take(1, 65_536);
  const waits = window.room(1);
  window.sounds(1);
  t.equal(await waits, true);
  window.take(1, 524_288);
  window.take(2, 1_000);
  t.equal(await window.room(2), true, 'the next song is not held up');
  const room = window.room(1);
  window.consumed(1, 100_000);
  t.equal(await room, true);
  window.take(1, 524_288);
  const over = window.room(1);
  window.close(1);
  t.equal(await over, false);
  t.strictSame([window.has(1), window.has(2), window.waiting(1), window.isEmpty], [false, true, 0, false]);
  window.clear();
  t.equal(window.isEmpty, true);
});
