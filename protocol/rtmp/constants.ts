/**
 * The numbers of RTMP 1.0: message types, chunk layout, and every limit that we put on the other side.
 *
 *     0          1 … 3              0, 3, 7, 11      0, 4             ≤ chunk size
 *     ├─ fmt·id ─┼─ id, if long ──┼─ message header ─┼─ ext. time ─┼─ payload …        one chunk (RTMP 1.0 §5.3)
 *
 * Each limit stands here with its reason; test/protocol/rtmp/ shows each of them refusing.
 */

/** RTMP 1.0 §5.4, §6.2, §7.1. */
export const MESSAGE_TYPE = {
  SET_CHUNK_SIZE: 1,
  ABORT: 2,
  ACKNOWLEDGEMENT: 3,
  USER_CONTROL: 4,
  WINDOW_ACK_SIZE: 5,
  SET_PEER_BANDWIDTH: 6,
  AUDIO: 8,
  VIDEO: 9,
  DATA_AMF3: 15,
  COMMAND_AMF3: 17,
  DATA_AMF0: 18,
  COMMAND_AMF0: 20,
} as const;

/** RTMP 1.0 §7.1.7. */
export const USER_EVENT = {
  STREAM_BEGIN: 0,
  STREAM_EOF: 1,
  SET_BUFFER_LENGTH: 3,
  PING_REQUEST: 6,
  PING_RESPONSE: 7,
} as const;

/** Chunk streams that we write on: control, commands, media. */
export const CONTROL_CHUNK_STREAM = 2;
export const COMMAND_CHUNK_STREAM = 3;
export const MEDIA_CHUNK_STREAM = 4;

/** Handshake. */
export const RTMP_VERSION = 3;
export const HANDSHAKE_BYTES = 1_536;

/** Of both sides until SET_CHUNK_SIZE. */
export const FIRST_CHUNK_BYTES = 128;
/** Ours: each MPEG frame is one chunk, so no continuation and no extended timestamp in one. */
export const OUR_CHUNK_BYTES = 4_096;
/** A larger chunk size means the same, as no message is longer. */
export const MAX_CHUNK_BYTES = 16 * 1024 * 1024;
/** In the 24-bit field: four more bytes follow. */
export const EXTENDED_TIMESTAMP = 0xff_ffff;

/** Any id may be used, but only so many at once: real clients use five. */
export const MAX_CHUNK_STREAMS = 64;
/** Commands, metadata and audio are kept whole; OBS's longest metadata is 700 bytes. */
export const MAX_KEPT_BYTES = 64 * 1024;
/** Control messages have at most 10. */
export const MAX_CONTROL_BYTES = 64;
/** What we read past, but for video: shared objects, aggregates. */
export const MAX_SKIPPED_BYTES = 1024 * 1024;
/** Of all unfinished messages of a connection together. */
export const MAX_PARTIAL_BYTES = 256 * 1024;

/** AMF: nobody nests deeper than three. */
export const MAX_AMF_DEPTH = 16;

/** Message streams of a connection: clients make one. */
export const MAX_MESSAGE_STREAMS = 8;
/** `app` and stream name together, in UTF-8 bytes. */
export const MAX_NAME_BYTES = 256;

/** The connection's age when its handshake must be done; then the age of each state. */
export const HANDSHAKE_MS = 5_000;
export const CONNECT_MS = 10_000;
export const ROLE_MS = 15_000;
/** Players are asked whether they live, and are gone when nothing came for twice that. */
export const PING_MS = 30_000;
export const PLAYER_SILENCE_MS = 60_000;
/** After an error the other side gets to read it: rtmpdump waits for our FIN. */
export const CLOSE_AFTER_MS = 100;

/** Both directions. librtmp acknowledges each tenth of SET_PEER_BANDWIDTH, so a small one costs. */
export const WINDOW_BYTES = 2_500_000;
