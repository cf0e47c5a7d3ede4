/** What each command is answered with, asked one by one, and line by line from a stdin that is no terminal. */
import { PassThrough } from 'node:stream';
import t from 'tap';
import { CommandRunner } from '../../../peer/prompt/commands.js';
import { parseLine } from '../../../peer/prompt/grammar.js';
import { renderAnswer, renderEvent } from '../../../peer/prompt/render.js';
import { Script } from '../../../peer/prompt/script.js';
import { PLAIN } from '../../../peer/prompt/style.js';
import { TransportError } from '../../../protocol/errors.js';
import { FakePeer, songRow } from './fake-peer.js';

t.test('a list that does not come is told as what it is, and not as songs that are not there', async t => {
  const peer = new FakePeer();
  peer.arriving = Promise.resolve();
  const why = 'it refuses connections';
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
    t.match(await run(peer, 'play 78'), /Playing 78 {2}On Air/);
    t.match(await run(peer, 'seek 1:00'), /On Air is live/);
    peer.trackerGone = true;
    t.match(await run(peer, 'play 77'), /There is no song 77/);
    t.match(await run(peer, 'find New'), /does not answer/);
  },
);

t.test('find without the tracker finds what the last list has, and says so', async t => {
  const peer = new FakePeer();
  peer.songs = [songRow(10, 'Blue Moon')];
  peer.trackerGone = true;
  peer.stale = true;
  t.match(await run(peer, 'find moon'), /Blue Moon/);
  t.match(await run(peer, 'find moon'), await run(peer, 'list moon'));
});

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

t.test('what became of the tracker is told whole, however narrow the window', async t => {
  const tracker = { ...new FakePeer().tracker, state: 'lost' } as const;
  const lines = renderEvent({ kind: 'tracker', tracker }, { width: 60, color: false });
  t.match(lines.join(' '), /is gone: the list may be old; what plays goes on\. Trying again\.$/);
});
