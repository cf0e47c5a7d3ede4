/** MP3 told from everything else, and its length, out of bytes made for the purpose. */
import fc from 'fast-check';
import t from 'tap';
import { type MpegAudio, MpegScan, type NotMpeg } from '../../../peer/library/mpeg-scan.js';
import { mp3Bytes, mpegFrames, wavBytes } from '../../support/mp3.js';

const scan = (...blocks: Uint8Array[]): MpegAudio | NotMpeg => {
  const scan = new MpegScan();
  for (const block of blocks) scan.push(block);
  return scan.end();
};
const isClose = (actual: MpegAudio | NotMpeg, seconds: number) =>
  typeof actual === 'object' && Math.abs(actual.duration - seconds) < 0.08;

t.test('constant bitrates, sample rates and channels are told apart', async t => {
  for (const [bitrate, sampleRate, channels] of [
    [128_000, 44_100, 2],
    [320_000, 48_000, 1],
    [32_000, 32_000, 2],
    [64_000, 22_050, 1],
    [160_000, 24_000, 2],
    [8_000, 16_000, 1],
    [64_000, 11_025, 2],
    [160_000, 8_000, 2],
  ] as const) {
    const audio = scan(mp3Bytes({ seconds: 7, bitrate, sampleRate, channels, seed: 3 }));
    t.match(
      audio,
      { audioStart: 0, bitrate, vbr: false, sampleRate, channels },
      `${bitrate} ${sampleRate} ${channels}`,
    );
    t.ok(isClose(audio, 7));
  }
});

t.test('a changing bitrate is VBR and its mean is given, with a header frame or without', async t => {
  for (const header of [undefined, 'Xing', 'Info', 'VBRI'] as const) {
    const audio = scan(
      mp3Bytes({ seconds: 10, bitrate: [128_000, 256_000], seed: 1, title: 'x', ...(header && { header }) }),
    );
    t.match(audio, { vbr: true, sampleRate: 44_100 });
    t.ok(isClose(audio, 10), `${header} is no sound`);
    t.ok(typeof audio === 'object' && Math.abs(audio.bitrate - 192_000) < 2_000);
  }
  const constant = mp3Bytes({ seconds: 2, header: 'Info', channels: 1, sampleRate: 22_050 });
  t.match(scan(constant), { vbr: false, bitrate: 64_000, audioStart: 0 });
});

t.test('in the free format the frames tell the bitrate by their length', async t => {
  for (const [bitrate, sampleRate] of [
    [320_000, 32_000],
    [160_000, 44_100],
    [8_000, 24_000],
  ] as const) {
    const bytes = mp3Bytes({ seconds: 7, freeFormat: true, bitrate, sampleRate, seed: 3, title: 'x' });
    const audio = scan(bytes);
    t.match(audio, { vbr: false, sampleRate, channels: 2 });
    t.ok(isClose(audio, 7), `${bitrate}`);
    t.ok(typeof audio === 'object' && Math.abs(audio.bitrate - bitrate) < bitrate / 500);
    t.same(scan(bytes.subarray(0, 9_000), bytes.subarray(9_000)), audio, 'however it comes');
  }
});

t.test('what LAME says that the encoder added is not counted', async t => {
  const bytes = Buffer.from(mp3Bytes({ seconds: 2, header: 'Info' }));
  const lame = 4 + 32 + 8 + 8;
  bytes.write('LAME3.100', lame, 'latin1');
  const [delay, padding] = [576, 1000];
  bytes.writeUIntBE((delay << 12) | padding, lame + 21, 3);
  const frames = Math.ceil((2 * 44_100) / 1152);
  t.equal((scan(bytes) as MpegAudio).duration, Math.round(((frames * 1152 - 1576) / 44_100) * 1000) / 1000);
});

t.test('the first frame is found behind tags and rubbish', async t => {
  const frames = mpegFrames({ seconds: 1, seed: 2 });
  const tagged = mp3Bytes({ seconds: 1, seed: 2, title: 'x', tagPadding: 3_000_000 });
  t.match(scan(tagged), { audioStart: tagged.length - frames.length });
  const twice = mp3Bytes({ seconds: 1, title: 'x', tags: ['id3v2.3', 'id3v2.4', 'id3v1'] });
  t.ok(isClose(scan(twice), 1));
  t.match(scan(Buffer.concat([Buffer.alloc(10_000), frames])), { audioStart: 10_000 });
  t.match(scan(Buffer.concat([Buffer.of(0xff, 0xfb, 0x90, 0), Buffer.alloc(700), frames])), {
    audioStart: 704,
  });
  const withFooter = Buffer.concat([
    Buffer.from('ID3\x04\0\x10\0\0\0\x05hello3DI\x04\0\x10\0\0\0\x05', 'latin1'),
    frames,
  ]);
  t.match(scan(withFooter), { audioStart: 25 });
});

