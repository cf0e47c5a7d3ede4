/** The audio process as a process: what kills it, what hangs it, and what it plays all the same. */
import { spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ForkedAudio } from '../../../peer/playback/audio-process.js';
import { createDecoder } from '../../../peer/playback/decoders/auto.js';
import { parseOutput } from '../../../peer/playback/output-choice.js';
import type { PcmFormat } from '../../../peer/playback/pcm.js';
import type { PlayableSong, PlayerEvent } from '../../../peer/playback/player-events.js';
import type { Clock } from '../../../protocol/ports.js';
import { missing } from '../../support/installed.js';
import { mp3Bytes } from '../../support/mp3.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { jukebox, songOf, streamOf } from './jukebox.js';
import { chirp, difference, encode, readWav, reference } from './sound.js';
import { record } from './studio.js';

const CD: PcmFormat = { sampleRate: 44_100, channels: 2 };
const noLame = missing('lame');
const isProgress = (event: PlayerEvent) => event.kind === 'progress';

/** A song whose stream stops after `bytes` until it is opened again. */
function stuck(mp3: Buffer, bytes: number): PlayableSong {
  let opened = 0;
  const never = new Promise<never>(() => {});
  return {
    ...songOf(mp3),
    open: fromByte => {
      if (opened++ > 0) return streamOf(mp3, fromByte);
      const stream = streamOf(mp3.subarray(0, bytes), fromByte);
      return {
        ...stream,
        size: Promise.resolve(mp3.length),
        async *[Symbol.asyncIterator]() {
          yield* stream;
          await never;
        },
      };
    },
  };
}

t.test('killed in mid-song, it is started again and the song goes on', async t => {
  const { audio, player, events, heard } = await jukebox(t, 'null');
  player.play([songOf(mp3Bytes({ seconds: 4 }))]);
  await until('it plays', () => player.state().positionSeconds > 0.5);
  const [pid, position] = [audio.pid!, player.state().positionSeconds];
  process.kill(pid, 'SIGSEGV');
  await until('another process', () => audio.pid !== undefined && audio.pid !== pid);
  await heard('it plays on', event => isProgress(event) && player.state().state === 'playing');
  t.ok(player.state().positionSeconds >= position - 0.3, 'from where it was');
  await heard('it ends', event => event.kind === 'idle');
  t.match(
    events.filter(event => event.kind === 'ended'),
    [{ summary: { outcome: 'finished' } }],
  );
  t.equal(events.filter(event => event.kind === 'started').length, 1, 'one song, started once');
});

t.test('killed while it writes a file, the file is whole in the end', { skip: noLame }, async t => {
  const path = join(await tempFolder(t), 'out.wav');
  const before = await encode(chirp(1, CD), CD);
  const mp3 = await encode(chirp(12, CD), CD);
  const { audio, player, heard } = await jukebox(t, `file:${path}`);
  player.play([songOf(before), stuck(mp3, 80_000)]);
  await until(
    'it waits for the rest',
    () => player.state().state === 'buffering' && player.state().positionSeconds > 4,
  );
  process.kill(audio.pid!, 'SIGKILL');
  await heard('it ends', event => event.kind === 'idle');
  await audio.stop();
  const [heardSamples, one, two] = [
    (await readWav(path)).samples,
    await reference(before),
    await reference(mp3),
  ];
  t.equal(heardSamples.length, one.samples.length + two.samples.length);
  t.ok(difference(heardSamples.subarray(one.samples.length), two.samples) <= 1);
});

t.test('a process that hangs is killed, and the song goes on', async t => {
  const clock = new VirtualClock();
  const audio = audioInto('null', clock);
  const told: string[] = [];
  audio.onEvent(event => {
    if (event.is === 'restarted') told.push(`restarted: ${event.why}`);
    else told.push(event.is === 'silent' ? `silent: ${event.error.message}` : event.is);
  });
  t.teardown(() => audio.stop());
  await audio.start();
  t.strictSame(told, ['output']);
  const pid = audio.pid!;
  audio.begin({ startSeconds: 0 });
  await until('it is alive', () => told.includes('position'));
  process.kill(pid, 'SIGSTOP');
  clock.advance(4_900);
  await new Promise(resolve => setImmediate(resolve));
  t.equal(audio.pid, pid);
  clock.advance(5_100);
  await until('another process', () => told.findLast(each => each.startsWith('restarted')));
  t.match(
    told.find(each => each.startsWith('restarted')),
    /hangs/,
  );
});

t.test('one that was stopped together with the peer, as Ctrl-Z does, is no process that hangs', async t => {
  const due = new Set<() => void>();
  const clock: Clock = {
    now: () => 0,
    after: (_ms, callback) => {
      due.add(callback);
      return () => due.delete(callback);
    },
  };
  const audio = audioInto('null', clock);
  t.teardown(() => audio.stop());
  const told: string[] = [];
  audio.onEvent(event => told.push(event.is));
  await audio.start();
  const pid = audio.pid!;
  audio.begin({ startSeconds: 0 });
  await until('it is alive', () => told.includes('position'));
  // Time has passed, and timers come before what can be read.
  for (const callback of [...due]) callback();
  told.length = 0;
  await until('it goes on', () => told.length > 5 || told.includes('restarted'));
  t.equal(audio.pid, pid);
  t.notOk(told.includes('restarted'));
});

