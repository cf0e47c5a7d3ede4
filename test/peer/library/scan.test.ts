/** What a look into a folder finds: real folders, links, FIFOs, and folders that change between two looks. */
import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Found, MAX_FILE_BYTES } from '../../../peer/library/file-facts.js';
import { openFile, openFileSync } from '../../../peer/library/open-file.js';
import { isInside, isInsideAny } from '../../../peer/library/paths.js';
import { openRoots } from '../../../peer/library/roots.js';
import { walk } from '../../../peer/library/scan.js';
import { Scanner } from '../../../peer/library/scanner.js';
import { ConfigError } from '../../../protocol/errors.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';

const say = (root: string, found: Iterable<Found>): string[] =>
  [...found].map(each => {
    const name = each.path === root ? '.' : each.path.slice(root.length + 1);
    return `${each.kind === 'skipped' ? each.reason : each.kind} ${name}`;
  });
const look = (root: string, starts = [root], limits?: { depth: number; entries: number }): string[] =>
  say(root, walk({ roots: [root], root, starts }, limits));

t.test('folders and files are met in order, what is neither is skipped with its reason', async t => {
  const root = await tempFolder(t);
  const outside = await tempFolder(t);
  await mkdir(join(root, 'b/deep'), { recursive: true });
  await mkdir(join(root, '.git'));
  await writeFile(join(root, 'b/song.mp3'), 'x');
  await writeFile(join(root, 'a.mp3'), 'x');
  await writeFile(join(root, 'b/deep/zero'), '');
  await writeFile(join(root, 'big'), '');
  await truncate(join(root, 'big'), MAX_FILE_BYTES + 1);
  await writeFile(join(outside, 'secret'), 'x');
  await symlink(join(outside, 'secret'), join(root, 'link-out'));
  await symlink(outside, join(root, 'link-out-folder'));
  await symlink('nowhere', join(root, 'link-nowhere'));
  await symlink('a.mp3', join(root, 'link-in'));
  await symlink('..', join(root, 'b/link-up'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  t.same(look(root), [
    'folder .',
    'hidden .git',
    'file a.mp3',
    'folder b',
    'folder b/deep',
    'empty b/deep/zero',
    'file b/song.mp3',
    'too-large big',
    'not-regular fifo',
    'link link-nowhere',
    'link link-out',
    'link link-out-folder',
  ]);
});

t.test('a file carries its size, times and inode', async t => {
  const root = await tempFolder(t);
  await writeFile(join(root, 'a.mp3'), 'hello');
  const [, file] = [...walk({ roots: [root], root, starts: [root] })];
  t.match(file, { kind: 'file', fingerprint: { size: 5 } });
  const opened = await openFile(join(root, 'a.mp3'));
  t.equal(opened.kind, 'opened');
  if (opened.kind === 'opened') {
    t.same(file, { kind: 'file', path: join(root, 'a.mp3'), fingerprint: opened.fingerprint });
    await opened.handle.close();
  }
});

t.test('depth and number are bounded', async t => {
  const root = await tempFolder(t);
  await mkdir(join(root, 'a/b/c'), { recursive: true });
  await writeFile(join(root, 'a/b/x.mp3'), 'x');
  t.same(look(root, [root], { depth: 1, entries: 100 }), ['folder .', 'folder a', 'too-deep a/b']);
  t.same(look(root, [root], { depth: 9, entries: 3 }), [
    'folder .',
    'folder a',
    'folder a/b',
    'too-many a/b/c',
  ]);
});

t.test('a look at one path sees that path only', async t => {
  const root = await tempFolder(t);
  const outside = await tempFolder(t);
  await mkdir(join(root, 'a/.hidden'), { recursive: true });
  await writeFile(join(root, 'a/x.mp3'), 'x');
  await writeFile(join(root, 'y.mp3'), 'y');
  t.same(look(root, [join(root, 'a/x.mp3')]), ['file a/x.mp3']);
  t.same(look(root, [join(root, 'a'), join(root, 'no')]), [
    'folder a',
    'hidden a/.hidden',
    'file a/x.mp3',
    'gone no',
  ]);
  t.same(look(root, [join(root, 'y.mp3/below')]), ['gone y.mp3/below'], 'in what is a file now');
  t.same(look(root, [join(root, 'a/.hidden/x')]), ['hidden a/.hidden/x']);
  await symlink(outside, join(root, 'out'));
  await writeFile(join(outside, 'secret'), 'x');
  t.same(look(root, [join(root, 'out/secret')]), ['gone out/secret'], 'in what is a link now');
});

t.test('without its root nothing is judged', async t => {
  const root = await tempFolder(t);
  await writeFile(join(root, 'x.mp3'), 'x');
  await rename(root, `${root}-away`);
  t.teardown(() => rm(`${root}-away`, { recursive: true }));
  t.same(look(root, [join(root, 'x.mp3')]), ['gone .']);
  await writeFile(root, 'a file now');
  t.same(look(root), ['gone .']);
});

t.test('the scanner looks from its thread, batch by batch', async t => {
  const root = await tempFolder(t);
  for (let i = 0; i < 620; i += 1) await writeFile(join(root, `${1000 + i}.mp3`), 'x');
  const scanner = new Scanner({ clock: patientClock, logger: new RecordingLogger() });
  t.teardown(() => scanner.stop());
  const batches: (readonly Found[])[] = [];
  const job = { roots: [root], root, starts: [root] };
  t.equal(await scanner.scan(job, found => batches.push(found)), 'complete');
  t.equal(batches.length, 2);
  t.same(batches.flat(), [...walk(job)]);

  const cancelled = scanner.scan(job, () => {});
  await scanner.stop();
  t.equal(await cancelled, 'cancelled');
  t.equal(await scanner.scan(job, () => {}), 'cancelled', 'after its end it does nothing');
});

t.test('only regular files at their own place are opened', async t => {
  const root = await tempFolder(t);
  await mkdir(join(root, 'folder'));
  await writeFile(join(root, 'folder/x.mp3'), 'x');
  await symlink('folder', join(root, 'link'));
  await symlink('folder/x.mp3', join(root, 'x.mp3'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  for (const open of [openFile, openFileSync]) {
    const refused = (reason: string) => ({ kind: 'refused', reason });
    t.same(await open(join(root, 'link/x.mp3')), refused('link'), 'a link on the way');
    t.same(await open(join(root, 'x.mp3')), refused('link'), 'a link at the end');
    t.same(await open(join(root, 'fifo')), refused('not-regular'));
    t.same(await open(join(root, 'folder')), refused('not-regular'));
    t.same(await open(join(root, 'none')), { kind: 'gone' });
    t.same(await open(join(root, 'x\0y')), refused('unreadable'));
  }
});

t.test('roots are folders, each met once', async t => {
  const root = await tempFolder(t);
  await mkdir(join(root, 'a'));
  await writeFile(join(root, 'file'), 'x');
  await symlink('a', join(root, 'b'));
  const paths = async (...folders: string[]) => (await openRoots(folders)).map(each => each.path);
  t.same(await paths(join(root, 'b'), join(root, 'a')), [join(root, 'a')], 'links are resolved');
  t.same(await paths(join(root, 'a'), root), [root], 'a folder in another one is met there');
  await t.rejects(openRoots([join(root, 'none')]), ConfigError);
  await t.rejects(openRoots([join(root, 'file')]), ConfigError);
});

t.test('being inside is a matter of folders, not of letters', async t => {
  t.ok(isInside('/a', '/a'));
  t.ok(isInside('/a', '/a/b'));
  t.ok(isInside('/', '/a'));
  t.notOk(isInside('/a', '/ab'));
  t.ok(isInsideAny(new Set(['/x', '/a']), '/a/b/c'));
  t.notOk(isInsideAny(new Set(['/x', '/a/b/c/d']), '/a/b/c'));
});
