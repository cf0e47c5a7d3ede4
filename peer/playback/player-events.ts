/**
 * What a player is given, what it says of itself, and what it tells as it happens.
 */
import type { SongRow } from '../../protocol/tsp/rows.js';
import type { FetchReport, SongShare, SongStream, Urgency } from '../listening/song-stream.js';

export interface PlayableSong {
  readonly row: SongRow;
  /** The song's bytes from `fromByte` on. `ahead`: nobody waits for it yet. */
  open(fromByte: number, urgency?: Urgency): SongStream;
}

export interface PlayerState {
  /** `stopped`: there is no song. `buffering`: the song waits for bytes. */
  readonly state: 'stopped' | 'buffering' | 'playing' | 'paused';
  readonly song?: SongRow;
  readonly positionSeconds: number;
  /** As the song itself says, or its row. */
  readonly durationSeconds?: number;
  /** Of sound that is here already and not yet decoded. */
  readonly bufferedSeconds: number;
  /** While `buffering`: what is waited for, for a person. */
  readonly waiting?: string;
  /** Where the song's bytes came from, so far. */
  readonly sources?: readonly SongShare[];
  /** 0 … 100. */
  readonly volume: number;
  readonly muted: boolean;
  readonly queue: readonly SongRow[];
  /** Index in `queue` of the song whose turn it is; absent when there is none. */
  readonly current?: number;
  /** The output that was chosen last. */
  readonly output?: string;
}

export interface SongSummary {
  /** From the command (or the end of the song before) to the first sample at the output; absent when no sound came. */
  readonly startedInMs?: number;
  /** How often the sound stopped for want of samples. */
  readonly stutters: number;
  readonly report: FetchReport;
  readonly outcome: 'finished' | 'stopped' | 'failed';
  /** Why it failed, for people. */
  readonly reason?: string;
  /** What failed: of the stream as it was thrown, OutputError, or DecoderError. */
  readonly error?: unknown;
}

export type PlayerEvent =
  | { readonly kind: 'started'; readonly song: SongRow; readonly startedInMs: number }
  | { readonly kind: 'ended'; readonly song: SongRow; readonly summary: SongSummary }
  | ({ readonly kind: 'progress' } & PlayerState)
  /** The queue is played out, or nothing can sound. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'output'; readonly name: string; readonly why: string };
