/**
 * The real commands, as a shell and a script see them: exit codes, what a peer says when a folder or a tracker is not
 * what it should be, the tracker inside it, and what it takes to begin. tsp-tracker.test.ts has more of that one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { listening, run, startTracker } from '../support/run-command.js';
import { commandPath, spawnCommand, spawnProgram } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';
import { takeUsualPorts } from '../support/usual-ports.js';

const TUNES = fileURLToPath(new URL('../../../tunes/songs/', import.meta.url));

const HEADLESS = ['--headless', '--host', '127.0.0.1', '--port', '0'];

t.test('version, help and wrong options', async t => {
  const [version, peerVersion, help, listHelp, wrong, json, jsonByVariable, raw, variable, completions] =
    await Promise.all([
      run(t, 'tsp-tracker', ['--version']),
      run(t, 'tsp-peer', ['--version']),
      run(t, 'tsp-peer', ['--help']),
      run(t, 'tsp-peer', ['list', '--help']),
      run(t, 'tsp-tracker', ['--prot', '1']),
      run(t, 'tsp-peer', ['--json', 'get']),
      run(t, 'tsp-peer', ['get'], { TSP_JSON: 'Yes' }),
      run(t, 'tsp-peer', ['play', '1', '--raw']),
      run(t, 'tsp-tracker', [], { TSP_PORT: 'x' }),
      run(t, 'tsp-peer', ['--completions', '--ou']),
    ]);
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' });
  t.same(peerVersion, version);
  t.match(help, { code: 0, stdout: /Examples:/, stderr: '' });
  t.match(listHelp, { code: 0, stdout: /--tracker[\s\S]*Examples:\n {2}tsp-peer list / });
  t.notMatch(listHelp.stdout, /--(?:output|cache|library|swarm-port|data) /, 'nothing to list by');
  t.match(wrong, { code: 2, stdout: '', stderr: /did you mean --port/ });
  t.match(raw, { code: 2, stderr: /^tsp-peer: --raw goes with --output stdout/ });
  t.match(variable, { code: 78, stderr: /^tsp-tracker: TSP_PORT: "x" is not a port/ });
  t.match(completions, { code: 0, stdout: '--output\n' });
  for (const each of [json, jsonByVariable]) {
    t.match(each, { code: 2, stdout: '' });
    t.match(JSON.parse(each.stderr), {
      error: { code: 'usage', message: /^get wants to know what/, hint: 'See --help.' },
    });
  }
});

t.test('who names a host where a tracker belongs is told so', async t => {
  const nobody = ['--tracker', '127.0.0.1:1'];
  const host = await spawnCommand(t, 'tsp-peer', [...HEADLESS, ...nobody, '--json']);
  const tracker = ['--tracker', `127.0.0.1:${(await host.ready()).port}`];
  const [script, doctor] = await Promise.all([
    spawnCommand(t, 'tsp-peer', [...tracker, '--host', '127.0.0.1', '--output', 'null'], { input: 'list\n' }),
    run(t, 'tsp-peer', ['doctor', ...tracker, '--output', 'null']),
  ]);
  t.equal(await script.exitCode(), 69);
  t.match(script.stdout, /No tracker answers .*: it is a host, not a tracker/);
  t.match(doctor.stdout, /^✗ tracker .*this is a host/m);
  t.match(doctor.stdout, /^! port .*not looked at/m);
});

t.test(
  'what can’t be written to standard output is told of it',
  {
    skip: !existsSync('/dev/full') && 'there is no /dev/full',
  },
  t => {
    const line = 'exec "$0" "$@" > /dev/full';
    const intoFull = (flag: string) =>
      spawnSync('sh', ['-c', line, process.execPath, commandPath('tsp-peer'), flag, '--json'], {
        encoding: 'utf8',
      });
    const { status, stderr } = intoFull('--help');
    t.equal(status, 1);
    t.same(JSON.parse(stderr), { error: { code: 'file', message: 'standard output: the disk is full.' } });
    const wrong = intoFull('--bogus');
    t.equal(wrong.status, 2, 'what had nothing to write there loses nothing');
    t.match(JSON.parse(wrong.stderr), { error: { code: 'usage' } });
    t.end();
  },
);

for (const part of ['@lmdb/', 'lmdb'])
  t.test(`without ${part} each command says what is missing and what brings it`, async t => {
    const preload = join(await tempFolder(t), 'no-lmdb.cjs');
    writeFileSync(
      preload,
      `const Module = require('node:module'), find = Module._resolveFilename;
       Module._resolveFilename = (name, ...rest) => {
         if (name.startsWith('${part}')) throw new Error("Cannot find module '" + name + "'");
         return find(name, ...rest);
       };`,
    );
    const env = { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require=${preload}` };
    const elsewhere = ['--tracker', '127.0.0.1:1', '--library', TUNES];
    // The lonely one looks for a tracker there: for nobody, not for that of another test which comes or goes.
    t.ok(await takeUsualPorts(t), 'nobody listens on 127.0.0.1:7460');
    const [tracker, doctor, lonely, peer] = await Promise.all([
      run(t, 'tsp-tracker', ['--port', '0'], env),
      run(t, 'tsp-peer', ['doctor', '--output', 'null', '--json', ...elsewhere], env),
      run(t, 'tsp-peer', ['doctor', '--output', 'null'], env),
      run(t, 'tsp-peer', ['--port', '0', '--output', 'null', ...elsewhere], env),
    ]);
    t.match(tracker, {
      code: 78,
      stderr: /^tsp-tracker: lmdb or its native part.*\n {2}npm install --include/,
    });
    const store = /.*"store".*/.exec(doctor.stdout)?.[0];
    t.match(JSON.parse(store!), { state: 'remark', todo: /^npm install --include=optional/ });
    t.match(lonely.stdout, /^✗ store .*no tracker can run inside a peer.* → npm install --include=optional/m);
    t.match(peer, {
      code: 0,
      stdout: /^3 songs in the library\./,
      stderr: /lmdb or its native part is missing/,
    });
    t.notMatch(peer.stderr, /\bat .*\.js:/, 'and no stack');
  });

