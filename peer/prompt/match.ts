/**
 * Which of the listed songs a person means by some words: case and accents do not matter, every word must occur.
 *
 *     exact title  ▶  title begins so  ▶  all words in the title  ▶  words spread over title, artist and album
 *
 * Songs of equal rank keep the order of the list, so an answer does not change from one question to the next.
 */
import type { SongRow } from '../../protocol/tsp/rows.js';

/** Lower case, without accents, compatibility forms made plain: «Café» and «CAFE» are the same. */
export const folded = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();

interface FoldedSong {
  readonly title: string;
  readonly all: string;
}

const RANKS = 4;

/** Remembers the folded text of rows that it has seen; a changed song is a new row object. */
export class SongMatcher {
  readonly #seen = new WeakMap<SongRow, FoldedSong>();

  /** The songs that match, best first. No words: all, in their order. */
  matches(songs: Iterable<SongRow>, words: string): SongRow[] {
    const phrase = folded(words).trim().replace(/\s+/g, ' ');
    if (phrase === '') return [...songs];
    const parts = phrase.split(' ');
    const ranked: SongRow[][] = Array.from({ length: RANKS }, () => []);
    for (const song of songs) {
      const rank = rankOf(this.#fold(song), phrase, parts);
      if (rank !== undefined) ranked[rank]!.push(song);
    }
    return ranked.flat();
  }

  #fold(song: SongRow): FoldedSong {
    let known = this.#seen.get(song);
    if (known === undefined) {
      const title = folded(song.title ?? '');
      known = { title, all: `${title}\n${folded(song.artist ?? '')}\n${folded(song.album ?? '')}` };
      this.#seen.set(song, known);
    }
    return known;
  }
}

function rankOf({ title, all }: FoldedSong, phrase: string, parts: readonly string[]): number | undefined {
  if (!parts.every(part => all.includes(part))) return undefined;
  if (title === phrase) return 0;
  if (title.startsWith(phrase)) return 1;
  return parts.every(part => title.includes(part)) ? 2 : 3;
}
