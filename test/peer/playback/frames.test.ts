/** Frames in a stream of bytes, and what is made of them: pure functions of bytes. */
import fc from 'fast-check';
import t from 'tap';
import { type Frame, FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import { parseInfoTag } from '../../../peer/mpeg/info-tag.js';
import { GaplessTrim } from '../../../peer/playback/gapless.js';
import type { Pcm } from '../../../peer/playback/pcm.js';
import { OutlineReader, seekPoint, songSeconds } from '../../../peer/playback/seek-map.js';
import { SongFrames } from '../../../peer/playback/song-frames.js';
import { missing } from '../../support/installed.js';
import { mp3Bytes, mpegFrames } from '../../support/mp3.js';
import { chirp, encode } from './sound.js';

function scan(bytes: Uint8Array, pieceBytes = bytes.length): { frames: Frame[]; lost: number } {
  const scanner = new FrameScanner();
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    frames.push(...scanner.push(bytes.subarray(at, at + pieceBytes)));
  frames.push(...scanner.end());
  return { frames, lost: scanner.lostBytes };
}

t.test('every frame of a file is found, past its tags', async t => {
  const music = mpegFrames({ seconds: 1 });
  const song = mp3Bytes({
    seconds: 1,
    title: 'x',
    artist: 'y',
    tags: ['id3v2.3', 'id3v1'],
    tagPadding: 5_000,
  });
  const { frames, lost } = scan(song);
  t.equal(frames.length, 39);
  t.strictSame(Buffer.concat(frames.map(each => each.bytes)), music);
  t.equal(frames[0]?.offset, song.indexOf(music));
  t.equal(lost, 128, 'of ID3v1, which decoders never see');
});

t.test('frames do not depend on how the bytes arrive', async t => {
  const song = Buffer.concat([
    mp3Bytes({ seconds: 0.3, title: 'one', bitrate: [64_000, 320_000], header: 'Xing' }),
    Buffer.from('garbage \xff\xfb\x90 garbage', 'latin1'),
    mp3Bytes({ seconds: 0.3, sampleRate: 48_000, title: 'two' }),
  ]);
  const whole = scan(song).frames.map(each => each.offset);
  t.equal(whole.length, 1 + 12 + 13);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_000 }), pieceBytes => {
      t.strictSame(
        scan(song, pieceBytes).frames.map(each => each.offset),
        whole,
      );
    }),
    { numRuns: 30 },
  );
});

t.test('random bytes give hardly a frame and never an error', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20_000 }), bytes => {
      for (const each of scan(bytes, 777).frames) t.ok(each.bytes.length >= 4);
    }),
    { numRuns: 50 },
  );
  t.strictSame(scan(Buffer.alloc(100_000)).frames, []);
  t.strictSame(scan(Buffer.alloc(100_000, 0xff)).frames, []);
  t.strictSame(scan(Buffer.alloc(0)).frames, []);
});

t.test('a song that is cut off gives its whole frames', async t => {
  const music = mpegFrames({ seconds: 1 });
  t.equal(scan(music.subarray(0, music.length - 1)).frames.length, 38);
  t.equal(scan(music.subarray(0, 417)).frames.length, 1);
  t.equal(scan(music.subarray(0, 416)).frames.length, 0);
});

t.test(
  'the free format: frames that tell their length by where the next begins',
  { skip: missing('lame') },
  async t => {
    const format = { sampleRate: 44_100, channels: 2 } as const;
    for (const kbits of ['160', '400']) {
      const song = await encode(chirp(1, format), format, ['--freeformat', '-b', kbits]);
      const { frames, lost } = scan(song, 1_000);
      t.equal(frames.length, 41, `${kbits} kbit/s`);
      t.equal(lost, 0);
      t.equal(parseInfoTag(frames[0]!)?.frames, 40);
    }
  },
);

t.test('frames come in runs: two at first, then eight, of one sample rate', async t => {
  async function* bytes() {
    yield mp3Bytes({ seconds: 1, header: 'Info' });
    yield mp3Bytes({ seconds: 0.2, sampleRate: 48_000 });
  }
  const frames = new SongFrames(bytes());
  const runs = [];
  for await (const run of frames) runs.push(run);
  t.equal(runs[0]?.bytes.length, 417 + 418);
  t.equal(frames.tag?.frames, 39);
  t.equal(frames.samplesPerFrame, 1_152);
  t.strictSame([...new Set(runs.map(run => run.sampleRate))], [44_100, 48_000]);
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  t.ok(Math.abs(seconds - (39 * 1_152) / 44_100 - (9 * 1_152) / 48_000) < 1e-9);
});

