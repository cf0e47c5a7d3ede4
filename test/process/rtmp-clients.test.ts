/**
 * Real RTMP clients, as processes, at a server on a virtual clock: ffmpeg, GStreamer and rtmpdump publish and play, and what
 * they play is, frame for frame, what was published. Where one is not installed its tests skip. What listeners hear of a
 * publisher that is killed or stopped is in rtmp.test.ts.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FrameScanner } from '../../peer/mpeg/frame-scanner.js';
import { parseFlvAudio } from '../../protocol/rtmp/flv-audio.js';
import { RADIO_KEY, rtmpRoom, TALK_KEY } from '../peer/live/rtmp-room.js';
import { missing } from '../support/installed.js';
import { type Mp3Options, mpegFrames } from '../support/mp3.js';
import { type RunningCommand, spawnProgram } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { type Teardown, until, within } from '../support/until.js';

const noFfmpeg = missing('ffmpeg');
const noRtmpdump = missing('rtmpdump') || noFfmpeg;
const noGStreamer = missing('gst-launch-1.0') || noFfmpeg;

const README = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
const FFMPEG = ['-hide_banner', '-nostdin', '-loglevel', 'error', '-y'];

const ffmpeg = (t: Teardown, ...args: string[]): Promise<RunningCommand> =>
  spawnProgram(t, 'ffmpeg', [...FFMPEG, ...args]);

/** Ends well, or says why not. */
async function ends(command: RunningCommand, code = 0): Promise<void> {
  const exit = await within(`${command.name} ends`, command.exited);
  if (exit.code !== code) throw new Error(`${command.name} ended with ${exit.code}: ${command.stderr}`);
}

/** A publisher's file of silent frames that differ, without tags. */
async function published(t: Teardown, options: Mp3Options = {}) {
  const folder = await tempFolder(t);
  const path = join(folder, 'published.mp3');
  const bytes = mpegFrames({ seconds: 3, seed: 5, ...options });
  await writeFile(path, bytes);
  return { path, bytes, out: (name: string) => join(folder, name) };
}

/** The bytes of the MPEG frames in a file of frames. */
async function framesIn(path: string): Promise<Buffer> {
  const scanner = new FrameScanner();
  const frames = [...scanner.push(await readFile(path)), ...scanner.end()];
  return Buffer.concat(frames.map(({ bytes }) => bytes));
}

/** The same of an FLV file. */
async function framesInFlv(path: string): Promise<Buffer> {
  const flv = await readFile(path);
  const frames: Uint8Array[] = [];
  for (let at = 13; at + 11 < flv.length; ) {
    const length = flv.readUIntBE(at + 1, 3);
    const audio = parseFlvAudio(flv.subarray(at + 11, at + 11 + length));
    if (flv[at] === 8 && audio.kind === 'mp3') frames.push(audio.bytes);
    at += 11 + length + 4;
  }
  return Buffer.concat(frames);
}

/** A room whose players can be waited for: they are there before the feed is. */
async function room(t: Teardown) {
  const made = await rtmpRoom(t);
  let waiting = 0;
  const { feeds } = made;
  const onChange = feeds.onChange.bind(feeds);
  feeds.onChange = listener => {
    waiting += 1;
    return onChange(listener);
  };
  const url = `rtmp://127.0.0.1:${made.port}`;
  return { ...made, url, awaited: (count: number) => until('players wait', () => waiting === count) };
}

const RAW_MP3 = ['-f', 'mp3', '-write_xing', '0', '-id3v2_version', '0'];

