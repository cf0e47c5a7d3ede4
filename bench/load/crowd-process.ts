/**
 * Many peers in one process, each from an address of its own, for a parent that tells them what to do.
 *
 *     {do: 'host'}  a peer with ten songs and a song server on a port of its own     ─▶ {tookMs, bytes}, when all are in
 *     {do: 'listen'} one that only reads, from `since` on                             ─▶ the same, when all have the list
 *     {do: 'tell'}                                                                    ─▶ latencies of what came, in ms
 *
 * A change carries the moment of its making in a title: `at 1700000000000.25`.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { Hello, Message } from '../../protocol/tsp/messages.js';
import { addressOf, inTurns, listenAt, range } from '../../test/support/crowd.js';

export type CrowdOrder =
  | {
      readonly do: 'host' | 'listen';
      readonly port: number;
      readonly first: number;
      readonly count: number;
      readonly since?: Hello['since'];
    }
  | { readonly do: 'tell' };

export interface CrowdReport {
  readonly tookMs: number;
  readonly bytes: number;
  readonly latenciesMs: readonly number[];
}

export const SONGS_EACH = 10;
/** Below the ports that the system gives to outgoing connections. */
const FIRST_PORT = 20_000;
/** More than one write to the disk takes along, or all of them would wait for it. */
const AT_ONCE = 500;
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;
const CHANGE = /"title":"at ([\d.]+)"/g;

export const momentNow = (): number => performance.timeOrigin + performance.now();

const sockets: Socket[] = [];
let latenciesMs: number[] = [];
let bytes = 0;

process.on('message', async (order: CrowdOrder) => {
  let began = performance.now();
  if (order.do !== 'tell') {
    bytes = 0;
    const indices = range(order.count).map(offset => order.first + offset);
    const peers = new Map<number, Host>();
    // As a peer has them before it registers.
    if (order.do === 'host')
      await inTurns(indices, AT_ONCE, async index => peers.set(index, await prepare(index)));
    began = performance.now();
    await inTurns(indices, AT_ONCE, index => {
      const host = peers.get(index);
      const { port, since } = order;
      return host === undefined ? listen(port, index, since) : register(port, index, host, since);
    });
  }
  process.send?.({ tookMs: performance.now() - began, bytes, latenciesMs } satisfies CrowdReport);
  latenciesMs = [];
});

interface Host {
  readonly server: Server;
  readonly port: number;
  readonly offer: Buffer;
  registration: Socket | undefined;
}

/** Its song server, and what it says of its songs. */
async function prepare(index: number): Promise<Host> {
  const server = createServer(socket => {
    take(socket, message => {
      if (message.type !== 'PING') return;
      const pong = encode({ type: 'PONG', value: message.value });
      socket.write(pong);
      host.registration?.write(pong);
    });
  });
  const rows = range(SONGS_EACH).map(song => ({
    hash: createHash('sha256').update(`${index} ${song}`).digest('hex'),
    title: `Song ${song} of ${index}`,
    artist: `Artist ${index % 1_000}`,
    duration: 180,
  }));
  const payload = Buffer.from(rows.map(row => `${JSON.stringify(row)}\n`).join(''));
  const offer = Buffer.concat([encode({ type: 'LIST_INFO', revision: 0, length: payload.length }), payload]);
  const port = await listenAt(server, FIRST_PORT + index, addressOf(index));
  const host: Host = { server, port, offer, registration: undefined };
  return host;
}

/** With `since` it follows the list, too. */
async function register(port: number, index: number, host: Host, since: Hello['since']): Promise<void> {
  const registration = await open(port, index);
  host.registration = registration;
  const isBack = since !== undefined;
  await answered(registration, {
    port: host.port,
    instance: `of the crowd, ${index}`,
    broadcasts: isBack,
    ...(isBack ? { since } : {}),
    until: isBack ? 'BROADCAST_LIST' : 'WELCOME',
    offer: host.offer,
  });
  host.server.close();
}

async function listen(port: number, index: number, since: Hello['since']): Promise<void> {
  const socket = await open(port, index);
  const from = since === undefined ? {} : { since };
  await answered(socket, { port: 0, broadcasts: true, ...from, until: 'BROADCAST_LIST' });
}

async function open(port: number, index: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: addressOf(index), noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  sockets.push(socket);
  return socket;
}

/** Says HELLO, answers whatever is asked, and goes on doing so; resolves when the first message of that type came. */
function answered(
  socket: Socket,
  {
    port,
    until,
    offer,
    ...hello
  }: { port: number; until: string; offer?: Buffer } & Pick<Hello, 'instance' | 'broadcasts' | 'since'>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('close', () => reject(new Error(`closed before ${until}`)));
    take(socket, message => {
      if (message.type === 'PING') socket.write(encode({ type: 'PONG', value: message.value }));
      else if (message.type === 'LIST' && offer !== undefined) socket.write(offer);
      else if (message.type === 'ERROR') reject(new Error(JSON.stringify(message)));
      if (message.type === until) resolve();
    });
    socket.write(encode({ type: 'HELLO', port, hello: { tsp: 1, ...hello } }));
  });
}

/** Hands over each message; of a list, its header at its end. */
function take(socket: Socket, receive: (message: Message) => void): void {
  const framer = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  let isBroadcast = false;
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    framer.push(chunk);
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      if (event.kind === 'message') receive(event.message);
      else if (event.kind === 'end') receive(event.header);
      else if (event.kind === 'stream') isBroadcast = event.header.type === 'BROADCAST_LIST';
      else if (event.kind === 'data' && isBroadcast)
        for (const [, at] of latin1(event.bytes).matchAll(CHANGE)) latenciesMs.push(momentNow() - Number(at));
    }
  });
}

const latin1 = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString('latin1');
