/**
 * The two decoders on everyday songs and on odd ones: how soon the first sample comes, how fast the rest, and whether it is
 * the song.
 *
 * Both run inside the audio process's engine, warm, as they do when a song is played: bytes in memory to samples at the
 * output. What comes out is compared with what was encoded, so a decoder that trims wrongly shows as a length, one that
 * plays noise as a correlation.
 */
import { setTimeout as rest } from 'node:timers/promises';
import { AudioEngine } from '../peer/playback/audio-engine.js';
import type { Decoder } from '../peer/playback/decoders/decoder.js';
import { LameDecoder } from '../peer/playback/decoders/lame.js';
import { Mpg123Decoder } from '../peer/playback/decoders/mpg123.js';
import type { Output } from '../peer/playback/outputs/output.js';
import type { PcmFormat } from '../peer/playback/pcm.js';
import { warmUpEngine } from '../peer/playback/warm-up-engine.js';
import { systemClock } from '../src/clock.js';
import { chirp, correlation, encode } from '../test/peer/playback/sound.js';
import { type BenchResult, interleave, median, quantile, round } from './harness.js';

export const name = 'decoders';

const SECONDS = 20;
const RUNS = 15;
/** Between songs: the time that a decoder has to get ready for the next one. */
const PAUSE_MS = 50;
/** A decoder that gives no sound and no end. */
const LIMIT_MS = 20_000;
const CD: PcmFormat = { sampleRate: 44_100, channels: 2 };

interface Specimen {
  readonly what: string;
  readonly mp3: Buffer;
  /** What a listener should hear. */
  readonly sound: Int16Array;
  readonly format: PcmFormat;
  /** Compared from the beginning up to here, when something is missing or added behind. */
  readonly alikeUntil?: number;
}

interface Take {
  readonly firstMs: number;
  readonly allMs: number;
  readonly samples: Int16Array;
  readonly failure: string | undefined;
}

export async function run(): Promise<BenchResult> {
  const specimens = await corpus();
  const decoders: Record<'mpg123' | 'lame', Decoder> = {
    mpg123: new Mpg123Decoder(),
    lame: new LameDecoder(),
  };
  for (const decoder of Object.values(decoders)) {
    await decoder.load();
    await warmUpEngine(decoder, systemClock);
  }
  const takes = [];
  for (const specimen of specimens) {
    const samples = await interleave(
      { mpg123: () => play(decoders.mpg123, specimen), lame: () => play(decoders.lame, specimen) },
      RUNS,
    );
    takes.push({ specimen, samples });
  }
  for (const decoder of Object.values(decoders)) decoder.close();

  const everyday = takes.slice(0, EVERYDAY);
  const first = (decoder: 'mpg123' | 'lame', q: number) =>
    quantile(
      everyday.flatMap(({ samples }) => samples[decoder].map(take => take.firstMs)),
      q,
    );
  return {
    title: 'mpg123-decoder and node-lame',
    method: [
      `${specimens.length} songs of ${SECONDS} s, encoded by lame from a rising tone; ${RUNS} plays each, the decoders taking turns.`,
      'First sample: from the song’s first byte at the engine to the first sample at the output, warm, nothing else playing.',
      'Length and likeness are of what was encoded: 0 samples and 1.000 is the song itself; where a part is missing or added,',
      'likeness is of what stands before it.',
      '',
      'The default, `auto`, is mpg123, whose first sample comes sooner; a song in the free format, which it plays as noise, goes to lame.',
    ],
    figures: [
      {
        figure: 'first sample of everyday songs, mpg123 ÷ lame, p50',
        value: first('mpg123', 0.5) / first('lame', 0.5),
      },
    ],
    tables: [
      {
        caption: 'Everyday songs',
        columns: ['decoder', 'first sample, p50 ms', 'p95 ms', 'times real time'],
        rows: (['mpg123', 'lame'] as const).map(decoder => {
          const all = everyday.flatMap(({ samples }) => samples[decoder].map(take => take.allMs));
          const speed = (SECONDS * 1_000) / median(all);
          return [decoder, round(first(decoder, 0.5)), round(first(decoder, 0.95)), Math.round(speed)];
        }),
      },
      {
        caption: 'Every song',
        columns: ['song', 'decoder', 'first sample, p50 ms', 'samples too many', 'likeness', 'failure'],
        rows: takes.flatMap(({ specimen, samples }) =>
          (['mpg123', 'lame'] as const).map(decoder => {
            const [take] = samples[decoder];
            const { sound, format } = specimen;
            const sounded = samples[decoder].map(each => each.firstMs).filter(Number.isFinite);
            return [
              specimen.what,
              decoder,
              sounded.length === 0 ? '–' : round(median(sounded)),
              (take!.samples.length - sound.length) / format.channels,
              correlation(take!.samples, sound.subarray(0, specimen.alikeUntil)).toFixed(3),
              take!.failure ?? '',
            ];
          }),
        ),
      },
    ],
    samples: takes.map(({ specimen, samples }) => ({
      song: specimen.what,
      mpg123: samples.mpg123.map(({ firstMs, allMs }) => ({ firstMs: round(firstMs), allMs: round(allMs) })),
      lame: samples.lame.map(({ firstMs, allMs }) => ({ firstMs: round(firstMs), allMs: round(allMs) })),
    })),
  };
}