t.test('asked for its version, a command loads nothing but that', async t => {
  const loader = `data:text/javascript,export async function load(url, context, next) {
    process._rawDebug(url);
    return next(url, context);
  }`;
  const { stderr } = spawnSync(
    process.execPath,
    ['--no-warnings', '--loader', loader, commandPath('tsp-peer'), '--version'],
    {
      env: { ...process.env, NODE_OPTIONS: '' },
      encoding: 'utf8',
    },
  );
  const ours = stderr.split('\n').filter(url => /\/build\/\w+\/.*\.js$/.test(url));
  t.match(ours, { length: 2, 0: /bin\/tsp-peer\.js$/, 1: /version\.js$/ });
});

t.test('a tracker that is not there is said to be unavailable', async t => {
  const { port, server } = await listening(t);
  server.close();
  const tracker = ['--tracker', `127.0.0.1:${port}`];
  const [list, get, play, json] = await Promise.all([
    run(t, 'tsp-peer', ['list', ...tracker]),
    run(t, 'tsp-peer', ['get', '1', '-o', 'x.mp3', ...tracker]),
    run(t, 'tsp-peer', ['play', '1', '--output', 'null', ...tracker]),
    run(t, 'tsp-peer', ['find', 'x', '--json', ...tracker]),
  ]);
  for (const told of [list, get, play]) t.match(told, { code: 69, stdout: '', stderr: /No tracker answers/ });
  t.equal(json.code, 69);
  t.match(JSON.parse(json.stderr), { error: { code: 'unreachable', hint: String } });
});

t.test('song IDs that can be none are a wrong use, one that is not there is a failure', async t => {
  const { port } = await (await startTracker(t)).ready();
  const tracker = ['--tracker', `127.0.0.1:${port}`];
  const [huge, text, info, get, play, list] = await Promise.all([
    run(t, 'tsp-peer', ['info', '4294967296', ...tracker]),
    run(t, 'tsp-peer', ['get', 'text', ...tracker]),
    run(t, 'tsp-peer', ['info', '77', ...tracker]),
    run(t, 'tsp-peer', ['get', '77', ...tracker]),
    run(t, 'tsp-peer', ['play', '77', '--output', 'null', ...tracker]),
    run(t, 'tsp-peer', ['list', '--json', ...tracker]),
  ]);
  t.match(huge, { code: 2, stdout: '' });
  t.match(text, { code: 2, stdout: '' });
  for (const told of [info, get, play]) t.match(told, { code: 1, stdout: '', stderr: /song/ });
  t.same(list, { code: 0, stdout: '', stderr: '' }, 'an empty list is a list');
});

t.test('a peer without a terminal says where it listens, what it offers, and ends in order', async t => {
  const { port } = await (await startTracker(t)).ready();
  const host = ['--host', '127.0.0.1', '--port', '0', '--headless', '--tracker', `127.0.0.1:${port}`];
  const peer = await spawnCommand(t, 'tsp-peer', [...host, '--library', TUNES, '--json']);
  const ready = await peer.ready();
  t.match(peer.rows[0], { event: 'ready', address: '127.0.0.1', port: ready.port });
  await peer.says(/\{"event":"library","songs":3\}/);
  const listed = await run(t, 'tsp-peer', ['list', '--json', '--tracker', `127.0.0.1:${port}`]);
  t.match(
    listed.stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line).artist),
    ['Torero', 'Torero', 'Torero'],
  );
  t.equal(await peer.end(), 0);
  const human = await spawnCommand(t, 'tsp-peer', host);
  const at = await human.ready();
  t.equal(human.lines[0], `tsp-peer ready on 127.0.0.1:${at.port}`);
  human.kill('SIGINT');
  t.equal(await human.exitCode(), 130);
});