const block = (from: number, to: number): Pcm => ({
  sampleRate: 44_100,
  channels: 1,
  samples: Int16Array.from({ length: to - from }, (_, i) => from + i),
});
const samplesOf = (blocks: Pcm[]): number[] => blocks.flatMap(each => [...each.samples]);

t.test('trimming takes the encoder’s samples from both ends, however the blocks fall', async t => {
  const tag = { delay: 100, padding: 529 + 50, frames: 4 };
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 4_607 }), { maxLength: 8 }), cuts => {
      const edges = [0, ...new Set(cuts.sort((a, b) => a - b)), 4_608];
      const trim = GaplessTrim.of({ startSeconds: 0 }, { tag, samplesPerFrame: 1_152 }, 44_100);
      const out = edges.slice(1).flatMap((edge, i) => samplesOf(trim.push(block(edges[i]!, edge))));
      out.push(...samplesOf(trim.end()));
      t.equal(out[0], 629);
      t.equal(out.length, 4_608 - 629 - 50);
      t.equal(out.at(-1), 4_557);
    }),
    { numRuns: 40 },
  );
});

t.test(
  'trimming holds nothing back before the end, and leaves the end of a song that is not as its tag says',
  async t => {
    const tag = { delay: 0, padding: 529 + 500, frames: 4 };
    const song = { tag, samplesPerFrame: 1_152 };
    const early = GaplessTrim.of({ startSeconds: 0 }, song, 44_100);
    t.equal(samplesOf(early.push(block(0, 1_152))).length, 1_152 - 529);
    const short = GaplessTrim.of({ startSeconds: 0 }, song, 44_100);
    t.equal(
      [...samplesOf(short.push(block(0, 4_300))), ...samplesOf(short.end())].length,
      4_300 - 529,
      'cut short',
    );
    const long = GaplessTrim.of({ startSeconds: 0 }, song, 44_100);
    const joined = [...samplesOf(long.push(block(0, 4_608))), ...samplesOf(long.push(block(4_608, 5_760)))];
    t.equal([...joined, ...samplesOf(long.end())].length, 5_760 - 529, 'joined with another');
    const untagged = GaplessTrim.of({ startSeconds: 0 }, { tag: undefined, samplesPerFrame: 1_152 }, 44_100);
    t.equal(samplesOf(untagged.push(block(0, 10))).length, 10);
  },
);

t.test('after a seek the pre-roll is dropped, and the padding whatever came before it', async t => {
  const begin = { startSeconds: 9, preRollSeconds: 100 / 44_100, endPadding: 529 + 30 };
  const trim = GaplessTrim.of(begin, { tag: undefined, samplesPerFrame: 1_152 }, 44_100);
  const out = [
    ...samplesOf(trim.push(block(0, 120))),
    ...samplesOf(trim.push(block(120, 300))),
    ...samplesOf(trim.end()),
  ];
  t.strictSame([out[0], out.at(-1), out.length], [100, 269, 170]);
  const tagged = GaplessTrim.of(
    begin,
    { tag: { delay: 50, constantBitrate: true }, samplesPerFrame: 1_152 },
    44_100,
  );
  t.equal(samplesOf(tagged.push(block(0, 1_152)))[0], 50 + 529 + 100, 'read from its beginning: both');
});