/** So many specimens are songs as people have them; those after them are odd. */
const EVERYDAY = 6;

async function corpus(): Promise<Specimen[]> {
  const specimen = async (what: string, args: readonly string[], format = CD): Promise<Specimen> => {
    const sound = chirp(SECONDS, format);
    return { what, mp3: await encode(sound, format, args), sound, format };
  };
  const plain = await specimen('128 kbit/s', ['-b', '128']);
  const { mp3, sound } = plain;
  const odd = (what: string, bytes: Buffer, heard = sound): Specimen => ({
    what,
    mp3: bytes,
    sound: heard,
    format: CD,
  });
  const half = Math.floor(mp3.length / 2);
  return [
    plain,
    await specimen('320 kbit/s', ['-b', '320']),
    await specimen('variable bitrate, V2', ['-V', '2']),
    await specimen('variable bitrate, V6', ['-V', '6']),
    await specimen('48 kHz', ['-b', '192'], { sampleRate: 48_000, channels: 2 }),
    await specimen('mono', ['-b', '96'], { sampleRate: 44_100, channels: 1 }),
    await specimen('MPEG 2: 22.05 kHz', ['-b', '64'], { sampleRate: 22_050, channels: 2 }),
    await specimen('MPEG 2.5: 11.025 kHz, mono', ['-b', '32'], { sampleRate: 11_025, channels: 1 }),
    await specimen('with checksums', ['-b', '128', '-p']),
    await specimen('without the bit reservoir', ['-b', '128', '--nores']),
    await specimen('free format, 160 kbit/s', ['--freeformat', '-b', '160']),
    await specimen('free format, 400 kbit/s', ['--freeformat', '-b', '400']),
    odd('ID3v2 with a picture of 2 MB', Buffer.concat([id3v2(2_000_000), mp3])),
    odd('garbage before', Buffer.concat([garbage(10_000), mp3])),
    odd('garbage in the middle', Buffer.concat([mp3.subarray(0, half), garbage(5_000), mp3.subarray(half)])),
    {
      ...odd('the middle missing', Buffer.concat([mp3.subarray(0, half), mp3.subarray(half + 5_000)])),
      alikeUntil: sound.length / 2 - CD.sampleRate,
    },
    odd('cut off', mp3.subarray(0, half), sound.subarray(0, Math.floor(sound.length / 2))),
    { ...odd('joined from two', Buffer.concat([mp3, mp3]), concat(sound, sound)), alikeUntil: sound.length },
    odd('garbage alone', garbage(300_000), new Int16Array()),
  ];
}

const concat = (a: Int16Array, b: Int16Array): Int16Array => Int16Array.from([...a, ...b]);

/** Bytes that look like nothing; the same each time. */
const garbage = (bytes: number): Buffer =>
  Buffer.from(Array.from({ length: bytes }, (_, i) => Math.imul(i, 2_654_435_761) >>> 24));

function id3v2(bytes: number): Buffer {
  const size = [21, 14, 7, 0].map(shift => (bytes >> shift) & 0x7f);
  return Buffer.concat([Buffer.from('ID3\x03\x00\x00', 'latin1'), Buffer.from(size), garbage(bytes)]);
}

async function play(decoder: Decoder, { mp3 }: Specimen): Promise<Take> {
  await rest(PAUSE_MS);
  const blocks: Int16Array[] = [];
  const beganAt = performance.now();
  let firstMs = Number.POSITIVE_INFINITY;
  const output: Output = {
    ...nowhere,
    write: async samples => {
      if (blocks.length === 0) firstMs = performance.now() - beganAt;
      blocks.push(samples);
    },
  };
  return new Promise(resolve => {
    const done = (failure: string | undefined): void => {
      clearTimeout(limit);
      const allMs = performance.now() - beganAt;
      const samples = new Int16Array(blocks.reduce((sum, block) => sum + block.length, 0));
      let at = 0;
      for (const block of blocks) {
        samples.set(block, at);
        at += block.length;
      }
      void engine.stop().then(() => resolve({ firstMs, allMs, samples, failure }));
    };
    const limit = setTimeout(() => done('it hangs'), LIMIT_MS);
    const engine = new AudioEngine({
      decoder,
      output,
      clock: systemClock,
      report: report => {
        if (report.is === 'ended') done(report.failure);
        if (report.is === 'output-failed') done(report.why);
      },
    });
    engine.start();
    engine.receive({ do: 'begin', song: 1, startSeconds: 0 });
    engine.receive({ do: 'data', song: 1, bytes: mp3 });
    engine.receive({ do: 'end', song: 1 });
  });
}

const nowhere: Output = {
  name: 'nowhere',
  bufferSeconds: 0,
  formats: 'fixed',
  prepare: async () => {},
  open: async () => {},
  write: async () => {},
  flush: async () => {},
  settle: async () => {},
  close: async () => {},
};
