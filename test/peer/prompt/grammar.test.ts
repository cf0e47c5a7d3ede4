/** What typed lines mean, what Tab offers, and which song some words choose. */
import fc from 'fast-check';
import t from 'tap';
import { complete } from '../../../peer/prompt/complete.js';
import { type Command, MAX_LINE_LENGTH, parseId, parseLine } from '../../../peer/prompt/grammar.js';
import { SongMatcher } from '../../../peer/prompt/match.js';
import { COMMAND_NAMES, VOCABULARY } from '../../../peer/prompt/vocabulary.js';
import { songRow } from './fake-peer.js';

const commandOf = (line: string): Command => {
  const parsed = parseLine(line);
  if (parsed.is !== 'command') throw new Error(`“${line}” is no command: ${JSON.stringify(parsed)}`);
  return parsed.command;
};

const problemOf = (line: string) => {
  const parsed = parseLine(line);
  if (parsed.is !== 'problem') throw new Error(`“${line}” is no problem: ${JSON.stringify(parsed)}`);
  return parsed;
};

t.test('each command is understood', async t => {
  const rows: [string, Command][] = [
    ['list', { name: 'list', words: '' }],
    ['  LIST  blue   moon ', { name: 'list', words: 'blue moon' }],
    ['list "blue moon"', { name: 'list', words: 'blue moon' }],
    ['find moon', { name: 'find', words: 'moon' }],
    ['info', { name: 'info', wanted: [] }],
    ['info 10', { name: 'info', wanted: [{ by: 'id', id: 10 as never }] }],
    ['queue', { name: 'queue', wanted: [] }],
    ['stop', { name: 'stop' }],
    ['pause', { name: 'pause' }],
    ['resume', { name: 'resume' }],
    ['next', { name: 'next' }],
    ['prev', { name: 'prev' }],
    ['mute', { name: 'mute' }],
    ['status', { name: 'status' }],
    ['quit', { name: 'quit' }],
    ['help', { name: 'help' }],
    ['help seek', { name: 'help', topic: 'seek' }],
    ['exit', { name: 'quit' }],
    ['?', { name: 'help' }],
    ['volume', { name: 'volume' }],
    ['volume 80', { name: 'volume', target: { to: 'level', percent: 80 } }],
    ['volume 80%', { name: 'volume', target: { to: 'level', percent: 80 } }],
    ['volume -5', { name: 'volume', target: { to: 'offset', percent: -5 } }],
    ['volume +5 %', { name: 'volume', target: { to: 'offset', percent: 5 } }],
    ['seek 90', { name: 'seek', target: { to: 'second', seconds: 90 } }],
    ['seek 1:30', { name: 'seek', target: { to: 'second', seconds: 90 } }],
    ['seek 1:01:30.5', { name: 'seek', target: { to: 'second', seconds: 3690.5 } }],
    ['seek +10', { name: 'seek', target: { to: 'offset', seconds: 10 } }],
    ['seek -1:00', { name: 'seek', target: { to: 'offset', seconds: -60 } }],
  ];
  for (const [line, command] of rows) t.same(commandOf(line), command, line);
});

t.test('play takes IDs, or words, or quoted words among IDs', async t => {
  const wanted = (line: string) => {
    const command = commandOf(line);
    return 'wanted' in command
      ? command.wanted.map(want => (want.by === 'id' ? want.id : want.words))
      : undefined;
  };
  t.same(wanted('play 10'), [10]);
  t.same(wanted('play 10 11\t12'), [10, 11, 12]);
  t.same(wanted('play blue moon'), ['blue moon']);
  t.same(wanted('play 99 luftballons'), ['99 luftballons']);
  t.same(wanted('play "1999" 10 "blue moon"'), ['1999', 10, 'blue moon']);
  t.same(wanted('play "never closed'), ['never closed']);
  t.same(wanted('queue 4294967294'), [4_294_967_294]);
});

t.test('an ID that cannot be one is told what IDs are', async t => {
  for (const text of ['0', '-1', '1.5', '4294967295', '4294967296', '99999999999999999999']) {
    t.match(problemOf(`play ${text}`).message, /no song ID/, text);
    t.match(parseId(text), { problem: /no song ID/ }, text);
  }
  t.match(parseId('ten'), { problem: '“ten” is no song ID: an ID is a number such as 10.' });
  t.match(parseId('x'.repeat(200)), { problem: /^“x{24}…” is no/ });
  t.same(parseId('4294967294'), { id: 4_294_967_294 });
});

