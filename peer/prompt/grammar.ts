/**
 * What a typed line means: one line in, one command (or one clear complaint) out.
 *
 *     play 10 11            songs 10 and 11            every word is a number: song IDs
 *     play 99 luftballons   the song 99 luftballons    otherwise the line is words
 *     play "1999" 10        the song 1999, then 10     quotes say what belongs together, and that it is no ID
 *
 * Nothing is looked up here; whether a song exists is the peer's to say.
 */
import { FIRST_SONG_ID, LAST_SONG_ID } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { isSongId } from '../../protocol/tsp/song-id.js';
import { closestTo } from './did-you-mean.js';
import { COMMAND_NAMES, type CommandName, commandNamed, VOCABULARY } from './vocabulary.js';

/** A song as a person names it. */
export type WantedSong =
  | { readonly by: 'id'; readonly id: SongId }
  | { readonly by: 'words'; readonly words: string };

/** Where to go in a song, in seconds. */
export type SeekTarget =
  | { readonly to: 'second'; readonly seconds: number }
  | { readonly to: 'offset'; readonly seconds: number };

/** Loudness, in per cent of full. */
export type VolumeTarget =
  | { readonly to: 'level'; readonly percent: number }
  | { readonly to: 'offset'; readonly percent: number };

export type Command =
  | { readonly name: 'list'; readonly words: string }
  | { readonly name: 'find'; readonly words: string }
  | { readonly name: 'info' | 'play' | 'queue'; readonly wanted: readonly WantedSong[] }
  | { readonly name: 'seek'; readonly target: SeekTarget }
  | { readonly name: 'volume'; readonly target?: VolumeTarget }
  | { readonly name: 'help'; readonly topic?: CommandName }
  | { readonly name: 'stop' | 'pause' | 'resume' | 'next' | 'prev' | 'mute' | 'status' | 'quit' };

export type Parsed =
  | { readonly is: 'command'; readonly command: Command }
  | { readonly is: 'problem'; readonly name?: CommandName; readonly message: string; readonly hint?: string }
  | { readonly is: 'nothing' };

/** A line is at most this long, in UTF-16 units: no title needs more, and a pasted file is no command. */
export const MAX_LINE_LENGTH = 4_096;

/** Parses one line. A line that is empty or begins with # means nothing. */
export function parseLine(line: string): Parsed {
  const trimmed = line.trim();
  if (trimmed === '' || trimmed.startsWith('#')) return { is: 'nothing' };
  if (trimmed.length > MAX_LINE_LENGTH)
    return problem(`This line is longer than ${MAX_LINE_LENGTH} characters.`);
  const [word] = trimmed.split(/\s/, 1) as [string];
  const name = commandNamed(word);
  if (name === undefined) return unknownCommand(word);
  return parseArgument(name, trimmed.slice(word.length).trim());
}

function parseArgument(name: CommandName, argument: string): Parsed {
  const { usage, optional, argument: kind } = VOCABULARY[name];
  if (argument === '' && !optional) return problem(`${name} wants to know what: ${usage}`, name);
  if (argument !== '' && kind === 'none')
    return problem(`${name} takes nothing after it.`, name, `Just: ${usage}`);
  switch (name) {
    case 'list':
    case 'find':
      if (!optional && unquoted(argument) === '')
        return problem(`${name} wants words, not empty quotes.`, name);
      return { is: 'command', command: { name, words: unquoted(argument) } };
    case 'info':
    case 'play':
    case 'queue':
      return parseSongs(name, argument);
    case 'seek':
      return parseSeek(argument);
    case 'volume':
      return parseVolume(argument);
    case 'help':
      return parseHelp(argument);
    default:
      return { is: 'command', command: { name } };
  }
}

function parseSongs(name: 'info' | 'play' | 'queue', argument: string): Parsed {
  const tokens = tokenize(argument);
  if (!tokens.some(token => token.quoted) && !tokens.every(token => looksLikeNumber(token.text))) {
    return { is: 'command', command: { name, wanted: [{ by: 'words', words: argument }] } };
  }
  const wanted: WantedSong[] = [];
  for (const { text, quoted } of tokens) {
    if (quoted || !looksLikeNumber(text)) {
      if (text.trim() !== '') wanted.push({ by: 'words', words: text.trim() });
      continue;
    }
    const parsed = parseId(text);
    if ('problem' in parsed) return problem(parsed.problem, name, parsed.hint);
    wanted.push({ by: 'id', id: parsed.id });
  }
  if (wanted.length === 0 && argument !== '')
    return problem(`${name} wants an ID or words, not empty quotes.`, name);
  return { is: 'command', command: { name, wanted } };
}

