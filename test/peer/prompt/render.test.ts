/** What people see: nothing a remote title says can disturb a terminal, and no line is wider than the window. */
import fc from 'fast-check';
import t from 'tap';
import { OutputError } from '../../../peer/playback/outputs/output.js';
import { type Answer, answerAsJson, eventAsJson } from '../../../peer/prompt/answers.js';
import { renderNowPlaying, renderScan } from '../../../peer/prompt/now-playing.js';
import type { NowPlaying, PeerEvent } from '../../../peer/prompt/peer-view.js';
import {
  listChange,
  renderAnswer,
  renderEvent,
  summaryOf,
  trackerSentence,
} from '../../../peer/prompt/render.js';
import { lengthOf, nameOf, sizeOf } from '../../../peer/prompt/render-song.js';
import { PLAIN, type Style, styleOf } from '../../../peer/prompt/style.js';
import { widthOf } from '../../../peer/prompt/terminal-text.js';
import { TransportError } from '../../../protocol/errors.js';
import type { SongRow } from '../../../protocol/tsp/rows.js';
import { FakePeer, songRow } from './fake-peer.js';
import { hostile } from './hostile-text.js';

const EIGHTY: Style = { width: 80, color: false };

const hostileSong: fc.Arbitrary<SongRow> = fc
  .record({ title: hostile, artist: hostile, album: hostile, genre: hostile, host: hostile })
  .map(({ host, ...texts }) =>
    songRow(10, '', '', { ...texts, hosts: [host], year: 1999, size: 4e6, bitrate: 192_000 }),
  );

const FORBIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\u061c\ufeff\ud800-\udfff]/u;

function checkLines(lines: readonly string[], width: number): void {
  for (const line of lines) {
    if (FORBIDDEN.test(line)) throw new Error(`a control character in ${JSON.stringify(line)}`);
    if (widthOf(line) > width) throw new Error(`${widthOf(line)} columns instead of ${width}: ${line}`);
  }
}

t.test('no answer about any song breaks a line or carries a control character', async () => {
  fc.assert(
    fc.property(
      fc.array(hostileSong, { maxLength: 4 }),
      hostile,
      fc.integer({ min: 1, max: 130 }),
      (songs, words, width) => {
        const style = { width, color: false };
        const peer = new FakePeer();
        const failure = { code: 'x', exitCode: 1, message: words, hint: words } as const;
        const answers: Answer[] = [
          { kind: 'songs', songs, words, stale: true },
          { kind: 'info', songs },
          { kind: 'chosen', songs, others: 2, when: 'now' },
          { kind: 'queue', queue: { songs, current: 0 } },
          { kind: 'said', text: words },
          { kind: 'help' },
          { kind: 'help', topic: 'seek' },
          { kind: 'failure', failure },
          {
            kind: 'status',
            now: { ...peer.now, state: 'playing', ...(songs[0] && { song: songs[0] }) },
            queue: { songs, current: 0 },
            status: peer.status(),
          },
        ];
        for (const answer of answers) {
          const lines = renderAnswer(answer, style);
          if (lines.length === 0) throw new Error(`${answer.kind} says nothing`);
          checkLines(lines, width);
        }
      },
    ),
    { numRuns: 300 },
  );
});

t.test('no event about any song breaks a line or carries a control character', async () => {
  fc.assert(
    fc.property(hostileSong, hostile, fc.integer({ min: 1, max: 130 }), (song, text, width) => {
      const report = {
        sources: [
          { host: text, bytes: 3 },
          { host: 'cache', bytes: 1 },
        ],
        failed: [{ host: text, why: text, lied: true }],
        verified: true,
      };
      const events: PeerEvent[] = [
        { kind: 'started', song, startedInMs: 9 },
        { kind: 'ended', song, outcome: 'failed', stutters: 2, report, error: new TransportError(text) },
        { kind: 'output', name: text, why: text },
        { kind: 'list', added: 3, left: 1, changed: 0 },
        { kind: 'tracker', tracker: { ...new FakePeer().tracker, name: text, state: 'lost' } },
        { kind: 'tracker', tracker: { ...new FakePeer().tracker, why: text, state: 'absent' } },
        { kind: 'library', songs: 3 },
        { kind: 'library', songs: 0, skipped: [{ reason: text, count: 2 }] },
        { kind: 'notice', message: text, hint: text },
        { kind: 'progress' },
      ];
      for (const event of events) checkLines(renderEvent(event, { width, color: false }), width);
    }),
    { numRuns: 300 },
  );
});

