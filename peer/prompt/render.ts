/**
 * Answers and events as lines for a person. Pure: what is said depends on the answer and the style alone.
 *
 * The rule: no line is wider than the style's width, and no line carries a control character besides our own colours.
 */
import type { SongRow } from '../../protocol/tsp/rows.js';
import { type Failure, failureOf, MEND_SOUND } from '../failures/failure.js';
import { AS_ASKED } from '../playback/output-choice.js';
import type { Answer } from './answers.js';
import type { EndedSong, NowPlaying, PeerEvent, PeerStatus, QueueView, TrackerView } from './peer-view.js';
import { artistOf, counted, lengthOf, nameOf, sizeOf, titleOf } from './render-song.js';
import { renderSources, wordOfTrust } from './render-sources.js';
import { painted, type Style } from './style.js';
import { type Column, layOut } from './table.js';
import { cutToWidth, fitToWidth, safeText, wrap } from './terminal-text.js';
import { COMMAND_NAMES, type CommandName, VOCABULARY } from './vocabulary.js';

/** A terminal shows this many rows of a list; the rest is only counted. Somebody who wants 10,000 lines pipes them. */
const MOST_ROWS_SHOWN = 500;
/** Of songs told in full, ten lines each. */
const MOST_INFOS_SHOWN = 50;

/** At least one line. */
export function renderAnswer(answer: Answer, style: Style): string[] {
  switch (answer.kind) {
    case 'songs':
      return renderSongs(answer, style);
    case 'info':
      return renderInfos(answer.songs, style);
    case 'chosen':
      return renderChosen(answer, style);
    case 'queue':
      return renderQueue(answer.queue, style);
    case 'said':
      return [cutToWidth(safeText(answer.text), style.width)];
    case 'status':
      return renderStatus(answer.now, answer.queue, answer.status, style);
    case 'help':
      return renderHelp(answer.topic, style);
    case 'failure':
      return renderFailure(answer.failure, style);
  }
}

/** Lines for an event; none for those that only redraw the now-playing line. */
export function renderEvent(event: PeerEvent, style: Style): string[] {
  switch (event.kind) {
    case 'started':
      return [mark('▶', 'green', nameOf(event.song), style)];
    case 'title':
      return [mark('♪', 'green', nameOf(event.song), style)];
    case 'ended':
      return renderEnded(event, style);
    case 'output':
      return wrap(outputSentence(event), style.width).map(line => dim(line, style));
    case 'list':
      return [dim(listChange(event.added, event.left, event.changed), style)];
    case 'tracker':
      return wrap(trackerSentence(event.tracker), style.width).map(line => dim(line, style));
    case 'library':
      return [`${counted(event.songs, 'song')} in the library.`, ...skippedSentences(event.skipped ?? [])]
        .flatMap(line => wrap(line, style.width))
        .map(line => dim(line, style));
    case 'notice':
      return wrap([event.message, event.hint ?? ''].join(' ').trim(), style.width).map(line =>
        dim(line, style),
      );
    case 'progress':
    case 'idle':
    case 'scanning':
      return [];
  }
}

/** An output that makes no sound and that nobody asked for is what was left. */
function outputSentence({ name, why }: Extract<PeerEvent, { kind: 'output' }>): string {
  if (name !== 'null' || why === AS_ASKED) return `Sound goes to ${name}: ${why}`;
  return `There is no sound here, so songs play in silence: ${why}. ${MEND_SOUND}`;
}

/** The message, and below it what to do. */
export function renderFailure({ message, hint }: Failure, style: Style): string[] {
  const lines = wrap(message, style.width).map(line => painted(line, 'red', style));
  if (hint !== undefined) lines.push(...wrap(hint, style.width).map(line => painted(line, 'dim', style)));
  return lines;
}

const SONG_COLUMNS: readonly Column<SongRow>[] = [
  { heading: 'ID', cell: song => String(song.id), align: 'right' },
  { heading: 'Title', cell: titleOf, atLeast: 12 },
  { heading: 'Artist', cell: artistOf, atLeast: 8, leaves: 3 },
  { heading: 'Length', cell: lengthCell, align: 'right', leaves: 2 },
  { heading: 'Hosts', cell: song => String(song.hostCount), align: 'right', leaves: 1 },
];

