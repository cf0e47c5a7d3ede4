/**
 * What the tracker's end of a connection may hear in each state, and what it then does (TSP §3, §5.1).
 *
 *     light ──INIT p, HELLO p──▶ listing ──LIST_INFO──▶ proving ──PONG n──▶ enlisting ──▶ registered ──▶ closed
 *       └─────────port 0────────────────────────────────────┴─────unreachable────────────────▲
 *
 * Data only, so that the published state table and the session cannot disagree.
 */
import type { MessageName } from './constants.js';

export type TrackerState = 'light' | 'listing' | 'proving' | 'enlisting' | 'registered' | 'closed';

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