t.test('the now-playing line fits any width at any position', async () => {
  const now = fc.record({
    state: fc.constantFrom('playing', 'paused', 'buffering') as fc.Arbitrary<NowPlaying['state']>,
    song: hostileSong,
    positionSeconds: fc.double({ min: 0, max: 1e6, noNaN: true }),
    bufferedSeconds: fc.double({ min: 0, max: 1e6, noNaN: true }),
    volume: fc.integer({ min: 0, max: 100 }),
    muted: fc.boolean(),
  });
  fc.assert(
    fc.property(now, fc.integer({ min: 1, max: 250 }), hostile, (playing, width, waiting) => {
      checkLines(
        [
          renderNowPlaying(playing, { width, color: false }) ?? '',
          renderNowPlaying({ ...playing, waiting }, { width, color: false }) ?? '',
          renderScan(3, 17, { width, color: false }),
        ],
        width,
      );
    }),
    { numRuns: 500 },
  );
});

t.test('a song that waits says for what, in a narrow window too', async t => {
  const now: NowPlaying = {
    state: 'buffering',
    song: songRow(9, 'Short', 'Somebody'),
    positionSeconds: 62,
    bufferedSeconds: 0,
    waiting: 'waiting for 10.0.0.4:7461',
    volume: 100,
    muted: false,
  };
  t.match(renderNowPlaying(now, EIGHTY), /^… Short — Some.* {2}1:02 .* 3:07 {2}waiting for 10.0.0.4:7461$/);
  t.equal(renderNowPlaying(now, { width: 40, color: false }), '… 1:02/3:07  waiting for 10.0.0.4:7461');
  const { waiting: _, ...sounding } = { ...now, state: 'playing' as const, volume: 40 };
  const narrow = renderNowPlaying(sounding, { width: 46, color: false });
  t.match(narrow, /^▶ 1:02\/3:07 {2}buffer \d+ s {2}Short — /, 'its name goes before the volume');
});

t.test('a table shows what fits: first the hosts leave, then lengths, then artists', async t => {
  const songs = [
    songRow(9, 'Short', 'Somebody'),
    songRow(10, 'A title that goes on for quite a while', 'Another one'),
  ];
  const answer: Answer = { kind: 'songs', songs, words: '', stale: false };
  t.same(renderAnswer(answer, EIGHTY), [
    'ID  Title                                   Artist       Length  Hosts',
    ' 9  Short                                   Somebody       3:07      1',
    '10  A title that goes on for quite a while  Another one    3:07      1',
    '2 songs.',
  ]);
  t.equal(
    renderAnswer(answer, { width: 50, color: false })[2],
    '10  A title that goes…  Another one    3:07      1',
  );
  t.match(renderAnswer(answer, { width: 38, color: false })[0], /^ID {2}Title +Artist +Length$/);
  t.match(renderAnswer(answer, { width: 28, color: false })[0], /^ID {2}Title +Artist$/);
  t.match(renderAnswer(answer, { width: 20, color: false })[0], /^ID {2}Title$/);
  t.equal(renderAnswer(answer, PLAIN)[2]?.includes('…'), false, 'nothing is cut where there is no window');
});

t.test('a long list is shown in part on a terminal and whole in a pipe', async t => {
  const songs = Array.from({ length: 1_000 }, (_, index) => songRow(index + 1, `Song ${index}`));
  const answer: Answer = { kind: 'songs', songs, words: '', stale: false };
  const shown = renderAnswer(answer, EIGHTY);
  t.equal(shown.length, 503);
  t.match(shown.at(-2), '… and 500 more');
  t.equal(renderAnswer(answer, PLAIN).length, 1_002);
  t.match(renderAnswer({ kind: 'info', songs }, EIGHTY).at(-1), '… and 950 more');
  t.equal(
    renderAnswer({ kind: 'info', songs }, PLAIN).filter(line => line.startsWith('Title')).length,
    1_000,
  );
});

t.test('an empty list, an unmatched search and a stale list say so', async t => {
  const none = (words: string, stale = false): Answer => ({ kind: 'songs', songs: [], words, stale });
  t.same(renderAnswer(none(''), EIGHTY), ['No songs are listed yet.']);
  t.same(renderAnswer(none('xyz'), EIGHTY), ['No song matches “xyz”.']);
  t.match(renderAnswer(none('', true), EIGHTY)[0], /tracker is gone/);
  t.same(renderAnswer({ kind: 'info', songs: [] }, EIGHTY), ['No songs are listed yet.']);
  t.same(renderAnswer({ kind: 'queue', queue: { songs: [] } }, EIGHTY), ['The queue is empty.']);
});

