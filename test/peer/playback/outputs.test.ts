/**
 * Which output is taken, and every output with real sound: what was encoded is what comes out, through the real audio
 * process.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createDecoder } from '../../../peer/playback/decoders/auto.js';
import { OutputChoice, parseOutput } from '../../../peer/playback/output-choice.js';
import { outputError } from '../../../peer/playback/outputs/output.js';
import type { PcmFormat } from '../../../peer/playback/pcm.js';
import { missing } from '../../support/installed.js';
import { mp3Bytes } from '../../support/mp3.js';
import { tempFolder } from '../../support/temp-folder.js';
import type { Teardown } from '../../support/until.js';
import { jukebox, songOf } from './jukebox.js';
import { chirp, correlation, difference, encode, parseWav, readWav, reference } from './sound.js';
import { record } from './studio.js';

const CD: PcmFormat = { sampleRate: 44_100, channels: 2 };
const noLame = missing('lame');
/** mpg123 and lame round differently. */
const ROUNDING = 1;

/** Sets environment variables for the audio processes that a test starts. */
function withEnvironment(test: Teardown, variables: Record<string, string>): void {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  test.teardown(() => {
    process.env = before;
  });
}

t.test('an output is chosen: the first that works, with the reasons of those before it', async t => {
  t.strictSame(
    parseOutput('auto')?.map(each => each.kind),
    ['speaker', 'pw-play', 'aplay', 'paplay', 'ffplay'],
  );
  t.match(parseOutput('auto', { orSilence: true })?.at(-1), { kind: 'null' }, 'after all that sounds');
  t.strictSame(parseOutput('null', { orSilence: true }), [{ kind: 'null' }]);
  t.strictSame(parseOutput('stdout', { raw: true }), [{ kind: 'stdout', raw: true }]);
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
  t.match(of('EACCES'), { fault: 'unwritable' });
  t.match(of('EISDIR'), { fault: 'unwritable' });
  t.match(of('ENOENT'), { fault: 'unwritable' });
  t.match(of('EIO'), { fault: 'broken', message: 'x.wav: EIO: oops' });
  const same = of('EIO');
  t.equal(outputError('y', same), same);
});

t.test(
  'file: a WAV of the song’s own rate and channels, gapless, true to its last sample',
  { skip: noLame },
  async t => {
    const folder = await tempFolder(t);
    const formats: [string, PcmFormat, string[]][] = [
      ['stereo at a constant bitrate', CD, ['-b', '128']],
      ['stereo at a variable bitrate', CD, ['-V', '2']],
      ['48 kHz', { sampleRate: 48_000, channels: 2 }, ['-b', '192']],
      ['mono', { sampleRate: 44_100, channels: 1 }, ['-b', '96']],
      ['MPEG 2, 22.05 kHz', { sampleRate: 22_050, channels: 2 }, ['-b', '64']],
      ['MPEG 2.5, 11.025 kHz mono', { sampleRate: 11_025, channels: 1 }, ['-b', '32']],
    ];
    for (const [name, format, args] of formats) {
      const sound = chirp(1.5, format);
      const mp3 = await encode(sound, format, args);
      const path = join(folder, `${name}.wav`);
      const heard = await record(createDecoder('auto'), mp3, path);
      const [expected, wav] = [await reference(mp3), await readFile(path)];
      t.strictSame(
        [heard.sampleRate, heard.channels],
        [format.sampleRate, format.channels],
        `${name}: its own format`,
      );
      t.equal(heard.samples.length, expected.samples.length, `${name}: to the sample`);
      t.ok(difference(heard.samples, expected.samples) <= ROUNDING, `${name}: the same samples`);
      t.equal(wav.readUInt32LE(4), wav.length - 8, 'the RIFF length is true');
      t.equal(wav.readUInt32LE(40), wav.length - 44, 'the data length is true');
    }
  },
);

