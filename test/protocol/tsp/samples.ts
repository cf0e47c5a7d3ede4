/** One message of each type, as a test's other side could send it, and what the framer makes of it. */
import type { MessageName } from '../../../protocol/tsp/constants.js';
import type { FrameEvent } from '../../../protocol/tsp/framing.js';
import type { Message, SongId } from '../../../protocol/tsp/messages.js';

export type Samples = { readonly [N in MessageName]: Message & { readonly type: N } };

const song = 10 as SongId;

export const SAMPLES: Samples = {
  INIT: { type: 'INIT', port: 7461 },
  LIST: { type: 'LIST' },
  INFO: { type: 'INFO', song },
  PLAY: { type: 'PLAY', song },
  STOP: { type: 'STOP', song: 0 },
  QUIT: { type: 'QUIT' },
  PING: { type: 'PING', value: 77 },
  PONG: { type: 'PONG', value: 77 },
  HELLO: { type: 'HELLO', port: 0, hello: { tsp: 1 } },
  RANGE: { type: 'RANGE', song, offset: 0, count: 0 },
  FIND: { type: 'FIND', words: 'so what' },
  UPDATE: { type: 'UPDATE', changes: [] },
  HASHES: { type: 'HASHES', song, level: 6 },
  LIST_INFO: { type: 'LIST_INFO', revision: 1, length: 0 },
  SONG_INFO: { type: 'SONG_INFO', song, length: 0 },
  SONG_DATA: { type: 'SONG_DATA', song, length: 0 },
  BROADCAST_LIST: { type: 'BROADCAST_LIST', revision: 1, length: 0 },
  WELCOME: { type: 'WELCOME', revision: 1, welcome: { tsp: 1, listed: [] } },
  SONG_IDS: { type: 'SONG_IDS', length: 0 },
  HASH_LIST: { type: 'HASH_LIST', song, length: 0 },
  ERROR: { type: 'ERROR', song: 0, error: { code: 'internal' } },
};

/** Of a long message only its head arrives. */
export const arrival = (message: Message): FrameEvent =>
  'length' in message ? { kind: 'stream', header: message } : { kind: 'message', message };