t.test(
  'a seek finds its byte: by frames, by the table, or in proportion',
  { skip: missing('lame') },
  async t => {
    const format = { sampleRate: 44_100, channels: 2 } as const;
    const constant = await encode(chirp(20, format), format);
    const outline = (bytes: Uint8Array) => {
      const reader = new OutlineReader();
      for (let at = 0; at < bytes.length; at += 1_000) reader.push(bytes.subarray(at, at + 1_000));
      return reader.outline;
    };
    const cbr = outline(constant);
    t.equal(songSeconds(cbr, {}), 20);
    t.strictSame(seekPoint(0.1, cbr, {}, constant.length), { fromByte: 0, begin: { startSeconds: 0 } });
    const point = seekPoint(10, cbr, {}, constant.length);
    const frames = scan(constant).frames;
    const read = scan(constant.subarray(point.fromByte)).frames[0]!;
    const index = frames.findIndex(each => each.offset === point.fromByte + read.offset) - 1;
    const sounds = index * 1_152 + Math.round(point.begin.preRollSeconds! * 44_100) - 576 - 529;
    t.equal(sounds, 441_000, 'to the sample');

    const variable = await encode(chirp(20, format), format, ['-V', '3']);
    const vbr = seekPoint(10, outline(variable), {}, variable.length);
    const at = frameTime(variable, vbr.fromByte) + vbr.begin.preRollSeconds!;
    t.ok(Math.abs(at - 10) < 0.3, `${at} s by the table`);

    const untagged = variable.subarray(scan(variable).frames[1]!.offset);
    const guess = seekPoint(19, outline(untagged), { duration: 20 }, untagged.length);
    const read19 = frameTime(untagged, guess.fromByte) + guess.begin.preRollSeconds!;
    t.ok(
      Math.abs(read19 - 19) < 1,
      `${read19} s by proportion, where the first frame's bitrate is not the song's`,
    );

    const bare = constant.subarray(scan(constant).frames[1]!.offset);
    const fields = { duration: 20, vbr: false };
    t.strictSame(
      seekPoint(19, outline(bare), fields, bare.length + 100_000),
      seekPoint(19, outline(bare), fields, bare.length),
      'of a bitrate that is known not to vary the file may end in a tag with pictures',
    );

    t.equal(songSeconds(cbr, { duration: 4 }), 4, 'cut: its tag is of what it was');
    const joined = Buffer.concat([variable, variable]);
    t.equal(songSeconds(outline(joined), { duration: 40 }), 40);
    const second = seekPoint(30, outline(joined), { duration: 40 }, joined.length);
    t.ok(second.fromByte > 1.2 * variable.length, 'joined: its table is of the first part');

    const unknown = seekPoint(10, undefined, { duration: 20, audioStart: 100, bitrate: 128_000 }, 320_100);
    t.ok(Math.abs(unknown.fromByte - 156_000) < 1_000, 'in proportion');
    t.strictSame(
      seekPoint(10, undefined, { duration: 20 }, undefined),
      { fromByte: 0, begin: { startSeconds: 10, preRollSeconds: 10 } },
      'from its beginning where a guess may lie past its end',
    );
    t.strictSame(
      seekPoint(10, undefined, { duration: 20 }, 5_000_000),
      { fromByte: 0, begin: { startSeconds: 10, preRollSeconds: 10 } },
      'and where it may lie within the picture before the music',
    );
    t.ok(seekPoint(99, undefined, {}, 1_000).fromByte < 1_000, 'never past the end');
  },
);

t.test('a seek goes by the bitrate of the music, where the frame of the tag has another', async t => {
  const song = mp3Bytes({ seconds: 20, bitrate: 32_000, header: 'Info', headerBitrate: 64_000 });
  const reader = new OutlineReader();
  reader.push(song);
  const point = seekPoint(19, reader.outline, {}, song.length);
  const at = frameTime(song, point.fromByte) + point.begin.preRollSeconds!;
  t.ok(Math.abs(at - 19) < 0.1, `${at} s`);
});

t.test('a seek goes by the table of a VBRI tag', async t => {
  const bitrate = Array.from({ length: 770 }, (_, frame) => (frame < 385 ? 32_000 : 320_000));
  const song = mp3Bytes({ seconds: 20, bitrate, header: 'VBRI', headerBitrate: 128_000 });
  const reader = new OutlineReader();
  reader.push(song);
  for (const seconds of [3, 9, 12, 19.5]) {
    const point = seekPoint(seconds, reader.outline, { duration: 20 }, song.length);
    const at = frameTime(song, point.fromByte) + point.begin.preRollSeconds!;
    t.ok(Math.abs(at - seconds) < 0.3, `${at} s for ${seconds}`);
  }
});

function frameTime(song: Uint8Array, byte: number): number {
  const frames = scan(song).frames;
  return ((frames.findIndex(each => each.offset >= byte) - 1) * 1_152 - 1_105) / 44_100;
}