t.test('file: songs of one format join without a sample between them', { skip: noLame }, async t => {
  const path = join(await tempFolder(t), 'album.wav');
  const whole = chirp(3, CD);
  const cut = 2 * 61_234;
  const [first, second] = await Promise.all([
    encode(whole.slice(0, cut), CD),
    encode(whole.slice(cut), CD, ['-V', '4']),
  ]);
  const { audio, playOut } = await jukebox(t, `file:${path}`);
  const summaries = await playOut(songOf(first), songOf(second));
  await audio.stop();
  t.match(summaries, [
    { outcome: 'finished', stutters: 0 },
    { outcome: 'finished', stutters: 0 },
  ]);
  const heard = await readWav(path);
  t.equal(heard.samples.length, whole.length, 'as long as the album was');
  const joint = whole.subarray(cut - 8_000, cut + 8_000);
  t.ok(
    correlation(heard.samples.subarray(cut - 8_000, cut + 8_000), joint) > 0.99,
    'and as it was at the joint',
  );
});

t.test('file: a song of another format is converted to the first one’s', { skip: noLame }, async t => {
  const path = join(await tempFolder(t), 'mixed.wav');
  const low: PcmFormat = { sampleRate: 22_050, channels: 1 };
  const high: PcmFormat = { sampleRate: 48_000, channels: 2 };
  const songs = await Promise.all([
    encode(chirp(1, CD), CD),
    encode(chirp(1, low), low, ['-b', '64', '-t']),
    encode(chirp(1, high), high),
  ]);
  const { audio, playOut } = await jukebox(t, `file:${path}`);
  await playOut(...songs.map(song => songOf(song)));
  await audio.stop();
  const heard = await readWav(path);
  t.strictSame([heard.sampleRate, heard.channels], [44_100, 2]);
  t.ok(correlation(heard.samples.subarray(0, 88_200), chirp(1, CD)) > 0.99);
  const third = heard.samples.subarray(heard.samples.length - 88_200);
  t.ok(correlation(third, chirp(1, CD)) > 0.98, 'it sounds as if it had been recorded so');
  const lowInSeconds = (heard.samples.length - 2 * 88_200) / 88_200;
  t.ok(Math.abs(lowInSeconds - 1) < 0.08, 'and lasts as long');
});

t.test('file: a disk that is full, and a place that is not there, are said and end nothing else', async t => {
  const full = await jukebox(t, 'file:/dev/full');
  const [summary] = await full.playOut(songOf(await readFile(await silentSong(t))));
  t.match(summary, {
    outcome: 'failed',
    reason: /disk is full/,
    error: { name: 'OutputError', fault: 'full' },
  });
  const nowhere = await jukebox(t, 'file:/no/such/folder/x.wav');
  const [other] = await nowhere.playOut(songOf(await readFile(await silentSong(t))));
  t.match(other, { outcome: 'failed', error: { fault: 'unwritable' } });
});

t.test('stdout: raw samples, or the MP3 as it is', { skip: noLame }, async t => {
  const folder = await tempFolder(t);
  const mp3 = await encode(chirp(1.5, CD), CD);
  const path = join(folder, 'song.mp3');
  await writeFile(path, mp3);
  const samples = await playToStdout([path]);
  const expected = await reference(mp3);
  t.equal(samples.output.length, expected.samples.byteLength);
  t.ok(
    difference(
      new Int16Array(samples.output.buffer, samples.output.byteOffset, samples.output.length / 2),
      expected.samples,
    ) <= ROUNDING,
  );
  t.strictSame((await playToStdout(['--raw', path, path])).output, Buffer.concat([mp3, mp3]));
});

t.test('stdout: a reader that goes away ends the song, not the process', { skip: noLame }, async t => {
  const path = join(await tempFolder(t), 'song.mp3');
  await writeFile(path, await encode(chirp(20, CD), CD));
  const { said } = await playToStdout([path], 1_000);
  t.match(said, /"outcome":"failed"/);
  t.match(said, /"fault":"closed"/);
  t.match(said, /done/);
});

