/**
 * Tab completion: command names first, then the titles that fit what stands after the command.
 *
 *     pl⇥          play
 *     play thr⇥    play Thriller
 *     help vo⇥     help volume
 */
import type { SongRow } from '../../protocol/tsp/rows.js';
import { folded } from './match.js';
import { titleOf } from './render-song.js';
import { COMMAND_NAMES, commandNamed, VOCABULARY } from './vocabulary.js';

/** More titles than this help nobody; also bounds what a terminal prints after a second tab. */
const MOST_COMPLETIONS = 50;

/** Readline's shape: what could stand there, and the part of the line that it would replace. */
export type Completion = [candidates: string[], replaced: string];

export function complete(line: string, songs: Iterable<SongRow>): Completion {
  const start = line.trimStart();
  const space = start.search(/\s/);
  if (space === -1) {
    const lower = start.toLowerCase();
    return [COMMAND_NAMES.filter(name => name.startsWith(lower)).map(name => `${name} `), start];
  }
  const name = commandNamed(start.slice(0, space));
  const typed = start.slice(space).trimStart();
  if (name === undefined) return [[], typed];
  switch (VOCABULARY[name].argument) {
    case 'topic':
      return [COMMAND_NAMES.filter(candidate => candidate.startsWith(typed.toLowerCase())), typed];
    case 'songs':
    case 'words':
      return [titlesLike(typed, songs), typed];
    default:
      return [[], typed];
  }
}

function titlesLike(typed: string, songs: Iterable<SongRow>): string[] {
  const beginning = folded(typed.replace(/^"/, ''));
  const titles = new Set<string>();
  for (const song of songs) {
    if (song.title === undefined || !folded(song.title).startsWith(beginning)) continue;
    titles.add(asArgument(titleOf(song)));
    if (titles.size === MOST_COMPLETIONS) break;
  }
  return [...titles].sort((one, other) => one.localeCompare(other));
}

/** A title that is all numbers would be read as IDs without quotes; quotes within one would divide it. */
const asArgument = (title: string): string =>
  /^[\d\s.+-]+$/.test(title) ? `"${title}"` : title.replaceAll('"', ' ');
