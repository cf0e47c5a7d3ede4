/** The prompt driven by a fake peer, through a screen that shows what a person would see. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { milestone } from '../../../peer/milestone.js';
import { History, MOST_LINES } from '../../../peer/prompt/history.js';
import { ListChangeNotice } from '../../../peer/prompt/list-changes.js';
import { PROMPT, Prompt } from '../../../peer/prompt/prompt.js';
import { lengthOf } from '../../../peer/prompt/render-song.js';
import type { ContentHash, SongRow } from '../../../protocol/tsp/rows.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { TerminalScreen } from '../../support/terminal-screen.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { FakePeer, songRow } from './fake-peer.js';

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'torero-prompt-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function openPrompt(t: Test, columns = 80) {
  const peer = new FakePeer();
  peer.songs = [songRow(10, 'Blue Moon', 'Somebody'), songRow(11, 'Red Sun'), songRow(12, '1999')];
  const clock = new VirtualClock();
  const screen = new TerminalScreen(columns, 24);
  const stdin = new PassThrough();
  const stdout = Object.assign(new PassThrough(), { columns, rows: 24, isTTY: true });
  stdout.setEncoding('utf8').on('data', (text: string) => screen.write(text.replaceAll('\n', '\r\n')));
  const historyFile = join(await folder(t), 'state', 'history');
  const history = new History(historyFile, new RecordingLogger());
  const style = () => ({ width: stdout.columns - 1, color: false });
  const prompt = new Prompt({ peer, world: { stdin, stdout, clock }, history, style });
  await prompt.open();
  const ended = prompt.left();
  t.teardown(() => prompt.close());
  const shows = (pattern: RegExp) =>
    until(
      () => `${pattern} on\n${screen.lines.join('\n')}`,
      () => pattern.test(screen.lines.join('\n')),
    );
  await shows(/torero>/);
  return { peer, clock, screen, stdin, stdout, prompt, ended, shows, historyFile };
}

t.test('a typed command is answered above a fresh prompt', async t => {
  const { stdin, screen, shows } = await openPrompt(t);
  stdin.write('list moon\r');
  await shows(/1 song\./);
  t.same(screen.lines, [
    'torero> list moon',
    'ID  Title      Artist    Length  Hosts',
    '10  Blue Moon  Somebody    3:07      1',
    '1 song.',
    'torero>',
  ]);
  t.same(screen.cursor, { row: 4, column: PROMPT.length });
});

t.test('news come above the line that is being typed, which stays as it is with its cursor', async t => {
  const { stdin, screen, shows, peer, clock } = await openPrompt(t);
  stdin.write('play blue mo');
  stdin.write('\x1b[D\x1b[D');
  await shows(/play blue mo/);
  peer.emit({ kind: 'notice', message: 'Something happened.' });
  const [first] = peer.songs;
  peer.songs = peer.songs.slice(1);
  peer.emit({ kind: 'list', added: 0, left: 1, changed: 0 });
  peer.songs = [...peer.songs, ...[97, 98, 99].map(id => songRow(id, `Song ${id}`))];
  peer.emit({ kind: 'list', added: 3, left: 0, changed: 4 });
  clock.advance(2_000);
  await shows(/3 songs added, 1 gone\./);
  t.same(screen.lines, ['Something happened.', '3 songs added, 1 gone.', 'torero> play blue mo']);
  t.same(screen.cursor, { row: 2, column: PROMPT.length + 10 });
  stdin.write('X');
  await shows(/play blue Xmo/);
  peer.songs = [first!, ...peer.songs];
  peer.emit({ kind: 'list', added: 1, left: 0, changed: 0 });
  clock.advance(2_000);
  await shows(/1 song added\./);
});

t.test(
  'the now-playing line stands above the prompt, moves each second, and is gone with the song',
  async t => {
    const { stdin, screen, shows, peer, clock } = await openPrompt(t);
    stdin.write('play 10\r');
    await shows(/torero>$/);
    await shows(/▶ Blue Moon — Somebody {2}0:00 .* 3:07 {2}buffer 0 s/);
    t.equal(screen.lines.at(-1), 'torero>');
    stdin.write('lis');
    await shows(/torero> lis$/);
    peer.now = { ...peer.now, positionSeconds: 62, bufferedSeconds: 12 };
    clock.advance(1_000);
    await shows(/1:02 ━+─+ +3:07 {2}buffer 12 s\ntorero> lis$/);
    stdin.write('t\r');
    await shows(/3 songs\./);
    t.equal(
      screen.lines.filter(line => line.startsWith('▶ Blue Moon — Somebody  ')).length,
      1,
      'one such line only',
    );
    t.ok(screen.lines.includes('torero> list'));
    peer.end(peer.songs[0]!);
    await shows(/started in 9 ms · 0 stutters · 10\.0\.0\.4:7461 · verified/);
    await until('the line is gone', () => screen.lines.at(-2)?.includes('verified'));
    t.equal(clock.pending, 0, 'and so is its clock');
  },
);

t.test('Ctrl-C clears the line, then stops the song, then says how to leave', async t => {
  const { stdin, shows, peer } = await openPrompt(t);
  peer.play([peer.songs[0]!]);
  stdin.write('play 11');
  await shows(/play 11/);
  stdin.write('\x03');
  await shows(/torero>$/);
  t.equal(peer.now.state, 'playing');
  stdin.write('\x03');
  await shows(/stopped/);
  t.equal(peer.now.state, 'stopped');
  stdin.write('\x03');
  await shows(/Ctrl-D or quit leaves/);
});

t.test('Ctrl-D on an empty line leaves; so does quit, after what was asked before', async t => {
  const first = await openPrompt(t);
  first.stdin.write('\x04');
  await first.ended;
  const second = await openPrompt(t);
  second.stdin.write('status\rquit\r');
  await second.ended;
  await second.shows(/Bye\./);
  await second.shows(/Nothing is playing: stopped\./);
});

t.test('quit sums up the song that it cuts off, and then takes its leave', async t => {
  const { stdin, shows, ended, peer } = await openPrompt(t);
  peer.play([peer.songs[0]!]);
  stdin.write('quit\r');
  await ended;
  await shows(/verified · stopped\n[\s\S]*Bye\.\n$/);
});

t.test('a prompt that is closed leaves its place to what is said next', async t => {
  const { prompt, stdin, stdout, shows, peer, screen } = await openPrompt(t);
  peer.play([peer.songs[0]!]);
  stdin.write('pla');
  await shows(/torero> pla$/);
  prompt.close();
  stdout.write('tsp-peer: Port 7461 is in use.\n');
  await shows(/in use/);
  t.same(screen.lines, ['▶ Blue Moon — Somebody', 'tsp-peer: Port 7461 is in use.', '']);
});

t.test('Tab completes a title', async t => {
  const { stdin, shows } = await openPrompt(t);
  stdin.write('pla\t');
  await shows(/torero> play$/);
  stdin.write('blue\t');
  await shows(/torero> play Blue Moon$/);
});

t.test('a narrower window redraws both lines', async t => {
  const { stdin, stdout, shows, peer, screen } = await openPrompt(t, 100);
  peer.play([peer.songs[0]!]);
  stdin.write('sta');
  await shows(/sta$/);
  stdout.columns = 40;
  screen.reflow(40);
  stdout.emit('resize');
  await shows(/▶ 0:00\/3:07 {2}buffer 0 s .*\ntorero> sta$/);
  t.equal(screen.lines.filter(line => line.includes('0:00')).length, 1, 'nothing is left of the wide one');
});

t.test('typed text of several rows stands there once in a window of any other width', async t => {
  const { stdin, stdout, shows, peer, screen } = await openPrompt(t, 40);
  peer.play([peer.songs[0]!]);
  stdin.write(`find ${'x'.repeat(150)}`);
  await shows(/x{40}\nx{3}$/);
  for (const columns of [25, 70, 30, 120]) {
    peer.now = { ...peer.now, positionSeconds: columns };
    stdout.columns = columns;
    screen.reflow(columns);
    stdout.emit('resize');
    await shows(new RegExp(`${lengthOf(columns)}[^▶]*\\ntorero> find x+\\n[x\\n]+$`));
    const { lines } = screen;
    t.equal(lines.filter(line => /▶.* \d:|torero/.test(line)).length, 2, lines.join('\n'));
  }
});

t.test('what the shell said while the prompt was stopped stays', async t => {
  const { stdin, stdout, shows, peer, screen, clock } = await openPrompt(t);
  // A test may not be stopped.
  const kill = t.capture(process, 'kill', () => true);
  peer.play([peer.songs[0]!]);
  stdin.write('sta');
  await shows(/sta$/);
  stdin.write('\x1b[D\x1a');
  await until('it stops', () => kill().length > 0);
  stdout.write('\n[1]+  Stopped\n$ fg\ntsp-peer\n');
  peer.now = { ...peer.now, positionSeconds: 7 };
  clock.advance(5_000);
  await shows(/tsp-peer\n▶ Blue Moon — Somebody {2}0:07 .*\ntorero> sta$/);
  peer.now = { ...peer.now, positionSeconds: 8 };
  process.emit('SIGCONT');
  await shows(/tsp-peer\n▶ Blue Moon — Somebody {2}0:08 .*\ntorero> sta$/);
  t.match(screen.lines.join('\n'), /torero> st\n\[1\]\+ {2}Stopped\n\$ fg\ntsp-peer\n/);
});

t.test('Ctrl-Z where no shell could go on with it leaves the keys to the prompt', async t => {
  const { stdin, clock } = await openPrompt(t);
  const kill = t.capture(process, 'kill', () => true);
  const modes: boolean[] = [];
  Object.assign(stdin, { setRawMode: (raw: boolean) => modes.push(raw) });
  stdin.write('\x1a');
  await until('it would stop', () => kill().length > 0);
  t.same(modes, [false], 'as readline leaves it');
  clock.advance(1_000);
  t.same(modes, [false, true]);
});

t.test('a stop that no key asked for leaves the keys to the prompt, too', async t => {
  const { stdin, shows, peer } = await openPrompt(t);
  const modes: boolean[] = [];
  Object.assign(stdin, { setRawMode: (raw: boolean) => modes.push(raw) });
  stdin.write('sta');
  await shows(/sta$/);
  peer.play([peer.songs[0]!]);
  process.emit('SIGCONT');
  t.same(modes, [false, true], 'the terminal believes itself raw, and does nothing when asked only for that');
  await shows(/▶ Blue Moon.*\ntorero> sta$/);
});

t.test('pasted text that takes several rows stands there once, whatever is drawn after it', async t => {
  const { stdin, screen, shows, peer, clock } = await openPrompt(t, 40);
  peer.play([peer.songs[0]!]);
  await shows(/▶ 0:00/);
  stdin.write(`play ${'x'.repeat(35)}`);
  await shows(/x\nx{8}$/);
  stdin.write('x'.repeat(32));
  await shows(/x\nx{40}/);
  t.equal(screen.lines.filter(line => /▶ 0:|torero/.test(line)).length, 2, 'at the end of a row');
  peer.now = { ...peer.now, positionSeconds: 7 };
  clock.advance(1_000);
  await shows(/▶ 0:07/);
  t.equal(screen.lines.filter(line => /▶ 0:|torero/.test(line)).length, 2, 'after the clock moved');
  peer.emit({ kind: 'notice', message: 'Something happened.' });
  await shows(/Something happened/);
  t.equal(screen.lines.filter(line => /▶ 0:|torero/.test(line)).length, 2, 'after news');
});

t.test('a title that readline takes for wider than it is costs no line above', async t => {
  const { screen, shows, peer } = await openPrompt(t, 40);
  peer.songs = [
    '🇩🇪🇪🇸🇫🇷🇮🇹🇯🇵🇰🇷🇧🇷',
    'か\u3099き\u3099く\u3099け\u3099こ\u3099さ\u3099し\u3099す\u3099せ\u3099',
    'Plain',
  ].map((title, index) => songRow(20 + index, title));
  for (const song of peer.songs) {
    peer.play([song]);
    peer.emit({ kind: 'notice', message: `That was ${song.id}.` });
    await shows(new RegExp(`That was ${song.id}\\.\n.*0:00`));
  }
  for (const { id } of peer.songs) t.ok(screen.lines.includes(`That was ${id}.`), screen.lines.join('\n'));
});

t.test('a scan shows how far it is while nothing plays', async t => {
  const { peer, shows, screen } = await openPrompt(t);
  peer.emit({ kind: 'scanning', done: 5, total: 10 });
  await shows(/Reading the library {2}━+ +5 of 10 files\ntorero>$/);
  peer.emit({ kind: 'library', songs: 9 });
  await shows(/9 songs in the library\.\ntorero>$/);
  t.notMatch(screen.lines.join(), /Reading/);
});

t.test('what cannot be parsed is answered too', async t => {
  const { stdin, shows } = await openPrompt(t);
  stdin.write('pley 10\r');
  await shows(/There is no command “pley”\.\nDid you mean play\?/);
});

t.test('history comes back with the up key, at the next start too', async t => {
  const { stdin, shows, historyFile, ended } = await openPrompt(t);
  stdin.write('list moon\r');
  await shows(/1 song\./);
  stdin.write('\x1b[A');
  await shows(/torero> list moon$/);
  stdin.write('\x03\x04');
  await ended;
  t.equal(await readFile(historyFile, 'utf8'), 'list moon\n');
  t.same(await new History(historyFile, new RecordingLogger()).load(), ['list moon']);
});

t.test('the history file is cut back, and a broken one is only logged', async t => {
  const path = join(await folder(t), 'history');
  await writeFile(path, Array.from({ length: 3 * MOST_LINES }, (_, index) => `list ${index}\n`).join(''));
  const lines = await new History(path, new RecordingLogger()).load();
  t.equal(lines.length, MOST_LINES);
  t.equal(lines[0], `list ${3 * MOST_LINES - 1}`);
  t.equal((await readFile(path, 'utf8')).split('\n').length, MOST_LINES + 1);
  const logger = new RecordingLogger();
  const broken = new History('/dev/null/history', logger);
  t.same(await broken.load(), []);
  broken.add('list');
  await broken.settled();
  t.ok(logger.entries.length >= 1);
});

t.test(
  'list changes are told after a pause, at the latest after ten seconds, and only if songs came or left',
  async t => {
    const clock = new VirtualClock();
    const told: object[] = [];
    let songs: SongRow[] = [];
    const notice = new ListChangeNotice(
      clock,
      () => songs,
      changes => told.push(changes),
    );
    for (let second = 0; second < 12; second += 1) {
      songs = [...songs, songRow(second, 'Song', 'Band', { hash: `${second}` as ContentHash })];
      notice.add();
      clock.advance(1_000);
    }
    t.same(told, [{ added: 10, left: 0 }]);
    clock.advance(2_000);
    t.equal(told.length, 2);
    notice.add();
    clock.advance(20_000);
    t.equal(told.length, 2, 'another title is no news');
    const before = songs;
    songs = [];
    notice.add();
    clock.advance(1_000);
    songs = before.map(song => ({ ...song, id: song.id + 100 })) as SongRow[];
    notice.add();
    clock.advance(20_000);
    t.equal(told.length, 2, 'nor is a host that has started again, with whatever IDs');
    songs = songs.slice(2);
    notice.add();
    clock.advance(2_000);
    t.same(told.at(-1), { added: 0, left: 2 });
    notice.add();
    notice.stop();
    t.equal(clock.pending, 0);
  },
);

t.test('who types before the list is there is told what is waited for, and then answered', async t => {
  const { stdin, screen, shows, peer, clock } = await openPrompt(t);
  const list = milestone();
  peer.arriving = list.reached;
  stdin.write('play moon\r');
  await until('the command waits', () => clock.pending > 0);
  t.same(screen.lines, ['torero> play moon', 'torero>'], 'an answer may take a moment');
  clock.advance(500);
  await shows(/Waiting for the tracker 127\.0\.0\.1:7460 …/);
  peer.arriving = undefined;
  list.reach();
  await shows(/Playing 10 {2}Blue Moon/);
});
