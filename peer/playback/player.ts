/**
 * Plays the queue: which song's turn it is, what is fetched ahead, and what happened to each.
 *
 *     queue    a   b   c   d          turn: a song from when it is opened until its sound has ended
 *     turns    [a ▶][b ⇣]             the first sounds, those after it are fetched ahead and handed over behind it
 *
 * Knows neither sound nor network: songs open themselves, the audio process plays. Each song ends with exactly one `ended`,
 * whatever becomes of it. When the audio process dies, the song goes on from where the sound was.
 */
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import type { AudioEvent, AudioProcess } from './audio-messages.js';
import { DecoderError } from './decoders/decoder.js';
import type { PlayableSong, PlayerEvent, PlayerState, SongSummary } from './player-events.js';
import { Queue } from './queue.js';
import { Turn } from './turn.js';

/** The next song is opened when this one has so much left, or is wholly fetched, whichever is earlier. */
const AHEAD_SECONDS = 30;
/** Songs opened at a time: short ones need more than one ahead, and each may hold a window of bytes. */
const MAX_TURNS = 4;
/** `prev` further into a song than this begins it again. */
const PREV_RESTARTS_AFTER_SECONDS = 3;
/** A song in which the audio process died so often is left. */
const MAX_RESTARTS = 3;

export class Player {
  readonly #audio: AudioProcess;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<(event: PlayerEvent) => void>();
  readonly #queue = new Queue<PlayableSong>();
  /** Of the songs from the queue's current one on, as far as they are opened. */
  #turns: Turn[] = [];
  #paused = false;
  #volume = 100;
  #muted = false;
  #output: string | undefined;

  constructor(options: { readonly audio: AudioProcess; readonly clock: Clock; readonly logger: Logger }) {
    this.#audio = options.audio;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#audio.onEvent(event => this.#heard(event));
  }

  /** These songs instead of all others, the first at once. */
  play(songs: readonly PlayableSong[]): void {
    const askedAt = this.#clock.now();
    const before = this.#drop();
    this.#queue.replace(songs);
    this.#playCurrent(askedAt);
    this.#tellStopped(before);
  }

