/** What the tags of real files say, of every kind, whole and damaged, at both ends. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FileReader } from '../../../peer/library/read-file.js';
import { synchsafe } from '../../../peer/mpeg/id3v2.js';
import { apev2, id3v2, type Mp3Options, mp3Bytes, mpegFrames } from '../../support/mp3.js';
import { tempFolder } from '../../support/temp-folder.js';
import type { Teardown } from '../../support/until.js';

/** What a library reads of a file with these bytes. */
async function fieldsOf(t: Teardown, bytes: Uint8Array) {
  const path = join(await tempFolder(t), 'x.mp3');
  await writeFile(path, bytes);
  const reading = await new FileReader().read(path, { tags: true, note: () => {} });
  return reading.kind === 'read' && reading.content.kind === 'song' ? reading.content.fields : reading;
}

t.test('tags of every kind are read', async t => {
  const texts = { title: 'Größe', artist: 'Ärzte', album: 'Ünder', track: '7', year: '1999' };
  const expected = { title: 'Größe', artist: 'Ärzte', album: 'Ünder', track: 7, year: 1999 };
  for (const [tags, encoding] of [
    [['id3v1'], undefined],
    [['id3v2.2'], 'latin1'],
    [['id3v2.2'], 'utf16'],
    [['id3v2.3'], 'latin1'],
    [['id3v2.3'], 'utf16'],
    [['id3v2.4'], 'latin1'],
    [['id3v2.4'], 'utf16'],
    [['id3v2.4'], 'utf16be'],
    [['id3v2.4'], 'utf8'],
    [['apev2'], undefined],
    [['apev2', 'id3v1'], undefined],
  ] as const) {
    const fields = await fieldsOf(t, mp3Bytes({ ...texts, tags, ...(encoding && { encoding }) }));
    t.match(fields, expected, `${tags} ${encoding ?? ''}`);
  }
  const more: Mp3Options = {
    title: '雪 ☃ 𝄞',
    albumArtist: 'Various',
    track: '3/12',
    disc: '2/2',
    genre: 'Folk',
  };
  t.match(await fieldsOf(t, mp3Bytes({ ...more, tags: ['id3v2.3'] })), {
    title: '雪 ☃ 𝄞',
    albumArtist: 'Various',
    track: 3,
    disc: 2,
    genre: 'Folk',
  });
  const both = mp3Bytes({ title: 'a title that is longer than thirty bytes', tags: ['id3v2.4', 'id3v1'] });
  t.match(await fieldsOf(t, both), { title: 'a title that is longer than thirty bytes' });
});

t.test('a tag that is unsynchronised as a whole is read, as those before ID3v2.4 are', async t => {
  for (const version of ['id3v2.2', 'id3v2.3'] as const) {
    const tag = id3v2(version, { title: 'Größe', artist: 'ÿ', encoding: 'utf16' });
    const body = [...tag.subarray(10)].flatMap(byte => (byte === 0xff ? [byte, 0] : [byte]));
    tag[5] = 0x80;
    tag.set(synchsafe(body.length), 6);
    const bytes = Buffer.concat([tag.subarray(0, 10), Buffer.from(body), mp3Bytes()]);
    t.match(await fieldsOf(t, bytes), { title: 'Größe', artist: 'ÿ' }, version);
  }
});

t.test('a tag with an extended header is read, however long that is', async t => {
  for (const [version, what, header] of [
    ['id3v2.3', 'without a checksum', '\0\0\0\x06\0\0\0\0\0\0'],
    ['id3v2.3', 'with one', '\0\0\0\x0a\x80\0\0\0\0\0\x12\x34\x56\x78'],
    ['id3v2.4', 'of nothing', '\0\0\0\x06\x01\0'],
    ['id3v2.4', 'with a checksum', '\0\0\0\x0c\x01\x20\x05\x01\x02\x03\x04\x05'],
  ] as const) {
    const tag = id3v2(version, { title: 'Größe', artist: 'ÿ' });
    const body = Buffer.concat([Buffer.from(header, 'latin1'), tag.subarray(10)]);
    tag[5] = 0x40;
    tag.set(synchsafe(body.length), 6);
    const bytes = Buffer.concat([tag.subarray(0, 10), body, mp3Bytes()]);
    t.match(await fieldsOf(t, bytes), { title: 'Größe', artist: 'ÿ' }, `${version} ${what}`);
  }
});

