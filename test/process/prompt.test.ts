/**
 * The prompt of real processes: through a pseudo-terminal as a person sees it, through a pipe as a script does, and the
 * one-shot commands beside it.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { noTerminal, openTerminal } from '../support/pty.js';
import { commandPath, spawnCommand, spawnProgram } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';
import { until } from '../support/until.js';
import { takeUsualPorts } from '../support/usual-ports.js';

const song = (title: string, seed: number, seconds = 0.5) =>
  mp3Bytes({ title, artist: 'The Band', seconds, seed, bitrate: 128_000 });

/** A tracker and one host with these songs. */
async function openMusic(t: Test, songs: Readonly<Record<string, Buffer>>) {
  const network = await openNetwork(t);
  const host = await network.host({ songs });
  const ids = await Promise.all(Object.values(songs).map(bytes => network.idOf(bytes)));
  return { network, host, ids, tracker: ['--tracker', `127.0.0.1:${network.trackerPort}`] };
}

t.test('a person lists, completes, plays, pauses, stops and quits', { skip: noTerminal }, async t => {
  const { ids, tracker } = await openMusic(t, {
    'a.mp3': song('Blue Moon', 1, 30),
    'b.mp3': song('Red Sun', 2),
  });
  const terminal = await openTerminal(t, 'tsp-peer', [...tracker, '--output', 'null', '--port', '0']);
  await terminal.shows(/torero>/);
  await terminal.shows(/connected\./);
  terminal.type('list\r');
  await terminal.shows(new RegExp(`${ids[0]} {2}Blue Moon {2}The Band`));
  terminal.type('play blu');
  await terminal.shows(/torero> play blu$/m);
  terminal.type('\t');
  await terminal.shows(/torero> play Blue Moon/);
  terminal.type('\r');
  await terminal.shows(/▶ Blue Moon — The Band {2}0:[0-2][1-9]/);
  terminal.type('sta');
  await terminal.shows(/▶ Blue Moon — The Band {2}0:[0-2]\d.*\n.*torero> sta$/m);
  terminal.type('tus\r');
  await terminal.shows(/Blue Moon — The Band: playing, 0:[0-2]/);
  terminal.type('pause\r');
  await terminal.shows(/Paused Blue Moon/);
  await terminal.shows(/‖ Blue Moon — The Band/);
  terminal.type('\x03');
  await terminal.shows(/started in \d+ ms · \d+ stutters? · 127\.0\.0\.1:\d+ · verified · stopped/);
  terminal.type('\x1b[A\x1b[A\x1b[A');
  await terminal.shows(/torero> play Blue Moon$/m);
  terminal.type('\x03\x04');
  t.equal(await terminal.exitCode(), 0);
});

t.test('news are told above the line that is being typed', { skip: noTerminal }, async t => {
  const { network, tracker } = await openMusic(t, { 'a.mp3': song('First', 1) });
  const terminal = await openTerminal(t, 'tsp-peer', [...tracker, '--output', 'null', '--port', '0']);
  // News that come together are one line: what was there before is told first.
  await terminal.shows(/1 song added\./);
  terminal.type('play no such so');
  await network.host({ songs: { 'b.mp3': song('Second', 2), 'c.mp3': song('Third', 3) } });
  await terminal.shows(/2 songs added\.\n(.*\n)*torero> play no such so$/m);
  terminal.type('ng\r');
  await terminal.shows(/no title, artist or album has these words/);
  await network.tracker.end();
  await terminal.shows(/is gone: the list may be old/);
  terminal.type('list\r');
  await terminal.shows(/The tracker is gone: this is its last list/);
  terminal.type('quit\r');
  await terminal.shows(/Bye\./);
  t.equal(await terminal.exitCode(), 0);
});