t.test(
  'speaker: the real one, into an ALSA device that is a file',
  { skip: noLame || noAlsa() || noSpeaker() },
  async t => {
    const folder = await tempFolder(t);
    const device = await alsaFileDevice(folder);
    withEnvironment(t, { ALSA_CONFIG_PATH: device.config });
    const sound = await jukebox(t, 'speaker');
    const songs = await Promise.all([encode(chirp(1, CD), CD), encode(chirp(1, CD, 900), CD)]);
    const summaries = await sound.playOut(...songs.map(song => songOf(song)));
    await sound.audio.stop();
    t.strictSame(
      summaries.map(summary => summary.outcome),
      ['finished', 'finished'],
    );
    const expected = await Promise.all(songs.map(reference));
    const heard = await device.samples();
    const [a, b] = expected.map(pcm => pcm.samples) as [Int16Array, Int16Array];
    t.ok(difference(heard.subarray(0, a.length), a) <= ROUNDING, 'the first song');
    t.ok(
      difference(heard.subarray(a.length, a.length + b.length), b) <= ROUNDING,
      'and the second right behind it',
    );
  },
);

t.test(
  'aplay: the real one, into an ALSA device that is a file',
  { skip: noLame || missing('aplay') },
  async t => {
    const device = await alsaFileDevice(await tempFolder(t));
    withEnvironment(t, { ALSA_CONFIG_PATH: device.config });
    const { audio, playOut } = await jukebox(t, 'aplay');
    const mp3 = await encode(chirp(1, CD), CD);
    const [summary] = await playOut(songOf(mp3));
    await audio.stop();
    t.equal(summary?.outcome, 'finished');
    const { samples } = await reference(mp3);
    const heard = await device.samples();
    // The device is opened for the trial first, and each opening begins the file anew or adds to it.
    const from = heard.findIndex(sample => sample !== 0) - samples.findIndex(sample => sample !== 0);
    t.ok(difference(heard.subarray(from, from + samples.length), samples) <= ROUNDING);
  },
);

t.test(
  'auto: takes the first player that works, and says why not those before it',
  { skip: noLame },
  async t => {
    const folder = await tempFolder(t);
    withEnvironment(t, { PATH: folder, ALSA_CONFIG_PATH: '/dev/null' });
    await program(
      folder,
      'pw-play',
      'case $1 in --help) echo usage;; *) echo "no server" >&2; exit 1;; esac',
    );
    await program(folder, 'aplay', 'exec /bin/cat > "$0.$$"; exit 0');
    await program(folder, 'ffplay', 'exec /bin/cat > /dev/null');
    const mp3 = await withPath(() => encode(chirp(1, CD), CD));
    const { audio, events, playOut } = await jukebox(t, 'auto');
    t.match(
      events.find(event => event.kind === 'output'),
      { name: 'aplay', why: /speaker.*pw-play does not work here: no server/ },
    );
    const [summary] = await playOut(songOf(mp3));
    await audio.stop();
    t.equal(summary?.outcome, 'finished');
  },
);

t.test('auto: where nothing works, each reason is said and the song fails', { skip: noLame }, async t => {
  const folder = await tempFolder(t);
  withEnvironment(t, { PATH: folder, ALSA_CONFIG_PATH: '/dev/null' });
  const { playOut, player } = await jukebox(t, 'auto');
  const [summary, ...others] = await playOut(
    songOf(await readFile(await silentSong(t))),
    songOf(Buffer.alloc(10)),
  );
  t.strictSame(others, [], 'the queue does not run through in silence');
  t.match(summary, { outcome: 'failed', error: { name: 'OutputError' } });
  for (const each of ['speaker', 'pw-play', 'aplay', 'paplay', 'ffplay'])
    t.ok(summary?.reason?.includes(each), each);
  t.equal(player.state().state, 'stopped');
  await program(folder, 'paplay', 'exec /bin/cat > /dev/null');
  const [again] = await playOut(songOf(await readFile(await silentSong(t))));
  t.equal(again?.outcome, 'finished', 'a device that came meanwhile is found by the next song');
});