t.test('one that has nothing to say since its song was stopped is no process that hangs', async t => {
  const clock = new VirtualClock();
  const audio = audioInto('null', clock);
  t.teardown(() => audio.stop());
  const told: string[] = [];
  audio.onEvent(event => told.push('song' in event ? `${event.is} ${event.song}` : event.is));
  await audio.start();
  const pid = audio.pid!;
  const first = audio.begin({ startSeconds: 0 });
  await until('it is alive', () => told.includes('position 1'));
  process.kill(pid, 'SIGSTOP');
  await new Promise(resolve => setImmediate(resolve));
  audio.flush(first);
  clock.advance(10_000);
  process.kill(pid, 'SIGCONT');
  audio.begin({ startSeconds: 0 });
  await until('the next song is told of', () => told.includes('position 2') || told.includes('restarted'));
  t.equal(audio.pid, pid);
  t.notOk(told.includes('restarted'));
});

t.test('one that hangs is replaced, however often something else is asked of it', async t => {
  const clock = new VirtualClock();
  const audio = audioInto('null', clock);
  t.teardown(() => audio.stop());
  const told: string[] = [];
  audio.onEvent(event => told.push(event.is));
  await audio.start();
  let song = audio.begin({ startSeconds: 0 });
  await until('it is alive', () => told.includes('position'));
  process.kill(audio.pid!, 'SIGSTOP');
  await new Promise(resolve => setImmediate(resolve));
  // Also by a person who is impatient with it.
  for (let seconds = 0; seconds < 9; seconds += 1) {
    audio.flush(song);
    song = audio.begin({ startSeconds: seconds });
    clock.advance(1_000);
  }
  await until('another process', () => told.includes('restarted'));
});

t.test('songs without music fail, each by itself', async t => {
  const { playOut } = await jukebox(t, 'null');
  const rubbish = [
    Buffer.alloc(0),
    Buffer.alloc(300_000),
    Buffer.alloc(300_000, 0xff),
    Buffer.from('<html>'.repeat(9_000)),
  ];
  const tagOnly = mp3Bytes({ title: 'nothing but a tag' }).subarray(0, 100);
  const summaries = await playOut(
    ...[...rubbish, tagOnly, mp3Bytes({ seconds: 0.2 })].map(bytes => songOf(bytes)),
  );
  const outcomes = summaries.map(summary => summary.outcome);
  t.strictSame(outcomes, ['failed', 'failed', 'failed', 'failed', 'failed', 'finished']);
  t.match(summaries[1], { reason: 'there is no MP3 in it', startedInMs: undefined });
});

t.test('damaged songs play as far as they are whole', { skip: noLame }, async t => {
  const folder = await tempFolder(t);
  const mp3 = await encode(chirp(3, CD), CD);
  const picture = Buffer.concat([
    Buffer.from('ID3\x03\x00\x00\x00\x20\x00\x00', 'latin1'),
    Buffer.alloc(524_288, 0xff),
  ]);
  const cases: [string, Buffer, number][] = [
    ['a big picture before it', Buffer.concat([picture, mp3]), 3],
    ['garbage before it', Buffer.concat([Buffer.from('garbage'.repeat(500)), mp3]), 3],
    [
      'garbage in the middle',
      Buffer.concat([mp3.subarray(0, 24_000), Buffer.alloc(5_000, 0x55), mp3.subarray(24_000)]),
      3,
    ],
    ['cut off', mp3.subarray(0, mp3.length - 9_000), 2.43],
    ['a tag behind it', Buffer.concat([mp3, Buffer.from('TAG'), Buffer.alloc(125)]), 3],
    ['two in one', Buffer.concat([mp3, mp3]), 6],
  ];
  for (const [name, bytes, seconds] of cases) {
    const heard =
      (await record(createDecoder('auto'), bytes, join(folder, `${name}.wav`))).samples.length / 88_200;
    t.ok(Math.abs(heard - seconds) < 0.12, `${name}: ${heard} s`);
  }
});

t.test('a seek sounds from the very sample', { skip: noLame }, async t => {
  const path = join(await tempFolder(t), 'seek.wav');
  const mp3 = await encode(chirp(20, CD), CD);
  const { audio, player, heard } = await jukebox(t, `file:${path}`);
  player.play([stuck(mp3, 60_000)]);
  await until(
    'it waits for the rest',
    () => player.state().state === 'buffering' && player.state().positionSeconds > 3,
  );
  player.seek(10);
  await heard('it ends', event => event.kind === 'idle');
  await audio.stop();
  const [wav, expected] = [await readWav(path), await reference(mp3)];
  const tail = expected.samples.subarray(10 * 88_200);
  t.ok(difference(wav.samples.subarray(wav.samples.length - tail.length), tail) <= 1);
});