for (const [what, options] of [
  ['44.1 kHz', {}],
  ['48 kHz', { sampleRate: 48_000 }],
  ['22.05 kHz mono', { sampleRate: 22_050, channels: 1 }],
  ['a variable bitrate', { bitrate: [96_000, 128_000, 256_000] }],
] as const) {
  t.test(`ffmpeg publishes MP3 of ${what}, ffmpeg plays it: the same frames`, { skip: noFfmpeg }, async t => {
    const { url, awaited } = await room(t);
    const { path, bytes, out } = await published(t, options as Mp3Options);
    const player = await ffmpeg(t, '-i', `${url}/live/radio`, '-c', 'copy', ...RAW_MP3, out('played.mp3'));
    await awaited(1);
    await ends(await ffmpeg(t, '-i', path, '-c', 'copy', '-f', 'flv', `${url}/live/${RADIO_KEY}`));
    await ends(player);
    t.ok((await framesIn(out('played.mp3'))).equals(bytes));
  });
}

/** The README's words, for a source as slow as our tunes: FLV takes MP3 of 32 kHz from nobody. */
t.test('ffmpeg publishes by the line of the README, whatever the rate', { skip: noFfmpeg }, async t => {
  const { url, awaited } = await room(t);
  const { out } = await published(t);
  const [, line = ''] = /`ffmpeg -re -i \S+ (.+) rtmp:\S+\/KEY`/.exec(README)!;
  const player = await ffmpeg(t, '-i', `${url}/live/radio`, '-c', 'copy', ...RAW_MP3, out('played.mp3'));
  await awaited(1);
  const source = ['-f', 'lavfi', '-i', 'sine=sample_rate=32000:duration=2'];
  await ends(await ffmpeg(t, ...source, ...line.split(' '), `${url}/live/${RADIO_KEY}`));
  await ends(player);
  t.ok((await framesIn(out('played.mp3'))).length > 16_000, 'a second at least');
});

t.test(
  'rtmpdump and GStreamer play what ffmpeg publishes with a picture',
  { skip: noRtmpdump || noGStreamer },
  async t => {
    const { url, awaited } = await room(t);
    const { path, bytes, out } = await published(t);
    const rtmpdump = await spawnProgram(t, 'rtmpdump', [
      '-q',
      '-v',
      '-r',
      `${url}/live/radio`,
      '-o',
      out('r.flv'),
    ]);
    const source = ['rtmp2src', `location=${url}/live/radio`, '!', 'filesink', `location=${out('g.flv')}`];
    const gstreamer = await spawnProgram(t, 'gst-launch-1.0', ['-q', ...source]);
    await awaited(2);
    const picture = ['-f', 'lavfi', '-i', 'testsrc=size=64x64:rate=10', '-c:v', 'flv1', '-shortest'];
    const target = ['-c:a', 'copy', '-f', 'flv', `${url}/live/${RADIO_KEY}`];
    await ends(await ffmpeg(t, '-i', path, ...picture, ...target));
    await Promise.all([ends(rtmpdump), ends(gstreamer)]);
    t.ok((await framesInFlv(out('r.flv'))).equals(bytes), 'rtmpdump');
    const played = await framesInFlv(out('g.flv'));
    t.ok(bytes.subarray(0, played.length).equals(played), 'GStreamer');
    t.ok(
      played.length > bytes.length - 500,
      'whose rtmp2src may drop what it holds when it hears of the end',
    );
  },
);

t.test('GStreamer publishes, without the frame that only tells of others', { skip: noGStreamer }, async t => {
  const { url, awaited } = await room(t);
  const { path, bytes, out } = await published(t, { header: 'Xing' });
  const player = await ffmpeg(t, '-i', `${url}/live/radio`, '-c', 'copy', ...RAW_MP3, out('played.mp3'));
  await awaited(1);
  const pipeline = [
    'filesrc',
    `location=${path}`,
    '!',
    'mpegaudioparse',
    '!',
    'flvmux',
    'streamable=true',
    '!',
  ];
  const sink = ['rtmp2sink', `location=${url}/live/${RADIO_KEY}`];
  await ends(await spawnProgram(t, 'gst-launch-1.0', ['-q', ...pipeline, ...sink]));
  await ends(player);
  const played = await framesIn(out('played.mp3'));
  t.ok(bytes.subarray(-played.length).equals(played));
  t.ok(played.length > bytes.length - 1_000, 'all but the first');
});

