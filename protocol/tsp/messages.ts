/**
 * What can be said in TSP/1 (TSP §3): one variant a message, named as in the specification.
 *
 * Messages whose payload is bounded and small are held whole. Six answers may be long and are read as they come, so
 * their variant is only the header, with `length`, the bytes that follow: rows (LIST_INFO, SONG_INFO, BROADCAST_LIST,
 * SONG_IDS), hashes (HASH_LIST), or MP3 data (SONG_DATA).
 */
import type { ErrorCode } from '../errors.js';
import type { ContentHash, OfferChange } from './rows.js';

declare const songId: unique symbol;
/** 1 … 0xfffffffe, given by a tracker (TSP §2.3); 0 stands for «all» or «none» where a message allows it. */
export type SongId = number & { readonly [songId]: true };

/** TSP §3.3. All but `tsp` may be absent. */
export interface Hello {
  readonly tsp: 1;
  readonly agent?: string;
  readonly name?: string;
  /** Secret, random, a peer's own: a newly proven registration with it ends the older one. */
  readonly instance?: string;
  /** The song server is bound to loopback. */
  readonly local?: boolean;
  readonly advertise?: readonly string[];
  readonly broadcasts?: boolean;
  readonly since?: { readonly tracker: string; readonly revision: number };
  readonly features?: readonly string[];
  /** UDP, for the feature `swarm` (TSP §5.6). */
  readonly swarmPort?: number;
}

/** TSP §3.3. A host leaves out the tracker's keys. */
export interface Welcome {
  readonly tsp: 1;
  readonly agent?: string;
  readonly name?: string;
  /** 16 hex digits, made once: whose song IDs these are. */
  readonly tracker?: string;
  readonly listed?: readonly string[];
  readonly features?: readonly string[];
  /** UDP, for the feature `swarm` (TSP §5.6). */
  readonly swarmPort?: number;
  readonly maxSongs?: number;
}

/** TSP §6. `type` is the request's, absent when the error comes unasked. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly type?: number;
  readonly message?: string;
  readonly retryAfterMs?: number;
}

/** Five bytes, no payload. */
export type PlainMessage =
  | { readonly type: 'INIT'; readonly port: number }
  | { readonly type: 'LIST' }
  | { readonly type: 'INFO'; readonly song: SongId | 0 }
  | { readonly type: 'PLAY'; readonly song: SongId | 0 }
  | { readonly type: 'STOP'; readonly song: SongId | 0 }
  | { readonly type: 'QUIT' }
  | { readonly type: 'PING'; readonly value: number }
  | { readonly type: 'PONG'; readonly value: number };

/** A payload of at most 64 KiB, held whole. */
export type WholeMessage =
  | { readonly type: 'HELLO'; readonly port: number; readonly hello: Hello }
  | {
      readonly type: 'RANGE';
      readonly song: SongId | 0;
      readonly offset: number;
      /** 0: to the end. */
      readonly count: number;
      readonly hash?: ContentHash;
    }
  | { readonly type: 'FIND'; readonly words: string }
  | { readonly type: 'UPDATE'; readonly changes: readonly OfferChange[] }
  | {
      readonly type: 'HASHES';
      readonly song: SongId | 0;
      readonly level: number;
      readonly hash?: ContentHash;
    }
  | { readonly type: 'WELCOME'; readonly revision: number; readonly welcome: Welcome }
  | { readonly type: 'ERROR'; readonly song: SongId | 0; readonly error: ErrorBody };

/** The header of an answer that is read as it comes; `length` payload bytes follow. */
export type StreamHeader =
  | { readonly type: 'LIST_INFO'; readonly revision: number; readonly length: number }
  | { readonly type: 'BROADCAST_LIST'; readonly revision: number; readonly length: number }
  | { readonly type: 'SONG_INFO'; readonly song: SongId | 0; readonly length: number }
  | { readonly type: 'SONG_DATA'; readonly song: SongId | 0; readonly length: number }
  | { readonly type: 'SONG_IDS'; readonly length: number }
  | { readonly type: 'HASH_LIST'; readonly song: SongId | 0; readonly length: number };

export type Message = PlainMessage | WholeMessage | StreamHeader;
export type Request = Extract<
  Message,
  {
    type:
      | 'INIT'
      | 'LIST'
      | 'INFO'
      | 'PLAY'
      | 'STOP'
      | 'QUIT'
      | 'PING'
      | 'HELLO'
      | 'RANGE'
      | 'FIND'
      | 'UPDATE'
      | 'HASHES';
  }
>;
