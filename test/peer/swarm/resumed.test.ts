/** `tsp-peer swarm get`, as a real process: what is left when it is killed or the disk is full, and how it goes on from there. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { noMounts, spawnWithMount } from '../../support/private-mounts.js';
import { commandPath } from '../../support/spawn-command.js';
import { contentIn, get, got, seed } from '../../support/swarm-commands.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';

t.test('a listener that was killed goes on from where it was', async t => {
  const { folder, path, content } = await contentIn(t, 3_000_000);
  const slow = await seed(t, path, '--max-upload', '200k');
  const out = join(folder, 'out');
  const first = await get(t, slow.id, out, ...slow.peer);
  await until('a note', () => existsSync(`${out}.part.json`));
  first.kill('SIGKILL');
  await first.exited;
  t.notOk(existsSync(out), 'it does not appear before it is whole');
  const fast = await seed(t, path);
  const second = await get(t, slow.id, out, ...fast.peer);
  t.equal(await second.exitCode(), 0);
  t.ok(Buffer.compare(readFileSync(out), content) === 0, 'byte by byte');
  const told = got(second);
  t.ok(told.resumed > 0, 'something was here');
  t.equal(told.resumed + told.sources.reduce((sum, { bytes }) => sum + bytes, 0), content.length);
});

t.test('a byte that was damaged meanwhile costs a thousandth of what was here, which is said', async t => {
  const { folder, path, content } = await contentIn(t, 3_000_000);
  const slow = await seed(t, path, '--max-upload', '1M');
  const out = join(folder, 'out');
  const first = await get(t, slow.id, out, ...slow.peer);
  await until('a note', () => existsSync(`${out}.part.json`));
  first.kill('SIGTERM');
  await first.exited;
  const [[start]] = JSON.parse(readFileSync(`${out}.part.json`, 'utf8')).have;
  const part = readFileSync(`${out}.part`);
  part[start * 1_024]! ^= 1;
  writeFileSync(`${out}.part`, part);
  const fast = await seed(t, path);
  const second = await get(t, slow.id, out, ...fast.peer);
  t.equal(await second.exitCode(), 0, second.stderr);
  t.ok(Buffer.compare(readFileSync(out), content) === 0, 'byte by byte');
  t.match(
    second.stderr,
    /out\.part was damaged: \d\.\d kB of it are fetched again, [\d.]+ [kM]B are kept\.\n/,
  );
  t.ok(got(second).resumed > 0, 'the rest was here');
});

t.test('a size that was damaged in the note is not taken for a lie of those who know it', async t => {
  const { folder, path, content } = await contentIn(t, 3_000_000);
  const slow = await seed(t, path, '--max-upload', '1M');
  const out = join(folder, 'out');
  const first = await get(t, slow.id, out, ...slow.peer);
  await until('a note', () => existsSync(`${out}.part.json`));
  first.kill('SIGTERM');
  await first.exited;
  const note = JSON.parse(readFileSync(`${out}.part.json`, 'utf8'));
  const fast = await seed(t, path);
  for (const damaged of [{ size: 2_999_999 }, { size: 5 }, { size: 'all' }, { chunks: note.chunks - 1 }]) {
    const again = join(folder, JSON.stringify(damaged));
    copyFileSync(`${out}.part`, `${again}.part`);
    writeFileSync(`${again}.part.json`, JSON.stringify({ ...note, ...damaged }));
    const getter = await get(t, slow.id, again, ...fast.peer);
    t.equal(await getter.exitCode(), 0, getter.stderr);
    t.ok(Buffer.compare(readFileSync(again), content) === 0, 'byte by byte');
  }
});

t.test('what lies in the place of OUT.part and is no file is named, and stays', async t => {
  const out = join(await tempFolder(t), 'out');
  const part = `${out}.part`;
  for (const make of ['mkdir', 'mkfifo']) {
    execFileSync(make, [part]);
    const getter = await get(t, 'ab'.repeat(32), out, '--peer', '127.0.0.1:1');
    t.equal(await getter.exitCode(), 1);
    t.match(getter.stderr, /out\.part is no file\./, make);
    t.notMatch(getter.stderr, /goes on from there/);
    t.ok(existsSync(part));
    rmSync(part, { recursive: true });
  }
});

t.test('a disk that has no room for the last block: it does not appear', { skip: noMounts }, async t => {
  const { folder, path } = await contentIn(t, 1_400_000);
  const { id, peer } = await seed(t, path);
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const words = ['swarm', 'get', id, '-o', join(disk, 'out'), ...peer];
  const andLook = ['sh', '-c', '"$@"; code=$?; ls "$0"; exit $code', disk];
  const program = [...andLook, process.execPath, commandPath('tsp-peer'), ...words];
  const getter = await spawnWithMount(t, { folder: disk, size: '1200k' }, program);
  t.equal(await getter.exitCode(), 1, getter.stderr);
  t.match(getter.stderr, /disk\/out: the disk is full/);
  t.notOk(getter.lines.includes('out'), getter.stdout);
  t.equal(
    /goes on from there/.test(getter.stderr),
    getter.lines.includes('out.part.json'),
    'no more is promised',
  );
  t.notOk(getter.lines.includes('out.part.json.new'));
});

t.test('a disk that has room for nothing is no lack of seeds', { skip: noMounts }, async t => {
  const { folder, path } = await contentIn(t, 1_400_000);
  const { id, peer } = await seed(t, path);
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const words = ['swarm', 'get', id, '-o', join(disk, 'out'), ...peer];
  const program = [process.execPath, commandPath('tsp-peer'), ...words];
  const getter = await spawnWithMount(t, { folder: disk, size: '64k' }, program);
  t.equal(await getter.exitCode(), 1);
  t.match(getter.stderr, /disk\/out: the disk is full\.\n$/);
});
