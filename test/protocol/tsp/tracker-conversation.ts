/** A tracker's session for tests: one of each message, and a session that has come as far as a state. */
import type { MessageName } from '../../../protocol/tsp/constants.js';
import type { FrameEvent } from '../../../protocol/tsp/framing.js';
import type { PlainMessage, SongId, StreamHeader, WholeMessage } from '../../../protocol/tsp/messages.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import type { TrackerEffect } from '../../../protocol/tsp/tracker-effects.js';
import { TrackerSession } from '../../../protocol/tsp/tracker-session.js';
import type { TrackerState } from '../../../protocol/tsp/tracker-table.js';
import { arrival, type Samples } from './samples.js';

export const HASH = 'ab'.repeat(32) as ContentHash;
export const IDS = [Buffer.from('{"id":1}\n')];

export const session = (): TrackerSession => new TrackerSession(0);

export const message = (message: PlainMessage | WholeMessage): FrameEvent => ({ kind: 'message', message });

export const header = (type: StreamHeader['type'], length = 2): StreamHeader =>
  ({ type, revision: 0, song: 0, length }) as never;

/** One of each message. */
const SAMPLES: Samples = {
  INIT: { type: 'INIT', port: 7461 },
  LIST: { type: 'LIST' },
  INFO: { type: 'INFO', song: 1 as SongId },
  PLAY: { type: 'PLAY', song: 1 as SongId },
  STOP: { type: 'STOP', song: 0 },
  QUIT: { type: 'QUIT' },
  PING: { type: 'PING', value: 7 },
  PONG: { type: 'PONG', value: 7 },
  HELLO: { type: 'HELLO', port: 7461, hello: { tsp: 1, name: 'kitchen' } },
  RANGE: { type: 'RANGE', song: 1 as SongId, offset: 0, count: 0 },
  FIND: { type: 'FIND', words: 'a' },
  UPDATE: { type: 'UPDATE', changes: [{ hash: HASH }] },
  HASHES: { type: 'HASHES', song: 1 as SongId, level: 6 },
  WELCOME: { type: 'WELCOME', revision: 1, welcome: { tsp: 1 } },
  ERROR: { type: 'ERROR', song: 0, error: { code: 'busy' } },
  LIST_INFO: header('LIST_INFO') as never,
  SONG_INFO: header('SONG_INFO') as never,
  SONG_DATA: header('SONG_DATA') as never,
  BROADCAST_LIST: header('BROADCAST_LIST') as never,
  SONG_IDS: header('SONG_IDS') as never,
  HASH_LIST: header('HASH_LIST') as never,
};

export const sample = (name: MessageName): FrameEvent => arrival(SAMPLES[name]);

/** LIST_INFO with these rows. */
export function* songs(rows: string): Iterable<FrameEvent> {
  const list = header('LIST_INFO', rows.length);
  yield { kind: 'stream', header: list };
  yield { kind: 'data', bytes: Buffer.from(rows) };
  yield { kind: 'end', header: list };
}

/** A session that has come as far as `state`. */
export function at(state: TrackerState, port = 7461): TrackerSession {
  const peer = session();
  if (state === 'light') return peer;
  if (state === 'closed') peer.receive(message({ type: 'QUIT' }), 0);
  else peer.receive(message({ type: 'INIT', port }), 0);
  if (state === 'listing') peer.admitted(0);
  if (state === 'proving' || state === 'enlisting' || state === 'registered') {
    peer.admitted(0);
    for (const event of songs(`{"hash":"${HASH}"}\n`)) peer.receive(event, 0);
  }
  if (state === 'enlisting' || state === 'registered') peer.proved(1, { addresses: [':7461'] }, 0);
  if (state === 'registered') peer.enlisted({ rows: IDS }, 0);
  return peer;
}

export const said = (effects: readonly TrackerEffect[]): string[] =>
  effects.map(effect => {
    if (effect.do !== 'send') return effect.do;
    const { message } = effect;
    return message.type === 'ERROR' ? message.error.code : message.type;
  });