function lengthCell(song: SongRow): string {
  if (song.live === true) return 'live';
  return song.duration === undefined ? '' : lengthOf(song.duration);
}

function renderSongs(answer: Extract<Answer, { kind: 'songs' }>, style: Style): string[] {
  const { songs, words, stale } = answer;
  const note = stale ? ' The tracker is gone: this is its last list.' : '';
  if (songs.length === 0) {
    const nothing = words === '' ? 'No songs are listed yet.' : `No song matches “${safeText(words)}”.`;
    return [cutToWidth(nothing + note, style.width)];
  }
  const most = style.width === Number.POSITIVE_INFINITY ? songs.length : MOST_ROWS_SHOWN;
  const lines = renderSongTable(songs.slice(0, most), style);
  if (songs.length > most)
    lines.push(dim(`… and ${songs.length - most} more; list WORDS shows fewer.`, style));
  lines.push(dim(`${counted(songs.length, 'song')}.${note}`, style));
  return lines;
}

/** Heading and rows. */
function renderSongTable(songs: readonly SongRow[], style: Style): string[] {
  const { heading, rows } = layOut(songs, SONG_COLUMNS, style.width);
  return [painted(heading, 'bold', style), ...rows];
}

function renderInfos(songs: readonly SongRow[], style: Style): string[] {
  if (songs.length === 0) return [cutToWidth('No songs are listed yet.', style.width)];
  const most = style.width === Number.POSITIVE_INFINITY ? songs.length : MOST_INFOS_SHOWN;
  const lines = songs
    .slice(0, most)
    .flatMap((song, index) => [...(index > 0 ? [''] : []), ...renderInfo(song, style)]);
  if (songs.length > most)
    lines.push('', dim(`… and ${songs.length - most} more; info ID tells of one.`, style));
  return lines;
}

const LABEL_COLUMNS = 14;

/** Everything known of a song, a fact a line. */
function renderInfo(song: SongRow, style: Style): string[] {
  const facts: [string, string | undefined][] = [
    ['ID', String(song.id)],
    ['Title', titleOf(song)],
    ['Artist', artistOf(song)],
    ['Album', safeText(song.album ?? '')],
    ['Album artist', safeText(song.albumArtist ?? '')],
    ['Track', trackOf(song)],
    ['Year', song.year?.toString()],
    ['Genre', safeText(song.genre ?? '')],
    ['Length', song.live === true ? 'live' : song.duration === undefined ? '' : lengthOf(song.duration)],
    ['Size', song.size === undefined ? '' : `${sizeOf(song.size)} (${song.size} bytes)`],
    ['Sound', soundOf(song)],
    ['Hosts', hostsOf(song)],
    [song.feed === undefined ? 'Hash' : 'Feed', song.hash ?? song.feed],
  ];
  const known = facts.filter(
    (fact): fact is [string, string] => fact[1] !== undefined && fact[1].trim() !== '',
  );
  const labels = Math.min(LABEL_COLUMNS, Math.floor(style.width / 2));
  return known.flatMap(([label, value]) =>
    wrap(value, style.width - labels).map(
      (line, index) => painted(fitToWidth(index === 0 ? label : '', labels), 'dim', style) + line,
    ),
  );
}

const trackOf = ({ track, disc }: SongRow): string | undefined =>
  disc === undefined || track === undefined ? track?.toString() : `${track} of disc ${disc}`;

function soundOf(song: SongRow): string {
  const { bitrate, vbr, sampleRate, channels } = song;
  const parts = [
    bitrate === undefined ? '' : `${Math.round(bitrate / 1_000)} kbit/s${vbr === true ? ' on average' : ''}`,
    sampleRate === undefined ? '' : `${sampleRate / 1_000} kHz`,
    channels === undefined
      ? ''
      : channels === 1
        ? 'mono'
        : channels === 2
          ? 'stereo'
          : `${channels} channels`,
  ];
  return parts.filter(part => part !== '').join(', ');
}

function hostsOf({ hosts, hostCount }: SongRow): string {
  const shown = hosts.map(host => (host.startsWith(':') ? `tracker's machine${host}` : safeText(host)));
  return hostCount > shown.length ? `${shown.join(', ')} … ${hostCount} in all` : shown.join(', ');
}

