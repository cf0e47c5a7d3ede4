/**
 * What the tracker's end of a connection may hear in each state, and what it then wants done (TSP §3, §5.1).
 *
 *     light ──INIT p, HELLO p──▶ listing ──LIST_INFO──▶ proving ──PONG n──▶ enlisting ──▶ registered ──▶ closed
 *       └─────────port 0────────────────────────────────────┴─────unreachable────────────────▲
 *
 * Data and types only, so that the published state table and the session cannot disagree.
 */
import type { MessageName } from './constants.js';
import type { Hello, PlainMessage, Request, StreamHeader, WholeMessage } from './messages.js';
import type { OfferChange, OfferRow } from './rows.js';

export type TrackerState = 'light' | 'listing' | 'proving' | 'enlisting' | 'registered' | 'closed';

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
  /** What this connection has in the list leaves it, to be enlisted again under another address. */
  | { readonly do: 'unlist' }
  /** What this connection has in the list leaves it for good. */
  | { readonly do: 'leave' }
  /** Nothing more will be said: half-close when all is written, discard input for a moment, close (TSP §6). */
  | { readonly do: 'end'; readonly fatal: boolean };

export type TrackerStep =
  | 'register'
  | 'answer'
  | 'wait'
  | 'take the songs'
  | 'no songs'
  | 'echo'
  | 'update'
  | 'ignore'
  | 'not-registered'
  | 'unknown-type'
  | 'close';

/** Questions wait until a registration under way is done; what has no answer acts at once. */
const WHILE_REGISTERING = {
  INIT: 'wait',
  HELLO: 'wait',
  LIST: 'wait',
  INFO: 'wait',
  PLAY: 'wait',
  RANGE: 'wait',
  FIND: 'wait',
  UPDATE: 'wait',
  HASHES: 'wait',
  PING: 'wait',
  PONG: 'ignore',
  STOP: 'ignore',
  QUIT: 'close',
  ERROR: 'ignore',
} as const satisfies Partial<Record<MessageName, TrackerStep>>;

const WHILE_IDLE = {
  INIT: 'register',
  HELLO: 'register',
  LIST: 'answer',
  INFO: 'answer',
  PLAY: 'answer',
  RANGE: 'answer',
  FIND: 'answer',
  UPDATE: 'not-registered',
  HASHES: 'unknown-type',
  PING: 'answer',
  PONG: 'ignore',
  STOP: 'ignore',
  QUIT: 'close',
  ERROR: 'ignore',
} as const satisfies Partial<Record<MessageName, TrackerStep>>;

/** State × message (TSP §3, §5.1). What is not in a row is `bad-message`. */
export const TRACKER_TABLE: Readonly<
  Record<TrackerState, Readonly<Partial<Record<MessageName, TrackerStep>>>>
> = {
  light: WHILE_IDLE,
  listing: { ...WHILE_REGISTERING, LIST_INFO: 'take the songs', ERROR: 'no songs' },
  proving: { ...WHILE_REGISTERING, PONG: 'echo' },
  enlisting: WHILE_REGISTERING,
  registered: { ...WHILE_IDLE, UPDATE: 'update', PONG: 'echo' },
  closed: {},
};