/**
 * A song ID from text: 1 … 4294967294 in decimal digits. Also used for the arguments of one-shot commands, where
 * every argument must be one.
 */
export function parseId(
  text: string,
): { readonly id: SongId } | { readonly problem: string; readonly hint: string } {
  const hint = 'list shows the IDs; find looks for words.';
  const shown = text.length > 24 ? `${text.slice(0, 24)}…` : text;
  if (!/^\d+$/.test(text)) {
    return { problem: `“${shown}” is no song ID: an ID is a number such as 10.`, hint };
  }
  const value = Number(text);
  if (!isSongId(value)) {
    return { problem: `${shown} is no song ID: IDs go from ${FIRST_SONG_ID} to ${LAST_SONG_ID}.`, hint };
  }
  return { id: value };
}

/** Signs and fractions too, so that `play -1` is told what an ID is instead of being searched for. */
export const looksLikeNumber = (text: string): boolean => /^[+-]?\d+(?:\.\d+)?$/.test(text);

function parseSeek(argument: string): Parsed {
  const match = /^([+-]?)(?:(?:(\d{1,3}):)?(\d{1,5}):)?(\d{1,6}(?:\.\d{1,3})?)s?$/.exec(argument);
  if (match === null) {
    return problem(`“${argument}” is no time.`, 'seek', 'seek 90, seek 1:30, seek +10 or seek -10');
  }
  const [, sign, hours = '0', minutes = '0', rest = '0'] = match;
  const seconds = Number(hours) * 3_600 + Number(minutes) * 60 + Number(rest);
  const target: SeekTarget =
    sign === '' ? { to: 'second', seconds } : { to: 'offset', seconds: sign === '-' ? -seconds : seconds };
  return { is: 'command', command: { name: 'seek', target } };
}

function parseVolume(argument: string): Parsed {
  if (argument === '') return { is: 'command', command: { name: 'volume' } };
  const match = /^([+-]?)(\d{1,3})\s*%?$/.exec(argument);
  const percent = Number(match?.[2]);
  if (match === null || percent > 100) {
    return problem(
      `“${argument}” is no volume.`,
      'volume',
      'volume 80, volume +10 or volume -10; from 0 to 100',
    );
  }
  const sign = match[1];
  const target: VolumeTarget =
    sign === '' ? { to: 'level', percent } : { to: 'offset', percent: sign === '-' ? -percent : percent };
  return { is: 'command', command: { name: 'volume', target } };
}

function parseHelp(argument: string): Parsed {
  if (argument === '') return { is: 'command', command: { name: 'help' } };
  const topic = commandNamed(argument);
  return topic === undefined ? unknownCommand(argument) : { is: 'command', command: { name: 'help', topic } };
}

function unknownCommand(word: string): Parsed {
  const nearest = closestTo(word.toLowerCase(), COMMAND_NAMES);
  const shown = word.length > 24 ? `${word.slice(0, 24)}…` : word;
  const hint = nearest === undefined ? 'help shows what there is.' : `Did you mean ${nearest}?`;
  return { is: 'problem', message: `There is no command “${shown}”.`, hint };
}

function problem(message: string, name?: CommandName, hint?: string): Parsed {
  return { is: 'problem', message, ...(name && { name }), ...(hint !== undefined && { hint }) };
}

interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

/** Words, and what stands between double quotes as one. A quote that is never closed closes at the end. */
function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (const match of text.matchAll(/"([^"]*)(?:"|$)|([^\s"]+)/g)) {
    tokens.push(
      match[1] === undefined ? { text: match[2]!, quoted: false } : { text: match[1], quoted: true },
    );
  }
  return tokens;
}

const unquoted = (text: string): string =>
  tokenize(text)
    .map(token => token.text)
    .join(' ')
    .trim();
