/** A peer without a network: a list of songs, a player that only remembers, events on demand. */
import type {
  NowPlaying,
  PeerEvent,
  PeerStatus,
  PeerView,
  PlayerControls,
  QueueView,
  SongListView,
  TrackerView,
} from '../../../peer/prompt/peer-view.js';
import { RequestError, TransportError } from '../../../protocol/errors.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import type { SongRow } from '../../../protocol/tsp/rows.js';
import { hashOf } from '../../support/content.js';

export function songRow(id: number, title: string, artist = '', more: Partial<SongRow> = {}): SongRow {
  return {
    id: id as SongId,
    hash: hashOf(id),
    title,
    ...(artist !== '' && { artist }),
    duration: 187.4,
    hosts: ['192.0.2.7:7461'],
    hostCount: 1,
    ...more,
  };
}

export class FakePeer implements PeerView, PlayerControls {
  readonly player: PlayerControls = this;
  readonly shownIds: number[] = [];
  songs: SongRow[] = [];
  stale = false;
  /** Until it resolves, the list is awaited. */
  arriving: Promise<void> | undefined;
  /** What the tracker knows besides the list. */
  elsewhere: SongRow[] = [];
  trackerGone = false;
  now: NowPlaying = { state: 'stopped', positionSeconds: 0, bufferedSeconds: 0, volume: 100, muted: false };
  queued: QueueView = { songs: [] };
  tracker: TrackerView = {
    address: '127.0.0.1:7460',
    state: 'registered',
    embedded: false,
    listed: ['192.0.2.7:7461'],
    unreachable: false,
  };
  peerStatus: Partial<PeerStatus> = {};
  readonly #listeners = new Set<(event: PeerEvent) => void>();

  emit(event: PeerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
  onEvent(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  list(): SongListView {
    return { songs: this.songs, stale: this.stale, awaited: this.arriving !== undefined };
  }
  async listed(): Promise<void> {
    await this.arriving;
  }
  async find(words: string): Promise<readonly SongRow[]> {
    if (this.trackerGone) throw new TransportError('127.0.0.1:7460 does not answer');
    return [...this.songs, ...this.elsewhere].filter(song => song.title?.includes(words));
  }
  async info(id: SongId | 0): Promise<readonly SongRow[]> {
    if (this.trackerGone) throw new TransportError('127.0.0.1:7460 does not answer');
    const all = [...this.songs, ...this.elsewhere];
    const rows = id === 0 ? all : all.filter(song => song.id === id);
    if (rows.length === 0 && id !== 0) throw new RequestError('no-such-song', `song ${id} is not listed`);
    return rows.map(song => ({ ...song, size: 4_215_004 }));
  }

  shown(songs: readonly SongRow[]): void {
    this.shownIds.push(...songs.map(song => song.id));
  }

  play(songs: readonly SongRow[]): void {
    this.queued = { songs, current: 0 };
    this.now = { ...this.now, state: 'playing', song: songs[0]!, positionSeconds: 0 };
    this.emit({ kind: 'started', song: songs[0]!, startedInMs: 9 });
  }
  enqueue(songs: readonly SongRow[]): void {
    this.queued = { ...this.queued, songs: [...this.queued.songs, ...songs] };
  }
  stop(): void {
    const { song } = this.now;
    const { song: _, ...rest } = this.now;
    this.now = { ...rest, state: 'stopped' };
    if (song) this.end(song, 'stopped');
  }
  /** The song ends by itself. */
  end(song: SongRow, outcome: 'finished' | 'stopped' | 'failed' = 'finished', error?: unknown): void {
    this.emit({
      kind: 'ended',
      song,
      outcome,
      startedInMs: 9,
      stutters: 0,
      report: { sources: [{ host: '10.0.0.4:7461', bytes: 100 }], failed: [], verified: true },
      ...(error !== undefined && { error }),
    });
    const { song: _, ...rest } = this.now;
    this.now = { ...rest, state: 'stopped' };
    this.emit({ kind: 'idle' });
  }
  pause(): void {
    this.now = { ...this.now, state: 'paused' };
  }
  resume(): void {
    this.now = { ...this.now, state: 'playing' };
  }
  seek(seconds: number): void {
    this.now = { ...this.now, positionSeconds: seconds };
  }
  next(): boolean {
    return this.#move(1);
  }
  prev(): boolean {
    return this.#move(-1);
  }
  #move(by: number): boolean {
    const index = (this.queued.current ?? 0) + by;
    const song = this.queued.songs[index];
    if (song === undefined) return false;
    this.queued = { ...this.queued, current: index };
    this.now = { ...this.now, song };
    return true;
  }
  setVolume(percent: number): void {
    this.now = { ...this.now, volume: percent };
  }
  setMuted(muted: boolean): void {
    this.now = { ...this.now, muted };
  }
  nowPlaying(): NowPlaying {
    return this.now;
  }
  queue(): QueueView {
    return this.queued;
  }
  status(): PeerStatus {
    return {
      tracker: this.tracker,
      address: '0.0.0.0:7461',
      hosting: { songs: 3, listeners: 1, sentBytes: 4_215_004 },
      library: { skipped: [], unavailable: [] },
      ...this.peerStatus,
    };
  }
}
