/** WAV and AIFF offered as MP3: with the real lame where it is, and with encoders that are missing, slow or broken. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Encoder, LameEncoder } from '../../../peer/library/encode.js';
import { Library } from '../../../peer/library/library.js';
import { openDisk } from '../../../src/disk.js';
import { missing } from '../../support/installed.js';
import { EVERY_FIELD, EVERY_FIELD_READ, id3v2, mp3Bytes, wavBytes } from '../../support/mp3.js';
import { patientClock } from '../../support/patient-clock.js';
import { aiffBytes, iff, info, riff, withChunks } from '../../support/pcm-chunks.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';

// Most of the time here is spent waiting for a folder to become quiet.
t.jobs = 4;

/** Makes an MP3 of the source's first bytes, and notes what it was asked. */
class FakeEncoder implements Encoder {
  readonly asked: string[] = [];
  running = 0;
  atOnce = 0;
  lacks: string | undefined;

  constructor(readonly folder: string) {}

  async missing(): Promise<string | undefined> {
    return this.lacks;
  }

  async encode(source: string, target: string, signal: AbortSignal): Promise<void> {
    this.asked.push(source.slice(this.folder.length + 1));
    this.atOnce = Math.max(this.atOnce, ++this.running);
    try {
      const bytes = await readFile(source);
      if (bytes.includes('broken')) throw new Error('cannot encode this');
      if (bytes.includes('silly')) return await writeFile(target, 'no MP3');
      if (bytes.includes('endless')) {
        await writeFile(target, 'half of it');
        signal.throwIfAborted();
        await once(signal, 'abort');
        signal.throwIfAborted();
      }
      await writeFile(target, mp3Bytes({ seed: bytes.length }));
    } finally {
      this.running -= 1;
    }
  }
}

async function subject(t: Teardown, encoder?: Encoder) {
  const root = await tempFolder(t);
  const dataDir = await tempFolder(t);
  const logger = new RecordingLogger();
  const open = (using = encoder) => {
    const library = new Library({
      roots: [root],
      dataDir,
      encode: true,
      openDisk,
      clock: patientClock,
      logger,
      ...(using && { encoder: using }),
    });
    t.teardown(() => library.stop());
    return library;
  };
  const encoded = async () => (await readdir(join(dataDir, 'encoded'))).length;
  return { root, dataDir, logger, open, encoded };
}
const titles = (library: Library) =>
  [...library.catalogue.songs()]
    .map(song => song.offer.title)
    .sort()
    .join();
const lists = (library: Library, wanted: string) =>
  until(
    () => `${titles(library)} should be ${wanted}`,
    () => titles(library) === wanted && library.report().phase === 'idle',
  );

t.test('sources are encoded one at a time after everything else, and go with their sources', async t => {
  const encoder = new FakeEncoder(await tempFolder(t));
  const { root, dataDir, open, encoded } = await subject(t, encoder);
  await writeFile(join(root, 'song.mp3'), mp3Bytes({ seed: 1 }));
  for (const i of [1, 2, 3]) await writeFile(join(root, `wav ${i}.wav`), wavBytes({ seconds: i / 10 }));
  const library = open();
  await library.start();
  t.equal(titles(library), 'song', 'the start does not wait for it');
  await lists(library, 'song,wav 1,wav 2,wav 3');
  t.equal(encoder.atOnce, 1);
  t.match(library.report(), { skipped: [], encoding: { waiting: 0, encoded: 3 } });
  const [song] = [...library.catalogue.songs()].filter(each => each.offer.title === 'wav 1');
  t.ok(song!.path.startsWith(join(dataDir, 'encoded')));
  t.equal(song!.nodes.length, 32);
  t.equal(await encoded(), 3);

  await rename(join(root, 'wav 1.wav'), join(root, 'renamed.wav'));
  await lists(library, 'renamed,song,wav 2,wav 3');
  await rm(join(root, 'wav 2.wav'));
  await lists(library, 'renamed,song,wav 3');
  await writeFile(join(root, 'wav 3.wav'), 'la la la');
  await lists(library, 'renamed,song');
  await until('what nobody needs is removed', async () => (await encoded()) === 1);
  t.equal(encoder.asked.length, 3, 'a renamed source is not encoded again');
  await library.stop();

  const again = open();
  await again.start();
  await lists(again, 'renamed,song');
  t.equal(encoder.asked.length, 3, 'nor is one that was encoded before the start');
  await again.stop();

  await rm(join(dataDir, 'encoded'), { recursive: true });
  await mkdir(join(dataDir, 'encoded'));
  const left = join(dataDir, 'left');
  await writeFile(left, 'half of it');
  await link(left, `${song!.path}.part`);
  const third = open();
  await third.start();
  await lists(third, 'renamed,song');
  t.equal(encoder.asked.length, 4, 'but one whose encoding was lost is');
  t.equal(await readFile(left, 'utf8'), 'half of it', 'and not into what a killed run may write to still');
});