t.test('auto, for a person at a prompt: where nothing works the song is seen to play', async t => {
  withEnvironment(t, { PATH: await tempFolder(t), ALSA_CONFIG_PATH: '/dev/null' });
  const { playOut, events, logger } = await jukebox(t, 'auto', { orSilence: true });
  const [summary] = await playOut(songOf(mp3Bytes({ seconds: 0.3 })));
  t.equal(summary?.outcome, 'finished');
  t.match(
    events.filter(event => event.kind === 'output'),
    [{ name: 'null', why: /speaker.*ffplay/ }],
    'said once, and why',
  );
  t.same(logger.messages('warn'), [], 'an output that is only tried is no news');
});

t.test('a player program that dies is started again, what it says is told, and the song goes on', async t => {
  const folder = await tempFolder(t);
  withEnvironment(t, { PATH: `${folder}${delimiter}${process.env.PATH}` });
  // Dies once in the middle of the song; the trial before and the try after go well.
  await program(
    folder,
    'paplay',
    'n=$(cat "$0.n" 2>/dev/null || echo 0); echo $((n + 1)) > "$0.n"; if [ $n = 1 ]; then head -c 300000 > /dev/null; exec <&-; sleep 0.1; echo "no device" >&2; exit 3; fi; exec cat > "$0.out"',
  );
  const { playOut, logger } = await jukebox(t, 'paplay');
  const [summary] = await playOut(songOf(await readFile(await silentSong(t, 8))));
  t.equal(summary?.outcome, 'finished');
  const broken = logger.entries.find(({ message }) => message === 'the sound broke off and goes on');
  t.match(broken, { level: 'warn', fields: { why: 'paplay failed: no device' } });
  const { size } = await stat(join(folder, 'paplay.out'));
  t.ok(size > 44_100 * 4, 'the rest went to the next one');
});

const fixture = fileURLToPath(new URL('./play-to-stdout.js', import.meta.url));

/** Plays files with the output `stdout` in a process of its own; `limit`: its reader leaves after so many bytes. */
async function playToStdout(
  args: readonly string[],
  limit?: number,
): Promise<{ output: Buffer; said: string }> {
  const child = spawn(process.execPath, [fixture, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let said = '';
  child.stdout.on('data', chunk => {
    chunks.push(chunk);
    if (limit !== undefined) child.stdout.destroy();
  });
  child.stderr.on('data', data => {
    said += data;
  });
  await new Promise(resolve => child.on('close', resolve));
  return { output: Buffer.concat(chunks), said };
}

/** Importing it would tell, too, and abort where there is no sound device. */
function noSpeaker(): string | false {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('speaker/package.json'));
    return !existsSync(join(folder, 'build/Release/binding.node')) && 'the speaker package is not built here';
  } catch {
    return 'the speaker package is not installed';
  }
}

function noAlsa(): string | false {
  return process.platform === 'linux' ? missing('aplay') : 'ALSA is Linux’s';
}

async function alsaFileDevice(
  folder: string,
): Promise<{ config: string; samples: () => Promise<Int16Array> }> {
  const [config, raw] = [join(folder, 'alsa.conf'), join(folder, 'device.raw')];
  await writeFile(
    config,
    `pcm.!default { type file; file "${raw}"; format "raw"; slave.pcm "null" }\npcm.null { type null }\n`,
  );
  return {
    config,
    samples: async () => parseWav(Buffer.concat([Buffer.alloc(44), await readFile(raw)])).samples,
  };
}

async function program(folder: string, name: string, script: string): Promise<void> {
  const path = join(folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
}

const realPath = process.env.PATH ?? '';

/** For a moment with the tools of this machine. */
async function withPath<T>(task: () => Promise<T>): Promise<T> {
  const narrow = process.env.PATH;
  process.env.PATH = realPath;
  try {
    return await task();
  } finally {
    process.env.PATH = narrow;
  }
}

/** The path of a silent song, made without an encoder. */
async function silentSong(test: Teardown, seconds = 1): Promise<string> {
  const path = join(await tempFolder(test), 'silence.mp3');
  await writeFile(path, mp3Bytes({ seconds }));
  return path;
}
