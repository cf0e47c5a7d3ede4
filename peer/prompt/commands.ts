/**
 * What each command does: a command and a peer in, an answer out.
 *
 * Every command is answered, and nothing is thrown: what goes wrong is an answer too, with its exit code. A command
 * that only changes the player answers at once; sound, or why there is none, follows as an event.
 */
import type { SongId } from '../../protocol/tsp/messages.js';
import type { SongRow } from '../../protocol/tsp/rows.js';
import { CommandError, EXIT, failureOf } from '../failures/failure.js';
import { type Answer, failed } from './answers.js';
import type { Command, SeekTarget, VolumeTarget, WantedSong } from './grammar.js';
import { SongMatcher } from './match.js';
import type { PeerView, SongListView, TrackerView } from './peer-view.js';
import { noTrackerYet } from './render.js';
import { lengthOf, nameOf } from './render-song.js';

export class CommandRunner {
  readonly #peer: PeerView;
  readonly #matcher = new SongMatcher();

  constructor(peer: PeerView) {
    this.#peer = peer;
  }

  async run(command: Command): Promise<Answer> {
    try {
      return await this.#run(command);
    } catch (error) {
      return failed(failureOf(error));
    }
  }

  async #run(command: Command): Promise<Answer> {
    const peer = this.#peer;
    switch (command.name) {
      case 'list': {
        const { songs: listed, stale } = await this.#list();
        const songs = this.#matcher.matches(listed, command.words);
        peer.shown(songs);
        return { kind: 'songs', songs, words: command.words, stale };
      }
      case 'find': {
        const { songs: listed, stale } = await this.#list();
        const { words } = command;
        const songs = stale ? this.#matcher.matches(listed, words) : await peer.find(words);
        peer.shown(songs);
        return { kind: 'songs', songs, words, stale };
      }
      case 'info': {
        const songs = await this.#info(command.wanted);
        peer.shown(songs);
        return { kind: 'info', songs };
      }
      case 'play':
      case 'queue':
        return this.#choose(command.name, command.wanted);
      case 'stop':
      case 'pause':
      case 'resume':
        return this.#hold(command.name);
      case 'next':
      case 'prev':
        return this.#skip(command.name);
      case 'seek':
        return this.#seek(command.target);
      case 'volume':
        return this.#volume(command.target);
      case 'mute': {
        const muted = !peer.player.nowPlaying().muted;
        peer.player.setMuted(muted);
        return { kind: 'said', text: muted ? 'Muted.' : 'Not muted any more.', data: { muted } };
      }
      case 'status':
        return {
          kind: 'status',
          now: peer.player.nowPlaying(),
          queue: peer.player.queue(),
          status: peer.status(),
        };
      case 'help':
        return { kind: 'help', ...(command.topic && { topic: command.topic }) };
      case 'quit':
        // What became of the song is told before the last word.
        peer.player.stop();
        return { kind: 'said', text: 'Bye.' };
    }
  }

  async #info(wanted: readonly WantedSong[]): Promise<readonly SongRow[]> {
    await this.#list();
    if (wanted.length === 0) return this.#peer.info(0);
    const { songs } = await this.#resolve(wanted);
    const detailed: SongRow[] = [];
    for (const song of songs) {
      const [row] = await this.#peer.info(song.id);
      detailed.push(row ?? song);
    }
    return detailed;
  }

  async #choose(name: 'play' | 'queue', wanted: readonly WantedSong[]): Promise<Answer> {
    if (wanted.length === 0) return { kind: 'queue', queue: this.#peer.player.queue() };
    const { songs, others } = await this.#resolve(wanted);
    if (name === 'play') this.#peer.player.play(songs);
    else this.#peer.player.enqueue(songs);
    return { kind: 'chosen', songs, others, when: name === 'play' ? 'now' : 'later' };
  }

  /** The songs that are meant, all or none: half of an order is not carried out. */
  async #resolve(wanted: readonly WantedSong[]): Promise<{ songs: SongRow[]; others: number }> {
    const { songs: listed } = await this.#list();
    const songs: SongRow[] = [];
    let others = 0;
    for (const want of wanted) {
      if (want.by === 'id') {
        songs.push(listed.find(row => row.id === want.id) ?? (await this.#askForId(want.id, listed)));
        continue;
      }
      const matches = this.#matcher.matches(listed, want.words);
      if (matches.length === 0) matches.push(...(await this.#askForWords(want.words)));
      songs.push(matches[0] as SongRow);
      others += matches.length - 1;
    }
    return { songs, others };
  }

  /** A person may be quicker than the tracker: what needs its list waits for that, and fails without one. */
  async #list(): Promise<SongListView> {
    const peer = this.#peer;
    if (peer.list().awaited) await peer.listed();
    const list = peer.list();
    if (list.awaited) throw noListYet(peer.status().tracker);
    return list;
  }

  /** A song that is not in our list may be in the tracker's: the last second's batch may still be on its way. */
  async #askForId(id: SongId, listed: readonly SongRow[]): Promise<SongRow> {
    const rows = await this.#peer.info(id).catch(emptyIfGone);
    const row = rows.find(candidate => candidate.id === id);
    if (row !== undefined) return row;
    const isTitle = this.#matcher.matches(listed, String(id)).length > 0;
    throw noSuchSong(id, isTitle ? `Words that are a number stand in quotes: "${id}".` : undefined);
  }

  async #askForWords(words: string): Promise<readonly SongRow[]> {
    const rows = await this.#peer.find(words).catch(emptyIfGone);
    if (rows.length === 0) throw nothingMatches(words);
    return rows;
  }

  #hold(name: 'stop' | 'pause' | 'resume'): Answer {
    const { state, song } = this.#peer.player.nowPlaying();
    if (song === undefined || state === 'stopped')
      return { kind: 'said', text: 'Nothing is playing.', data: { state } };
    if (name === 'resume' && state !== 'paused') return { kind: 'said', text: `${nameOf(song)} is playing.` };
    if (name === 'pause' && state === 'paused')
      return { kind: 'said', text: `${nameOf(song)} is paused already.` };
    this.#peer.player[name]();
    const done = { stop: 'Stopped', pause: 'Paused', resume: 'Going on with' }[name];
    return { kind: 'said', text: `${done} ${nameOf(song)}.`, data: { song } };
  }

  #skip(name: 'next' | 'prev'): Answer {
    const moved = this.#peer.player[name]();
    const { song } = this.#peer.player.nowPlaying();
    if (!moved) {
      const where = name === 'next' ? 'No song comes next' : 'No song came before';
      return { kind: 'said', text: `${where} in the queue.` };
    }
    return { kind: 'said', text: song ? `Now ${nameOf(song)}.` : 'Moved in the queue.', data: { song } };
  }

  #seek(target: SeekTarget): Answer {
    const { song, state, positionSeconds } = this.#peer.player.nowPlaying();
    if (song === undefined || state === 'stopped')
      return { kind: 'said', text: 'Nothing is playing.', data: { state } };
    if (song.live === true) {
      const message = `${nameOf(song)} is live: it has neither a beginning nor an end to go to.`;
      return failed({ code: 'bad-range', exitCode: EXIT.usage, message });
    }
    const aim = Math.max(0, target.to === 'second' ? target.seconds : positionSeconds + target.seconds);
    if (song.duration !== undefined && aim > song.duration) {
      const message = `${nameOf(song)} is only ${lengthOf(song.duration)} long.`;
      return failed({ code: 'bad-range', exitCode: EXIT.usage, message });
    }
    this.#peer.player.seek(aim);
    return {
      kind: 'said',
      text: `At ${lengthOf(aim)} of ${nameOf(song)}.`,
      data: { song, positionSeconds: aim },
    };
  }

  #volume(target: VolumeTarget | undefined): Answer {
    const { volume, muted } = this.#peer.player.nowPlaying();
    const aim =
      target === undefined ? volume : target.to === 'level' ? target.percent : volume + target.percent;
    const percent = Math.min(100, Math.max(0, aim));
    if (target !== undefined) this.#peer.player.setVolume(percent);
    const text = `Volume ${percent} %${muted ? ', muted' : ''}.`;
    return { kind: 'said', text, data: { volume: percent, muted } };
  }
}

/** Without the tracker there is only the list, which was asked already. */
function emptyIfGone(error: unknown): readonly SongRow[] {
  const { code, exitCode } = failureOf(error);
  if (code === 'no-such-song' || exitCode === EXIT.unavailable) return [];
  throw error;
}

const noListYet = (tracker: TrackerView): CommandError =>
  new CommandError({
    code: 'unreachable',
    exitCode: EXIT.unavailable,
    message:
      tracker.state === 'registered'
        ? `The tracker ${tracker.address} has not sent its list yet.`
        : noTrackerYet(tracker),
    hint: 'It is tried again and again; status says how that goes.',
  });

export const noSuchSong = (id: SongId, hint = 'list shows what there is now.'): CommandError =>
  new CommandError({
    code: 'no-such-song',
    exitCode: EXIT.failure,
    message: `There is no song ${id}.`,
    hint,
  });

export const nothingMatches = (words: string): CommandError => {
  const shown = words.length > 60 ? `${words.slice(0, 60)}…` : words;
  return new CommandError({
    code: 'no-such-song',
    exitCode: EXIT.failure,
    message: `“${shown}” is no song ID, and no title, artist or album has these words.`,
    hint: 'list shows what there is now.',
  });
};
