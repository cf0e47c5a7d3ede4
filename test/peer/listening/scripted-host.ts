/**
 * A host for tests that serves songs honestly, or as badly as a script says.
 *
 *     const host = await scriptedHost(t, [song], { range: dieAfter(100_000) });
 *     host.address      '127.0.0.1:40123'          host.asked        every request that came
 *     host.sentBytes    of songs                   host.connections  how many were made
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { toHex } from '../../../protocol/bytes.js';
import { MerkleTree } from '../../../protocol/merkle.js';
import { encode } from '../../../protocol/tsp/codec.js';
import { MESSAGE_TYPE, PIECE_LEVEL } from '../../../protocol/tsp/constants.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import type {
  ErrorBody,
  Message,
  PlainMessage,
  SongId,
  WholeMessage,
} from '../../../protocol/tsp/messages.js';
import { type ContentHash, encodeRow } from '../../../protocol/tsp/rows.js';
import type { Teardown } from '../../support/until.js';

export interface TestSong {
  readonly id: SongId;
  readonly hash: ContentHash;
  readonly bytes: Buffer;
  readonly nodes: Uint8Array;
}

/** Bytes that no two places share, so that a wrong offset shows. */
export function testSong(size: number, id = 1, seed = 7): TestSong {
  const bytes = Buffer.allocUnsafe(size);
  let state = (seed * 2_654_435_761 + size) >>> 0;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  const digest = new MerkleTree().update(bytes).digest();
  return {
    id: id as SongId,
    hash: toHex(digest.root) as ContentHash,
    bytes,
    nodes: digest.nodes(PIECE_LEVEL),
  };
}

export type Hashes = Extract<Message, { type: 'HASHES' }>;
export type Range = Extract<Message, { type: 'RANGE' }>;

/** One connection to the host. */
export interface Listener {
  readonly socket: Socket;
  /** Song bytes sent on this connection. */
  sentBytes: number;
  send(...messages: Message[]): void;
  refuse(request: Message, error: Omit<ErrorBody, 'type'>): void;
  /** SONG_DATA of these bytes, announced as `length`. */
  data(song: SongId | 0, bytes: Uint8Array, length?: number): void;
}

export interface HostScript {
  /** In place of the honest answer to a RANGE; false: answer honestly after all. */
  readonly range?: (listener: Listener, range: Range, song: TestSong) => unknown;
  /** In place of the honest answer to HASHES. */
  readonly hashes?: (listener: Listener, request: Hashes, song: TestSong) => unknown;
  /** In place of the honest answer to INFO. */
  readonly info?: (listener: Listener, request: Message, song: TestSong) => unknown;
  readonly connected?: (listener: Listener) => unknown;
}

export interface ScriptedHost {
  readonly address: string;
  readonly asked: Message[];
  readonly sentBytes: number;
  readonly connections: number;
  readonly open: number;
  /** From now on. */
  script: HostScript;
  /** Resets every connection and listens no more. */
  kill(how?: 'reset' | 'end'): Promise<void>;
}

export async function scriptedHost(
  t: Teardown,
  songs: readonly TestSong[],
  script: HostScript = {},
  address = '127.0.0.1',
): Promise<ScriptedHost> {
  const sockets = new Set<Socket>();
  const host = { script, asked: [] as Message[], sentBytes: 0, connections: 0 };
  const server = createServer({ noDelay: true }, socket => {
    host.connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    serve(host, socket, songs);
  });
  await once(server.listen(0, address), 'listening');
  const { port } = server.address() as AddressInfo;
  const kill = async (how: 'reset' | 'end' = 'reset'): Promise<void> => {
    const closed = new Promise(resolve => server.close(resolve));
    for (const socket of sockets) {
      // A socket that has said its end can't be reset any more; Node would leave it open.
      if (how === 'reset' && !socket.writableEnded) socket.resetAndDestroy();
      else socket.destroy();
    }
    await closed;
  };
  t.teardown(() => kill().catch(() => undefined));
  return Object.defineProperties(host as typeof host & ScriptedHost, {
    address: { value: `${address}:${port}` },
    open: { get: () => sockets.size },
    kill: { value: kill },
  });
}