t.test('info tells all that is known', async t => {
  const song = songRow(10, 'Title', 'Artist', {
    album: 'Album',
    track: 3,
    disc: 2,
    year: 1999,
    size: 4_215_004,
    bitrate: 192_000,
    vbr: true,
    sampleRate: 44_100,
    channels: 2,
    hosts: ['192.0.2.7:7461', ':7461'],
    hostCount: 12,
  });
  const text = renderAnswer(
    { kind: 'info', songs: [song, songRow(11, 'Live', '', { live: true, channels: 1 })] },
    PLAIN,
  ).join('\n');
  for (const fact of [
    '3 of disc 2',
    '1999',
    '4.2 MB (4215004 bytes)',
    '192 kbit/s on average, 44.1 kHz, stereo',
    "tracker's machine:7461",
    '12 in all',
    song.hash!,
    'mono',
    'live',
  ]) {
    t.ok(text.includes(fact), fact);
  }
});

t.test('where nothing sounds it is said why, and what to do', async t => {
  const style = { width: Number.POSITIVE_INFINITY, color: false };
  const output = (name: string, why: string) => renderEvent({ kind: 'output', name, why }, style).join('\n');
  t.match(
    output('null', 'aplay is not installed'),
    /^There is no sound here.*aplay is not installed.*alsa-utils/,
  );
  t.equal(
    output('null', 'as asked'),
    'Sound goes to null: as asked',
    'silence that was asked for is no trouble',
  );
  const report = { sources: [], failed: [], verified: false };
  const failed = (error: Error) =>
    renderEvent(
      { kind: 'ended', song: songRow(10, 'T'), outcome: 'failed', stutters: 0, report, error },
      style,
    );
  t.match(failed(new OutputError('missing', 'none'))[2], /--output file:song.wav/);
  t.equal(failed(new TransportError('no host')).length, 2);
});

t.test('each song ends with what happened', async t => {
  const song = songRow(10, 'T');
  const report = { sources: [{ host: '10.0.0.4:7461', bytes: 9 }], failed: [], verified: true };
  t.equal(
    summaryOf({ song, outcome: 'finished', startedInMs: 9.2, stutters: 0, report }),
    'started in 9 ms · 0 stutters · 10.0.0.4:7461 · verified',
  );
  const mixed = {
    sources: [
      { host: '10.0.0.4:7461', bytes: 3 },
      { host: '10.0.0.5:7461', bytes: 1, name: 'kitchen' },
    ],
    failed: [{ host: '10.0.0.6:7461', why: 'sent bytes that are not the song', lied: true }],
    verified: true,
  };
  t.equal(
    summaryOf({ song, outcome: 'stopped', startedInMs: 12, stutters: 1, report: mixed }),
    'started in 12 ms · 1 stutter · 75 % 10.0.0.4 · 25 % kitchen · all verified · ' +
      '10.0.0.6:7461 lied: sent bytes that are not the song · stopped',
  );
  const nothing = { sources: [], failed: [], verified: false };
  t.equal(
    summaryOf({
      song,
      outcome: 'failed',
      stutters: 0,
      report: nothing,
      error: new TransportError('no host answers'),
    }),
    'no sound · 0 stutters · failed: no host answers.',
  );
});