function renderChosen(answer: Extract<Answer, { kind: 'chosen' }>, style: Style): string[] {
  const { songs, others, when } = answer;
  const [first] = songs;
  const verb = when === 'now' ? 'Playing' : 'Added';
  const what = songs.length === 1 && first ? `${first.id}  ${nameOf(first)}` : counted(songs.length, 'song');
  const more =
    others > 0 ? ` (${counted(others, 'other')} would match; list with the same words shows them)` : '';
  const lines = wrap(`${verb} ${what}${more}`, style.width);
  if (songs.length > 1) lines.push(...renderSongTable(songs, style));
  return lines;
}

function renderQueue({ songs, current }: QueueView, style: Style): string[] {
  if (songs.length === 0) return [cutToWidth('The queue is empty.', style.width)];
  const here: Column<readonly [SongRow, number]> = {
    heading: '',
    cell: ([, index]) => (index === current ? '▶' : ''),
  };
  const columns = SONG_COLUMNS.map(
    (column): Column<readonly [SongRow, number]> => ({ ...column, cell: ([song]) => column.cell(song) }),
  );
  const numbered = songs.map((song, index) => [song, index] as const);
  const { heading, rows } = layOut(numbered, [here, ...columns], style.width);
  return [painted(heading, 'bold', style), ...rows];
}

function renderStatus(now: NowPlaying, queue: QueueView, status: PeerStatus, style: Style): string[] {
  const { hosting, library, tracker, address } = status;
  const left = queue.current === undefined ? 0 : queue.songs.length - queue.current - 1;
  const lines = [
    playingSentence(now),
    ...(left > 0 ? [`${counted(left, 'more song')} in the queue.`] : []),
    `Volume ${now.volume} %${now.muted ? ', muted' : ''}.`,
    trackerSentence(tracker),
    hostingSentence(hosting, address),
    ...(library.scanning
      ? [`Reading the library: ${library.scanning.done} of ${library.scanning.total} files.`]
      : []),
    ...library.unavailable.map(path => `${path} is unavailable; its songs come back with it.`),
    ...skippedSentences(library.skipped),
  ];
  return lines.flatMap(line => wrap(line, style.width));
}

const skippedSentences = (skipped: PeerStatus['library']['skipped']): string[] =>
  skipped.map(({ reason, count }) => `Skipped ${counted(count, 'file')}: ${reason}.`);

function playingSentence(now: NowPlaying): string {
  const { state, song, positionSeconds, bufferedSeconds, waiting, sources = [] } = now;
  if (song === undefined || state === 'stopped') return 'Nothing is playing: stopped.';
  const length = song.duration === undefined ? '' : ` of ${lengthOf(song.duration)}`;
  const buffer = `${Math.floor(bufferedSeconds)} s buffered`;
  const why = waiting === undefined ? '' : ` (${safeText(waiting)})`;
  const from = sources.length === 0 ? '' : `, from ${renderSources(sources)}`;
  return `${song.id}  ${nameOf(song)}: ${state}${why}, ${lengthOf(positionSeconds)}${length}, ${buffer}${from}.`;
}

function hostingSentence(hosting: PeerStatus['hosting'], address: string | undefined): string {
  if (address === undefined) return 'Not hosting: the song server does not listen.';
  const listeners = `${counted(hosting.listeners, 'listener')}, ${sizeOf(hosting.sentBytes)} sent`;
  return `Hosting ${counted(hosting.songs, 'song')} on ${address}; ${listeners}.`;
}

/** Where the tracker is and how we stand with it. */
export function trackerSentence(tracker: TrackerView): string {
  const { address, embedded, state, listed, unreachable } = tracker;
  const name = tracker.name === undefined ? '' : ` “${safeText(tracker.name)}”`;
  const where = `Tracker${name} ${embedded ? 'inside this process ' : ''}${address}`;
  if (state === 'connecting') return `${where}: connecting.`;
  if (state === 'absent') return `${noTrackerYet(tracker)} Trying again.`;
  if (state === 'lost') return `${where} is gone: the list may be old; what plays goes on. Trying again.`;
  if (unreachable)
    return `${where}: it cannot reach this peer, so its songs are not listed; tsp-peer doctor says more.`;
  return listed.length === 0
    ? `${where}: connected.`
    : `${where}: connected, listed as ${listed.join(', ')}.`;
}