t.test('without node-lame, lame says what installs that', t => {
  const hooks = `export const resolve = (name, context, next) => {
    if (name === 'node-lame') throw new Error('Cannot find package');
    return next(name, context);
  };`;
  const program = `import { register } from 'node:module';
    register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`)});
    const { createDecoder } = await import(${JSON.stringify(import.meta.resolve('../../../peer/playback/decoders/auto.js'))});
    await createDecoder('lame').load().catch(error => console.log(error.message));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  t.equal(stdout, 'node-lame is not installed: npm install --include=optional installs it\n');
  t.end();
});

t.test('both decoders play; lame alone plays the free format', { skip: noLame }, async t => {
  const folder = await tempFolder(t);
  const plain = await encode(chirp(1, CD), CD);
  const free = await encode(chirp(1, CD), CD, ['--freeformat', '-b', '400']);
  for (const [decoder, mp3] of [
    ['lame', plain],
    ['mpg123', plain],
    ['auto', free],
  ] as const) {
    const wav = await record(createDecoder(decoder), mp3, join(folder, `${decoder}.wav`));
    const expected = await reference(mp3);
    t.equal(wav.samples.length, expected.samples.length, `${decoder}: to the sample`);
    t.ok(difference(wav.samples, expected.samples) <= 1, decoder);
  }
});

t.test('a song that lame plays can be stopped and another played', { skip: noLame }, async t => {
  const { player, playOut, heard } = await jukebox(t, 'null', { decoder: 'lame' });
  for (let times = 0; times < 2; times++) {
    player.play([songOf(await encode(chirp(10, CD), CD))]);
    await heard('it starts', event => event.kind === 'started');
    player.stop();
  }
  const [summary] = await playOut(songOf(mp3Bytes({ seconds: 0.3 })));
  t.match(summary, { outcome: 'finished' });
});

t.test('where lame is asked for and missing, the line that mends it is said', async t => {
  const before = { ...process.env };
  Object.assign(process.env, { LAME_BINARY: '/bin/false' });
  t.teardown(() => {
    process.env = before;
  });
  const { playOut } = await jukebox(t, 'null', { decoder: 'lame' });
  const [summary] = await playOut(songOf(mp3Bytes()));
  t.match(summary, { outcome: 'failed', error: { name: 'DecoderError' }, reason: /apt install lame/ });
});

t.test('the process that was launched ahead is the one that plays, or is gone', async t => {
  const needed = audioInto('null', new VirtualClock());
  t.teardown(() => needed.stop());
  needed.launch();
  const { pid } = needed;
  await needed.start();
  t.equal(needed.pid, pid);
  const unneeded = audioInto('null', new VirtualClock());
  unneeded.launch();
  const another = unneeded.pid!;
  t.ok(isAlive(another));
  await unneeded.stop();
  t.notOk(isAlive(another));
});

t.test('one that Ctrl-C ends while it loads is replaced without a word', async t => {
  const logger = new RecordingLogger();
  const audio = audioInto('null', new VirtualClock(), logger);
  t.teardown(() => audio.stop());
  audio.launch();
  process.kill(audio.pid!, 'SIGINT');
  await until('it is gone', () => audio.pid === undefined);
  await audio.start();
  t.ok(isAlive(audio.pid!));
  t.same(logger.messages('warn'), []);
});

t.test('what is asked for before it is ready is done when it is', async t => {
  const audio = audioInto('null', new VirtualClock());
  t.teardown(() => audio.stop());
  const told: string[] = [];
  audio.onEvent(event => told.push('song' in event ? `${event.is} ${event.song}` : event.is));
  const ready = audio.start();
  const first = audio.begin({ startSeconds: 0 });
  const second = audio.begin({ startSeconds: 0 });
  t.equal(await audio.data(first, mp3Bytes({ seconds: 3 })), true);
  audio.flush(first);
  t.equal(await audio.data(first, mp3Bytes({ seconds: 9 })), false, 'flushed before it began');
  await audio.data(second, mp3Bytes({ seconds: 0.1 }));
  audio.volume({ percent: 10, muted: false });
  audio.end(second);
  await ready;
  await until('it plays', () => told.includes('ended 2'));
  t.notOk(told.includes('started 1'));
});

t.test('when the peer is gone, so is the audio process', async t => {
  const program = join(await tempFolder(t), 'peer.mjs');
  const jukeboxUrl = new URL('./jukebox.js', import.meta.url).href;
  await writeFile(
    program,
    `const { jukebox } = await import(${JSON.stringify(jukeboxUrl)});
     const { audio } = await jukebox({ teardown: () => {} }, 'null');
     console.log(audio.pid);
     setInterval(() => {}, 1000);`,
  );
  const peer = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = await new Promise<number>(resolve => peer.stdout.once('data', data => resolve(Number(data))));
  process.kill(pid, 'SIGINT');
  process.kill(pid, 'SIGTERM');
  process.kill(pid, 0);
  peer.kill('SIGKILL');
  await until('it ends', () => !isAlive(pid));
  t.pass('and not before, whatever the terminal says');
});

const audioInto = (output: string, clock: Clock, logger = new RecordingLogger()): ForkedAudio =>
  new ForkedAudio({ outputs: parseOutput(output)!, decoder: 'auto', clock, logger });

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