t.test('status names the song, its state, the tracker and what is hosted', async t => {
  const peer = new FakePeer();
  const status: Answer = {
    kind: 'status',
    now: {
      ...peer.now,
      state: 'paused',
      song: songRow(10, 'T', 'A'),
      positionSeconds: 62,
      bufferedSeconds: 12.5,
    },
    queue: { songs: [songRow(10, 'T'), songRow(11, 'U')], current: 0 },
    status: {
      ...peer.status(),
      library: {
        scanning: { done: 1, total: 9 },
        skipped: [{ reason: 'not MP3', count: 2 }],
        unavailable: ['/music'],
      },
    },
  };
  t.same(renderAnswer(status, { width: 100, color: false }), [
    '10  T — A: paused, 1:02 of 3:07, 12 s buffered.',
    '1 more song in the queue.',
    'Volume 100 %.',
    'Tracker 127.0.0.1:7460: connected, listed as 192.0.2.7:7461.',
    'Hosting 3 songs on 0.0.0.0:7461; 1 listener, 4.2 MB sent.',
    'Reading the library: 1 of 9 files.',
    '/music is unavailable; its songs come back with it.',
    'Skipped 2 files: not MP3.',
  ]);
  t.match(trackerSentence({ ...peer.tracker, unreachable: true }), /cannot reach this peer/);
  t.match(
    trackerSentence({ ...peer.tracker, state: 'connecting', embedded: true }),
    /inside this process .*connecting/,
  );
  t.match(trackerSentence({ ...peer.tracker, listed: [] }), /connected\.$/);
  t.equal(
    trackerSentence({ ...peer.tracker, state: 'absent', why: 'it refuses connections' }),
    'No tracker answers on 127.0.0.1:7460 yet: it refuses connections. Trying again.',
  );
});

t.test('small numbers read well', async t => {
  t.equal(lengthOf(187.4), '3:07');
  t.equal(lengthOf(3_725), '1:02:05');
  t.equal(lengthOf(-1), '0:00');
  t.equal(lengthOf(Number.NaN), '0:00');
  t.equal(sizeOf(0), '0 B');
  t.equal(sizeOf(999), '999 B');
  t.equal(sizeOf(999_999), '1.0 MB');
  t.equal(sizeOf(42_150_040), '42 MB');
  t.equal(sizeOf(3e15), '3000 TB');
  t.equal(listChange(3, 1, 0), '3 songs added, 1 gone.');
  t.equal(listChange(0, 1, 5), '1 song gone.');
  t.equal(listChange(0, 0, 2), '2 songs changed.');
  t.equal(listChange(0, 0, 0), 'The list changed.');
  t.equal(nameOf(songRow(10, ' ')), 'song 10');
});

t.test('colour appears only on a terminal, and only if nobody minds', async t => {
  const terminal = {
    stdout: { columns: 100 },
    stderr: {},
    isTerminal: { stdin: true, stdout: true, stderr: true },
    env: {},
  };
  const style = (world: object, color = true) =>
    styleOf('stdout', { ...terminal, ...world } as never, { color });
  t.same(style({}), { width: 99, color: true });
  t.same(style({ env: { NO_COLOR: '1' } }).color, false);
  t.same(style({ env: { TERM: 'dumb' } }).color, false);
  t.same(style({}, false).color, false);
  t.same(style({ stdout: { columns: 0 } }).width, 79);
  t.same(style({ stdout: { columns: 5 } }).width, 19);
  t.same(style({ isTerminal: { stdin: true, stdout: false, stderr: true } }), PLAIN);
  const lit = renderEvent(
    { kind: 'started', song: songRow(1, 'T'), startedInMs: 1 },
    { width: 80, color: true },
  );
  t.same(lit, ['\x1b[32m▶\x1b[0m T']);
});

t.test('every answer and event has its JSON', async t => {
  const song = songRow(10, 'T');
  t.same(answerAsJson('list', { kind: 'songs', songs: [song], words: '', stale: false }), {
    command: 'list',
    songs: [song],
    stale: false,
  });
  t.same(answerAsJson('mute', { kind: 'said', text: 'Muted.', data: { muted: true } }), {
    command: 'mute',
    message: 'Muted.',
    muted: true,
  });
  t.match(answerAsJson('help', { kind: 'help', topic: 'seek' }), { commands: [{ name: 'seek' }] });
  t.match(answerAsJson('queue', { kind: 'queue', queue: { songs: [song], current: 0 } }), { current: 0 });
  t.match(
    answerAsJson('play', {
      kind: 'failure',
      failure: { code: 'busy', exitCode: 75, message: 'm', hint: 'h' },
    }),
    {
      command: 'play',
      error: { code: 'busy', message: 'm', hint: 'h' },
    },
  );
  t.equal(eventAsJson({ kind: 'progress' }), undefined);
  t.same(eventAsJson({ kind: 'library', songs: 3 }), { event: 'library', songs: 3 });
  const ended = eventAsJson({
    kind: 'ended',
    song,
    outcome: 'failed',
    stutters: 1,
    report: { sources: [], failed: [], verified: false },
    error: new TransportError('gone'),
  });
  t.match(ended, { event: 'ended', outcome: 'failed', error: { code: 'unreachable', message: 'gone.' } });
});
