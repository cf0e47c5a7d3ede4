/** FIND's index: what is found, in which order, and that it forgets (TSP §3). */
import fc from 'fast-check';
import t from 'tap';
import type { SongId } from '../../protocol/tsp/messages.js';
import { SearchIndex } from '../../tracker/search.js';
import { SortedWords } from '../../tracker/sorted-words.js';

t.test('FIND: every word must begin a word; whole words first, then title, artist, album', async t => {
  const index = new SearchIndex();
  const songs: Record<number, { title?: string; artist?: string; album?: string }> = {
    1: { title: 'Best of', album: 'Queen Live' },
    2: { title: 'Innuendo', artist: 'QUEEN' },
    3: { title: 'Killer Queen', artist: 'Somebody' },
    4: { title: 'Queensland' },
    5: { title: 'Ace of Spades', artist: 'Motörhead' },
    6: { title: 'Żółć – Straße', artist: 'Ｆｕｌｌ Width' },
    7: {},
  };
  for (const [id, fields] of Object.entries(songs)) index.set(Number(id) as SongId, fields);
  t.strictSame(index.find('queen'), [3, 2, 1, 4]);
  t.strictSame(index.find('QUEEN kil'), [3]);
  t.strictSame(index.find('motorhead of'), [5]);
  t.strictSame(index.find('zolc strass'), [6], 'accents do not count');
  t.strictSame(index.find('full'), [6], 'nor the width of letters');
  t.strictSame(index.find('queen nobody'), []);
  t.strictSame(index.find(' – !'), []);
  index.set(4 as SongId, { title: 'Queen of Queensland' });
  t.strictSame(index.find('queen').slice(0, 2), [3, 4], 'equals by ID');
  for (const id of [1, 2, 3, 4]) index.delete(id as SongId);
  t.strictSame(index.find('queen'), []);
  t.equal(index.size, 3);
});

t.test('FIND: at most 50, and what left is swept out of words that stay', async t => {
  const index = new SearchIndex();
  for (let id = 1; id <= 2_000; id += 1)
    index.set(id as SongId, { title: `the number${id}`, artist: 'Band' });
  t.strictSame(
    index.find('the'),
    Array.from({ length: 50 }, (_, n) => n + 1),
  );
  t.equal(index.find('n').length, 50);
  t.strictSame(index.find('band number1999'), [1_999]);
  for (let id = 1; id <= 1_900; id += 1) index.delete(id as SongId);
  t.strictSame(index.find('the')[0], 1_901);
  t.strictSame(index.find('number1901'), [1_901]);
});

t.test('property: FIND finds what a plain search finds', async t => {
  const word = fc.constantFrom('a', 'ab', 'abc', 'b', 'bc', 'c', 'ca');
  const fields = fc.record({
    title: fc.array(word, { maxLength: 3 }),
    artist: fc.array(word, { maxLength: 2 }),
    album: fc.array(word, { maxLength: 2 }),
  });
  fc.assert(
    fc.property(
      fc.array(fields, { maxLength: 40 }),
      fc.array(word, { minLength: 1, maxLength: 3 }),
      (songs, asked) => {
        const index = new SearchIndex();
        const expected: number[] = [];
        for (const [n, { title, artist, album }] of songs.entries()) {
          index.set((n + 1) as SongId, {
            title: title.join(' '),
            artist: artist.join('-'),
            album: album.join('/'),
          });
          const words = [...title, ...artist, ...album];
          if (asked.every(prefix => words.some(candidate => candidate.startsWith(prefix))))
            expected.push(n + 1);
        }
        const found = index.find(asked.join(' ')).sort((a, b) => a - b);
        return JSON.stringify(found) === JSON.stringify(expected);
      },
    ),
    { numRuns: 300 },
  );
  t.pass('300 lists');
});

t.test('property: sorted words give what begins with a prefix, in order', async t => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.uniqueArray(word, { maxLength: 1_500 }), word, (words, prefix) => {
      const sorted = new SortedWords<{ readonly word: string }>();
      for (const word of words) sorted.add({ word });
      const [gone, kept] = [words.filter((_, n) => n % 3 === 0), words.filter((_, n) => n % 3 !== 0)];
      for (const word of gone) sorted.delete({ word });
      sorted.delete({ word: 'nobody' });
      const short = prefix.slice(0, 2);
      const expected = kept.filter(word => word.startsWith(short)).sort();
      const found = sorted.startingWith(short, 10_000).map(({ word }) => word);
      return found.join() === expected.join();
    }),
    { numRuns: 50 },
  );
  t.pass('50 sets');
});
