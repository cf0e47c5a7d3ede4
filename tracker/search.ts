/**
 * FIND: an inverted index over title, artist and album (TSP §3).
 *
 *     «Motörhead – Ace of Spades» ─▶ words: motorhead · ace · of · spades      case and accents do not count
 *     word ─▶ Entry { title: [ID …] · artist: [ID …] · album: [ID …] }   words sorted, so prefixes lie together
 *
 * A song is found when each word of the question begins a word of it. A whole word counts more than a beginning; then
 * title more than artist, artist more than album. The rarest word of the question gives the candidates, best first, of
 * which a bounded number is looked at: an answer takes no longer because a word is in every song.
 */
import { MAX_FIND_ROWS } from '../protocol/tsp/constants.js';
import type { SongId } from '../protocol/tsp/messages.js';
import type { SongFields } from '../protocol/tsp/rows.js';
import { SortedWords } from './sorted-words.js';

/** More than anybody types; the rest is ignored. */
const MAX_QUERY_WORDS = 8;
/** Of a word that is in more songs than this, with other words beside it, only so many are looked at. */
const MAX_CANDIDATES = 1_000;
/** The beginning of more words than this (a single letter, in a large list) is not followed further. */
const MAX_EXPANSIONS = 256;
/** A word's songs are cleared of those that left when these are more than the rest, and worth the while. */
const MIN_DEAD = 16;

const FEW_IDS = 8;
const NO_WORDS: readonly Entry[] = [];

/** Everywhere below, a field is its number here. */
const FIELDS = ['title', 'artist', 'album'] as const;
/** What a whole word in each field is worth, and the beginning of one. */
const WHOLE_SCORES = [6, 5, 4];
const PREFIX_SCORES = [3, 2, 1];

interface Doc {
  /** Its words in each of FIELDS. Songs that follow each other mostly share those of artist and album. */
  readonly words: readonly (readonly Entry[])[];
  /** The number of the last question that looked at it. */
  seenBy: number;
}

interface Entry {
  readonly word: string;
  /**
   * Songs that have it in each of FIELDS, and some that had it. As numbers: thousands that are new, each in lists that
   * are old, is what a collector of garbage takes longest over.
   */
  readonly ids: (SongId[] | undefined)[];
  live: number;
  dead: number;
}

interface Recent {
  readonly text: string;
  readonly entries: readonly Entry[];
}

/** A word of the question, and the words of the list that it begins. */
interface Expansion {
  readonly word: string;
  readonly whole: Entry | undefined;
  readonly longer: readonly Entry[];
  /** How often these are in songs. */
  readonly live: number;
}

export class SearchIndex {
  readonly #docs = new Map<SongId, Doc>();
  readonly #entries = new Map<string, Entry>();
  readonly #words = new SortedWords<Entry>();
  /** The last artist and album: of a peer's songs many come one after the other. */
  #recent: readonly Recent[] = [];
  #questions = 0;

  get size(): number {
    return this.#docs.size;
  }

  has(id: SongId): boolean {
    return this.#docs.has(id);
  }

  /** A song, new or changed. */
  set(id: SongId, song: SongFields): void {
    this.delete(id);
    const words = [
      this.#entriesOf(song.title),
      this.#recentEntriesOf(song.artist),
      this.#recentEntriesOf(song.album),
    ];
    for (let field = 0; field < FIELDS.length; field += 1)
      for (const entry of words[field]!) post(entry, field, id);
    this.#docs.set(id, { words, seenBy: 0 });
  }

  delete(id: SongId): void {
    const doc = this.#docs.get(id);
    if (doc === undefined) return;
    this.#docs.delete(id);
    for (const entry of doc.words.flat()) {
      entry.live -= 1;
      entry.dead += 1;
      if (entry.live === 0) {
        this.#recent = [];
        this.#entries.delete(entry.word);
        this.#words.delete(entry);
      } else if (entry.dead > entry.live && entry.dead >= MIN_DEAD) this.#sweep(entry);
    }
  }