  /** These songs after all others; at once if nothing plays. */
  enqueue(songs: readonly PlayableSong[]): void {
    const askedAt = this.#clock.now();
    if (this.#turns.length === 0) this.#queue.playOut();
    this.#queue.append(songs);
    if (this.#turns.length === 0) this.#playCurrent(askedAt);
    else this.#openAhead();
  }

  /** Silence, at once. The queue stays: `next` and `prev` go on from here. */
  stop(): void {
    const before = this.#drop();
    if (before === undefined) return;
    this.#resumeAudio();
    this.#tellStopped(before);
    this.#tellIdle();
  }

  pause(): void {
    if (this.#paused || this.#turns.length === 0) return;
    this.#paused = true;
    this.#audio.pause();
    this.#progress();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#resumeAudio();
    this.#progress();
  }

  /** To so many seconds into the song; past its end, to the next song or to silence. */
  seek(seconds: number): void {
    const turn = this.#turns[0];
    if (turn === undefined) return;
    const isPastEnd = turn.durationSeconds !== undefined && seconds >= turn.durationSeconds;
    if (!isPastEnd) this.#reopen(turn, Math.max(0, seconds));
    else if (!this.next()) this.stop();
  }

  /** False when there is no song after this one. */
  next(): boolean {
    return this.#jump(1);
  }

  /** The song before, or this one again when it has played for a while. False when there is none. */
  prev(): boolean {
    const turn = this.#turns[0];
    if (turn !== undefined && turn.positionSeconds > PREV_RESTARTS_AFTER_SECONDS) {
      this.#reopen(turn, 0);
      return true;
    }
    return this.#jump(this.#turns.length === 0 && this.#queue.current !== undefined ? 0 : -1);
  }

  /** 0 … 100; what is beyond is taken as the end of the dial. */
  volume(percent: number): void {
    this.#volume = Math.min(100, Math.max(0, percent));
    this.#audio.volume({ percent: this.#volume, muted: this.#muted });
    this.#progress();
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#audio.volume({ percent: this.#volume, muted });
    this.#progress();
  }

  state(): PlayerState {
    const turn = this.#turns[0];
    const state = this.#stateOf(turn);
    return {
      state,
      ...(turn && { song: turn.song.row, current: this.#queue.cursor }),
      ...(turn?.durationSeconds !== undefined && { durationSeconds: turn.durationSeconds }),
      positionSeconds: turn?.positionSeconds ?? 0,
      bufferedSeconds: turn?.bufferedSeconds ?? 0,
      ...(turn && state === 'buffering' && { waiting: turn.waiting }),
      ...(turn && { sources: turn.report().sources }),
      volume: this.#volume,
      muted: this.#muted,
      queue: this.#queue.songs.map(song => song.row),
      ...(this.#output !== undefined && { output: this.#output }),
    };
  }

  /** Returns what ends the listening. */
  onEvent(listener: (event: PlayerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #stateOf(turn: Turn | undefined): PlayerState['state'] {
    if (turn === undefined) return 'stopped';
    if (this.#paused) return 'paused';
    return turn.sounding ? 'playing' : 'buffering';
  }

  #emit(event: PlayerEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #progress(): void {
    if (this.#turns.length > 0) this.#emit({ kind: 'progress', ...this.state() });
  }

  #resumeAudio(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#audio.resume();
  }

  #jump(distance: number): boolean {
    if (this.#queue.peek(distance) === undefined) return false;
    const askedAt = this.#clock.now();
    const before = this.#drop();
    this.#queue.move(distance);
    this.#playCurrent(askedAt);
    this.#tellStopped(before);
    return true;
  }

  #playCurrent(askedAt: Milliseconds): void {
    const song = this.#queue.current;
    if (song === undefined) return;
    this.#resumeAudio();
    const turn = new Turn({ song, audio: this.#audio, askedAt });
    this.#turns = [turn];
    turn.open({ urgency: 'now' });
    this.#handOver(turn);
  }

  /** Hands the turn's bytes over, and when they are all over, the next turn's. */
  #handOver(turn: Turn): void {
    void turn.handOver().then(whole => {
      if (!whole || !this.#turns.includes(turn)) return;
      this.#openAhead();
      const next = this.#turns[this.#turns.indexOf(turn) + 1];
      if (next !== undefined && !next.handedOver) this.#handOver(next);
    });
  }

  /** Opens the next song if it is time. */
  #openAhead(): void {
    const last = this.#turns.at(-1);
    const song = this.#queue.peek(this.#turns.length);
    if (last === undefined || song === undefined || this.#turns.length >= MAX_TURNS) return;
    if (!last.whole && !(last === this.#turns[0] && last.secondsLeft < AHEAD_SECONDS)) return;
    const next = new Turn({ song, audio: this.#audio, askedAt: this.#clock.now() });
    this.#turns.push(next);
    next.open({ urgency: 'ahead' });
    if (last.whole) this.#handOver(next);
  }

  #heard(event: AudioEvent): void {
    switch (event.is) {
      case 'output':
        this.#output = event.name;
        this.#emit({ kind: 'output', name: event.name, why: event.why });
        break;
      case 'silent':
        this.#silenced(event.error);
        break;
      case 'restarted':
        this.#restarted(event.why);
        break;
      default:
        this.#heardOf(event);
    }
  }

  #heardOf(event: Extract<AudioEvent, { song: number }>): void {
    const turn = this.#turns.find(each => each.audioSong === event.song);
    if (turn === undefined) return;
    if (event.is === 'started') this.#started(turn, event.agoMs);
    else if (event.is === 'position') this.#moved(turn, event);
    else this.#ended(turn, event);
  }

  #started(turn: Turn, agoMs: number): void {
    if (!turn.sounds(this.#clock.now() - agoMs)) return;
    this.#emit({ kind: 'started', song: turn.song.row, startedInMs: turn.startedInMs! });
  }

  #moved(turn: Turn, position: Extract<AudioEvent, { is: 'position' }>): void {
    turn.moved(position);
    this.#openAhead();
    if (turn === this.#turns[0]) this.#progress();
  }

  #ended(turn: Turn, event: Extract<AudioEvent, { is: 'ended' }>): void {
    turn.stuttered(event.stutters);
    const broken =
      turn.streamError ?? (event.failure === undefined ? undefined : new DecoderError(event.failure));
    this.#end(turn, broken === undefined ? 'finished' : 'failed', broken);
  }

  /** The turn is over: the next one's, if there is one. What follows is under way before anybody is told. */
  #end(turn: Turn, outcome: SongSummary['outcome'], error?: unknown): void {
    const now = this.#clock.now();
    this.#turns = this.#turns.filter(each => each !== turn);
    this.#queue.advance();
    const next = this.#turns[0];
    if (next === undefined) {
      this.#playCurrent(now);
    } else {
      next.askedAt = now;
      if (!next.handedOver) this.#handOver(next);
      this.#openAhead();
    }
    if (this.#turns.length === 0) this.#resumeAudio();
    this.#tellEnd(turn, outcome, error);
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#turns.length === 0) this.#emit({ kind: 'idle' });
  }

  #tellStopped(turn: Turn | undefined): void {
    if (turn !== undefined) this.#tellEnd(turn, 'stopped');
  }

  #tellEnd(turn: Turn, outcome: SongSummary['outcome'], error?: unknown): void {
    turn.close();
    const { startedInMs, stutters } = turn;
    const summary: SongSummary = {
      ...(startedInMs !== undefined && { startedInMs }),
      stutters,
      report: turn.report(),
      outcome,
      ...(error !== undefined && { reason: error instanceof Error ? error.message : String(error), error }),
    };
    this.#emit({ kind: 'ended', song: turn.song.row, summary });
  }

  /** Ends all turns at once. Gives the first, of which alone anything was heard. */
  #drop(): Turn | undefined {
    if (this.#turns.length > 0) this.#audio.flush(this.#lastSong());
    const turns = this.#turns;
    this.#turns = [];
    for (const turn of turns) turn.close();
    return turns[0];
  }

  /** Plays the turn from elsewhere; what was opened behind it is opened again in time. */
  #reopen(turn: Turn, seconds: number): void {
    this.#audio.flush(this.#lastSong());
    for (const ahead of this.#turns.slice(1)) ahead.close();
    this.#turns = [turn];
    turn.open({ urgency: 'now', seconds });
    this.#handOver(turn);
    this.#progress();
  }

  #lastSong(): number {
    return Math.max(0, ...this.#turns.map(turn => turn.audioSong ?? 0));
  }

  #restarted(why: string): void {
    if (this.#paused) this.#audio.pause();
    const turn = this.#turns[0];
    if (turn === undefined) return;
    this.#logger.warn(
      { why, song: turn.song.row.id, at: turn.positionSeconds },
      'the sound broke off and goes on',
    );
    turn.restarts++;
    if (turn.restarts < MAX_RESTARTS) {
      this.#reopen(turn, turn.positionSeconds);
      return;
    }
    for (const ahead of this.#turns.slice(1)) ahead.close();
    this.#turns = [turn];
    this.#end(turn, 'failed', new Error(`the audio process died ${MAX_RESTARTS} times in this song: ${why}`));
  }

  #silenced(error: Error): void {
    const turn = this.#drop();
    if (turn === undefined) return;
    this.#resumeAudio();
    this.#tellEnd(turn, 'failed', error);
    this.#tellIdle();
  }
}