t.test('what cannot be encoded is counted, said, and stops nothing else', async t => {
  const encoder = new FakeEncoder(await tempFolder(t));
  const { root, logger, open } = await subject(t, encoder);
  await writeFile(join(root, 'a.wav'), Buffer.concat([wavBytes({ seconds: 0.1 }), Buffer.from('broken')]));
  await writeFile(join(root, 'b.wav'), Buffer.concat([wavBytes({ seconds: 0.1 }), Buffer.from('silly')]));
  await writeFile(join(root, 'c.wav'), wavBytes({ seconds: 0.1 }));
  const library = open();
  await library.start();
  await lists(library, 'c');
  t.match(library.report().skipped, [{ reason: 'not-encoded', count: 2 }]);
  const told = logger.entries.filter(({ message }) => message === 'a file could not be encoded');
  t.same(
    told.map(({ fields }) => fields),
    [
      { file: join(root, 'a.wav'), why: 'cannot encode this' },
      { file: join(root, 'b.wav'), why: 'the encoder made no MP3: not-mp3' },
    ],
    'without a stack',
  );
});

t.test('what cannot be removed from among the encodings stays, and stops nothing else', async t => {
  const encoder = new FakeEncoder(await tempFolder(t));
  const { root, dataDir, logger, open, encoded } = await subject(t, encoder);
  const folder = join(dataDir, 'encoded');
  await mkdir(join(folder, 'a folder'), { recursive: true });
  await writeFile(join(folder, 'b.mp3'), 'of no source');
  await writeFile(join(root, 'a.wav'), wavBytes({ seconds: 0.1 }));
  const library = open();
  await library.start();
  await lists(library, 'a');
  await until('the rest is removed', async () => (await encoded()) === 2);
  t.ok(logger.messages('debug').includes('an encoding without a source could not be removed'));
});

t.test('without an encoder it is said once, with what mends it', async t => {
  const encoder = new FakeEncoder(await tempFolder(t));
  encoder.lacks = 'lame is not installed';
  const { root, logger, open } = await subject(t, encoder);
  await writeFile(join(root, 'a.wav'), wavBytes({ seconds: 0.1 }));
  const library = open();
  await library.start();
  await until('it is said', () => library.report().encoding?.missing === 'lame is not installed');
  t.match(library.report().skipped, [{ reason: 'pcm', count: 1 }]);
  await writeFile(join(root, 'b.wav'), wavBytes({ seconds: 0.2 }));
  await until('the second one is met', () => library.report().skipped[0]?.count === 2);
  t.same(logger.messages('warn'), ['nothing is encoded: lame is not installed']);
  t.same(encoder.asked, []);
});

t.test('stopping ends an encoding, which leaves nothing behind', async t => {
  const encoder = new FakeEncoder(await tempFolder(t));
  const { root, open, encoded } = await subject(t, encoder);
  await writeFile(join(root, 'a.wav'), Buffer.concat([wavBytes({ seconds: 0.1 }), Buffer.from('endless')]));
  const library = open();
  await library.start();
  await until('it is encoded', () => encoder.running === 1);
  t.equal(library.report().phase, 'encoding');
  await library.stop();
  t.equal(encoder.running, 0);
  t.equal(await encoded(), 0);
});

const noLame = (await new LameEncoder().missing()) !== undefined && 'node-lame or lame is not installed';

t.test('the real lame makes MP3 of WAV and AIFF', { skip: noLame }, async t => {
  const { root, open } = await subject(t);
  await writeFile(join(root, 'wav.wav'), wavBytes({ seconds: 2 }));
  await writeFile(join(root, 'aiff.aiff'), aiffBytes(wavBytes({ seconds: 2, hz: 880 })));
  const library = open();
  await library.start();
  await lists(library, 'aiff,wav');
  for (const { offer } of library.catalogue.songs()) {
    t.match(offer, { bitrate: 192_000, sampleRate: 44_100, channels: 2, vbr: false });
    t.equal(offer.duration, 2, 'which it has when lame could note where it begins and ends');
  }
});