/** An answer that takes longer is missed, and what it waits for is said. */
export const SAY_WAITING_MS = 500;

export const waitingForTracker = (address: string, { width }: Style): string =>
  cutToWidth(`Waiting for the tracker ${address} …`, width);

/** Which tracker is missing, and why, as far as that is known. */
export const noTrackerYet = ({ address, why }: TrackerView): string =>
  `No tracker answers on ${address} yet${why === undefined ? '' : `: ${why}`}.`;

/**
 * The line that each song ends with: `started in 9 ms · 0 stutters · 10.0.0.4:7461 · verified`, or with the mix of several
 * sources: `… · 62 % 10.0.0.4 · 38 % kitchen · all verified`.
 */
export function summaryOf({ startedInMs, stutters, report, outcome, error }: EndedSong): string {
  const parts = [
    startedInMs === undefined ? 'no sound' : `started in ${Math.round(startedInMs)} ms`,
    counted(stutters, 'stutter'),
    ...(report.sources.length === 0 ? [] : [renderSources(report.sources)]),
    ...[wordOfTrust(report) ?? []].flat(),
    ...report.failed.map(
      ({ host, why, lied }) => `${safeText(host)} ${lied ? 'lied' : 'failed'}: ${safeText(why)}`,
    ),
    ...(outcome === 'stopped' ? ['stopped'] : []),
    ...(outcome === 'failed'
      ? [`failed: ${safeText(error === undefined ? 'no reason' : failureOf(error).message)}`]
      : []),
  ];
  return parts.join(' · ');
}

function renderEnded(event: EndedSong, style: Style): string[] {
  const failedHere = event.outcome === 'failed';
  const lines = [mark(failedHere ? '✗' : '■', failedHere ? 'red' : 'cyan', nameOf(event.song), style)];
  const indent = style.width > 2 ? '  ' : '';
  const hint = failedHere ? failureOf(event.error).hint : undefined;
  const below = [summaryOf(event), ...(hint === undefined ? [] : [hint])];
  return lines.concat(
    below.flatMap(text => wrap(text, style.width - indent.length)).map(line => dim(indent + line, style)),
  );
}

/** `3 songs added, 1 gone`. */
export function listChange(added: number, left: number, changed: number): string {
  const parts = [
    added > 0 ? `${counted(added, 'song')} added` : '',
    left > 0 ? `${added > 0 ? left : counted(left, 'song')} gone` : '',
    changed > 0 && added + left === 0 ? `${counted(changed, 'song')} changed` : '',
  ];
  return `${parts.filter(part => part !== '').join(', ') || 'The list changed'}.`;
}

const MORE_HELP = [
  'Numbers are song IDs; anything else is words, and the best match plays. Quotes keep words together: play "1999" 12. Tab completes commands and titles.',
  'Commands can be piped in as well: each is answered in turn, and the queue plays out. With --json each command is answered by one object, {"command":"list","songs":[…]} or {"command":"play","error":{"code","message","hint"}}, and what happens by itself is {"event":"started"}, "ended", "title", "idle", "list", "tracker", "library", "output" or "notice".',
];

function renderHelp(topic: CommandName | undefined, style: Style): string[] {
  if (topic !== undefined)
    return wrap(`${VOCABULARY[topic].usage}: ${VOCABULARY[topic].summary}.`, style.width);
  const { rows } = layOut(
    COMMAND_NAMES,
    [
      { heading: '', cell: name => VOCABULARY[name].usage },
      { heading: '', cell: name => VOCABULARY[name].summary, atLeast: 10, leaves: 1 },
    ],
    style.width,
  );
  return [...rows, ...MORE_HELP.flatMap(text => ['', ...wrap(text, style.width)])];
}

function mark(sign: string, paint: 'green' | 'red' | 'cyan', text: string, style: Style): string {
  const cut = cutToWidth(`${sign} ${text}`, style.width);
  return painted(cut.slice(0, 1), paint, style) + cut.slice(1);
}

const dim = (line: string, style: Style): string => painted(cutToWidth(line, style.width), 'dim', style);