t.test('several peers on one machine just work, each in a folder of its own', async t => {
  const { port } = await (await startTracker(t)).ready();
  const home = await tempFolder(t);
  const args = ['--host', '127.0.0.1', '--headless', '--json', '--tracker', `127.0.0.1:${port}`];
  const peers = [await spawnCommand(t, 'tsp-peer', args, { home })];
  const first = await peers[0]!.ready();
  peers.push(await spawnCommand(t, 'tsp-peer', args, { home }));
  const second = await peers[1]!.ready();
  t.not(first.port, second.port);
  const third = await spawnCommand(t, 'tsp-peer', [...args, '--data', join(home, 'data', 'tsp', 'peer-2')], {
    home,
  });
  t.equal(await third.exitCode(), 69);
  t.match(JSON.parse(third.stderr.trimEnd().split('\n').at(-1)!), { error: { code: 'in-use' } });
  const fixed = await spawnCommand(t, 'tsp-peer', [...args, '--port', String(first.port)], { home });
  t.equal(await fixed.exitCode(), 69, 'a chosen port is that or none');
});

t.test('folders and files that are not there are told before anything starts', async t => {
  t.match(await run(t, 'tsp-peer', ['--headless'], { TSP_LIBRARY: '/nowhere/at/all' }), {
    code: 78,
    stderr: /^tsp-peer: TSP_LIBRARY: "\/nowhere\/at\/all" is not a folder\.\n/,
  });
  t.match(await run(t, 'tsp-peer', ['--library', '/nowhere/at/all', '--headless']), {
    code: 2,
    stderr: /\/nowhere\/at\/all/,
  });
  t.match(await run(t, 'tsp-peer', ['hash', '/nowhere.mp3']), { code: 1, stderr: /nowhere\.mp3/ });
});

t.test('a reader that has seen enough ends a one-shot command quietly', async t => {
  const folder = await tempFolder(t);
  const files = Array.from({ length: 200 }, (_, number) => join(folder, `${number}`));
  for (const file of files) writeFileSync(file, 'x');
  const line = `"${process.execPath}" "${commandPath('tsp-peer')}" hash ${files.join(' ')} | head -1; echo "\${PIPESTATUS[0]}"`;
  const shell = await spawnProgram(t, 'bash', ['-c', line]);
  t.equal(await shell.exitCode(), 0);
  t.equal(shell.stderr, '');
  t.match(shell.lines, { length: 2, 1: '0' });
});

t.test(
  'where no tracker is, a peer brings its own; when that goes, the next peer opens one on the same data',
  async t => {
    if (!(await takeUsualPorts(t))) {
      t.comment('somebody has a tracker on this machine');
      return;
    }
    const home = await tempFolder(t);
    const first = await spawnCommand(t, 'start', ['--headless', '--json'], { home });
    await first.says(/"event":"library","songs":3/);
    const listed = async (): Promise<Record<string, unknown>[]> => {
      const list = await spawnCommand(t, 'tsp-peer', ['list', '--json'], { home });
      await list.exited;
      return list.rows;
    };
    const songs = await listed();
    t.match(songs.map(({ title }) => title).sort(), [
      'Habanera de la Plaza',
      'Lluvia en la Laguna',
      'Paso del Alba',
    ]);
    const second = await spawnCommand(t, 'tsp-peer', ['--headless', '--json', '--library', TUNES], { home });
    await second.says(/"event":"library","songs":3/);
    t.equal(await first.end(), 0);
    const after = await until('the second peer’s tracker lists the songs', async () => {
      const rows = await listed();
      return rows.length === 3 && rows;
    });
    t.same(after.map(({ id, hash }) => [id, hash]).sort(), songs.map(({ id, hash }) => [id, hash]).sort());
    t.equal(await second.end(), 0);
  },
);

t.test('npm start takes another library, relative to where the person is', async t => {
  const { port } = await (await startTracker(t)).ready();
  const home = await tempFolder(t);
  mkdirSync(join(home, 'songs'));
  const args = [
    '--headless',
    '--json',
    '--port',
    '0',
    '--tracker',
    `127.0.0.1:${port}`,
    '--library',
    'songs',
  ];
  const peer = await spawnCommand(t, 'start', args, { home, cwd: '/', env: { INIT_CWD: home } });
  await peer.says(/"event":"library","songs":0/);
  t.equal(await peer.end(), 0);
});

t.test('a library without a song says what is in it instead', async t => {
  const { port } = await (await startTracker(t)).ready();
  const home = await tempFolder(t);
  writeFileSync(join(home, 'album.flac'), 'fLaC, which nobody here decodes');
  writeFileSync(join(home, 'tape.wav'), 'RIFF\x24\0\0\0WAVEfmt ');
  const args = ['--headless', '--port', '0', '--tracker', `127.0.0.1:${port}`, '--library', home];
  const peer = await spawnCommand(t, 'tsp-peer', args);
  await peer.says(/0 songs in the library\.\n/);
  await peer.says(/Skipped 1 file: not MP3\.\n/);
  await peer.says(/Skipped 1 file: WAV or AIFF \(offered with --encode\)\.\n/);
  t.equal(await peer.end(), 0);
});

t.test('the completion script is a program that both shells can read', async t => {
  const { stdout } = await run(t, 'tsp-peer', ['completion']);
  execFileSync('bash', ['-n'], { input: stdout });
  t.match(stdout, /--completions/);
});
