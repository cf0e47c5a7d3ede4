/** What WAV and AIFF files say of themselves, wherever they say it; and files that lie. */
import { execFileSync } from 'node:child_process';
import { open, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import t from 'tap';
import { FileReader, type ReadingNote } from '../../../peer/library/read-file.js';
import type { SongTags } from '../../../peer/library/tags.js';
import { missing } from '../../support/installed.js';
import { EVERY_FIELD, EVERY_FIELD_READ, id3v2, wavBytes } from '../../support/mp3.js';
import { aiffBytes, iff, info, riff, withChunks } from '../../support/pcm-chunks.js';
import { tempFolder } from '../../support/temp-folder.js';
import type { Teardown } from '../../support/until.js';

const reader = new FileReader();
const tagsIn = async (path: string, note: (note: ReadingNote) => void = () => {}, tags = true) => {
  const reading = await reader.read(path, { tags, pcmTags: true, note });
  if (reading.kind !== 'read') throw new Error(`it is ${reading.kind}`);
  return reading.tags;
};
async function tagsOf(t: Teardown, bytes: Uint8Array): Promise<SongTags | undefined> {
  const path = join(await tempFolder(t), 'x');
  await writeFile(path, bytes);
  return tagsIn(path);
}

const WAV = wavBytes({ seconds: 0.1 });
const AIFF = aiffBytes(WAV);

t.test('texts of WAV and AIFF are read, before the sound and behind it', async t => {
  const wave = info({
    INAM: 'odd\0',
    IART: 'Ärzte',
    IPRD: 'Größe',
    ICRD: '1999-05-03',
    IGNR: 'Folk',
    ITRK: '3/12',
    ISFT: 'x',
  });
  const expected = { title: 'odd', artist: 'Ärzte', album: 'Größe', year: 1999, genre: 'Folk', track: 3 };
  const named = [iff('NAME', 'odd'), iff('AUTH', 'Ärzte')];
  const odd = Buffer.alloc(3);
  for (const where of ['before', 'behind'] as const) {
    t.same(await tagsOf(t, withChunks(WAV, { [where]: [riff('junk', odd), wave] })), expected, where);
    const form = withChunks(AIFF, { [where]: [iff('junk', odd), ...named] });
    t.same(await tagsOf(t, form), { title: 'odd', artist: 'Ärzte' }, where);
  }
  t.same(await tagsOf(t, withChunks(WAV, { behind: [info({ IPRT: '4' })] })), { track: 4 });
  t.same(await tagsOf(t, withChunks(WAV, { behind: [info({ ICRD: '05/03/1999' })] })), { year: 1999 });
  const old = info({ INAM: Buffer.from('Gr\xf6\xdfe \x96 1', 'latin1') });
  t.same(await tagsOf(t, withChunks(WAV, { behind: [old] })), { title: 'Größe – 1' }, 'no UTF-8');
});

t.test('ID3v2 of WAV and AIFF is read, and believed first', async t => {
  for (const version of ['id3v2.3', 'id3v2.4'] as const) {
    const tag = id3v2(version, EVERY_FIELD);
    for (const where of ['before', 'behind'] as const)
      for (const name of ['id3 ', 'ID3 '])
        t.same(await tagsOf(t, withChunks(WAV, { [where]: [riff(name, tag)] })), EVERY_FIELD_READ, name);
    t.same(await tagsOf(t, withChunks(AIFF, { behind: [iff('ID3 ', tag)] })), EVERY_FIELD_READ);
  }
  const both = [
    info({ INAM: 'short', IART: 'Somebody' }),
    riff('id3 ', id3v2('id3v2.4', { title: 'much longer' })),
  ];
  for (const behind of [both, [...both].reverse()])
    t.same(await tagsOf(t, withChunks(WAV, { behind })), { title: 'much longer', artist: 'Somebody' });
  const cover = id3v2('id3v2.4', { title: 'with a cover', tagPadding: 3_000_000 });
  t.same(await tagsOf(t, withChunks(WAV, { behind: [riff('id3 ', cover)] })), { title: 'with a cover' });
});

t.test('tags that another program has written are read', { skip: missing('ffmpeg') }, async t => {
  const folder = await tempFolder(t);
  const wav = join(folder, 'x.wav');
  await writeFile(wav, WAV);
  const names = {
    title: 'title',
    artist: 'artist',
    album: 'album',
    track: 'track',
    year: 'date',
    genre: 'genre',
  };
  const texts = { ...EVERY_FIELD, track: '3' };
  const metadata = Object.entries(names).flatMap(([field, name]) => [
    '-metadata',
    `${name}=${texts[field as keyof typeof names]}`,
  ]);
  const { albumArtist, disc, ...some } = EVERY_FIELD_READ;
  for (const [name, more, expected] of [
    ['info.wav', [], some],
    [
      'named.aiff',
      ['-metadata', `author=${EVERY_FIELD.artist}`],
      { title: EVERY_FIELD_READ.title, artist: EVERY_FIELD_READ.artist },
    ],
    [
      'id3.aiff',
      ['-write_id3v2', '1', '-metadata', 'album_artist=Various', '-metadata', 'disc=2/2'],
      EVERY_FIELD_READ,
    ],
  ] as const) {
    const path = join(folder, name);
    execFileSync('ffmpeg', ['-v', 'error', '-i', wav, ...metadata, ...more, path]);
    t.same(await tagsIn(path), expected, name);
  }
});

t.test('only who asks for them gets them, and a parser is watched', async t => {
  const path = join(await tempFolder(t), 'x.wav');
  await writeFile(path, withChunks(WAV, { behind: [info({ INAM: 'x' })] }));
  const plain = await reader.read(path, { tags: true, note: () => {} });
  t.notOk('tags' in plain);
  t.equal(await tagsIn(path, () => {}, false), undefined, 'nor who found that it hangs');
  const notes: ReadingNote[] = [];
  await writeFile(path, withChunks(wavBytes(), { behind: [info({ INAM: 'x' })] }));
  await tagsIn(path, note => notes.push(note));
  t.same(notes, ['tags']);
});

t.test('sizes that lie, texts that never end and chunks without number have no tags, or some', async t => {
  const sized = (chunk: Buffer, size: number) => {
    const out = Buffer.from(chunk);
    out.writeUInt32LE(size, 4);
    return out;
  };
  const named = info({ INAM: 'x' });
  const inside = (...entries: Buffer[]) => riff('LIST', Buffer.concat([Buffer.from('INFO'), ...entries]));
  for (const [what, chunks, expected] of [
    ['a chunk of 4 GiB', [sized(riff('junk', 'x'), 0xffff_ffff), named], {}],
    ['chunks of nothing', [riff('LIST', ''), riff('id3 ', ''), riff('junk', ''), named], { title: 'x' }],
    ['a list of 4 GiB', [sized(named, 0xffff_ffff)], { title: 'x' }],
    ['a text of 4 GiB', [inside(sized(riff('INAM', 'xy'), 0xffff_ffff))], { title: 'xy' }],
    ['a text of nothing', [inside(riff('INAM', ''), riff('INAM', 'y'))], { title: 'y' }],
    ['lists in a list', [inside(inside(named), riff('IART', 'y'))], { artist: 'y' }],
    ['thousands of chunks', [...Array.from({ length: 5_000 }, () => riff('junk', '')), named], {}],
    ['thousands of texts', [inside(...Array.from({ length: 90_000 }, () => riff('INAM', '')))], {}],
    ['a long text', [info({ INAM: 'ü'.repeat(10_000) })], { title: 'ü'.repeat(127) }],
    ['control bytes', [info({ INAM: '\x01\x1b[2Jx\x7f', IART: '\n \t' })], { title: '\x01\x1b[2Jx\x7f' }],
    ['numbers that are none', [info({ ITRK: 'three', ICRD: '-', IGNR: '(999)' })], {}],
    ['UTF-16', [riff('id3 ', id3v2('id3v2.3', { title: '雪' }))], { title: '雪' }],
    [
      'half of UTF-16',
      [riff('id3 ', id3v2('id3v2.3', { title: '雪' }).subarray(0, -1))],
      { title: '\ufffd' },
    ],
    ['no ID3', [riff('id3 ', Buffer.alloc(2_000_000, 0xff)), named], { title: 'x' }],
    [
      'ID3 of 256 MiB',
      [riff('id3 ', 'ID3\x04\0\0\x7f\x7f\x7f\x7fTIT2\x7f\x7f\x7f\x7f'), named],
      { title: 'x' },
    ],
    ['half a header', [Buffer.from('LIST\0')], {}],
  ] as const) {
    const began = performance.now();
    t.same(await tagsOf(t, withChunks(WAV, { behind: chunks })), expected, what);
    t.ok(performance.now() - began < 2_000, what);
  }
  for (const size of [4, 12, 16, 40])
    t.same((await tagsOf(t, WAV.subarray(0, size))) ?? {}, {}, `${size} bytes`);
});

t.test('a file of 2 GiB without bytes costs as little as any', async t => {
  const path = join(await tempFolder(t), 'x.wav');
  const file = withChunks(WAV, { behind: [riff('junk', '')] });
  file.writeUInt32LE(2 * 1024 ** 3 - file.length - 100, file.length - 4);
  await writeFile(path, file);
  await truncate(path, 2 * 1024 ** 3 - 100);
  const handle = await open(path, 'r+');
  await handle.write(info({ INAM: 'far behind' }), 0, undefined, 2 * 1024 ** 3 - 100);
  await handle.close();
  const before = process.memoryUsage().rss;
  t.same(await tagsIn(path), { title: 'far behind' });
  t.ok(process.memoryUsage().rss - before < 50_000_000);
  await truncate(path, 3 * 1024 ** 3);
  t.equal(await tagsIn(path), undefined);
});