t.test('what is wrong or missing is said with what would be right', async t => {
  t.match(problemOf('play'), { name: 'play', message: /play <id or words>/ });
  t.match(problemOf('play ""'), { message: /empty quotes/ });
  t.match(problemOf('find " "'), { message: /empty quotes/ });
  t.match(problemOf('find'), { message: /find <words>/ });
  t.match(problemOf('seek later'), { message: /no time/, hint: /1:30/ });
  t.match(problemOf('volume 101'), { message: /no volume/ });
  t.match(problemOf('volume loud'), { message: /no volume/ });
  t.match(problemOf('stop 10'), { message: /takes nothing/ });
  t.match(problemOf('help me'), { message: /no command “me”/ });
  t.match(problemOf('x'.repeat(MAX_LINE_LENGTH + 1)), { message: /longer/ });
});

t.test('a mistyped command is told the nearest one', async t => {
  t.match(problemOf('pley 10').hint, 'Did you mean play?');
  t.match(problemOf('lsit').hint, 'Did you mean list?');
  t.match(problemOf('voluem 3').hint, 'Did you mean volume?');
  t.match(problemOf('xyzzy').hint, 'help shows');
  t.match(problemOf('hasOwnProperty').message, 'There is no command');
  t.match(problemOf('zz').hint, 'help shows');
  t.match(problemOf('uqiet').hint, 'Did you mean quit?', 'two errors');
  t.match(problemOf('resu').hint, 'Did you mean resume?', 'the beginning of a word');
});

t.test('an empty line and a remark mean nothing', async t => {
  t.same(parseLine('  '), { is: 'nothing' });
  t.same(parseLine('# play 10'), { is: 'nothing' });
});

t.test('any text at all is parsed without an exception, and IDs are always in range', async () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .tuple(fc.constantFrom(...COMMAND_NAMES), fc.string({ unit: 'grapheme' }))
      .map(parts => parts.join(' ')),
    fc.tuple(fc.constantFrom(...COMMAND_NAMES), fc.bigInt()).map(parts => parts.join(' ')),
  );
  fc.assert(
    fc.property(line, text => {
      const parsed = parseLine(text);
      if (parsed.is !== 'command' || !('wanted' in parsed.command)) return;
      for (const want of parsed.command.wanted) {
        if (want.by === 'id' && !(want.id >= 1 && want.id <= 0xffff_fffe)) throw new Error(`ID ${want.id}`);
      }
    }),
  );
});

t.test('Tab completes commands, topics and titles', async t => {
  const songs = [
    songRow(1, 'Thriller'),
    songRow(2, 'Thrice'),
    songRow(3, 'Élan'),
    songRow(4, '1999'),
    songRow(5, 'Say "Hi"'),
  ];
  t.same(complete('pl', songs), [['play '], 'pl']);
  t.same(complete('', songs)[0].length, COMMAND_NAMES.length);
  t.same(complete('play thr', songs), [['Thrice', 'Thriller'], 'thr']);
  t.same(complete('play ela', songs), [['Élan'], 'ela']);
  t.same(complete('play 19', songs), [['"1999"'], '19'], 'a title of digits is quoted, or it would be an ID');
  t.same(complete('list say', songs), [['Say  Hi '], 'say']);
  t.same(complete('help vo', songs), [['volume'], 'vo']);
  t.same(complete('stop x', songs), [[], 'x']);
  t.same(complete('nonsense x', songs), [[], 'x']);
  const many = Array.from({ length: 200 }, (_, index) => songRow(index + 1, `Song ${index}`));
  t.equal(complete('play song', many)[0].length, 50);
});

t.test('every command that completes to itself parses', async t => {
  for (const name of COMMAND_NAMES) {
    t.equal(parseLine(VOCABULARY[name].optional ? name : `${name} 10`).is, 'command', name);
  }
});

t.test('words choose the exact title first, whatever their case and accents', async t => {
  const matcher = new SongMatcher();
  const songs = [
    songRow(1, 'Café del Mar', 'Energy 52'),
    songRow(2, 'Mar'),
    songRow(3, 'Marina'),
    songRow(4, 'Del', 'Mar'),
    songRow(5, 'Other'),
  ];
  const ids = (words: string) => matcher.matches(songs, words).map(song => song.id);
  t.same(ids('MÁR'), [2, 3, 1, 4]);
  t.same(ids('cafe  mar'), [1]);
  t.same(ids('mar energy'), [1]);
  t.same(ids('nowhere'), []);
  t.same(ids('  '), [1, 2, 3, 4, 5], 'no words: all');
});
