/** The transcoder, with the real ffmpeg, and with programs that behave as it should not. */
import { spawnSync } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type FfmpegOptions, ffmpegTranscoder, findFfmpeg } from '../../../peer/live/ffmpeg.js';
import type { EncodedFormat } from '../../../peer/live/publication.js';
import { FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import { systemClock } from '../../../src/clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const skip = (await findFfmpeg()) === undefined ? 'there is no ffmpeg' : false;
const AAC: EncodedFormat = { kind: 'encoded', container: 'aac', codec: 'AAC', head: new Uint8Array() };

const adts = (seconds: number): Buffer =>
  spawnSync(
    'ffmpeg',
    ['-loglevel', 'error', '-f', 'lavfi', '-i', `sine=d=${seconds}`, '-c:a', 'aac', '-f', 'adts', '-'],
    {
      maxBuffer: 1e8,
    },
  ).stdout;

function transcode(t: Test, format: EncodedFormat, options: Partial<FfmpegOptions> = {}) {
  const logger = new RecordingLogger();
  const came: Buffer[] = [];
  const failures: string[] = [];
  const open = ffmpegTranscoder({ clock: systemClock, logger, ...options });
  const transcoder = open(format, {
    mp3: bytes => came.push(Buffer.from(bytes)),
    failed: why => failures.push(why),
  });
  t.teardown(() => transcoder.stop());
  return { transcoder, failures, logger, bytes: () => Buffer.concat(came) };
}

/** A program of that name that does this. */
async function program(t: Test, script: string): Promise<string> {
  const path = join(await tempFolder(t), 'ffmpeg');
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

t.test('AAC comes out as MP3 of one format', { skip }, async t => {
  const { transcoder, bytes, failures } = transcode(t, AAC);
  const sound = adts(4);
  for (let at = 0; at < sound.length; at += 500) transcoder.send(sound.subarray(at, at + 500));
  await until('most of it', () => bytes().length > 2 * 16_000);
  transcoder.stop();
  const scanner = new FrameScanner();
  const frames = scanner.push(bytes());
  t.equal(scanner.lostBytes, 0, 'without a tag');
  t.ok(frames.every(({ header }) => header.sampleRate === 44_100 && header.channels === 2));
  t.ok(frames.every(({ header }) => header.bitrate === 128_000));
  t.same(failures, []);
});

t.test('one that dies is followed by another, which is given the head first', async t => {
  const folder = await tempFolder(t);
  const log = join(folder, 'log');
  const dying = await program(t, `head -c 4 >> ${log}; echo >> ${log}; exit 1`);
  const { failures, logger, transcoder } = transcode(
    t,
    { ...AAC, head: Buffer.from('HEAD') },
    { program: dying },
  );
  transcoder.send(Buffer.from('more'));
  await until('it is past help', () => failures.length > 0);
  t.match(failures, [/ffmpeg cannot make MP3 of this AAC: it ended with 1/]);
  t.equal((await readFile(log, 'utf8')).trim(), 'HEAD\nHEAD\nHEAD\nHEAD');
  t.equal(logger.messages('warn').filter(line => /started again/.test(line)).length, 3);
});

t.test('one that takes sound and gives none is killed, and another tried', async t => {
  const clock = new VirtualClock(0);
  const { failures, logger, transcoder } = transcode(t, AAC, {
    program: await program(t, 'exec sleep 1000'),
    clock,
  });
  for (let tries = 0; tries < 4; tries += 1) {
    transcoder.send(Buffer.from('sound'));
    t.same(failures, []);
    clock.advance(7_000);
  }
  t.match(failures, [/ffmpeg cannot make MP3 of this AAC: no sound came out of it for 5 s/]);
  t.equal(logger.messages('warn').filter(line => /started again/.test(line)).length, 3);
});

t.test('one that does not keep up is given no more than it can take', async t => {
  const { transcoder, logger } = transcode(t, AAC, { program: await program(t, 'exec sleep 1000') });
  for (let n = 0; n < 1_000; n += 1) transcoder.send(Buffer.alloc(1_000));
  t.same(logger.messages('warn'), ['ffmpeg does not keep up: sound is dropped']);
});

t.test('so many are encoded at a time', async t => {
  const idle = await program(t, 'exec sleep 1000');
  const open = ffmpegTranscoder({ clock: systemClock, logger: new RecordingLogger(), program: idle });
  const output = { mp3: () => {}, failed: () => {} };
  const running = Array.from({ length: 8 }, () => open(AAC, output));
  t.teardown(() => {
    for (const transcoder of running) transcoder.stop();
  });
  t.throws(() => open(AAC, output), { name: 'PublishRefused', message: /publish MP3/ });
  running.pop()?.stop();
  running.push(open(AAC, output));
});

t.test('where there is none, that is known', async t => {
  t.equal(await findFfmpeg('no-such-program'), undefined);
  const { failures } = transcode(t, AAC, { program: '/no/such/ffmpeg' });
  await until('it is past help', () => failures.length > 0);
  t.match(failures, [/ENOENT/]);
});
