/** What the audio process does, without the process: the engine, its sink, and the pure parts below, on a virtual clock. */
import t from 'tap';
import { AudioEngine } from '../../../peer/playback/audio-engine.js';
import { encodeFrame, FrameReader } from '../../../peer/playback/audio-frames.js';
import type { AudioCommand, AudioReport } from '../../../peer/playback/audio-messages.js';
import { Converter } from '../../../peer/playback/convert.js';
import { createDecoder } from '../../../peer/playback/decoders/auto.js';
import type { Decoder } from '../../../peer/playback/decoders/decoder.js';
import { OutputChoice, parseOutput } from '../../../peer/playback/output-choice.js';
import { NullOutput } from '../../../peer/playback/outputs/null.js';
import { type Output, OutputError, outputError } from '../../../peer/playback/outputs/output.js';
import { gainOf, interleave, type Pcm, type PcmFormat, remix, scale } from '../../../peer/playback/pcm.js';
import { PlayHead } from '../../../peer/playback/play-head.js';
import { Resampler } from '../../../peer/playback/resample.js';
import { SendWindow } from '../../../peer/playback/send-window.js';
import { mpegFrames } from '../../support/mp3.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { chirp, correlation } from './sound.js';

const CD: PcmFormat = { sampleRate: 44_100, channels: 2 };

/** Gives each frame's bytes back as that many samples, all of the value that the frame's fifth byte says. */
const echo: Decoder = {
  name: 'mpg123',
  warmUp: async () => {},
  close: () => {},
  async *decode(frames) {
    for await (const { bytes, sampleRate, channels } of frames) {
      if (bytes[40] === 99) throw new Error('frame 99 is beyond me');
      const count = Math.round(bytes.length / 417.9);
      yield { sampleRate, channels, samples: new Int16Array(count * 1_152 * channels).fill(bytes[40]!) };
    }
  },
};

/** Frames whose samples will all be `value`. */
function frames(seconds: number, value: number, sampleRate = 44_100): Buffer {
  const bytes = mpegFrames({ seconds, sampleRate });
  for (let at = 0; at < bytes.length; at++)
    if (bytes[at] === 0xff && bytes[at + 1] === 0xfb) bytes[at + 40] = value;
  return bytes;
}

class Recorder implements Output {
  readonly name = 'recorder';
  readonly bufferSeconds: number = 0;
  readonly formats: Output['formats'] = 'fixed';
  readonly calls: string[] = [];
  samples: number[] = [];
  fails: Error | undefined;
  async prepare() {}
  async open({ sampleRate, channels }: PcmFormat) {
    this.calls.push(`open ${sampleRate}/${channels}`);
  }
  async write(samples: Int16Array) {
    if (this.fails !== undefined) throw this.fails;
    this.samples.push(...samples);
  }
  async flush() {
    this.calls.push('flush');
  }
  async settle() {
    this.calls.push('settle');
  }
  async close() {
    this.calls.push('close');
  }
}

function studio(output: Output, clock: VirtualClock, decoder: Decoder = echo) {
  const reports: AudioReport[] = [];
  const engine = new AudioEngine({ decoder, output, clock, report: report => reports.push(report) });
  engine.start();
  const song = (number: number, bytes: Uint8Array, whole = true, begin = {}): void => {
    engine.receive({ do: 'begin', song: number, startSeconds: 0, ...begin });
    engine.receive({ do: 'data', song: number, bytes });
    if (whole) engine.receive({ do: 'end', song: number });
  };
  let toldUpTo = 0;
  /** What was reported since the last time, shortly. */
  const told = (): string[] => {
    const news = reports.slice(toldUpTo);
    toldUpTo = reports.length;
    return news.flatMap(each => {
      if (each.is === 'started') return [`started ${each.song}`];
      if (each.is === 'ended')
        return [`ended ${each.song}${each.failure === undefined ? '' : `: ${each.failure}`}`];
      return each.is === 'output-failed' ? [`failed: ${each.why}`] : [];
    });
  };
  const position = () => reports.findLast(each => each.is === 'position')!;
  return { engine, reports, song, told, position };
}

