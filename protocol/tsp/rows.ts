/**
 * Rows: one JSON object a line (NDJSON), in lists, infos, broadcasts, updates and ID answers (TSP §3.1, §3.2, §5.1).
 *
 *     bytes ──▶ RowReader ──▶ unknown ──▶ parseListRow / parseInfoRow / parseOffer / … ──▶ typed row
 *
 * A row is judged leniently where that is safe: unknown keys are ignored, a field of the wrong type counts as absent,
 * text is cleaned (bad UTF-8 and NUL to U+FFFD, NFC, at most 255 bytes). What identifies a row (`id`, `hash`) must be
 * right, or the sender gets `bad-message`.
 */
import type { ErrorCode } from '../errors.js';
import type { SongId } from './messages.js';

declare const contentHash: unique symbol;
/** 64 lower-case hex digits: the SHA-256 Merkle root of the file (TSP §4). */
export type ContentHash = string & { readonly [contentHash]: true };

/** What is known of a song besides who has it (TSP §3.1, §3.2). Absent means unknown. */
export interface SongFields {
  readonly title?: string;
  readonly artist?: string;
  /** Seconds. */
  readonly duration?: number;
  readonly size?: number;
  readonly album?: string;
  readonly albumArtist?: string;
  readonly track?: number;
  readonly disc?: number;
  readonly year?: number;
  readonly genre?: string;
  /** bit/s */
  readonly bitrate?: number;
  readonly vbr?: boolean;
  /** Hz */
  readonly sampleRate?: number;
  readonly channels?: number;
  /** Offset in bytes of the first MPEG frame. */
  readonly audioStart?: number;
}

/** A song (or, with `live`, a feed) in somebody's list. LIST_INFO carries the first three of SongFields, SONG_INFO all. */
export interface SongRow extends SongFields {
  readonly id: SongId;
  /** Absent in a live feed. */
  readonly hash?: ContentHash;
  readonly live?: true;
  /** 64 hex digits; live feeds only (TSP §5.5). */
  readonly feed?: string;
  /** A sample of at most ten: `192.0.2.7:7461`, `[2001:db8::2]:7461`, `:7461` (on the tracker's own machine). */
  readonly hosts: readonly string[];
  readonly hostCount: number;
}

/** What a host says of a song that it has: no `id`, no `hosts`. */
export interface OfferRow extends SongFields {
  readonly hash: ContentHash;
}

/** One row of UPDATE. */
export type OfferChange = OfferRow | { readonly hash: ContentHash; readonly gone: true };

/** One row of SONG_IDS. */
export type SongIdRow =
  | { readonly hash: ContentHash; readonly id: SongId }
  | { readonly hash: ContentHash; readonly error: ErrorCode };

/** One row of BROADCAST_LIST. In `song` rows a key that did not change is absent; `hosts: []` says that it left. */
export type BroadcastRow =
  | { readonly kind: 'whole' }
  | { readonly kind: 'host-gone'; readonly host: string }
  | { readonly kind: 'song'; readonly id: SongId; readonly change: Partial<Omit<SongRow, 'id'>> };
