/** A tracker that knows some rows and answers LIST, INFO and FIND; or whatever else a test wants at that port. */
import { createServer, type Server, type Socket } from 'node:net';
import type { HostPort } from '../../../protocol/tsp/addresses.js';
import { encode } from '../../../protocol/tsp/codec.js';
import { MESSAGE_TYPE } from '../../../protocol/tsp/constants.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import type { Message } from '../../../protocol/tsp/messages.js';
import { encodeRow, type SongRow } from '../../../protocol/tsp/rows.js';
import type { Teardown } from '../../support/until.js';

/** A TCP server on a free port of loopback that ends with the test. */
export async function serverAt(t: Teardown, onConnection: (socket: Socket) => void): Promise<HostPort> {
  const sockets = new Set<Socket>();
  const server: Server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>(resolve => server.close(() => resolve()));
  });
  return { host: '127.0.0.1', port: (server.address() as { port: number }).port };
}

export class FakeTracker {
  rows: SongRow[] = [];
  connections = 0;

  async start(t: Teardown): Promise<HostPort> {
    return await serverAt(t, socket => {
      this.connections += 1;
      const framer = new Framer();
      socket.on('data', chunk => {
        framer.push(chunk);
        for (let event = framer.next(); event !== undefined; event = framer.next()) {
          if (event.kind === 'message') socket.write(this.#answer(event.message));
        }
      });
      socket.on('end', () => socket.end());
    });
  }

  #answer(message: Message): Uint8Array {
    if (message.type === 'LIST') {
      const payload = Buffer.concat(this.rows.map(encodeRow));
      return Buffer.concat([encode({ type: 'LIST_INFO', revision: 1, length: payload.length }), payload]);
    }
    if (message.type === 'INFO') {
      const rows = this.rows.filter(row => message.song === 0 || row.id === message.song);
      if (rows.length > 0) return this.#songInfo(message.song, rows);
      const error = { code: 'no-such-song', type: MESSAGE_TYPE.INFO, message: 'it is not listed' } as const;
      return encode({ type: 'ERROR', song: message.song, error });
    }
    if (message.type === 'FIND') {
      return this.#songInfo(
        0,
        this.rows.filter(row => row.title?.toLowerCase().includes(message.words.toLowerCase())),
      );
    }
    throw new Error(`nobody told me what to say to ${message.type}`);
  }

  #songInfo(song: number, rows: readonly SongRow[]): Uint8Array {
    const payload = Buffer.concat(rows.map(encodeRow));
    const header = encode({ type: 'SONG_INFO', song: song as never, length: payload.length });
    return Buffer.concat([header, payload]);
  }
}
