/** Songs from a real song server, into files and into an output; and everything that can go wrong on the way. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fileNameOf, runGet } from '../../../peer/commands/get.js';
import { runPlay } from '../../../peer/commands/play.js';
import type { PeerConfig } from '../../../peer/config.js';
import { hostSongs, songBytes } from '../../support/hosted-songs.js';
import { mp3Bytes } from '../../support/mp3.js';
import { tempFolder } from '../../support/temp-folder.js';
import { until } from '../../support/until.js';
import { songRow } from '../prompt/fake-peer.js';
import { FakeTracker, serverAt } from './fake-tracker.js';
import { configIn, failureFrom, TestWorld } from './test-world.js';

/** A song server with these songs, and a tracker that lists them. */
async function setUp(
  t: Test,
  songs: Readonly<Record<number, Uint8Array>>,
  changes: Partial<PeerConfig> = {},
) {
  const host = await hostSongs(t, songs);
  const fake = new FakeTracker();
  fake.rows = [...host.songs].map(([id, { hash, size }]) =>
    songRow(id, `Song ${id}`, 'Band', { hash, size, hosts: [`127.0.0.1:${host.port}`], duration: 1 }),
  );
  const tracker = await fake.start(t);
  const folder = join(await tempFolder(t), 'out');
  await mkdir(folder);
  return { host, fake, folder, world: new TestWorld(), config: configIn(folder, { tracker, ...changes }) };
}

t.test('get writes the exact bytes, by rename, and says where they came from', async t => {
  const bytes = songBytes(700_001);
  const { config, world, folder, host } = await setUp(t, { 10: bytes });
  const out = join(folder, 'song.mp3');
  t.equal(await runGet(config, { words: ['10'], out }, world), 0);
  t.ok((await readFile(out)).equals(bytes));
  t.same(await readdir(folder), ['song.mp3']);
  t.match(world.stderr.text, `song.mp3: 700 kB in`);
  t.match(world.stderr.text, `127.0.0.1:${host.port} · verified`);
  t.equal(world.stdout.text, '');
});

t.test('get -o - writes the song to stdout and nothing else', async t => {
  const bytes = songBytes(300_000);
  const { config, world } = await setUp(t, { 10: bytes });
  const waiting = [world.stdout.listenerCount('drain'), world.stdout.listenerCount('close')];
  t.equal(await runGet(config, { words: ['10'], out: '-' }, world), 0);
  t.ok(Buffer.concat(world.stdout.chunks).equals(bytes));
  t.equal(world.stderr.text, '');
  t.same(
    [world.stdout.listenerCount('drain'), world.stdout.listenerCount('close')],
    waiting,
    'nobody waits on',
  );
});

t.test('get names the file that cannot be written, not the part of it', async t => {
  const { config, world, folder } = await setUp(t, { 10: songBytes(1_000) });
  const out = join(folder, 'nowhere', 'x.mp3');
  t.match(await failureFrom(runGet(config, { words: ['10'], out }, world)), {
    exitCode: 1,
    message: `${out}: there is no such file or folder.`,
  });
  const skip = !existsSync('/dev/full') && 'no /dev/full here';
  t.test('a disk that is full', { skip }, async t => {
    t.match(await failureFrom(runGet(config, { words: ['10'], out: '/dev/full' }, world)), {
      exitCode: 1,
      message: '/dev/full: the disk is full.',
    });
  });
});

t.test('get --json tells what it wrote', async t => {
  const { config, world, folder, host } = await setUp(t, { 10: songBytes(1_000) }, { json: true });
  const out = join(folder, 'x');
  await runGet(config, { words: ['10'], out }, world);
  t.match(JSON.parse(world.stdout.text), {
    file: out,
    bytes: 1_000,
    hash: host.songs.get(10)!.hash,
    sources: [{ bytes: 1_000 }],
    verified: true,
  });
});

t.test('get takes what a peer kept on disk, and leaves its cache as it is', async t => {
  const bytes = songBytes(200_000);
  const { config, world, folder, host } = await setUp(t, { 10: bytes });
  const { hash, nodes } = host.songs.get(10)!;
  await mkdir(config.cacheDir, { recursive: true });
  const note = { offer: { hash }, nodes: Buffer.from(nodes).toString('base64') };
  await writeFile(join(config.cacheDir, `${hash}.json`), JSON.stringify(note));
  await writeFile(join(config.cacheDir, `${hash}.mp3`), bytes);
  await runGet(config, { words: ['10'], out: join(folder, 'a.mp3') }, world);
  t.match(world.stderr.text, /cache · verified/);
  t.ok((await readFile(join(folder, 'a.mp3'))).equals(bytes));

  await writeFile(join(config.cacheDir, `${hash}.mp3`), Buffer.alloc(200_000));
  await runGet(config, { words: ['10'], out: join(folder, 'b.mp3') }, world);
  t.ok((await readFile(join(folder, 'b.mp3'))).equals(bytes), 'a disk is believed no more than a host');
  t.same((await readdir(config.cacheDir)).sort(), [`${hash}.json`, `${hash}.mp3`]);
});