t.test('a peer that was told of no tracker has one all the same', { skip: noTerminal }, async t => {
  const home = await tempFolder(t);
  const music = join(home, 'music');
  await mkdir(music);
  await writeFile(join(music, 'a.mp3'), song('Mine Alone', 1));
  // Its tracker is one inside, unless somebody on this machine has one already.
  await takeUsualPorts(t);
  const terminal = await openTerminal(t, 'tsp-peer', ['--library', music, '--output', 'null'], { home });
  await terminal.shows(/Tracker (inside this process )?127\.0\.0\.1:7460: connected, listed as :\d+/);
  await terminal.shows(/1 song in the library/);
  await terminal.shows(/songs? added/);
  terminal.type('play mine alone\r');
  await terminal.shows(/started in \d+ ms · \d+ stutters? · library · verified/);
  terminal.type('quit\r');
  t.equal(await terminal.exitCode(), 0);
});

t.test(
  'a script is answered line by line, its queue plays out gapless, and its exit code is the last failure',
  async t => {
    const { network, ids } = await openMusic(t, { 'a.mp3': song('One', 1), 'b.mp3': song('Two', 2) });
    const folder = await tempFolder(t);
    const out = join(folder, 'out.wav');
    const script = await network.run(['--output', `file:${out}`, '--port', '0']);
    script.write(`list\nplay ${ids[0]}\nqueue two\nplay 4294967296\n`);
    script.endInput();
    t.equal(await script.exitCode(), 2);
    t.match(script.stdout, /ID {2}Title {2}Artist[\s\S]* One [\s\S]*2 songs\./);
    t.match(script.stdout, new RegExp(`Playing ${ids[0]}  One — The Band\\n`));
    t.match(script.stdout, /4294967296 is no song ID/);
    t.equal(script.stdout.match(/started in \d+ ms · 0 stutters · 127\.0\.0\.1:\d+ · verified/g)?.length, 2);
    const wav = await readFile(out);
    t.equal(wav.toString('latin1', 0, 4), 'RIFF');
    t.equal(wav.readUInt32LE(4) + 8, wav.length);
  },
);

t.test('a script in JSON is one object a command and one an event, and quit ends it at once', async t => {
  const { network, ids } = await openMusic(t, { 'a.mp3': song('Long', 1, 60) });
  const script = await network.run(['--output', 'null', '--port', '0', '--json']);
  script.write(`play ${ids[0]}\n`);
  await script.says(/"event":"started"/);
  script.write('status\nnonsense\nquit\n');
  t.equal(await script.exitCode(), 2);
  const by = (key: string, value: string) => script.rows.find(row => row[key] === value);
  t.match(by('command', 'play'), { songs: [{ id: ids[0], title: 'Long' }] });
  t.match(by('command', 'status'), {
    state: 'playing',
    song: { title: 'Long' },
    tracker: { state: 'registered' },
  });
  t.match(by('command', 'nonsense'), { error: { code: 'usage' } });
  t.match(by('event', 'ended'), { outcome: 'stopped', verified: true });
});

t.test('one-shot commands list, find, describe, fetch, play and hash', async t => {
  const bytes = song('Blue Moon', 1);
  const { network, ids, host } = await openMusic(t, { 'a.mp3': bytes });
  const run = async (...args: string[]) => {
    const command = await network.run(args);
    command.endInput();
    return { code: await command.exitCode(), out: command.stdout, err: command.stderr, bytes: command.bytes };
  };
  const id = String(ids[0]);
  const [list, rows, found, info, unknown, wrong, tooLarge] = await Promise.all([
    run('list'),
    run('list', '--json'),
    run('find', 'moon', '--json'),
    run('info', id),
    run('info', '99'),
    run('info', 'abc'),
    run('get', '4294967296', '-o', '-'),
  ]);
  t.match(list, { code: 0, out: /Blue Moon {2}The Band/ });
  t.match(JSON.parse(rows.out), { id: ids[0], title: 'Blue Moon', hostCount: 1 });
  t.match(JSON.parse(found.out), { id: ids[0], size: bytes.length });
  t.match(info, { code: 0, out: /Sound +128 kbit\/s, 44\.1 kHz, stereo/ });
  t.match(unknown, { code: 1, err: /There is no song 99/ });
  t.match(wrong, { code: 2, err: /“abc” is no song ID/ });
  t.match(tooLarge, { code: 2 });
  const [got, told, played, hashed, doctor] = await Promise.all([
    run('get', id, '-o', '-'),
    run('get', id, '-o', '-', '--json'),
    run('play', id, '--output', 'null'),
    run('hash', join(host.folder, 'a.mp3')),
    run('doctor', '--output', 'null', '--port', '0'),
  ]);
  t.equal(got.code, 0);
  t.ok(got.bytes.equals(bytes));
  t.ok(told.bytes.equals(bytes));
  t.match(JSON.parse(told.err), { file: '-', bytes: bytes.length, verified: true });
  t.match(played, { code: 0, out: /verified/ });
  t.equal(hashed.code, 0);
  t.match(info.out, hashed.out.slice(0, 64));
  const { code, out } = doctor;
  t.match(out, /✓ tracker .*1 song, answered in \d+ ms\n✓ port .*the tracker reached it as :\d+\n/);
  t.equal(code, 0);
});

