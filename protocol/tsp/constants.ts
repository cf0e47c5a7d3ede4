/**
 * The numbers of TSP/1: message types, header layout, and the protocol's own limits (TSP §2, §3, §5).
 *
 *     0        1                 5                 9
 *     ├─ type ─┼─ song ID (u32) ─┼─ length (u32) ─ ┼─ payload …        from type 0x40 on
 *
 * Limits that an operator would change are options of the tracker or the peer; what stands here is part of the wire.
 */

/** Every message of TSP §3 by its name. Below 0x40 no payload follows; from 0x80 on it is an answer. */
export const MESSAGE_TYPE = {
  INIT: 0x00,
  LIST: 0x01,
  INFO: 0x02,
  PLAY: 0x03,
  STOP: 0x04,
  QUIT: 0x05,
  PING: 0x06,
  PONG: 0x07,
  HELLO: 0x40,
  RANGE: 0x41,
  FIND: 0x42,
  UPDATE: 0x43,
  HASHES: 0x44,
  LIST_INFO: 0x81,
  SONG_INFO: 0x82,
  SONG_DATA: 0x83,
  BROADCAST_LIST: 0x84,
  WELCOME: 0x85,
  SONG_IDS: 0x86,
  HASH_LIST: 0x87,
  ERROR: 0xff,
} as const;
export type MessageName = keyof typeof MESSAGE_TYPE;

export const FIRST_TYPE_WITH_PAYLOAD = 0x40;
/** Unknown types from here on are answers to somebody else's question: skipped silently (TSP §3). */
export const FIRST_ANSWER_TYPE = 0x80;

export const HEADER_BYTES = 5;
export const LENGTH_BYTES = 4;

export const DEFAULT_TRACKER_PORT = 7460;
export const DEFAULT_PEER_PORT = 7461;

/** TSP §2.3. 0 as an argument means «all» or «none». */
export const NO_SONG = 0;
export const FIRST_SONG_ID = 1;
export const LAST_SONG_ID = 0xffff_fffe;

/** TSP §2.2: a payload that is held whole. Song servers, and trackers before INIT or HELLO, take less. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;
export const MAX_REQUEST_BYTES = 4 * 1024;
export const MAX_ROW_BYTES = 64 * 1024;
/** A whole list, or a batch of changes, that a peer takes: a million songs. */
export const MAX_LIST_BYTES = 256 * 1024 * 1024;
/** What a SONG_DATA may announce; RANGE counts are cut to it (TSP §5.3). */
export const MAX_SONG_DATA_BYTES = 0xffff_ffff;

/** TSP §3: after so many unanswered requests a reader stops reading. */
export const MAX_PIPELINED_REQUESTS = 16;
/** TSP §3: this unknown type in one connection is `bad-message`. */
export const MAX_UNKNOWN_TYPES = 8;
export const MAX_FIND_ROWS = 50;
export const MAX_HOSTS_PER_ROW = 10;

/** TSP §2.2 and the reading deadlines that follow from it. */
export const HEADER_DEADLINE_MS = 5_000;
export const PAYLOAD_BASE_MS = 5_000;
export const PAYLOAD_BYTES_PER_SECOND = 8 * 1024;
export const PAYLOAD_LONGEST_MS = 30_000;
/** A payload that is read as it comes owes this much in every window. */
export const STREAM_WINDOW_MS = 5_000;
export const STREAM_WINDOW_BYTES = 8 * 1024;

/** TSP §5.1. */
export const KEEPALIVE_MS = 15_000;
export const SILENCE_MS = 45_000;
export const REREGISTER_MS = 10_000;
export const RELIST_GRACE_MS = 45_000;
export const UNREACHABLE_RETRY_MS = 5 * 60_000;
export const RECONNECT_MIN_MS = 250;
/** The first waits spread so far that no 100 ms see a tenth of those who lost a tracker at one moment. */
export const RECONNECT_FIRST_MS = 2_500;
export const RECONNECT_MAX_MS = 30_000;

/** TSP §5.2. */
export const PROOF_ECHO_MS = 5_000;
export const PROOF_DIAL_MS = 3_000;
export const MAX_PROOF_DIALS = 256;
export const MAX_PROOF_DIALS_PER_TARGET_PER_MINUTE = 4;
/** Of a host from which the registration did not come. */
export const MAX_PROOF_DIALS_PER_HOST_PER_MINUTE = 64;
export const MAX_PROOF_PONGS = 64;
export const MAX_PROOF_PINGS_PER_MINUTE = 32;
export const LOWEST_PROVABLE_PORT = 1024;

/** TSP §5.3. */
export const SLOT_IDLE_MS = 10_000;
export const CONNECTION_IDLE_MS = 60_000;
export const READER_STALL_MS = 60_000;
export const READER_STALL_CONTENDED_MS = 10_000;

/** TSP §5.5: one SONG_DATA of a live feed. */
export const MAX_RUN_BYTES = 64 * 1024;
export const MAX_RUN_MS = 250;

/** TSP §5.6: its songs can be had through swarms; `swarmPort` says where. */
export const SWARM_FEATURE = 'swarm';

/** TSP §6: after a fatal ERROR the sender discards this much before it closes. */
export const DRAIN_MS = 1_000;
export const DRAIN_BYTES = 64 * 1024;

/** TSP §4. */
export { CHUNK_BYTES, PIECE_BYTES, PIECE_LEVEL } from '../merkle.js';
export const HASH_BYTES = 32;
/** No song has this size: the two nodes below a root, side by side, have the root as hash, too. */
export const NO_SONG_BYTES = 2 * HASH_BYTES;

/** Text fields of a row, in UTF-8 bytes after cleaning. */
export const MAX_TEXT_BYTES = 255;
