/**
 * The house keeps its own rules (test/support/source-rules.ts): who imports whom, what the protocol does not know, what
 * is pure, how long a file is. Each rule is first shown a source that breaks it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import {
  arrowBreaches,
  circleBreaches,
  habitBreaches,
  importsOf,
  isShell,
  packagesLoadedWith,
  purityBreaches,
  type SourceFile,
  shapeBreaches,
  worldBreaches,
} from './support/source-rules.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ROOMS = ['protocol', 'tracker', 'peer', 'src', 'test', 'bench', 'tunes'];
/** Names every rule by its pattern. */
const RULES = 'test/support/source-rules.ts';
const THIS = 'test/architecture.test.ts';

const sources: SourceFile[] = ROOMS.flatMap(room =>
  readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map(path => `${room}/${path.replaceAll('\\', '/')}`),
).map(path => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));

const shells = new Set(sources.filter(isShell).map(({ path }) => path));

const planted = (path: string, text: string): SourceFile => ({ path, text });

t.test('imports are found however they are written', async t => {
  const text = `
    import a from './a.js';
    import type { B } from "./b.js";
    import {
      c,
      d,
    } from './c.js';
    import './e.js';
    export * from './f.js';
    // import g from './g.js';
    /* import h from './h.js'; */
    const i = await import('./i.js');
    const worker = new Worker(new URL('./j.js', import.meta.url));
    const words = 'nothing is imported from here';
  `;
  t.same(
    importsOf(text).map(({ specifier }) => specifier),
    ['./a.js', './b.js', './c.js', './e.js', './f.js', './i.js', './j.js'],
  );
  t.same(
    importsOf(text).flatMap(({ specifier, typeOnly }) => (typeOnly ? [specifier] : [])),
    ['./b.js'],
  );
});

t.test('imports follow the arrow src → tracker, peer → protocol', async t => {
  for (const [path, specifier] of [
    ['protocol/tsp/codec.ts', '../../peer/peer.js'],
    ['protocol/merkle.ts', '../src/clock.js'],
    ['tracker/tracker.ts', '../peer/peer.js'],
    ['peer/peer.ts', '../tracker/tracker.js'],
    ['peer/hosting/slots.ts', '../../src/clock.js'],
    ['src/clock.ts', '../test/support/virtual-clock.js'],
    ['protocol/tsp/codec.ts', '../ppspp/codec.js'],
  ] as const) {
    t.equal(
      arrowBreaches(planted(path, `import { x } from '${specifier}';`)).length,
      1,
      `${path} ↛ ${specifier}`,
    );
    t.equal(
      arrowBreaches(planted(path, `const x = await import('${specifier}');`)).length,
      1,
      'nor when it runs',
    );
  }
  t.same(arrowBreaches(planted('peer/peer.ts', `import { x } from '../protocol/bytes.js';`)), []);
  t.same(arrowBreaches(planted('protocol/tsp/codec.ts', `import { x } from '../bytes.js';`)), []);
  t.same(sources.flatMap(arrowBreaches), []);
});

t.test('the protocol knows no time, no chance, no socket and no file', async t => {
  for (const text of [
    `import { connect } from 'node:net';`,
    `import fs from 'fs';`,
    `const { spawn } = await import('node:child_process');`,
    'const now = Date.now();',
    'setTimeout(next, 5);',
    'const jitter = Math.random();',
    `console.log('here');`,
  ]) {
    t.equal(worldBreaches(planted('protocol/tsp/x.ts', text)).length, 1, text);
    t.same(worldBreaches(planted('peer/x.ts', text)), [], `${text} is well elsewhere`);
  }
  t.same(worldBreaches(planted('protocol/x.ts', '// unlike Date.now(), this goes on')), []);
  t.same(sources.flatMap(worldBreaches), []);
});

t.test('a pure file imports no shell', async t => {
  const rule = (file: SourceFile): string[] => purityBreaches(file, path => path === 'peer/server.ts');
  t.equal(rule(planted('peer/playback/queue.ts', `import { readFile } from 'node:fs/promises';`)).length, 1);
  t.equal(rule(planted('tracker/logic.ts', `import { Server } from '../peer/server.js';`)).length, 1);
  t.same(
    rule(planted('tracker/logic.ts', `import type { Server } from '../peer/server.js';`)),
    [],
    'a type is well',
  );
  t.same(rule(planted('peer/peer.ts', `import { Server } from './server.js';`)), [], 'a shell may');
  t.ok(isShell(planted('x.ts', `import { connect } from 'node:net';`)));
  t.same(
    sources.flatMap(source => purityBreaches(source, path => shells.has(path))),
    [],
  );
});

t.test('no file imports itself by a detour', async t => {
  const a = planted('peer/a.ts', `import { b } from './b.js';`);
  const b = planted('peer/b.ts', `import { c } from './c.js';`);
  const c = planted('peer/c.ts', `import { a } from './a.js';`);
  t.same(circleBreaches([a, b, c]), ['peer/a.ts → peer/b.ts → peer/c.ts → peer/a.ts']);
  t.same(circleBreaches([a, b, planted('peer/c.ts', `import type { A } from './a.js';`)]), []);
  t.same(circleBreaches(sources), []);
});

t.test('who starts waits for no package but the store of a tracker', async t => {
  const a = planted('peer/a.ts', `import { b } from './b.js';\nimport type { X } from 'x';`);
  const b = planted('peer/b.ts', `const { c } = createRequire(import.meta.url)('c');\nawait import('d');`);
  t.same(packagesLoadedWith('peer/a.ts', [a, b]), ['c']);
  t.same(packagesLoadedWith('peer/library/hashing-worker.ts', sources), ['music-metadata']);
  t.same(packagesLoadedWith('tracker/tracker.ts', sources), ['lmdb']);
  for (const start of ['peer/run-peer.ts', 'src/peer-command.ts', 'src/tracker-command.ts', 'src/world.ts'])
    t.same(packagesLoadedWith(start, sources), [], start);
});

t.test('every file says what it is, and none is too long', async t => {
  t.equal(shapeBreaches(planted('src/x.ts', 'export const x = 1;\n')).length, 1);
  t.equal(shapeBreaches(planted('src/x.ts', `/** What this file is for. */\n${'\n'.repeat(400)}`)).length, 1);
  t.same(shapeBreaches(planted('src/x.ts', '#!/usr/bin/env node\n/** What this file is for. */\n')), []);
  t.same(sources.flatMap(shapeBreaches), []);
});

t.test('nothing is left undone, and nothing goes without a name', async t => {
  t.equal(habitBreaches(planted('src/x.ts', `// ${'TO'}${'DO'} later`)).length, 1);
  t.equal(habitBreaches(planted('src/x.ts', 'export default 5;')).length, 1);
  t.equal(habitBreaches(planted('src/x.ts', 'export const enum X {}')).length, 1);
  t.equal(habitBreaches(planted('test/x.test.ts', 'const SIDE = { skip, buffered: true };')).length, 1);
  t.same(sources.filter(({ path }) => path !== RULES && path !== THIS).flatMap(habitBreaches), []);
});

t.test('all the rooms were looked at', async t => {
  for (const room of ROOMS)
    t.ok(
      sources.some(({ path }) => path.startsWith(`${room}/`)),
      room,
    );
});