t.test('all artists are named, and those with a slash in their name whole', async t => {
  for (const [tags, artist, expected] of [
    ['id3v2.2', 'AC/DC', 'AC/DC'],
    ['id3v2.3', 'AC/DC', 'AC/DC'],
    ['id3v2.4', 'AC/DC', 'AC/DC'],
    ['id3v2.3', 'One/Two/Three', 'One/Two/Three'],
    ['id3v2.4', 'One\0Two', 'One, Two'],
    ['id3v1', 'AC/DC', 'AC/DC'],
  ] as const) {
    const bytes = mp3Bytes({ title: 'x', artist, tags: [tags] });
    t.match(await fieldsOf(t, bytes), { artist: expected }, `${tags} ${JSON.stringify(artist)}`);
  }
  const [whole, each] = ['TPE1\0\0\0\x0a\0\0\0A feat. B', 'TXXX\0\0\0\x0c\0\0\0ARTISTS\0A\0B'];
  for (const frames of [whole + each, each + whole]) {
    const tag = Buffer.from(`ID3\x04\0\0\0\0\0${String.fromCharCode(frames.length)}${frames}`, 'latin1');
    const bytes = Buffer.concat([tag, mp3Bytes()]);
    t.match(await fieldsOf(t, bytes), { artist: 'A feat. B' }, 'and in frames of their own');
  }
});

t.test('tags that name nothing leave the title to the file', async t => {
  for (const bytes of [mp3Bytes(), mp3Bytes({ title: '', artist: '   ' }), mp3Bytes({ artist: 'x' })]) {
    const fields = await fieldsOf(t, bytes);
    t.match(fields, { duration: Number });
    t.notOk('title' in fields);
  }
  const long = await fieldsOf(t, mp3Bytes({ title: 'ü'.repeat(10_000) }));
  t.equal((long as { title: string }).title, 'ü'.repeat(127), 'and a long title is cut on a letter');
});

t.test('a tag of many megabytes gives its texts and costs no more than its hash', async t => {
  const bytes = mp3Bytes({ title: 'with a cover', artist: 'x', tagPadding: 3_000_000, seed: 5 });
  t.match(await fieldsOf(t, bytes), { title: 'with a cover', artist: 'x', bitrate: 128_000 });
});

t.test(
  'an APE tag at the end is read with a picture in it, and one that is damaged costs only itself',
  async t => {
    const song = mpegFrames({ seconds: 2 });
    const texts = { title: 'eine, die länger ist als dreißig Byte', artist: 'x' };
    const id3v1 = mp3Bytes({ title: 'eine', tags: ['id3v1'] }).subarray(-128);
    const pictured = Buffer.concat([song, apev2(texts, 300_000), id3v1]);
    t.match(await fieldsOf(t, pictured), texts);
    const huge = Buffer.concat([song, apev2(texts, 3_000_000)]);
    t.match(await fieldsOf(t, huge), { title: undefined, bitrate: 128_000 }, 'more than is looked at');

    const damaged = apev2({ title: 'y' });
    damaged.writeUInt32LE(0xffff, 32);
    const tagged = mp3Bytes({ title: 'z', seconds: 2 });
    t.match(await fieldsOf(t, Buffer.concat([tagged, damaged])), { title: 'z' });
    t.match(await fieldsOf(t, Buffer.concat([song, damaged, id3v1])), { title: 'eine' });
    const sized = apev2({ title: 'y' });
    for (const size of [0, 31, 0xffff_ffff]) {
      sized.writeUInt32LE(size, sized.length - 20);
      t.match(await fieldsOf(t, Buffer.concat([tagged, sized])), { title: 'z' }, `size ${size}`);
    }
  },
);
