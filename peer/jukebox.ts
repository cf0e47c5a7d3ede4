/**
 * Songs of a list made to sound: the player, its audio process, and where the bytes come from, in one piece.
 *
 *     rows ──▶ Player ──▶ SongFetcher ──▶ verified bytes ──▶ audio process
 *
 * The audio process is started by `warmUp`, or else by the first song, and ended by `close`.
 */
import type { SongRow } from '../protocol/tsp/rows.js';
import { playableSong, type SongSources } from './playable-song.js';
import type { ForkedAudio } from './playback/audio-process.js';
import { Player } from './playback/player.js';
import type { PlayerEvent } from './playback/player-events.js';
import type { NowPlaying, PeerEvent, PlayerControls, QueueView } from './prompt/peer-view.js';
import type { World } from './world.js';

export class Jukebox implements PlayerControls {
  readonly #sources: SongSources;
  readonly #audio: ForkedAudio;
  readonly #player: Player;
  readonly #listeners = new Set<(event: PeerEvent) => void>();

  /** `audio` is the jukebox's from now on. */
  constructor(audio: ForkedAudio, { clock, logger }: Pick<World, 'clock' | 'logger'>, sources: SongSources) {
    this.#sources = {
      ...sources,
      titled: song => {
        for (const listener of [...this.#listeners]) listener({ kind: 'title', song });
      },
    };
    this.#audio = audio;
    this.#player = new Player({ audio, clock, logger });
  }

  /** In the background, for songs that come later: an output that fails is told when one needs it. */
  warmUp(): void {
    void this.#audio.start({ rehearse: true });
  }

  /** Ends the song that plays; resolves when the output is closed and whole. */
  async close(): Promise<void> {
    this.#player.stop();
    await this.#audio.stop();
  }

  /** Returns what ends the listening. */
  onEvent(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener);
    const stop = this.#player.onEvent(event => listener(asPeerEvent(event)));
    return () => {
      this.#listeners.delete(listener);
      stop();
    };
  }

  play(songs: readonly SongRow[]): void {
    void this.#audio.start();
    this.#player.play(songs.map(row => playableSong(row, this.#sources)));
  }

  enqueue(songs: readonly SongRow[]): void {
    void this.#audio.start();
    this.#player.enqueue(songs.map(row => playableSong(row, this.#sources)));
  }

  stop(): void {
    this.#player.stop();
  }

  pause(): void {
    this.#player.pause();
  }

  resume(): void {
    this.#player.resume();
  }

  seek(seconds: number): void {
    this.#player.seek(seconds);
  }

  next(): boolean {
    return this.#player.next();
  }

  prev(): boolean {
    return this.#player.prev();
  }

  setVolume(percent: number): void {
    this.#player.volume(percent);
  }

  setMuted(muted: boolean): void {
    this.#player.mute(muted);
  }

  nowPlaying(): NowPlaying {
    const {
      song,
      durationSeconds: duration,
      queue: _queue,
      current: _current,
      output: _output,
      ...now
    } = this.#player.state();
    // What the song says of its own length counts more than what its host said.
    return { ...now, ...(song && { song: duration === undefined ? song : { ...song, duration } }) };
  }

  queue(): QueueView {
    const { queue, current } = this.#player.state();
    return { songs: queue, ...(current !== undefined && { current }) };
  }
}

function asPeerEvent(event: PlayerEvent): PeerEvent {
  if (event.kind === 'progress') return { kind: 'progress' };
  if (event.kind !== 'ended') return event;
  const { outcome, stutters, report, startedInMs, error } = event.summary;
  return {
    kind: 'ended',
    song: event.song,
    outcome,
    stutters,
    report,
    ...(startedInMs !== undefined && { startedInMs }),
    ...(outcome === 'failed' && { error }),
  };
}