t.test('songs follow one another, and each is told of when its sound begins and ends', async t => {
  const clock = new VirtualClock();
  const output = new Recorder();
  const { engine, song, told } = studio(output, clock);
  song(1, frames(0.1, 1));
  song(2, frames(0.1, 2));
  await clock.advanceSlowly(1);
  t.strictSame(told(), ['started 1', 'ended 1', 'started 2', 'ended 2']);
  t.strictSame([...new Set(output.samples)], [1, 2]);
  t.strictSame(output.calls, ['open 44100/2', 'settle', 'settle', 'settle']);
  song(3, Buffer.alloc(1_000));
  song(4, frames(0.1, 99));
  song(5, Buffer.alloc(0));
  await clock.advanceSlowly(1);
  t.strictSame(told(), [
    'ended 3: there is no MP3 in it',
    'ended 4: frame 99 is beyond me',
    'ended 5: there is no MP3 in it',
  ]);
  await engine.stop();
  t.equal(output.calls.at(-1), 'close');
});

t.test(
  'a sound device is played in real time: positions, hand-over, and the end when the sound has ended',
  async t => {
    const clock = new VirtualClock(5_000);
    const { engine, song, told, position, reports } = studio(new NullOutput(clock), clock);
    song(1, frames(2, 1));
    song(2, frames(1, 2));
    await clock.advanceSlowly(1_000);
    t.strictSame(told(), ['started 1']);
    const { seconds } = position() as { seconds: number };
    t.ok(Math.abs(seconds - 1) < 0.25, `${seconds}`);
    await clock.advanceSlowly(1_000);
    t.strictSame(told(), [], 'decoded long ago, but sounding still');
    await clock.advanceSlowly(100);
    t.strictSame(told(), ['ended 1', 'started 2']);
    await clock.advanceSlowly(850);
    t.strictSame(told(), []);
    await clock.advanceSlowly(100);
    t.strictSame(told(), ['ended 2']);
    t.ok(reports.every(each => each.is !== 'ended' || each.stutters === 0));
    await clock.advanceSlowly(6_000);
    t.equal(clock.pending, 0, 'and then it rests');
    await engine.stop();
  },
);

t.test('a song whose bytes come late stutters, and says so', async t => {
  const clock = new VirtualClock();
  const { engine, song, told, position, reports } = studio(new NullOutput(clock), clock);
  song(1, frames(1, 1), false);
  await clock.advanceSlowly(2_000);
  t.match(position(), { starving: true, stutters: 0 });
  engine.receive({ do: 'data', song: 1, bytes: frames(1, 1) });
  await clock.advanceSlowly(500);
  t.match(position(), { starving: false, stutters: 1 });
  engine.receive({ do: 'end', song: 1 });
  await clock.advanceSlowly(2_000);
  t.match(
    reports.findLast(each => each.is === 'ended'),
    { stutters: 1 },
  );
  t.strictSame(told(), ['started 1', 'ended 1']);
  song(2, frames(1, 1));
  await clock.advanceSlowly(2_000);
  t.match(
    reports.findLast(each => each.is === 'ended'),
    { song: 2, stutters: 0 },
    'a pause between songs is none',
  );
  await engine.stop();
});

t.test('flush: silence, nothing more of the song, and the next one at once', async t => {
  const clock = new VirtualClock();
  const { engine, song, told, reports } = studio(new NullOutput(clock), clock);
  song(1, frames(5, 1));
  song(2, frames(5, 1));
  await clock.advanceSlowly(300);
  engine.receive({ do: 'flush', song: 2 });
  song(3, frames(1, 1));
  await clock.advanceSlowly(10);
  t.strictSame(told(), ['started 1', 'started 3']);
  await clock.advanceSlowly(2_000);
  t.strictSame(told(), ['ended 3']);
  const consumed = reports.filter(each => each.is === 'consumed');
  t.ok(consumed.every(each => each.bytes > 0));
  await engine.stop();
});

