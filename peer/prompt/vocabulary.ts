/**
 * The words of the prompt, one row a command: how it is written, what it does, what it completes.
 *
 * Parsing, help, completion and did-you-mean all read this one table.
 */

/** What stands after a command's name, for parsing and completion. */
export type ArgumentKind = 'none' | 'songs' | 'words' | 'time' | 'percentage' | 'topic';

interface Entry {
  readonly usage: string;
  readonly summary: string;
  readonly argument: ArgumentKind;
  /** Whether the command means something without an argument. */
  readonly optional: boolean;
}

const entry = (usage: string, summary: string, argument: ArgumentKind, optional = true): Entry => ({
  usage,
  summary,
  argument,
  optional,
});

export const VOCABULARY = {
  list: entry('list [words]', 'the songs that can be played, or those that match', 'words'),
  info: entry('info [id or words]', 'everything known of a song, or of all', 'songs'),
  find: entry('find <words>', 'ask the tracker, which knows albums, too; best match first', 'words', false),
  play: entry('play <id or words> …', 'play now; several IDs play one after the other', 'songs', false),
  queue: entry('queue [id or words] …', 'what comes next; with songs: add them at the end', 'songs'),
  pause: entry('pause', 'hold the song', 'none'),
  resume: entry('resume', 'go on after pause', 'none'),
  stop: entry('stop', 'end the song', 'none'),
  next: entry('next', 'the next song of the queue', 'none'),
  prev: entry('prev', 'the song before', 'none'),
  seek: entry('seek <time>', 'to 1:30, or by +10 or -10 seconds', 'time', false),
  volume: entry('volume [0–100]', 'loudness in per cent, or by +10 or -10', 'percentage'),
  mute: entry('mute', 'silence, and back', 'none'),
  status: entry('status', 'the song, its state, the tracker, who listens here', 'none'),
  help: entry('help [command]', 'this', 'topic'),
  quit: entry('quit', 'leave (Ctrl-D does too)', 'none'),
} as const satisfies Record<string, Entry>;

export type CommandName = keyof typeof VOCABULARY;
export const COMMAND_NAMES = Object.keys(VOCABULARY) as readonly CommandName[];

/** What people type out of habit from other programs. */
const HABITS: Readonly<Record<string, CommandName>> = {
  ls: 'list',
  search: 'find',
  add: 'queue',
  skip: 'next',
  previous: 'prev',
  vol: 'volume',
  exit: 'quit',
  '?': 'help',
};

/** The command that `word` names, in whatever case. */
export function commandNamed(word: string): CommandName | undefined {
  const lower = word.toLowerCase();
  if (Object.hasOwn(VOCABULARY, lower)) return lower as CommandName;
  return Object.hasOwn(HABITS, lower) ? HABITS[lower] : undefined;
}
