/** The prompt driven by a fake peer, through a screen that shows what a person would see; and the same without one. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { milestone } from '../../../peer/milestone.js';
import { CommandRunner } from '../../../peer/prompt/commands.js';
import { parseLine } from '../../../peer/prompt/grammar.js';
import { History, MOST_LINES } from '../../../peer/prompt/history.js';
import { ListChangeNotice } from '../../../peer/prompt/list-changes.js';
import { PROMPT, Prompt } from '../../../peer/prompt/prompt.js';
import { renderAnswer } from '../../../peer/prompt/render.js';
import { Script } from '../../../peer/prompt/script.js';
import { PLAIN } from '../../../peer/prompt/style.js';
import { TransportError } from '../../../protocol/errors.js';
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
      5_000,
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
  peer.emit({ kind: 'list', added: 1, left: 0, changed: 0 });
  peer.emit({ kind: 'list', added: 2, left: 1, changed: 4 });
  clock.advance(2_000);
  await shows(/3 songs added, 1 left\./);
  t.same(screen.lines, ['Something happened.', '3 songs added, 1 left.', 'torero> play blue mo']);
  t.same(screen.cursor, { row: 2, column: PROMPT.length + 10 });
  stdin.write('X');
  await shows(/play blue Xmo/);
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
    const notice = new ListChangeNotice(clock, changes => told.push(changes));
    for (let second = 0; second < 12; second += 1) {
      notice.add({ added: 1, left: 0, changed: 0 });
      clock.advance(1_000);
    }
    t.same(told, [{ added: 10, left: 0, changed: 0 }]);
    t.equal(told.length, 1);
    clock.advance(2_000);
    notice.add({ added: 0, left: 0, changed: 3 });
    clock.advance(20_000);
    t.equal(told.length, 2);
    notice.add({ added: 1, left: 0, changed: 0 });
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

t.test('a list that does not come is told as what it is, and not as songs that are not there', async t => {
  const peer = new FakePeer();
  peer.arriving = Promise.resolve();
  const why = 'nobody listens on 127.0.0.1:7460';
  peer.tracker = { ...peer.tracker, state: 'absent', why };
  const commands = ['list', 'info', 'info 10', 'find moon', 'play moon', 'play 10', 'queue moon'];
  for (const command of commands) {
    const answer = await run(peer, command);
    t.match(answer, `No tracker answers on 127.0.0.1:7460 yet: ${why}.`, command);
  }
  const { script, lines } = runScript(peer, 'play moon\n', true);
  await script.run();
  t.match(JSON.parse(lines[0]!), { error: { code: 'unreachable', message: /No tracker answers/ } });
  t.equal(script.exitCode, 69);
  peer.tracker = { ...peer.tracker, state: 'registered' };
  t.match(await run(peer, 'play moon'), /127\.0\.0\.1:7460 has not sent its list yet\./);
});

async function run(peer: FakePeer, line: string): Promise<string> {
  const parsed = parseLine(line);
  if (parsed.is !== 'command') throw new Error(line);
  return renderAnswer(await new CommandRunner(peer).run(parsed.command), PLAIN).join('\n');
}

t.test('every command is answered with at least a line, in every state of the player', async t => {
  const peer = new FakePeer();
  peer.songs = [songRow(10, 'Blue Moon', 'Somebody'), songRow(11, 'Moon River'), songRow(12, '1999')];
  const lines = [
    'list',
    'info',
    'info 10',
    'find Moon',
    'play 10 11',
    'queue 10',
    'queue',
    'pause',
    'pause',
    'resume',
    'resume',
  ];
  lines.push(
    'seek 10',
    'seek +5',
    'seek 9:00',
    'next',
    'next',
    'next',
    'prev',
    'volume',
    'volume 50',
    'volume +70',
    'mute',
    'volume',
    'mute',
  );
  lines.push(
    'status',
    'help',
    'help play',
    'stop',
    'stop',
    'pause',
    'seek 1',
    'quit',
    'play moon',
    'queue moon',
    'play 99',
    'info nothing like it',
    'play 1999',
  );
  const answers: [string, string][] = [];
  for (const line of lines) answers.push([line, await run(peer, line)]);
  for (const [line, answer] of answers) t.not(answer.trim(), '', line);
  const said = answers.map(([, answer]) => answer);
  t.match(said[4], /Playing 2 songs/);
  t.match(said[7], /Paused Blue Moon — Somebody/);
  t.match(said[8], /is paused already/);
  t.match(said[9], /Going on with Blue Moon/);
  t.match(said[13], /only 3:07 long/);
  t.match(said[16], /No song comes next/);
  t.match(said[20], /Volume 100 %/);
  t.match(said[22], /muted/);
  t.match(said[28], /Nothing is playing/);
  t.match(said[32], /Playing 11 {2}Moon River \(1 other would match/, 'a title that begins so wins');
  t.match(said[34], /There is no song 99\./);
  t.match(said[35], /is no song ID, and no title/);
  t.match(said[36], /There is no song 1999\.\nWords that are a number stand in quotes: "1999"\./);
});

t.test(
  'songs that the list does not have yet are asked for; without a tracker they are not there',
  async t => {
    const peer = new FakePeer();
    peer.elsewhere = [songRow(77, 'New Song'), songRow(78, 'On Air', '', { live: true })];
    t.match(await run(peer, 'play 77'), /Playing 77 {2}New Song/);
    t.match(await run(peer, 'play New'), /Playing 77 {2}New Song/);
    t.match(await run(peer, 'play 78'), /a live feed/);
    peer.trackerGone = true;
    t.match(await run(peer, 'play 77'), /There is no song 77/);
    t.match(await run(peer, 'find New'), /does not answer/);
  },
);

function runScript(peer: FakePeer, input: string, json = false) {
  const lines: string[] = [];
  const remarks: string[] = [];
  const stdin = new PassThrough();
  const script = new Script({
    peer,
    input: stdin,
    json,
    style: PLAIN,
    write: line => lines.push(line),
    remark: line => remarks.push(line),
    ready: Promise.resolve(),
  });
  peer.onEvent(event => script.happened(event));
  stdin.end(input);
  return { script, lines, remarks };
}

t.test(
  'without a terminal each line is answered, and the end of the input lets the queue play out',
  async t => {
    const peer = new FakePeer();
    peer.songs = [songRow(10, 'Blue Moon')];
    const { script, lines, remarks } = runScript(peer, '# a remark\nplay 10\r\nnonsense\nvolume 30');
    t.equal(await script.run(), 'end');
    let over = false;
    const out = script.playedOut().then(() => {
      over = true;
    });
    await new Promise(setImmediate);
    t.equal(over, false, 'the song still plays');
    peer.emit({ kind: 'notice', message: 'For people.' });
    peer.emit({ kind: 'list', added: 1, left: 0, changed: 0 });
    peer.end(peer.songs[0]!);
    await out;
    t.same(lines, [
      '▶ Blue Moon',
      'Playing 10  Blue Moon',
      'There is no command “nonsense”.',
      'help shows what there is.',
      'Volume 30 %.',
      '■ Blue Moon',
      '  started in 9 ms · 0 stutters · 10.0.0.4:7461 · verified',
    ]);
    t.same(remarks, ['For people.']);
    t.equal(script.exitCode, 2, 'of the last command that failed');
  },
);

t.test('quit ends at once, and what follows it is not read', async t => {
  const { script, lines } = runScript(new FakePeer(), 'quit\nlist\n');
  t.equal(await script.run(), 'quit');
  t.same(lines, ['Bye.']);
  t.equal(script.exitCode, 0);
});

t.test('a paused queue does not keep a script whose input has ended', async () => {
  const peer = new FakePeer();
  peer.songs = [songRow(10, 'Blue Moon')];
  const { script } = runScript(peer, 'play 10\npause\n');
  await script.run();
  await script.playedOut();
});

t.test('with --json there is one object a command and one an event', async t => {
  const peer = new FakePeer();
  peer.songs = [songRow(10, 'Blue Moon')];
  const { script, lines } = runScript(peer, 'list\nplay 10\nplay 4294967296\nstatus\nhelp\n', true);
  await script.run();
  peer.end(peer.songs[0]!, 'failed', new TransportError('no host of this song answers'));
  await script.playedOut();
  const objects = lines.map(line => JSON.parse(line) as Record<string, unknown>);
  t.same(
    objects.map(object => object.command ?? object.event),
    ['list', 'started', 'play', 'play', 'status', 'help', 'ended', 'idle'],
  );
  t.match(objects[3], { error: { code: 'usage', message: /4294967296 is no song ID/ } });
  t.match(objects[4], { state: 'playing', song: { id: 10 }, tracker: { state: 'registered' } });
  t.match(objects[6], { outcome: 'failed', error: { code: 'unreachable' }, verified: true });
  t.equal(script.exitCode, 69, 'a song that could not be played counts');
});
