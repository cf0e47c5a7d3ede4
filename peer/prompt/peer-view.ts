/**
 * The peer as the prompt sees it: what can be asked, what can be ordered, what happens by itself.
 *
 * The prompt depends on this and not on sockets, so that its tests drive it with a fake.
 */
import type { SongId } from '../../protocol/tsp/messages.js';
import type { SongRow } from '../../protocol/tsp/rows.js';
import type { FetchReport, SongShare } from '../listening/song-stream.js';

export interface SongListView {
  readonly songs: readonly SongRow[];
  /** The tracker is gone: this is what it last said. */
  readonly stale: boolean;
  /** The tracker has not sent its list yet. */
  readonly awaited: boolean;
}

export interface NowPlaying {
  /** `stopped`: there is no song. `buffering`: the song waits for bytes. */
  readonly state: 'stopped' | 'buffering' | 'playing' | 'paused';
  readonly song?: SongRow;
  readonly positionSeconds: number;
  /** Of sound that is here already and not yet played. */
  readonly bufferedSeconds: number;
  /** While `buffering`: what is waited for. */
  readonly waiting?: string;
  /** Where its bytes come from, so far. */
  readonly sources?: readonly SongShare[];
  /** Per cent. */
  readonly volume: number;
  readonly muted: boolean;
}

export interface QueueView {
  readonly songs: readonly SongRow[];
  /** Index of the current song; undefined when the queue is played out or empty. */
  readonly current?: number;
}

export interface TrackerView {
  readonly address: string;
  /** `absent`: it was tried and has never answered. */
  readonly state: 'connecting' | 'registered' | 'lost' | 'absent';
  /** Of the last attempt that failed. */
  readonly why?: string;
  /** It runs inside this process. */
  readonly embedded: boolean;
  readonly name?: string;
  /** Addresses under which this peer's songs are listed. */
  readonly listed: readonly string[];
  /** This peer hosts, but the tracker could not reach it. */
  readonly unreachable: boolean;
}

export interface PeerStatus {
  readonly tracker: TrackerView;
  /** Where the song server listens. */
  readonly address?: string;
  readonly hosting: { readonly songs: number; readonly listeners: number; readonly sentBytes: number };
  readonly library: {
    /** Present while a scan runs. */
    readonly scanning?: { readonly done: number; readonly total: number };
    readonly skipped: readonly { readonly reason: string; readonly count: number }[];
    readonly unavailable: readonly string[];
  };
}

export interface EndedSong {
  readonly song: SongRow;
  readonly outcome: 'finished' | 'stopped' | 'failed';
  /** From the command to the first sample at the output; absent when no sound came. */
  readonly startedInMs?: number;
  readonly stutters: number;
  readonly report: FetchReport;
  /** Why it failed. */
  readonly error?: unknown;
}

export type PeerEvent =
  | { readonly kind: 'started'; readonly song: SongRow; readonly startedInMs: number }
  | ({ readonly kind: 'ended' } & EndedSong)
  /** The live feed that plays has another title. */
  | { readonly kind: 'title'; readonly song: SongRow }
  /** Position, buffer or state changed. */
  | { readonly kind: 'progress' }
  /** The queue is played out. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'output'; readonly name: string; readonly why: string }
  | { readonly kind: 'list'; readonly added: number; readonly left: number; readonly changed: number }
  | { readonly kind: 'tracker'; readonly tracker: TrackerView }
  /** A scan is listed. `skipped`: where it found no song. */
  | {
      readonly kind: 'library';
      readonly songs: number;
      readonly skipped?: PeerStatus['library']['skipped'];
    }
  | { readonly kind: 'scanning'; readonly done: number; readonly total: number }
  /** Something that a person should know, said once. */
  | { readonly kind: 'notice'; readonly message: string; readonly hint?: string };

/** What a person does with the sound. */
export interface PlayerControls {
  /** These songs instead of all others, the first at once. */
  play(songs: readonly SongRow[]): void;
  /** After all others; at once if nothing plays. */
  enqueue(songs: readonly SongRow[]): void;
  stop(): void;
  pause(): void;
  resume(): void;
  seek(seconds: number): void;
  /** False when the queue has nothing there. */
  next(): boolean;
  prev(): boolean;
  setVolume(percent: number): void;
  setMuted(muted: boolean): void;
  nowPlaying(): NowPlaying;
  queue(): QueueView;
}

export interface PeerView {
  readonly player: PlayerControls;
  list(): SongListView;
  /** Resolves when the first list is here or the tracker did not answer, and in a few seconds at the latest. */
  listed(): Promise<void>;
  /** Asks the tracker. Rejects with TransportError when it is gone. */
  find(words: string): Promise<readonly SongRow[]>;
  /** Everything known of a song, or of all (0). Falls back to the list when the tracker is gone. */
  info(id: SongId | 0): Promise<readonly SongRow[]>;
  /** A person has just seen these songs, and will probably want one of them. */
  shown(songs: readonly SongRow[]): void;
  status(): PeerStatus;
  /** Returns what ends the listening. */
  onEvent(listener: (event: PeerEvent) => void): () => void;
}
