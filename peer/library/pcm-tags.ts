/**
 * Title, artist and the like of a WAV or AIFF file, from chunks that lie before the sound or behind it:
 *
 *     RIFF size WAVE │ id size bytes │ …    LIST INFO (INAM, IART, …)    id3_, ID3_ ┐
 *     FORM size AIFF │ id size bytes │ …    NAME, AUTH                   ID3_       ┤
 *                                             └─▶ as an ID3v2.4 tag ────────────────┴─▶ tags.ts, like those of an MP3
 *
 * RIFF and AIFF have no album artist and no disc.
 */
import { cleanText } from '../../protocol/tsp/rows.js';
import { oldText } from '../mpeg/old-text.js';
import { bodyOf, CHUNK_HEADER_BYTES, chunkIn, chunksOf, endOf } from './pcm-chunks.js';
import { readTags, type SongTags, TAG_HEAD_BYTES } from './tags.js';
import { writeTags } from './write-tags.js';

/** Of one chunk that is no ID3v2. */
const MAX_TEXTS_BYTES = 64 * 1024;
const LIST_KIND = 'INFO';
/** RIFF wants 1999-12-31, and gets 12/31/1999. */
const YEAR = /\d{4}/;

/** What RIFF and AIFF call the fields that they have. */
const FIELDS: ReadonlyMap<string, keyof SongTags> = new Map([
  ['INAM', 'title'],
  ['IART', 'artist'],
  ['IPRD', 'album'],
  ['ICRD', 'year'],
  ['IGNR', 'genre'],
  ['ITRK', 'track'],
  ['IPRT', 'track'],
  ['NAME', 'title'],
  ['AUTH', 'artist'],
]);
/** `parsing` is called before a parser gets anything that it could hang over. What ID3v2 says is believed first. */
export async function readPcmTags(file: number, size: number, parsing: () => void): Promise<SongTags> {
  const texts: Partial<Record<keyof SongTags, string>> = {};
  let id3: Uint8Array = new Uint8Array(0);
  const note = (id: string, bytes: Buffer) => {
    const field = FIELDS.get(id);
    if (field === undefined) return;
    const text = textOf(bytes);
    texts[field] ||= field === 'year' ? (YEAR.exec(text)?.[0] ?? '') : text;
  };
  for (const chunk of chunksOf(file, size)) {
    const { id } = chunk;
    if (id === 'NAME' || id === 'AUTH') note(id, bodyOf(file, chunk, MAX_TEXTS_BYTES));
    else if (id === 'LIST') {
      const list = bodyOf(file, chunk, MAX_TEXTS_BYTES);
      if (list.toString('latin1', 0, LIST_KIND.length) !== LIST_KIND) continue;
      for (let at = LIST_KIND.length; at + CHUNK_HEADER_BYTES <= list.length; ) {
        const entry = chunkIn(list, at, at, true);
        note(entry.id, list.subarray(entry.at, entry.at + entry.length));
        at = endOf(entry);
      }
    } else if (id.toUpperCase() === 'ID3 ' && id3.length === 0) {
      id3 = bodyOf(file, chunk, TAG_HEAD_BYTES);
    }
  }
  parsing();
  const tags = [writeTags(texts), id3].filter(tag => tag.length > 0);
  return Object.assign({}, ...(await Promise.all(tags.map(tag => readTags(tag, new Uint8Array(0))))));
}

/** Neither form names an encoding. */
function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return cleanText(oldText(end < 0 ? bytes : bytes.subarray(0, end))).trim();
}
