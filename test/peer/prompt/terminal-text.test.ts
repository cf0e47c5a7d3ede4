/** Remote text on a terminal: what is replaced, how wide the rest is, and how it is cut. */
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import t from 'tap';
import { renderAnswer } from '../../../peer/prompt/render.js';
import { layOut } from '../../../peer/prompt/table.js';
import {
  cutToWidth,
  excessInReadline,
  fitToWidth,
  safeJson,
  safeText,
  widthOf,
  wrap,
} from '../../../peer/prompt/terminal-text.js';
import { songRow } from './fake-peer.js';
import { hostile } from './hostile-text.js';

t.test('control characters, escapes, bidi and zero-width become visible replacements', async t => {
  const rows: [string, string][] = [
    ['plain', 'plain'],
    ['a\x1b[31mb', 'a\ufffd[31mb'],
    ['a\nb\rc\td\0', 'a\ufffdb\ufffdc\ufffdd\ufffd'],
    ['\x7f\x80\x9b\x9f', '\ufffd\ufffd\ufffd\ufffd'],
    ['a\u202eb\u2066c\u200fd\u061c', 'a\ufffdb\ufffdc\ufffdd\ufffd'],
    ['a\u200bb\u2060\ufeff\u00ad', 'a\ufffdb\ufffd\ufffd\ufffd'],
    ['a\u2028b\u2029', 'a\ufffdb\ufffd'],
    ['a\u00a0b\u3000c', 'a b c'],
    ['\u3164\u115f', '\ufffd\ufffd'],
    ['\ud800x', '\ufffdx'],
    ['❤\ufe0f', '❤'],
    ['👨\u200d👩\u200d👧', '👨👩👧'],
    ['می\u200cخواهم', 'میخواهم'],
    ['\u0301abc', 'abc'],
    [`a${'\u0301'.repeat(50)}b`, `a${'\u0301'.repeat(4)}b`],
    ['日本 Ünï ñ — “x” €', '日本 Ünï ñ — “x” €'],
  ];
  t.same(
    rows.map(([dirty]) => safeText(dirty)),
    rows.map(([, clean]) => clean),
  );
});

t.test('in JSON the same is escaped: harmless to see, and what was said to a program', async t => {
  const text = 'a\x1b[31m\x9b\u202e\u200b\u2028\ud800\u{e0001}\u00a0ñ 😀';
  const json = safeJson({ text });
  t.equal(json, '{"text":"a\\u001b[31m\\u009b\\u202e\\u200b\\u2028\\ud800\\udb40\\udc01\\u00a0ñ 😀"}');
  t.same(JSON.parse(json), { text });
  t.equal(safeText(json), json);
  fc.assert(fc.property(hostile, said => JSON.parse(safeJson(said)) === said));
});

t.test('widths count wide characters twice and combining ones not at all', async t => {
  t.equal(widthOf('abc'), 3);
  t.equal(widthOf('日本語'), 6);
  t.equal(widthOf('한글'), 4);
  t.equal(widthOf('e\u0301'), 1);
  t.equal(widthOf('ｆｕｌｌ'), 8);
  t.equal(widthOf('🎵'), 2);
  t.equal(widthOf('🇫🇷'), 2);
  t.equal(widthOf('▶ ━ é'), 5);
  t.equal(cutToWidth('日本語', 4), '日…');
  t.equal(cutToWidth('日本語', 6), '日本語');
  t.equal(cutToWidth('abc', 0), '');
  t.equal(fitToWidth('日', 4), '日  ');
  t.equal(fitToWidth('7', 3, 'right'), '  7');
});

t.test('no character that is shown is wider to readline than is known', async t => {
  const output = Object.assign(new PassThrough(), { columns: 100, isTTY: true });
  const readline = createInterface({ input: new PassThrough(), output, terminal: true });
  t.teardown(() => readline.close());
  const wider: string[] = [];
  for (let code = 0x20; code <= 0x10ffff; code++) {
    const text = `a${String.fromCodePoint(code)}`;
    if (safeText(text) !== text) continue;
    readline.setPrompt(text);
    if (readline.getCursorPos().cols > widthOf(text) + excessInReadline(text)) wider.push(code.toString(16));
  }
  t.same(wider, []);
  t.ok(excessInReadline('🇩🇪') > 0);
  t.equal(excessInReadline('Café 青い空'), 0);
});

t.test('any text is cut and filled to exactly the width, and cleaning twice changes nothing', async () => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 1, max: 60 }), (text, width) => {
      const safe = safeText(text);
      if (safeText(safe) !== safe) throw new Error('not idempotent');
      if (widthOf(fitToWidth(safe, width)) !== width) throw new Error('not the width');
    }),
    { numRuns: 500 },
  );
});

t.test('where nothing is cut, one endless cell sticks out of its own row only', async t => {
  const columns = [
    { heading: 'Title', cell: (text: string) => text, atLeast: 12 },
    { heading: 'End', cell: () => 'x' },
  ];
  const { heading, rows } = layOut(['L'.repeat(255), 'Short'], columns, Number.POSITIVE_INFINITY);
  t.equal(rows[0], `${'L'.repeat(255)}  x`);
  t.equal(rows[1]!.indexOf('x'), heading.indexOf('End'));
  t.ok(rows[1]!.length < 80);
});

t.test('wrapped text is whole, however narrow', async t => {
  t.same(wrap('one two three', 7), ['one two', 'three']);
  t.same(wrap('a 0123456789', 4), ['a', '0123', '4567', '89']);
  const bare = (text: string): string => text.replaceAll(' ', '');
  fc.assert(
    fc.property(hostile, fc.integer({ min: 2, max: 60 }), (text, width) => {
      const lines = wrap(text, width);
      for (const line of lines) if (widthOf(line) > width) throw new Error(line);
      if (bare(lines.join('')) !== bare(safeText(text))) throw new Error(lines.join('|'));
    }),
  );
});

t.test('on a narrow terminal a hash goes on in the next line, whole', async t => {
  const song = songRow(10, 'Title', 'Artist');
  const lines = renderAnswer({ kind: 'info', songs: [song] }, { width: 40, color: false });
  t.ok(
    lines
      .map(line => line.slice(14))
      .join('')
      .endsWith(song.hash!),
  );
});