t.test('a file that cannot be written fails a song, and a reader that goes away ends it quietly', async t => {
  const { network, ids } = await openMusic(t, { 'a.mp3': song('Long', 1, 60) });
  const unwritable = await network.run(['play', String(ids[0]), '--output', 'file:/nowhere/x.wav', '--json']);
  t.equal(await unwritable.exitCode(), 1);
  const ended = unwritable.rows.find(row => row.event === 'ended');
  t.match(ended, { outcome: 'failed', error: { code: 'file', message: /no such file or folder/ } });
  const plays = [['--raw'], ['--json'], []].map(async how => {
    const play = await network.run(['play', String(ids[0]), '--output', 'stdout', ...how]);
    await until('sound', () => play.bytes.length > 0);
    play.child.stdout.destroy();
    t.equal(await play.exitCode(), 0);
    t.notMatch(play.stderr, /fail|✗|reader/);
  });
  await Promise.all(plays);
});

t.test('one-shot commands say when there is no tracker: 69', async t => {
  const words = [['list'], ['get', '1', '-o', '-'], ['play', '1', '--output', 'null']];
  const said = words.map(async args => {
    const command = await spawnCommand(t, 'tsp-peer', [...args, '--tracker', '127.0.0.1:1', '--json']);
    t.equal(await command.exitCode(), 69);
    t.match(JSON.parse(command.stderr), { error: { code: 'unreachable', hint: /--tracker/ } });
  });
  await Promise.all(said);
});

const noFullDisk = !existsSync('/dev/full') && 'there is no /dev/full';
t.test('answers that the disk had no room for are told of in the end', { skip: noFullDisk }, async t => {
  const { tracker } = await openMusic(t, { 'a.mp3': song('Blue Moon', 1) });
  const words = [process.execPath, commandPath('tsp-peer'), ...tracker, '--port', '0', '--output', 'null'];
  const script = await spawnProgram(t, 'sh', ['-c', 'exec "$0" "$@" > /dev/full', ...words, '--json'], {
    input: 'list\n',
  });
  t.equal(await script.exitCode(), 1);
  t.match(script.stderr, /"code":"file","message":"standard output: the disk is full\."/);
});

t.test('the example lists and fetches a song', async t => {
  const bytes = song('Blue Moon', 1);
  const { network, ids } = await openMusic(t, { 'a.mp3': bytes });
  const example = fileURLToPath(new URL('../../../examples/list-and-fetch.mjs', import.meta.url));
  const folder = await tempFolder(t);
  const program = await spawnProgram(t, process.execPath, [example, `127.0.0.1:${network.trackerPort}`], {
    cwd: folder,
  });
  t.equal(await program.exitCode(), 0, program.stderr);
  t.match(program.stdout, /Blue Moon by The Band/);
  await until('it is there', async () => (await readFile(join(folder, `${ids[0]}.mp3`))).equals(bytes));
});
