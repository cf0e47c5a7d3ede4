/** A registered attacker: proven by the rules, since only so it gets far enough in to break others. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { encode } from '../../../protocol/tsp/codec.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import type { Message } from '../../../protocol/tsp/messages.js';

const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

export interface Registration {
  readonly socket: Socket;
  /** The connection is closed. */
  readonly over: Promise<void>;
  /** A message of that type has come whole. */
  next(type: string): Promise<void>;
}

/** From `address`, with these rows, up to WELCOME; undefined when the tracker ended it before. */
export async function register(
  port: number,
  address: string,
  rows: Buffer,
): Promise<Registration | undefined> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: address }).on('error', () => {});
  const over = new Promise<void>(resolve => socket.once('close', () => resolve()));
  const songServer = createServer(dialled => {
    dialled.on('error', () => {});
    take(dialled, message => {
      if (message.type !== 'PING') return;
      const pong = encode({ type: 'PONG', value: message.value });
      dialled.end(pong);
      socket.write(pong);
    });
  });
  await once(songServer.listen(0, address), 'listening');
  const waiting = new Map<string, () => void>();
  const next = (type: string): Promise<void> => new Promise(resolve => waiting.set(type, resolve));
  take(socket, message => {
    if (message.type === 'PING') socket.write(encode({ type: 'PONG', value: message.value }));
    else if (message.type === 'LIST') {
      socket.write(encode({ type: 'LIST_INFO', revision: 0, length: rows.length }));
      socket.write(rows);
    }
    waiting.get(message.type)?.();
    waiting.delete(message.type);
  });
  const welcome = next('WELCOME').then(() => true);
  const songPort = (songServer.address() as AddressInfo).port;
  socket.write(encode({ type: 'HELLO', port: songPort, hello: { tsp: 1, broadcasts: false } }));
  const isWelcome = await Promise.race([welcome, over.then(() => false)]);
  songServer.close();
  return isWelcome ? { socket, over, next } : undefined;
}

/** Hands over each message; of what is read as it comes, its header at its end. */
function take(socket: Socket, receive: (message: Message) => void): void {
  const framer = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  socket.on('data', (chunk: Buffer) => {
    framer.push(chunk);
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      if (event.kind === 'message') receive(event.message);
      else if (event.kind === 'end') receive(event.header);
    }
  });
}
