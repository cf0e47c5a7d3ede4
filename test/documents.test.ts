/** README, ARCHITECTURE and the rooms' own pages name files, commands and options: all of them must be there. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { peerOptions } from '../src/peer-options.js';
import { trackerOptions } from '../src/tracker-options.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'protocol/README.md',
  'protocol/ppspp/README.md',
  'protocol/rtmp/README.md',
  'protocol/tsp/README.md',
  'tunes/README.md',
];
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** As code hosts make them: lower case, punctuation left out, spaces as hyphens. */
const anchors = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );

t.test('every link leads somewhere', async t => {
  for (const page of PAGES) {
    const text = read(page);
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      t.ok(existsSync(join(ROOT, file)), `${page}: ${target}`);
      if (anchor !== undefined) t.ok(anchors(read(file)).includes(anchor), `${page}: ${target}`);
    }
  }
});

t.test('every file that is named exists', async t => {
  for (const page of PAGES) {
    const named = read(page).matchAll(
      /`((?:protocol|tracker|peer|src|test|bench|examples|tunes)\/[\w./-]*)`/g,
    );
    for (const [, path = ''] of named) t.ok(existsSync(join(ROOT, path)), `${page}: ${path}`);
  }
});

t.test('every option of the README is one', async t => {
  const known = new Set([...Object.keys(trackerOptions({})), ...Object.keys(peerOptions({})), 'help']);
  const [, ours = ''] = /\n## Your own music.*?\n([\s\S]*)\n## What is optional/.exec(read('README.md'))!;
  const named = [...ours.matchAll(/--([a-z][a-z-]+)/g)].map(([, option]) => option!);
  t.ok(named.length > 20);
  t.same(
    named.filter(option => !known.has(option) && !known.has(option.replace(/^no-/, ''))),
    [],
  );
});

t.test('every choice that the README gives an option is one', t => {
  const options = Object.entries(peerOptions({}));
  const given = options.flatMap(([name, option]) => {
    if (!('type' in option) || option.type.choices === undefined) return [];
    const values = [...read('README.md').matchAll(new RegExp(`--${name} ([^\\s\`]+)`, 'g'))];
    return values.map(([words, value]) => ({ words, isOne: option.type.parse(value!) !== undefined }));
  });
  t.ok(given.length > 3);
  t.same(
    given.filter(({ isOne }) => !isOne),
    [],
  );
  t.end();
});