function serve(
  host: { script: HostScript; asked: Message[]; sentBytes: number },
  socket: Socket,
  songs: readonly TestSong[],
): void {
  const framer = new Framer();
  const listener: Listener = {
    socket,
    sentBytes: 0,
    send: (...messages) => void socket.write(Buffer.concat(messages.map(encode))),
    refuse: (request, error) =>
      listener.send({
        type: 'ERROR',
        song: 'song' in request ? request.song : 0,
        error: { ...error, type: MESSAGE_TYPE[request.type] },
      }),
    data: (song, bytes, length = bytes.length) => {
      host.sentBytes += bytes.length;
      listener.sentBytes += bytes.length;
      socket.write(encode({ type: 'SONG_DATA', song, length }));
      socket.write(bytes);
    },
  };
  host.script.connected?.(listener);
  socket.on('data', chunk => {
    framer.push(chunk);
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      if (event.kind !== 'message') continue;
      host.asked.push(event.message);
      answer(host.script, listener, event.message, songs);
    }
  });
}

function answer(
  script: HostScript,
  listener: Listener,
  request: PlainMessage | WholeMessage,
  songs: readonly TestSong[],
): void {
  if (request.type === 'PING') listener.send({ type: 'PONG', value: request.value });
  if (request.type === 'STOP') listener.socket.destroySoon();
  if (request.type !== 'RANGE' && request.type !== 'HASHES' && request.type !== 'INFO') return;
  const hash = request.type === 'INFO' ? undefined : request.hash;
  const song = songs.find(one => (hash === undefined ? one.id === request.song : one.hash === hash));
  if (song === undefined) {
    listener.refuse(request, { code: 'no-such-song' });
    return;
  }
  if (request.type === 'RANGE') {
    if (script.range !== undefined && script.range(listener, request, song) !== false) return;
    serveRange(listener, request, song);
  } else if (request.type === 'HASHES') {
    if (script.hashes !== undefined && script.hashes(listener, request, song) !== false) return;
    serveHashes(listener, request, song);
  } else {
    if (script.info !== undefined && script.info(listener, request, song) !== false) return;
    const row = encodeRow({ id: song.id, hash: song.hash, title: 'test', size: song.bytes.length });
    listener.socket.write(encode({ type: 'SONG_INFO', song: song.id, length: row.length }));
    listener.socket.write(row);
  }
}

export function serveHashes(listener: Listener, { song }: Hashes, { nodes }: TestSong): void {
  listener.socket.write(encode({ type: 'HASH_LIST', song, length: nodes.length }));
  listener.socket.write(nodes);
}

export function serveRange(listener: Listener, range: Range, song: TestSong): void {
  if (range.offset > song.bytes.length) {
    listener.refuse(range, { code: 'bad-range' });
    return;
  }
  const end = range.count === 0 ? song.bytes.length : range.offset + range.count;
  listener.data(range.song, song.bytes.subarray(range.offset, end));
}

/** Serves honestly until `limit` bytes of songs were sent on a connection, then does `then` mid-body. */
export const failAfter =
  (limit: number, then: (socket: Socket) => unknown): NonNullable<HostScript['range']> =>
  (listener, range, song) => {
    const end = Math.min(song.bytes.length, range.offset + range.count);
    const bytes = song.bytes.subarray(range.offset, end);
    const room = Math.max(0, limit - listener.sentBytes);
    if (listener.sentBytes > limit) return undefined;
    if (bytes.length <= room) return false;
    listener.data(range.song, bytes.subarray(0, room), bytes.length);
    // Nothing more is sent on this connection.
    listener.sentBytes = limit + 1;
    return then(listener.socket) ?? true;
  };
