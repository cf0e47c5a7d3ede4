/**
 * What the tracker's end of a connection wants done, as data (TSP §3, §5.1): said, asked of the tracker, or ended.
 *
 *     session ──admit, prove, enlist, update, answer──▶ tracker ──admitted, proved, enlisted, updated, answered──▶ session
 *
 * Each of these comes back exactly once, in its own time, or as `refuse`.
 */
import { NO_SONG } from './constants.js';
import type {
  ErrorBody,
  Hello,
  PlainMessage,
  Request,
  SongId,
  StreamHeader,
  WholeMessage,
} from './messages.js';
import type { OfferChange, OfferRow } from './rows.js';

/** What a tracker answers to anybody, registered or not. PLAY and RANGE mean «who has it?» here (TSP §5.4). */
export type LightRequest = Extract<Request, { type: 'LIST' | 'INFO' | 'PLAY' | 'RANGE' | 'FIND' }>;

/** What a peer says of itself in INIT or HELLO. */
export interface Claim extends Omit<Hello, 'tsp'> {
  /** TCP port of the song server; 0: only listening. */
  readonly port: number;
}

export type TrackerEffect =
  | { readonly do: 'send'; readonly message: PlainMessage | WholeMessage }
  /** A whole answer whose rows are made already; the header's length is theirs. */
  | { readonly do: 'send-rows'; readonly header: StreamHeader; readonly rows: readonly Uint8Array[] }
  /** To be answered whole; then `answered`. */
  | { readonly do: 'answer'; readonly request: LightRequest }
  /** A registration begins, or begins anew with a new address: ask for leave; then `admitted`, or `refuse`. */
  | { readonly do: 'admit'; readonly claim: Claim }
  /** Songs that the peer hosts, as they come. */
  | { readonly do: 'offer'; readonly offers: readonly OfferRow[] }
  /** To prove the claimed address; then `proved` with the same number. A later attempt ends an earlier one. */
  | { readonly do: 'prove'; readonly attempt: number; readonly claim: Claim }
  /** A PONG that came while an address is being proven. */
  | { readonly do: 'echo'; readonly value: number }
  /** To make the IDs of what was offered durable, under these proven addresses; then `enlisted`, or `refuse`. */
  | { readonly do: 'enlist'; readonly claim: Claim; readonly addresses: readonly string[] }
  /** To note changes, durably; then `updated`, or `refuse`. */
  | { readonly do: 'update'; readonly changes: readonly OfferChange[] }
  /** The IDs are on their way: what was enlisted or updated may enter the list now. */
  | { readonly do: 'publish' }
  | { readonly do: 'welcome'; readonly listed: readonly string[] }
  /** The list, whole or `since`, and from now on every batch. */
  | { readonly do: 'subscribe'; readonly since?: Hello['since'] }
  /** What this connection offers cannot be listed until an address is proven, and what it has in the list leaves it. */
  | { readonly do: 'unlist' }
  /** What this connection has in the list leaves it, and no batch comes here any more. */
  | { readonly do: 'leave' }
  /** Nothing more will be said: half-close when all is written, discard input for a moment, close (TSP §6). */
  | { readonly do: 'end'; readonly fatal: boolean };

/** What became of a registration's songs: SONG_IDS rows as bytes, and when to enlist again what had to wait. */
export interface Enlisted {
  /** Several rows each. */
  readonly rows: readonly Uint8Array[];
  readonly retryInMs?: number;
}

/** How a proof of address ended: what was proven, as it is to be listed, and when to try again if not in 5 minutes. */
export interface Proved {
  readonly addresses: readonly string[];
  readonly retryInMs?: number;
}

export const send = (message: PlainMessage | WholeMessage): TrackerEffect => ({ do: 'send', message });

export const sendError = (error: ErrorBody, song: SongId | 0 = NO_SONG): TrackerEffect =>
  send({ type: 'ERROR', song, error });

export const offer = (offers: readonly OfferRow[]): TrackerEffect[] =>
  offers.length === 0 ? [] : [{ do: 'offer', offers }];

export function songIds(rows: readonly Uint8Array[]): TrackerEffect {
  const length = rows.reduce((sum, row) => sum + row.length, 0);
  return { do: 'send-rows', header: { type: 'SONG_IDS', length }, rows };
}

/** One text for every failure, so that a tracker is no port scanner (TSP §5.2). */
export const unreachable = (type: number | undefined, retryInMs: number): ErrorBody => ({
  code: 'unreachable',
  ...(type === undefined ? {} : { type }),
  message: 'your song server could not be reached at the address that you gave',
  retryAfterMs: Math.ceil(retryInMs),
});
