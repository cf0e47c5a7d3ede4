/**
 * The tag that `readTags` (tags.ts) reads back: for what is encoded here. Apart from it, as reading takes a parser of a
 * hundred files, which only the threads load.
 */
import { id3v2Tag } from '../mpeg/id3v2.js';
import type { SongTags } from './tags.js';

/** ID3v2.4.0 frames §4.2. */
const FRAMES = [
  ['title', 'TIT2'],
  ['artist', 'TPE1'],
  ['album', 'TALB'],
  ['albumArtist', 'TPE2'],
  ['track', 'TRCK'],
  ['disc', 'TPOS'],
  ['year', 'TDRC'],
  ['genre', 'TCON'],
] as const;

/** ID3v2.4; nothing when there are no fields. */
export const writeTags = (tags: { readonly [K in keyof SongTags]?: string | number }): Buffer =>
  id3v2Tag(
    FRAMES.flatMap(([field, id]) => (tags[field] === undefined ? [] : [[id, String(tags[field])] as const])),
  );