t.test('damage in the middle and rubbish at the end cost only themselves', async t => {
  const frames = mpegFrames({ seconds: 4, seed: 2 });
  const damaged = Buffer.concat([
    frames.subarray(0, 20_000),
    Buffer.alloc(5_000, 0xff),
    frames.subarray(20_000),
  ]);
  t.ok(isClose(scan(damaged), 4), 'rubbish between');
  const threeFrames = 3 * 418;
  const scratched = [frames.subarray(0, 2_000)];
  for (let at = 2_000; at < frames.length; at += threeFrames)
    scratched.push(Buffer.alloc(20), frames.subarray(at, at + threeFrames));
  t.ok(isClose(scan(Buffer.concat(scratched)), 4), 'rubbish in every third frame');
  t.ok(
    isClose(scan(Buffer.concat([frames, Buffer.from('APETAGEX'), Buffer.alloc(9_000)])), 4),
    'rubbish behind',
  );
  t.ok(isClose(scan(frames.subarray(0, frames.length / 2)), 2), 'half of the file has half of the sound');
  t.match(scan(Buffer.concat([frames, mpegFrames({ seconds: 4, sampleRate: 48_000 })])), {
    sampleRate: 44_100,
  });
});

t.test('a file joined from parts of several kinds lasts as long as all of them', async t => {
  for (const [what, ...parts] of [
    ['sample rates', { sampleRate: 44_100 }, { sampleRate: 48_000 }, { sampleRate: 44_100 }],
    ['versions of MPEG', { sampleRate: 48_000 }, { sampleRate: 24_000 }, { sampleRate: 12_000 }],
    ['kinds, each with its tags', { title: 'x', header: 'Info' }, { title: 'y', sampleRate: 32_000 }],
  ] as const) {
    const bytes = Buffer.concat(parts.map(part => mp3Bytes({ seconds: 4, seed: 5, ...part })));
    const audio = scan(bytes);
    t.ok(isClose(audio, 4 * parts.length), what);
    t.same(scan(bytes.subarray(0, 66_000), bytes.subarray(66_000)), audio, 'however it comes');
  }
});

t.test('what is no MP3 is refused, early where that is possible', async t => {
  const mega = 1024 * 1024;
  for (const [what, bytes] of [
    ['zeros', Buffer.alloc(mega)],
    ['0xff', Buffer.alloc(mega, 0xff)],
    ['headers of the free format without frames', Buffer.alloc(mega, Buffer.of(0xff, 0xfb, 0, 0))],
    ['layer II', Buffer.alloc(mega, Buffer.concat([Buffer.of(0xff, 0xfd, 0x80, 0), Buffer.alloc(413)]))],
    ['headers without frames', Buffer.alloc(mega, Buffer.of(0xff, 0xfb, 0x90, 0))],
    ['WAV', wavBytes({ seconds: 5 })],
    [
      'a tone that repeats what looks like a header of the free format',
      wavBytes({ seconds: 5, channels: 1 }),
    ],
    ['text', Buffer.alloc(mega, 'la la la ')],
    [
      'a tag with zeros behind',
      Buffer.concat([mp3Bytes({ title: 'x' }).subarray(0, 24), Buffer.alloc(mega)]),
    ],
  ] as const) {
    const scan = new MpegScan();
    scan.push(bytes);
    t.ok(scan.refused, `${what}: no need to read on`);
    scan.push(bytes);
    t.equal(scan.end(), 'not-mp3', what);
  }
  t.equal(scan(Buffer.from('ID')), 'not-mp3');
  t.equal(scan(), 'not-mp3');
});

t.test('what ends before there is anything to play is truncated', async t => {
  t.equal(
    scan(mp3Bytes({ title: 'x', tagPadding: 90_000 }).subarray(0, 80_000)),
    'truncated',
    'within the tag',
  );
  const tag = mp3Bytes({ title: 'x' }).length - mpegFrames().length;
  t.equal(scan(mp3Bytes({ title: 'x' }).subarray(0, tag)), 'truncated', 'after the tag');
  t.equal(scan(mpegFrames().subarray(0, 300)), 'truncated', 'within the first frame');
  t.equal(scan(mpegFrames().subarray(0, 600)), 'truncated', 'within the second frame');
  t.ok(isClose(scan(mpegFrames().subarray(0, 417 * 2 + 2)), 0.052), 'two frames can be played');
  t.ok(
    isClose(scan(mp3Bytes({ seconds: 0.03, title: 'x', tags: ['id3v1'] })), 0.052),
    'and a tag may follow them',
  );
});

t.test('the verdict does not depend on how the bytes arrive', async t => {
  const samples = [
    mp3Bytes({
      seconds: 1,
      title: 'x',
      seed: 4,
      bitrate: [64_000, 320_000],
      header: 'Xing',
      tags: ['id3v2.3', 'id3v1'],
    }),
    Buffer.concat([
      Buffer.alloc(333),
      mpegFrames({ seconds: 1 }),
      Buffer.alloc(999, 0xff),
      mpegFrames({ seconds: 1 }),
    ]),
    Buffer.alloc(90_000, 0xff),
    mpegFrames().subarray(0, 500),
  ];
  const whole = samples.map(sample => scan(sample));
  fc.assert(
    fc.property(
      fc.nat({ max: samples.length - 1 }),
      fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 20 }),
      (which, cuts) => {
        const bytes = samples[which]!;
        const blocks: Uint8Array[] = [];
        let at = 0;
        for (let i = 0; at < bytes.length; i += 1) {
          const length = cuts[i % cuts.length]! + 1;
          blocks.push(bytes.subarray(at, at + length));
          at += length;
        }
        t.same(scan(...blocks), whole[which]);
        return true;
      },
    ),
    { numRuns: 60 },
  );
});
