/** What the audio process does, without the process: the engine and its sink, on a virtual clock. */
import t from 'tap';
import { AudioEngine } from '../../../peer/playback/audio-engine.js';
import type { AudioReport } from '../../../peer/playback/audio-messages.js';
import { createDecoder } from '../../../peer/playback/decoders/auto.js';
import type { Decoder } from '../../../peer/playback/decoders/decoder.js';
import { NullOutput } from '../../../peer/playback/outputs/null.js';
import { type Output, OutputError } from '../../../peer/playback/outputs/output.js';
import type { PcmFormat } from '../../../peer/playback/pcm.js';
import { mpegFrames } from '../../support/mp3.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

/** Gives each frame's bytes back as that many samples, all of the value that the frame's fifth byte says. */
const echo: Decoder = {
  name: 'mpg123',
  load: async () => {},
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
  song(6, frames(0.1, 6), true, { startSeconds: 7, preRollSeconds: 0.3 });
  await clock.advanceSlowly(1);
  t.strictSame(told(), ['ended 6'], 'sought in its last moments, where no sample is left');
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

t.test('a song that ends while paused is told of, whatever comes behind it', async t => {
  const clock = new VirtualClock();
  const { engine, song, told } = studio(new Recorder(), clock);
  engine.receive({ do: 'pause' });
  song(1, Buffer.alloc(1_000));
  await clock.advanceSlowly(1);
  song(2, frames(0.1, 2));
  await clock.advanceSlowly(1);
  engine.receive({ do: 'resume' });
  await clock.advanceSlowly(1);
  t.strictSame(told(), ['ended 1: there is no MP3 in it', 'started 2', 'ended 2']);
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
