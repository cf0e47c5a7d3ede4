/**
 * What `src/` puts around a tracker or a peer: the clock, locks of folders, signals, outputs that nobody reads, and how
 * failures are told.
 */
import { execFileSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import {
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { askedToEnd } from '../../peer/asked-to-end.js';
import { CommandError, exitCodeOfServer, usageError } from '../../peer/failures/failure.js';
import { ConfigError, RequestError, TransportError } from '../../protocol/errors.js';
import { systemClock } from '../../src/clock.js';
import { describeFailure, folderFailure, folderInUse, listenFailure } from '../../src/failures.js';
import { lockFolder } from '../../src/folder-lock.js';
import { maxConnections } from '../../src/open-files.js';
import { lockPeerFolders, peerFolders } from '../../src/peer-folders.js';
import { endingSignal } from '../../src/signals.js';
import { surviveClosedOutput } from '../../src/streams.js';
import { lockTrackerFolder } from '../../src/tracker-folder.js';
import { agent, version } from '../../src/version.js';
import { missing } from '../support/installed.js';
import { mp3Bytes } from '../support/mp3.js';
import { noMounts, spawnWithMount } from '../support/private-mounts.js';
import { childrenOf, noProc } from '../support/proc.js';
import { commandPath, spawnCommand, spawnProgram } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { noPermissions, unprivileged } from '../support/unprivileged.js';
import { until, within } from '../support/until.js';

const noPipes = missing('mkfifo');

t.test('the clock goes forward and calls back, unless it is told not to', async t => {
  const before = systemClock.now();
  let cancelled = true;
  const cancel = systemClock.after(0, () => {
    cancelled = false;
  });
  cancel();
  cancel();
  await new Promise<void>(resolve => systemClock.after(1, resolve));
  t.ok(systemClock.now() >= before + 1 - 0.5);
  t.ok(cancelled);
});

t.test('a folder has one holder at a time', async t => {
  const folder = join(await tempFolder(t), 'a', 'b');
  const lock = await lockFolder(folder);
  if ('heldBy' in lock) throw new Error('it is held');
  t.same(await lockFolder(folder), { heldBy: process.pid });
  t.same(readdirSync(folder), ['lock'], 'nothing else is left lying about');
  await lock.release();
  const again = await lockFolder(folder);
  t.notOk('heldBy' in again);
  t.equal(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8')).pid, process.pid);
});

t.test('a holder that is no more holds nothing, however it ended', async t => {
  const folder = await tempFolder(t);
  const command = await spawnProgram(t, process.execPath, ['-e', '']);
  await command.exited;
  for (const left of [
    JSON.stringify({ pid: command.pid, startedAt: '1' }),
    JSON.stringify({ pid: process.pid, startedAt: '1' }),
    'torn',
    '{"pid":-1}',
    '',
  ]) {
    writeFileSync(join(folder, 'lock'), left);
    const lock = await lockFolder(folder);
    if ('heldBy' in lock) {
      // Where the system does not say when a process began, one with our own number may be the holder.
      t.notOk(readdirSync('/').includes('proc'), left);
      continue;
    }
    await lock.release();
  }
  t.same(readdirSync(folder), []);
});

t.test(
  'a holder that was killed holds nothing, though its parent has not noticed',
  { skip: noProc },
  async t => {
    const folder = await tempFolder(t);
    const parent = await spawnProgram(t, 'sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
    const pid = Number((await parent.says(/^(\d+)\n/))[1]);
    const stat = (): string[] => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid, startedAt: stat()[19] }));
    t.same(await lockFolder(folder), { heldBy: pid });
    process.kill(pid, 'SIGKILL');
    await until('it has ended', () => stat()[0] === 'Z');
    t.notOk('heldBy' in (await lockFolder(folder)));
  },
);

t.test('of many that want a folder one gets it', async t => {
  const folder = await tempFolder(t);
  writeFileSync(join(folder, 'lock'), 'torn');
  const program = `
    import { lockFolder } from ${JSON.stringify(new URL('../../src/folder-lock.js', import.meta.url).href)};
    const lock = await lockFolder(${JSON.stringify(folder)});
    console.log('heldBy' in lock ? 'held' : 'mine');
    process.stdin.resume();
  `;
  const commands = await Promise.all(
    Array.from({ length: 4 }, () =>
      spawnProgram(t, process.execPath, ['--input-type=module', '-e', program]),
    ),
  );
  const said = await Promise.all(commands.map(async command => (await command.says(/^(held|mine)\n/))[1]));
  t.same(said.sort(), ['held', 'held', 'held', 'mine']);
  for (const command of commands) command.endInput();
  await Promise.all(commands.map(command => command.exited));
});

t.test('a second peer takes the folder beside the first; a chosen one in use is an error', async t => {
  const home = await tempFolder(t);
  const env = { XDG_DATA_HOME: home, XDG_CACHE_HOME: `${home}/c`, XDG_STATE_HOME: `${home}/s` };
  const first = await lockPeerFolders(undefined, env);
  const second = await lockPeerFolders(undefined, env);
  t.match(first, { dataDir: `${home}/tsp/peer`, cacheDir: `${home}/c/tsp/peer`, stateDir: `${home}/s/tsp` });
  t.match(second, {
    dataDir: `${home}/tsp/peer-2`,
    cacheDir: `${home}/c/tsp/peer-2`,
    stateDir: `${home}/s/tsp`,
  });
  t.match(await lockPeerFolders(first.dataDir, env).catch(error => error), {
    failure: { exitCode: 69, code: 'in-use' },
  });
  await first.release();
  t.match(
    await lockPeerFolders(undefined, env),
    { dataDir: first.dataDir },
    'a folder that is free again is taken again',
  );
  const chosen = await lockPeerFolders(`${home}/mine`, env);
  t.match(chosen, { dataDir: `${home}/mine`, cacheDir: `${home}/mine/cache` });
  t.match(peerFolders(undefined, env), { dataDir: first.dataDir });
  t.match(peerFolders('/x', env), { dataDir: '/x' });
  writeFileSync(join(home, 'file'), '');
  t.match(await lockPeerFolders(join(home, 'file', 'x'), env).catch(error => error), {
    failure: { exitCode: 78 },
  });
});

t.test(
  'a folder that cannot be made is said, also where mkdir -p would try for ever',
  {
    skip: !existsSync('/proc/self') && 'no /proc here',
  },
  async t => {
    t.match(await lockPeerFolders('/proc/nope/here', {}).catch(error => error), {
      failure: { exitCode: 78, message: /^\/proc\/nope: / },
    });
  },
);

t.test('a registry that is damaged is not opened, and its lock is given back', async t => {
  const folder = await tempFolder(t);
  const file = join(folder, 'registry', 'data.mdb');
  mkdirSync(join(folder, 'registry'));
  writeFileSync(file, Buffer.alloc(20_000, 0xa5));
  for (let attempt = 0; attempt < 2; attempt += 1) {
    t.match(await lockTrackerFolder(folder).catch(error => error), {
      failure: { exitCode: 78, message: `${file} is damaged.`, hint: /away/ },
    });
  }
});

t.test('a registry of another user is said, by the name of the file', { skip: noPermissions }, async t => {
  const home = await tempFolder(t);
  const file = join(home, 'registry', 'lock.mdb');
  mkdirSync(join(home, 'registry'));
  writeFileSync(file, 'begun');
  for (const folder of [home, join(home, 'registry')]) chmodSync(folder, 0o777);
  chmodSync(file, 0o444);
  const words = [process.execPath, commandPath('tsp-tracker'), '--data', home, '--port', '0'];
  const [program, ...rest] = unprivileged(...words);
  const tracker = await spawnProgram(t, program, rest, { home });
  t.equal(await tracker.exitCode(), 78);
  t.equal(tracker.stderr, `tsp-tracker: ${file}: permission denied.\n  --data names another folder.\n`);
});

t.test('a disk without room for a registry is said, instead of a crash', { skip: noMounts }, async t => {
  const home = await tempFolder(t);
  const data = join(home, 'data');
  mkdirSync(data);
  const program = [process.execPath, commandPath('tsp-tracker'), '--data', data, '--port', '0'];
  const tracker = await spawnWithMount(t, { folder: data, size: '16k' }, program, { home });
  t.equal(await tracker.exitCode(), 78);
  t.match(tracker.stderr, /^tsp-tracker: the disk is full\.\n/);
});

t.test('nor is it a riddle when there is room for the registry and no more', { skip: noMounts }, async t => {
  const home = await tempFolder(t);
  const data = join(home, 'data');
  mkdirSync(data);
  const program = [process.execPath, commandPath('tsp-tracker'), '--data', data, '--port', '0'];
  const tracker = await spawnWithMount(t, { folder: data, size: '4M' }, program, { home });
  t.equal(await tracker.exitCode(), 78);
  t.equal(
    tracker.stderr,
    `tsp-tracker: ${data}/registry: the disk is full.\n  --data names another folder.\n`,
  );
});

t.test('the first signal asks, the second ends', async t => {
  const kills: unknown[] = [];
  const kill = (...told: unknown[]) => void kills.push(told);
  const exits: unknown[] = [];
  const exit = (code: unknown) => void exits.push(code);
  const program = Object.assign(new EventEmitter(), {
    pid: 12,
    stdin: {},
    stdout: {},
    stderr: {},
    kill,
    exit,
  });
  const signal = endingSignal(program as unknown as NodeJS.Process);
  const asking = askedToEnd(signal);
  program.emit('SIGTERM');
  t.equal(await asking, 'SIGTERM');
  t.equal(await askedToEnd(signal), 'SIGTERM', 'whoever asks late is told at once');
  t.same(kills, []);
  program.emit('SIGINT');
  t.same(kills, [[12, 'SIGINT']]);
  t.equal(program.listenerCount('SIGINT'), 0, 'so that it ends the process');
  t.same(exits, [130], 'but for the first of a container, which the kernel spares');
  t.equal(exitCodeOfServer('SIGTERM'), 0, 'a server that was asked to end and did has done well');
  t.equal(exitCodeOfServer('SIGINT'), 130);
});

t.test('signals end also what waits for a file system that says nothing', { skip: noPipes }, async t => {
  const folder = await tempFolder(t);
  const [song, pipe] = [join(folder, 'song.mp3'), join(folder, 'pipe')];
  writeFileSync(song, mp3Bytes());
  execFileSync('mkfifo', [pipe]);
  const hash = await spawnCommand(t, 'tsp-peer', ['hash', song, pipe]);
  await until('it waits for somebody to write into the pipe', () => hash.stdout.includes(song));
  hash.kill('SIGINT');
  hash.kill('SIGTERM');
  const { signal } = await within('it ends', hash.exited);
  t.ok(signal === 'SIGINT' || signal === 'SIGTERM', 'and whoever runs it knows by what');
});

t.test('whoever has the pipes next finds them as they were', { skip: noProc || noPipes }, async t => {
  const folder = await tempFolder(t);
  const [song, pipe] = [join(folder, 'song.mp3'), join(folder, 'pipe')];
  writeFileSync(song, mp3Bytes());
  execFileSync('mkfifo', [pipe]);
  const hash = [process.execPath, commandPath('tsp-peer'), 'hash', song, pipe];
  const shell = await spawnProgram(t, 'sh', ['-c', '"$@"; cat /proc/self/fdinfo/[012]', 'sh', ...hash]);
  await shell.says(/song/);
  const [command] = await childrenOf(shell.pid);
  for (const signal of ['SIGTERM', 'SIGHUP']) process.kill(command!, signal);
  await shell.exited;
  const flags = [...shell.stdout.matchAll(/^flags:\s+(\d+)$/gm)].map(([, octal]) =>
    Number.parseInt(octal!, 8),
  );
  t.equal(flags.length, 3);
  for (const each of flags)
    t.equal(each & constants.O_NONBLOCK, 0, 'a write waits for room, a read for bytes');
});

t.test('an output that nobody reads, or that is full, is told and ends nobody by itself', async t => {
  const stdout = new EventEmitter();
  const stderr = new EventEmitter();
  const lost: [string | undefined, boolean][] = [];
  surviveClosedOutput(stdout as NodeJS.WriteStream, stderr as NodeJS.WriteStream, (error, readerIsGone) =>
    lost.push([error.code, readerIsGone]),
  );
  for (const code of ['EPIPE', 'ENOSPC']) {
    stdout.emit('error', Object.assign(new Error(), { code }));
    stderr.emit('error', Object.assign(new Error(), { code }));
  }
  t.same(lost, [
    ['EPIPE', true],
    ['ENOSPC', false],
  ]);
});

t.test('failures are told in a line and a hint, or in JSON', async t => {
  t.equal(describeFailure(usageError('What?'), 'tsp-peer', false), 'tsp-peer: What?\n  See --help.\n');
  t.same(JSON.parse(describeFailure(usageError('What?'), 'tsp-peer', true)), {
    error: { code: 'usage', message: 'What?', hint: 'See --help.' },
  });
  t.match(
    describeFailure(new ConfigError('--x', 'y', 'z'), 'tsp-peer', false),
    /^tsp-peer: --x: "y" is not z\.\n$/,
  );
  t.match(JSON.parse(describeFailure(new RequestError('busy', 'all busy'), 'x', true)), {
    error: { code: 'busy' },
  });
  t.same(JSON.parse(describeFailure(new TransportError('gone'), 'x', true)), {
    error: { code: 'unreachable', message: 'gone.' },
  });
  t.match(describeFailure(new TypeError('x of undefined'), 'x', false), /x of undefined[\s\S]*process\.test/);
  t.notMatch(describeFailure(usageError('\x1b[31m\u202e'), 'x', false), /[\x1b\u202e]/);
});

t.test('a file of options that wants JSON gets failures in it too', async t => {
  const config = join(await tempFolder(t), 'config.json');
  writeFileSync(config, '{ "json": true, "tracker": "127.0.0.1:1" }');
  const command = await spawnCommand(t, 'tsp-peer', ['list', '--config', config], { input: '' });
  t.equal(await command.exitCode(), 69);
  t.match(JSON.parse(command.stderr), { error: { code: 'unreachable' } });
});

t.test('what the system says of a port or a folder becomes what to do', async t => {
  const told = (code: string): unknown =>
    listenFailure(Object.assign(new Error(), { code, syscall: 'listen' }), '::', 80);
  t.match(told('EADDRINUSE'), { failure: { exitCode: 69, message: /Port 80 is in use/, hint: /ss -ltunp/ } });
  t.match(told('EACCES'), { failure: { exitCode: 77, hint: /1024/ } });
  t.match(told('EADDRNOTAVAIL'), { failure: { exitCode: 78, message: /no address of this machine/ } });
  const swarms = { port: '--swarm-port', anywhere: '--host 0.0.0.0' };
  const taken = Object.assign(new Error(), { code: 'EADDRINUSE', syscall: 'listen' });
  t.match(listenFailure(taken, '::', 80, swarms), { failure: { hint: /; --swarm-port 0 takes a free one/ } });
  const other = Object.assign(new Error('other'), { code: 'EACCES', syscall: 'open' });
  t.equal(listenFailure(other, '::', 80), other);
  t.match(folderFailure(other), { failure: { exitCode: 78 } });
  const bug = new TypeError();
  t.equal(folderFailure(bug), bug);
  t.match(folderInUse('/d', 12), { failure: { message: 'Process 12 works in /d.' } });
  t.ok(folderInUse('/d', 12) instanceof CommandError);
});

t.test('the system’s limit of open files bounds the connections', async t => {
  t.ok((await maxConnections()) > 0);
  const few = async (limit: number) => {
    const url = JSON.stringify(new URL('../../src/open-files.js', import.meta.url).href);
    const program = `import(${url}).then(m => m.maxConnections()).then(n => console.log(n), e => { console.log(e.failure.message); process.exit(e.failure.exitCode) })`;
    const line = `ulimit -n ${limit} && exec "${process.execPath}" -e '${program}'`;
    const command = await spawnProgram(t, 'sh', ['-c', line]);
    const code = await command.exitCode();
    return { code, said: command.stdout.trim() };
  };
  t.same(await few(1000), { code: 0, said: String(1000 - 64) });
  t.same(await few(80), { code: 0, said: '40' }, 'at least half is left for files');
  t.match(await few(50), { code: 78, said: /Only 50 files may be open/ });
});

t.test('the version is that of the package', async t => {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  t.equal(version(), manifest.version);
  t.equal(agent(), `torero/${manifest.version}`);
});

t.test(
  'a folder that may not be written, or not be read, is a matter of configuration',
  { skip: noPermissions },
  async t => {
    const home = await tempFolder(t);
    for (const folder of ['unwritable', 'unreadable', 'music/closed'])
      mkdirSync(join(home, folder), { recursive: true });
    writeFileSync(join(home, 'music', 'tune.mp3'), mp3Bytes({ seconds: 1 }));
    chmodSync(join(home, 'unwritable'), 0o500);
    for (const folder of ['unreadable', 'music/closed']) chmodSync(join(home, folder), 0);
    const peer = async (...args: string[]) => {
      const words = ['--headless', '--json', '--port', '0', '--tracker', '127.0.0.1:1', ...args];
      const [file, ...rest] = unprivileged(process.execPath, commandPath('tsp-peer'), ...words);
      return await spawnProgram(t, file, rest, { home });
    };
    const unwritable = await peer('--data', join(home, 'unwritable', 'x'));
    t.equal(await unwritable.exitCode(), 78);
    t.match(unwritable.stderr, /permission/);
    const unreadable = await peer('--library', join(home, 'unreadable'));
    t.equal(await unreadable.exitCode(), 2);
    t.match(unreadable.stderr, /unreadable\\" is not a folder that may be read/);
    const closed = await peer('--library', join(home, 'music'));
    await closed.says(/"event":"library","songs":1/);
    closed.write('status\n');
    await closed.says(/"command":"status".*"reason":"unreadable","count":1/);
    t.equal(await closed.end(), 0, 'a folder in the library is only skipped');
  },
);