t.test('what a source says of itself reaches the list and the MP3', { skip: noLame }, async t => {
  const { root, dataDir, open } = await subject(t);
  const id3 = id3v2('id3v2.4', EVERY_FIELD);
  const wav = wavBytes({ seconds: 2 });
  for (const [name, file] of [
    ['id3.wav', withChunks(wav, { behind: [riff('id3 ', id3)] })],
    [
      'info.wav',
      withChunks(wavBytes({ seconds: 2, hz: 550 }), { before: [info({ INAM: 'b', IART: 'Ärzte' })] }),
    ],
    ['named.aiff', withChunks(aiffBytes(wav), { before: [iff('NAME', 'c'), iff('AUTH', 'Ärzte')] })],
    ['untitled.wav', withChunks(wav, { before: [info({ IART: 'Ärzte' })] })],
    [
      'lying.wav',
      withChunks(wav, { behind: [riff('id3 ', id3.subarray(0, 14)), Buffer.from('LIST\xff\xff\xff\xff')] }),
    ],
  ] as const)
    await writeFile(join(root, name), file);
  const library = open();
  await library.start();
  await lists(library, `b,c,lying,untitled,${EVERY_FIELD.title}`);
  const songs = [...library.catalogue.songs()];
  const offers = Object.fromEntries(songs.map(({ offer }) => [offer.title, offer]));
  t.match(offers[EVERY_FIELD.title], EVERY_FIELD_READ);
  for (const title of ['b', 'c', 'untitled']) t.match(offers[title], { artist: 'Ärzte' });
  t.same(
    songs.map(({ offer }) => offer.duration),
    songs.map(() => 2),
    'lame still says where the music begins and ends',
  );
  const left = await readdir(join(dataDir, 'encoded'));
  t.equal(left.filter(name => /^\w+\.mp3$/.test(name)).length, left.length, 'nothing else is left behind');
  if (missing('ffprobe')) return;
  const { path } = songs.find(({ offer }) => offer.album !== undefined)!;
  const words = ['-v', 'error', '-of', 'json', '-show_entries', 'format_tags', path];
  const { format } = JSON.parse(execFileSync('ffprobe', words, { encoding: 'utf8' }));
  const { albumArtist, year, ...others } = EVERY_FIELD;
  t.match(format.tags, { ...others, album_artist: albumArtist, date: year, track: '3', disc: '2' });
});

/** A WAV that says something else of its sound. */
function withFormat({ format, channels }: { format: number; channels: number }): Buffer {
  const wav = wavBytes({ seconds: 0.1 });
  wav.writeUInt16LE(format, 20);
  wav.writeUInt16LE(channels, 22);
  return wav;
}

/** The same as AIFC. */
function aifc(compression: string): Buffer {
  const aiff = aiffBytes(wavBytes({ seconds: 0.1 }));
  const common = Buffer.concat([aiff.subarray(20, 38), Buffer.from(`${compression}\0\0`)]);
  common.writeUInt16BE(32, 6);
  const form = Buffer.concat([
    aiff.subarray(0, 8),
    Buffer.from('AIFC'),
    iff('COMM', common),
    aiff.subarray(38),
  ]);
  form.writeUInt32BE(form.length - 8, 4);
  return form;
}

t.test(
  'the real lame needs a source, says what it cannot take, and stops when it is told to',
  { skip: noLame },
  async t => {
    const folder = await tempFolder(t);
    const lame = new LameEncoder();
    const [source, target] = [join(folder, 'x.wav'), join(folder, 'x.mp3')];
    const never = new AbortController();
    await t.rejects(lame.encode(source, target, never.signal), /gone/);
    await writeFile(source, 'no sound at all');
    await t.rejects(lame.encode(source, target, never.signal), /there is no sound in it/);
    for (const [file, kind] of [
      [withFormat({ format: 1, channels: 6 }), 'WAV of 6 channels, 16-bit integers'],
      [withFormat({ format: 7, channels: 1 }), 'WAV of 1 channel, mu-law'],
      [withFormat({ format: 2, channels: 2 }), 'WAV of 2 channels, ADPCM'],
      [aifc('fl32'), 'AIFF of 2 channels, 32-bit floats'],
    ] as const) {
      await writeFile(source, file);
      await t.rejects(lame.encode(source, target, never.signal), {
        message: `lame does not take ${kind}; one or two channels of integers would do`,
      });
    }
    await writeFile(source, wavBytes({ seconds: 1 }).subarray(0, 36));
    await t.rejects(lame.encode(source, target, never.signal), /there is no sound in it/);
    await writeFile(source, wavBytes({ seconds: 60 }));
    const abort = new AbortController();
    const encoding = lame.encode(source, target, abort.signal);
    abort.abort();
    await t.rejects(encoding, { name: 'AbortError' });
  },
);