t.test('get replaces what a link points to, writes into what is no file, and refuses a folder', async t => {
  const bytes = songBytes(5_000);
  const { config, world, folder } = await setUp(t, { 10: bytes });
  await writeFile(join(folder, 'target'), 'old');
  await symlink(join(folder, 'target'), join(folder, 'link'));
  await runGet(config, { words: ['10'], out: join(folder, 'link') }, world);
  t.ok((await readFile(join(folder, 'target'))).equals(bytes));
  t.same((await readdir(folder)).sort(), ['link', 'target']);
  t.equal(await runGet(config, { words: ['10'], out: '/dev/null' }, world), 0);
  for (const out of [folder, join(folder, 'not', 'yet', '/')])
    t.match(await failureFrom(runGet(config, { words: ['10'], out }, world)), {
      exitCode: 1,
      message: /names a folder/,
    });
  const nowhere = join(folder, 'no', 'such', 'file');
  t.match(await failureFrom(runGet(config, { words: ['10'], out: nowhere }, world)), {
    exitCode: 1,
    message: /no such file or folder/,
  });
  t.match(await failureFrom(runGet(config, { words: ['10'], out: '/dev/full' }, world)), {
    exitCode: 1,
    message: /the disk is full/,
  });
});

t.test('get replaces a file only if it was named', async t => {
  const { config, world, folder } = await setUp(t, { 10: songBytes(5_000) });
  const before = process.cwd();
  process.chdir(folder);
  t.teardown(() => process.chdir(before));
  const name = 'Band - Song 10.mp3';
  t.equal(await runGet(config, { words: ['10'] }, world), 0);
  await writeFile(name, 'something else');
  t.match(await failureFrom(runGet(config, { words: ['10'] }, world)), {
    exitCode: 1,
    message: `${name} is there already.`,
  });
  t.equal(await readFile(name, 'utf8'), 'something else');
  t.equal(await runGet(config, { words: ['10'], out: name }, world), 0);
  t.equal((await readFile(name)).length, 5_000);
});

t.test('get of no song, of no ID, and of a song whose hosts are gone', async t => {
  const { config, world, folder, fake } = await setUp(t, { 10: songBytes(100) });
  const out = join(folder, 'x');
  t.match(await failureFrom(runGet(config, { words: ['99'], out }, world)), {
    code: 'no-such-song',
    exitCode: 1,
  });
  t.match(await failureFrom(runGet(config, { words: ['abc'], out }, world)), { code: 'usage', exitCode: 2 });
  t.match(await failureFrom(runGet(config, { words: ['4294967296'], out }, world)), {
    code: 'usage',
    exitCode: 2,
  });
  const gone = await serverAt(t, socket => socket.destroy());
  fake.rows = [{ ...fake.rows[0]!, hosts: [`127.0.0.1:${gone.port}`] }];
  t.match(await failureFrom(runGet(config, { words: ['10'], out }, world)), {
    code: 'unreachable',
    exitCode: 69,
  });
  t.same(await readdir(folder), [], 'and nothing is left behind');
});

t.test('get from a host with another song under that name is no success: exit code 1', async t => {
  const { config, world, folder, fake, host } = await setUp(t, {
    10: songBytes(100_000),
    11: songBytes(100_000, 2),
  });
  const wrong = songRow(10, 'Song', '', { hash: fake.rows[0]!.hash!, hosts: [`127.0.0.1:${host.port}`] });
  fake.rows = [wrong];
  host.songs.delete(10);
  const out = join(folder, 'x');
  const failure = await failureFrom(runGet(config, { words: ['10'], out }, world));
  t.equal(failure.exitCode, 1);
  t.same(await readdir(folder), []);
});

t.test('a signal ends get and removes what is half there', async t => {
  const { config, folder, fake } = await setUp(t, { 10: songBytes(100) });
  const silent = await serverAt(t, () => {});
  fake.rows = [{ ...fake.rows[0]!, hosts: [`127.0.0.1:${silent.port}`] }];
  const world = new TestWorld();
  world.isTerminal.stderr = true;
  const running = runGet(config, { words: ['10'], out: join(folder, 'x') }, world);
  await until('it waits, and says so', () => world.stderr.text.includes('Song 10'));
  world.end('SIGTERM');
  t.equal(await running, 143);
  t.same(await readdir(folder), []);
});