class Device extends NullOutput {
  readonly heard: number[] = [];
  held: number[] = [];
  override async write(samples: Int16Array) {
    this.held.push(...samples);
    await super.write(samples);
  }
  override async flush() {
    await super.flush();
  }
}

t.test('pause is silence at once, and resume goes on with the very sample', async t => {
  const clock = new VirtualClock();
  const device = new Device(clock);
  const ramp: Decoder = {
    ...echo,
    async *decode(runs) {
      let at = 0;
      for await (const { sampleRate, bytes } of runs) {
        const count = Math.round(bytes.length / 417.9) * 1_152;
        yield { sampleRate, channels: 1, samples: Int16Array.from({ length: count }, () => at++ / 4) };
      }
    },
  };
  const { engine, song, told, position } = studio(device, clock, ramp);
  song(1, mpegFrames({ seconds: 2 }));
  await clock.advanceSlowly(1_000);
  engine.receive({ do: 'pause' });
  await clock.advanceSlowly(1);
  const paused = (position() as { seconds: number }).seconds;
  await clock.advanceSlowly(60_000);
  t.equal((position() as { seconds: number }).seconds, paused, 'time stands still');
  t.match(position(), { starving: false, stutters: 0 });
  device.held = [];
  engine.receive({ do: 'resume' });
  await clock.advanceSlowly(10);
  t.ok(
    Math.abs(device.held[0]! * 4 - 44_100) <= 50,
    `from the sample that sounded last: ${device.held[0]! * 4}`,
  );
  t.strictSame(told(), ['started 1']);
  await clock.advanceSlowly(1_100);
  t.strictSame(told(), ['ended 1']);
  t.equal(device.held.at(-1), Math.floor((77 * 1_152 - 1) / 4), 'to its last');
  engine.receive({ do: 'pause' });
  song(2, mpegFrames({ seconds: 1 }));
  await clock.advanceSlowly(100);
  engine.receive({ do: 'flush', song: 2 });
  engine.receive({ do: 'resume' });
  song(3, mpegFrames({ seconds: 0.1 }));
  await clock.advanceSlowly(1_000);
  t.strictSame(told(), ['started 3', 'ended 3'], 'a song stopped while paused is gone');
  await engine.stop();
});

t.test('an output that changes formats is drained, closed and opened again', async t => {
  const clock = new VirtualClock();
  class Reopening extends Recorder {
    override readonly formats = 'reopens';
  }
  const output = new Reopening();
  const { engine, song, told } = studio(output, clock);
  song(1, frames(0.1, 1));
  song(2, frames(0.1, 2, 48_000));
  await clock.advanceSlowly(10);
  t.strictSame(told(), ['started 1', 'ended 1', 'started 2', 'ended 2']);
  t.strictSame(
    output.calls.filter(call => call !== 'settle'),
    ['open 44100/2', 'close', 'open 48000/2'],
  );
  await clock.advanceSlowly(6_000);
  t.equal(output.calls.at(-1), 'close', 'and left to others when idle');
  song(3, frames(0.1, 1));
  await clock.advanceSlowly(10);
  t.strictSame(output.calls.filter(call => call !== 'settle').slice(-2), ['close', 'open 44100/2']);
  await engine.stop();
});

t.test('an output that fails is said once, with its fault, and what was begun is forgotten', async t => {
  const clock = new VirtualClock();
  const output = new Recorder();
  const { engine, song, told, reports } = studio(output, clock);
  output.fails = new OutputError('full', 'the disk is full');
  song(1, frames(0.2, 1));
  song(2, frames(0.2, 1));
  await clock.advanceSlowly(300);
  t.match(
    reports.find(each => each.is === 'output-failed'),
    { fault: 'full' },
  );
  t.strictSame(told(), ['failed: the disk is full']);
  output.fails = undefined;
  song(3, frames(0.2, 1));
  await clock.advanceSlowly(300);
  t.strictSame(told(), ['started 3', 'ended 3']);
  await engine.stop();
});