  /** At most 50 songs, best first; of equals the one with the smaller ID. No words, no songs. */
  find(question: string): SongId[] {
    const words = [...new Set(wordsOf(question))].slice(0, MAX_QUERY_WORDS).map(word => this.#expand(word));
    const [first] = words;
    if (first === undefined) return [];
    const rarest = words.reduce((best, word) => (word.live < best.live ? word : best), first);
    const others = words.filter(word => word !== rarest);
    const found = this.#collect(rarest, others);
    found.sort((a, b) => b.score - a.score || a.id - b.id);
    return found.slice(0, MAX_FIND_ROWS).map(({ id }) => id);
  }

  /** Looks at songs with the word, best first, each once. */
  #collect({ whole, longer }: Expansion, others: readonly Expansion[]): { id: SongId; score: number }[] {
    this.#questions += 1;
    const found: { id: SongId; score: number }[] = [];
    // With no other word to tell them apart, the first fifty are the best fifty.
    const enough = others.length === 0 ? MAX_FIND_ROWS : Number.POSITIVE_INFINITY;
    let looked = 0;
    for (const scores of [WHOLE_SCORES, PREFIX_SCORES]) {
      const entries = scores === PREFIX_SCORES ? longer : whole === undefined ? [] : [whole];
      for (let field = 0; field < FIELDS.length; field += 1) {
        for (const entry of entries) {
          for (const id of entry.ids[field] ?? []) {
            const doc = this.#docs.get(id);
            if (doc === undefined || doc.seenBy === this.#questions || !hasIn(doc, field, entry)) continue;
            doc.seenBy = this.#questions;
            looked += 1;
            const rest = scoreOf(doc, others);
            if (rest !== undefined) found.push({ id, score: scores[field]! + rest });
            if (found.length === enough || looked === MAX_CANDIDATES) return found;
          }
        }
      }
    }
    return found;
  }

  #recentEntriesOf(text: string | undefined): readonly Entry[] {
    if (text === undefined) return NO_WORDS;
    const known = this.#recent.find(recent => recent.text === text);
    if (known !== undefined) return known.entries;
    const entries = this.#entriesOf(text);
    this.#recent = [{ text, entries }, ...this.#recent.slice(0, 1)];
    return entries;
  }

  #entriesOf(text: string | undefined): readonly Entry[] {
    if (text === undefined) return NO_WORDS;
    const entries: Entry[] = [];
    for (const word of wordsOf(text)) {
      const entry = this.#entry(word);
      // A title has a handful of words: a Set would cost more than it saves.
      if (!entries.includes(entry)) entries.push(entry);
    }
    // An array that grew has room for more, and this one is kept.
    return entries.slice();
  }

  #entry(word: string): Entry {
    let entry = this.#entries.get(word);
    if (entry === undefined) {
      entry = { word, ids: [undefined, undefined, undefined], live: 0, dead: 0 };
      this.#entries.set(word, entry);
      this.#words.add(entry);
    }
    return entry;
  }

  /** A song that left and came back is in a list twice. */
  #sweep(entry: Entry): void {
    for (const [field, ids] of entry.ids.entries()) {
      const isThere = (id: SongId): boolean => {
        const doc = this.#docs.get(id);
        return doc !== undefined && hasIn(doc, field, entry);
      };
      entry.ids[field] = ids && [...new Set(ids)].filter(isThere);
    }
    entry.dead = 0;
  }

  #expand(word: string): Expansion {
    const whole = this.#entries.get(word);
    const longer = this.#words.startingWith(word, MAX_EXPANSIONS).filter(entry => entry !== whole);
    const live = longer.reduce((sum, entry) => sum + entry.live, whole?.live ?? 0);
    // The beginning of so many words is no good place to begin, as long as there is another.
    return { word, whole, longer, live: longer.length + 1 < MAX_EXPANSIONS ? live : Number.MAX_VALUE };
  }
}

/** Most words are in few songs, and an array that grows takes room for sixteen more. */
function post(entry: Entry, field: number, id: SongId): void {
  const ids = entry.ids[field];
  if (ids === undefined) entry.ids[field] = [id];
  else if (ids.length < FEW_IDS) entry.ids[field] = [...ids, id];
  else ids.push(id);
  entry.live += 1;
}

/** Still: the song may have left, or have other words now. */
const hasIn = (doc: Doc, field: number, entry: Entry): boolean => doc.words[field]!.includes(entry);

/** Lower case without accents, cut at everything that is neither letter nor digit. */
function wordsOf(text: string): string[] {
  const lower = text.toLowerCase();
  const words: string[] = [];
  let start = 0;
  for (let at = 0; at <= lower.length; at += 1) {
    const code = lower.charCodeAt(at);
    if (code > LAST_ASCII) return wordsOfAnyScript(text);
    if (isAsciiWord(code)) continue;
    if (at > start) words.push(lower.slice(start, at));
    start = at + 1;
  }
  return words;
}

const LAST_ASCII = 0x7f;

/** A digit or a small letter; not NaN, which is behind the end. */
const isAsciiWord = (code: number): boolean =>
  (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);

function wordsOfAnyScript(text: string): string[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return plain.replace(/[ßłøđðþæœħı]/g, letter => SPELLED[letter]!).match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Letters with a stroke or tied together, which Unicode does not take apart, as those type them who can't. */
const SPELLED: Readonly<Record<string, string>> = {
  ß: 'ss',
  ł: 'l',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  æ: 'ae',
  œ: 'oe',
  ħ: 'h',
  ı: 'i',
};

/** What the song is worth for all of these words; undefined when one is not in it. */
function scoreOf(doc: Doc, words: readonly Expansion[]): number | undefined {
  let sum = 0;
  for (const { word, whole } of words) {
    let best = 0;
    for (let field = 0; field < FIELDS.length; field += 1)
      for (const entry of doc.words[field]!) {
        if (entry === whole) best = Math.max(best, WHOLE_SCORES[field]!);
        else if (best < PREFIX_SCORES[field]! && entry.word.startsWith(word)) best = PREFIX_SCORES[field]!;
      }
    if (best === 0) return undefined;
    sum += best;
  }
  return sum;
}
