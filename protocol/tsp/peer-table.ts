/**
 * What the peer's end of a registration may hear in each state, and what it then wants done (TSP §3, §5.1).
 *
 * Data and types only, so that the published state table and the session cannot disagree.
 */
import type { TransportError } from '../errors.js';
import type { MessageName } from './constants.js';
import type { ErrorBody, PlainMessage, Request, Welcome, WholeMessage } from './messages.js';
import type { BroadcastRow, OfferChange, SongIdRow, SongRow } from './rows.js';

export type PeerState = 'greeting' | 'proving' | 'registered' | 'closed';

/** What the owner of a link may ask. The object itself names the question when its answer comes. */
export type TrackerQuestion = Extract<Request, { type: 'INFO' | 'FIND' }>;

export type PeerEffect =
  | { readonly do: 'send'; readonly message: PlainMessage | WholeMessage }
  /** LIST_INFO of everything that the peer hosts at this moment. */
  | { readonly do: 'send-songs' }
  | { readonly do: 'welcomed'; readonly revision: number; readonly welcome: Welcome }
  | { readonly do: 'song-ids'; readonly rows: readonly SongIdRow[] }
  /** The proof of our address failed; it will be tried again. */
  | { readonly do: 'unreachable'; readonly error: ErrorBody }
  /** Part of the list: the batch `revision`, or with `whole` (an answer to LIST) everything there is. */
  | { readonly do: 'list-begin'; readonly revision: number; readonly whole: boolean }
  | { readonly do: 'list-rows'; readonly rows: readonly BroadcastRow[] }
  | { readonly do: 'list-end' }
  | { readonly do: 'rows'; readonly question: TrackerQuestion; readonly rows: readonly SongRow[] }
  | { readonly do: 'answered'; readonly question: TrackerQuestion }
  | { readonly do: 'refused'; readonly question: TrackerQuestion; readonly error: ErrorBody }
  /** The tracker will not have these changes. */
  | { readonly do: 'changes-refused'; readonly changes: readonly OfferChange[]; readonly error: ErrorBody }
  | { readonly do: 'warned'; readonly error: ErrorBody }
  /** Over: the tracker said why (`replaced`, `too-many`, a refused HELLO …), or fell silent. */
  | { readonly do: 'close'; readonly error: ErrorBody | TransportError };

export type PeerStep =
  | 'send the songs'
  | 'registered'
  | 'IDs'
  | 'apply'
  | 'answer'
  | 'answer the PING'
  | 'refusal or end';

/**
 * State × message (TSP §3, §5.1). What is not in a row is `bad-message`; so is an answer that nobody asked for.
 * SONG_IDS may come unasked too: of songs whose proof or whose ID had to wait.
 */
export const PEER_TABLE: Readonly<Record<PeerState, Readonly<Partial<Record<MessageName, PeerStep>>>>> = {
  greeting: {
    LIST: 'send the songs',
    WELCOME: 'registered',
    PING: 'answer the PING',
    ERROR: 'refusal or end',
  },
  proving: {
    SONG_IDS: 'IDs',
    WELCOME: 'registered',
    PING: 'answer the PING',
    PONG: 'answer',
    ERROR: 'refusal or end',
  },
  registered: {
    BROADCAST_LIST: 'apply',
    LIST_INFO: 'answer',
    SONG_INFO: 'answer',
    SONG_IDS: 'IDs',
    WELCOME: 'registered',
    PING: 'answer the PING',
    PONG: 'answer',
    ERROR: 'refusal or end',
  },
  closed: {},
};