t.test('on a terminal a wait has its reason', async t => {
  const { config, fake, folder } = await setUp(t, { 10: songBytes(100) });
  const silent = await serverAt(t, () => {});
  fake.rows = [{ ...fake.rows[0]!, hosts: [`127.0.0.1:${silent.port}`] }];
  const words = ['10'];
  const waits: [RegExp, (world: TestWorld) => Promise<number>][] = [
    [/….*waiting for 127\.0\.0\.1:\d+/, world => runPlay(config, { words }, world)],
    [
      /0 B of .*, waiting for 127\.0\.0\.1:\d+/,
      world => runGet(config, { words, out: join(folder, 'x') }, world),
    ],
    [
      /Waiting for the tracker 127\.0\.0\.1:\d+ …/,
      world => runGet({ ...config, tracker: silent }, { words }, world),
    ],
  ];
  for (const [reason, run] of waits) {
    const world = new TestWorld();
    world.isTerminal = { stdin: false, stdout: true, stderr: true };
    const running = run(world);
    await until(String(reason), () => reason.test(world.stdout.text + world.stderr.text));
    world.end('SIGINT');
    t.equal(await running, 130);
  }
});

t.test('a file is named after the song, whatever its title says', async t => {
  const named = (title: string, artist = '') => fileNameOf(songRow(10, title, artist));
  t.equal(named('Title', 'Artist'), 'Artist - Title.mp3');
  t.equal(named('../../etc/passwd'), '_.._etc_passwd.mp3');
  t.equal(named('.hidden'), 'hidden.mp3');
  t.equal(named('\x1b[2J\u202e'), '_[2J_.mp3');
  t.equal(named('-rf'), 'rf.mp3');
  t.equal(named(''), 'song 10.mp3');
  t.ok(Buffer.byteLength(named('日'.repeat(200))) <= 204);
});

t.test('play tells how each song went, and ends with the last', async t => {
  const { config, world, host } = await setUp(t, {
    10: mp3Bytes({ seconds: 0.2 }),
    11: mp3Bytes({ seconds: 0.2, seed: 1 }),
  });
  const out = join(host.folder, 'out.wav');
  t.equal(await runPlay({ ...config, output: `file:${out}` }, { words: ['10', '11'] }, world), 0);
  t.match(world.stdout.text, /▶ Song 10 — Band\n[\s\S]*■ Song 10 — Band\n[\s\S]*■ Song 11 — Band\n/);
  t.equal(
    world.stdout.text.match(/started in \d+ ms · 0 stutters · 127\.0\.0\.1:\d+ · verified/g)?.length,
    2,
  );
  t.equal((await readFile(out)).toString('latin1', 0, 4), 'RIFF');
});

t.test('play takes words, and with --json tells events', async t => {
  const { config, world } = await setUp(t, { 10: mp3Bytes({ seconds: 0.1 }) }, { json: true });
  t.equal(await runPlay(config, { words: ['song', '10'] }, world), 0);
  const events = world.lines.map(line => JSON.parse(line) as { event: string });
  t.same(
    events.map(({ event }) => event).filter(event => event !== 'output'),
    ['started', 'ended', 'idle'],
  );
});

t.test('play of what is not there, or no MP3, or by a signal, has the right exit code', async t => {
  const { config, world } = await setUp(t, { 10: songBytes(50_000), 11: mp3Bytes({ seconds: 20 }) });
  t.match(await failureFrom(runPlay(config, { words: ['99'] }, world)), { exitCode: 1 });
  t.match(await failureFrom(runPlay(config, { words: ['nothing', 'like', 'it'] }, world)), { exitCode: 1 });
  t.match(await failureFrom(runPlay(config, { words: ['0'] }, world)), { exitCode: 2 });
  t.equal(await runPlay(config, { words: ['10'] }, world), 1);
  t.match(world.stdout.text, /✗ Song 10/);
  const interrupted = new TestWorld();
  const running = runPlay(config, { words: ['11'] }, interrupted);
  await until('it plays', () => interrupted.stdout.text.includes('▶'));
  interrupted.end('SIGINT');
  t.equal(await running, 130);
  t.match(interrupted.stdout.text, /· stopped/);
});

t.test('an output that cannot be opened is told, with exit code 1', async t => {
  const { config, world } = await setUp(t, { 10: mp3Bytes({ seconds: 0.1 }) });
  const code = await runPlay({ ...config, output: 'file:/no/such/folder/x.wav' }, { words: ['10'] }, world);
  t.equal(code, 1);
  t.match(world.stdout.text, /failed: .*no such file or folder/);
  t.notMatch(world.stdout.text, /sound device/, 'which would not help');
});
