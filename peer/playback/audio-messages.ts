/**
 * What the peer and its audio process say to each other, and the interface behind which that process stands.
 *
 *     peer    ── begin 7 · data 7 · data 7 · end 7 · begin 8 · data 8 … flush 8 ──▶  audio process
 *             ◀─ ready · consumed 7 · started 7 · position 7 … ended 7 · started 8 ──
 *
 * Songs are numbered in the order in which they are to sound, each `begin` a new number, also after a seek; so what is said
 * of a number that was flushed is stale by itself and no answer can be taken for another's. Data is sent only against
 * `consumed`: the pipe is never full, and a `flush` behind data is read at once.
 */
import type { DecoderName } from './decoders/decoder.js';
import type { OutputFault } from './outputs/output.js';

/** How a song is to be played. */
export interface SongBegin {
  /** What the position says at the first sample that sounds. */
  readonly startSeconds: number;
  /** Decoded but not played: after a seek the first frames lack what stood before them. */
  readonly preRollSeconds?: number;
  /** Samples at the end that are no music, when the bytes do not begin with the tag that says so. */
  readonly endPadding?: number;
}

export interface VolumeSetting {
  /** 0 … 100. */
  readonly percent: number;
  readonly muted: boolean;
}

/** One output, as the audio process opens it. */
export interface OutputSpec {
  readonly kind: 'speaker' | 'pw-play' | 'aplay' | 'paplay' | 'ffplay' | 'null' | 'stdout' | 'file';
  /** Of `file`. */
  readonly path?: string;
  /** Of `file`: it is this peer's already; keep so many bytes of samples and go on behind them. */
  readonly keepBytes?: number;
  /** Of `stdout`: MP3 as it is. */
  readonly raw?: boolean;
}

/** Peer to audio process. */
export type AudioCommand =
  | {
      readonly do: 'setup';
      readonly output: OutputSpec;
      readonly decoder: DecoderName;
      /** No song waits, so there is time to run what songs run, for V8 to compile it. */
      readonly rehearse: boolean;
    }
  | ({ readonly do: 'begin'; readonly song: number } & SongBegin)
  | { readonly do: 'data'; readonly song: number; readonly bytes: Uint8Array }
  /** All its bytes were sent. */
  | { readonly do: 'end'; readonly song: number }
  /** Silence now; forget this song and all before it. */
  | { readonly do: 'flush'; readonly song: number }
  | { readonly do: 'pause' }
  | { readonly do: 'resume' }
  | ({ readonly do: 'volume' } & VolumeSetting)
  /** End when the output is closed. */
  | { readonly do: 'quit' };

/** Audio process to peer. `outputBytes`: how long an output is that keeps what is written, at that very moment. */
export type AudioReport =
  /** The decoder is warm and the output works. */
  | { readonly is: 'ready'; readonly output: string; readonly decoder: string; readonly warmUpMs: number }
  /** `missing` and the like before `ready`; anything later ends what was playing. */
  | {
      readonly is: 'output-failed';
      readonly output: string;
      readonly fault: OutputFault;
      readonly why: string;
    }
  | { readonly is: 'decoder-failed'; readonly why: string }
  /** Room for as many bytes more. */
  | { readonly is: 'consumed'; readonly song: number; readonly bytes: number }
  /** Its first sample reached the output `agoMs` ago. */
  | { readonly is: 'started'; readonly song: number; readonly agoMs: number }
  | ({ readonly is: 'position'; readonly song: number; readonly outputBytes?: number } & Position)
  | {
      readonly is: 'ended';
      readonly song: number;
      readonly stutters: number;
      readonly outputBytes?: number;
      /** No sound came of it, or it broke off; absent when its last sample sounded. */
      readonly failure?: string;
    };

export interface Position {
  /** Into the song, of what sounds now. */
  readonly seconds: number;
  /** How often the sound stopped for want of bytes. */
  readonly stutters: number;
  /** It stands still for want of bytes. */
  readonly starving: boolean;
}

/** What the audio process is to whoever plays songs with it. It may die and come back at any time. */
export interface AudioProcess {
  /** Announces the next song; gives its number. It sounds after those that were begun before. */
  begin(begin: SongBegin): number;
  /** Hands bytes over. Resolves when more are wanted, or when the song is over or flushed: then false. */
  data(song: number, bytes: Uint8Array): Promise<boolean>;
  end(song: number): void;
  /** Silence at once; no more is heard of this song and those before it. */
  flush(song: number): void;
  pause(): void;
  resume(): void;
  volume(setting: VolumeSetting): void;
  /** Bytes of a song that were handed over and wait to be decoded. */
  waitingBytes(song: number): number;
  /** Returns what ends the listening. */
  onEvent(listener: (event: AudioEvent) => void): () => void;
}

export type AudioEvent =
  | Extract<AudioReport, { is: 'started' | 'position' | 'ended' }>
  /** An output was chosen; `why` names those that were tried before it. */
  | { readonly is: 'output'; readonly name: string; readonly why: string }
  /** The process is gone and a new one is there. All songs are forgotten; what was playing is to be begun again. */
  | { readonly is: 'restarted'; readonly why: string }
  /** No output works (any more). All songs are forgotten; the next `begin` tries again. */
  | { readonly is: 'silent'; readonly error: Error };