t.test('volume and mute change what is written, not what was', async t => {
  const clock = new VirtualClock();
  const output = new Recorder();
  const { engine, song } = studio(output, clock);
  engine.receive({ do: 'volume', percent: 50, muted: false });
  song(1, frames(0.1, 80));
  await clock.advanceSlowly(10);
  t.strictSame([...new Set(output.samples)], [10], 'half the dial is an eighth of the amplitude');
  engine.receive({ do: 'volume', percent: 50, muted: true });
  output.samples = [];
  song(2, frames(0.1, 80));
  await clock.advanceSlowly(10);
  t.strictSame([...new Set(output.samples)], [0]);
  await engine.stop();
});

t.test('a song in which the sample rate changes goes on in the new one', async t => {
  const clock = new VirtualClock();
  const output = new Recorder();
  const { engine, song, told, reports } = studio(output, clock, createDecoder('mpg123'));
  song(1, Buffer.concat([mpegFrames({ seconds: 0.5 }), mpegFrames({ seconds: 0.5, sampleRate: 48_000 })]));
  // The second decoder is made in real time.
  await until('the song has ended', () =>
    clock.advanceSlowly(10).then(() => reports.some(each => each.is === 'ended')),
  );
  t.strictSame(told(), ['started 1', 'ended 1']);
  t.ok(Math.abs(output.samples.length / 2 / 44_100 - 1.05) < 0.06, `${output.samples.length / 88_200} s`);
  await engine.stop();
});

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

t.test('an output is chosen: the first that works, with the reasons of those before it', async t => {
  t.strictSame(
    parseOutput('auto')?.map(each => each.kind),
    ['speaker', 'pw-play', 'aplay', 'paplay', 'ffplay'],
  );
  t.strictSame(parseOutput('stdout', true), [{ kind: 'stdout', raw: true }]);
  t.strictSame(parseOutput('file:a b.wav'), [{ kind: 'file', path: 'a b.wav' }]);
  for (const none of ['', 'file:', 'file', 'alsa', 'Speaker']) t.equal(parseOutput(none), undefined, none);

  const choice = new OutputChoice(parseOutput('auto')!);
  t.equal(choice.why, 'the first that works');
  choice.failed('no sound device', 'broken');
  choice.failed('pw-play is not installed', 'missing');
  t.match(choice.current, { kind: 'aplay' });
  t.equal(choice.why, 'speaker: no sound device; pw-play is not installed');
  choice.broke('hiccup', 'broken', 0);
  choice.broke('hiccup', 'broken', 70_000);
  choice.broke('hiccup', 'broken', 71_000);
  t.match(choice.current, { kind: 'aplay' }, 'hiccups a minute apart are forgiven');
  choice.broke('hiccup', 'broken', 72_000);
  t.match(choice.current, { kind: 'paplay' });
  choice.reset();
  t.match(choice.current, { kind: 'speaker' });

  const file = new OutputChoice(parseOutput('file:x.wav')!);
  t.equal(file.why, 'as asked');
  t.strictSame(file.current, { kind: 'file', path: 'x.wav' });
  file.holds(88_200);
  t.strictSame(file.current, { kind: 'file', path: 'x.wav', keepBytes: 88_200 }, 'begun once');
  file.broke('full', 'full', 0);
  t.equal(file.current, undefined, 'trying again is no use');
  t.equal(file.fault, 'full');
});

t.test('a failed system call says what to do about it', async t => {
  const of = (code: string) => outputError('x.wav', Object.assign(new Error(`${code}: oops`), { code }));
  t.match(of('ENOSPC'), { fault: 'full', message: 'x.wav: the disk is full' });
  t.match(of('EPIPE'), { fault: 'closed' });
  t.match(of('EACCES'), { fault: 'refused' });
  t.match(of('EISDIR'), { fault: 'refused' });
  t.match(of('ENOENT'), { fault: 'missing' });
  t.match(of('EIO'), { fault: 'broken', message: 'x.wav: EIO: oops' });
  const same = of('EIO');
  t.equal(outputError('y', same), same);
});