t.test(
  'a wrong key, a name that is not there: clients end at once and say so',
  { skip: noRtmpdump },
  async t => {
    const { url, clock } = await room(t);
    const { path, out } = await published(t);
    const wrong = await ffmpeg(t, '-i', path, '-c', 'copy', '-f', 'flv', `${url}/live/wrong`);
    await ends(wrong, 1);
    t.match(wrong.stderr, /this key opens no feed here/);
    const nothing = await ffmpeg(t, '-i', `${url}/songs/8`, '-f', 'null', '-');
    await ends(nothing, 1);
    t.match(nothing.stderr, /no such song/);
    const dumped = await spawnProgram(t, 'rtmpdump', ['-r', `${url}/songs/8`, '-o', out('none.flv')]);
    // It waits for our FIN.
    await until('rtmpdump ends', () => {
      clock.advance(100);
      return !dumped.running;
    });
    await ends(dumped, 1);
  },
);

t.test('user and password, as OBS and ffmpeg ask for them', { skip: noFfmpeg }, async t => {
  const { port, url, awaited, clock } = await room(t);
  const { path, bytes, out } = await published(t);
  const player = await ffmpeg(t, '-i', `${url}/live/talk`, '-c', 'copy', ...RAW_MP3, out('played.mp3'));
  await awaited(1);
  const login = async (password: string): Promise<RunningCommand> => {
    const target = `rtmp://talk:${password}@127.0.0.1:${port}/auth/talk`;
    const client = await ffmpeg(t, '-i', path, '-c', 'copy', '-f', 'flv', target);
    await until('it ends', () => {
      clock.advance(20);
      return !client.running;
    });
    return client;
  };
  const wrong = await login('wrong');
  await ends(wrong, 1);
  t.match(wrong.stderr, /Incorrect username\/password/);
  await ends(await login(TALK_KEY));
  await ends(player);
  t.ok((await framesIn(out('played.mp3'))).equals(bytes));
});

t.test('stored songs: whole, from there, for so long, and after a seek', { skip: noRtmpdump }, async t => {
  const { url, bytes, clock } = await room(t);
  const { out } = await published(t);
  const whole = await spawnProgram(t, 'rtmpdump', ['-q', '-r', `${url}/songs/7.mp3`, '-o', out('w.flv')]);
  await ends(whole);
  const music = await framesInFlv(out('w.flv'));
  t.ok(bytes.subarray(-music.length).equals(music) && music.length > bytes.length - 1_100, 'every frame');
  const part = await spawnProgram(t, 'rtmpdump', [
    '-q',
    '-r',
    `${url}/songs/7`,
    '-A',
    '5',
    '-B',
    '7',
    '-o',
    out('p.flv'),
  ]);
  await ends(part);
  const range = await framesInFlv(out('p.flv'));
  t.ok(music.includes(range) && Math.abs(range.length / music.length - 2 / 30) < 0.005, 'two seconds');
  const sought = await ffmpeg(t, '-ss', '20', '-i', `${url}/songs/7`, '-c', 'copy', ...RAW_MP3, out('s.mp3'));
  await until('it ends', async () => {
    await clock.advanceSlowly(1_000);
    return !sought.running;
  });
  await ends(sought);
  const rest = await framesIn(out('s.mp3'));
  t.ok(music.subarray(-rest.length).equals(rest), 'to the end');
  t.ok(Math.abs(rest.length / music.length - 10 / 30) < 0.01, 'ten seconds of thirty');
});

t.test('a second publisher ends at once and says why', { skip: noFfmpeg }, async t => {
  const { url, feeds } = await room(t);
  const { path } = await published(t, { seconds: 60 });
  const publish = () => ffmpeg(t, '-re', '-i', path, '-c', 'copy', '-f', 'flv', `${url}/live/${RADIO_KEY}`);
  const first = await publish();
  await until('it is on the air', () => feeds.feed('radio') !== undefined);
  const second = await publish();
  await ends(second, 1);
  t.match(second.stderr, /somebody is publishing radio already/);
  t.ok(first.running);
});
