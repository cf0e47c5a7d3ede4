/**
 * Peers as light as can be, thousands of them in one process, so that what is measured is the tracker: each from an
 * address of its own (127.x.y.z), with a song server that can do nothing but be reached.
 *
 *     host = await LightHost.listen(index)     register at a tracker: openPeer(port, index, hello, { host, list }, take)
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import { MESSAGE_TYPE } from '../../protocol/tsp/constants.js';
import { type FrameEvent, Framer } from '../../protocol/tsp/framing.js';
import { encodeRow } from '../../protocol/tsp/rows.js';
import { addressOf, listenAt } from '../../test/support/crowd.js';

/** Below the ports that the system gives to outgoing connections. */
const FIRST_PORT = 20_000;
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;
/** Each peer reads what came before any other does. */
const READ = Buffer.alloc(64 * 1024);

/** The song server of a peer, and its registration connection once there is one. On loopback the port tells peers apart. */
export class LightHost {
  readonly port: number;
  registration: Socket | undefined;
  readonly #server: Server;

  static async listen(index: number): Promise<LightHost> {
    // The tracker closes, and there is nothing left to say then.
    const server = createServer({ allowHalfOpen: true }, socket => {
      socket.on('error', () => {});
      socket.once('end', () => socket.destroy());
      // A PING, which comes whole: five bytes, and a PONG but for the first.
      socket.once('data', ping => {
        const pong = Buffer.from(ping);
        pong[0] = MESSAGE_TYPE.PONG;
        socket.write(pong);
        host.registration?.write(pong);
      });
    });
    const port = await listenAt(server, FIRST_PORT + index, addressOf(index));
    const host = new LightHost(server, port);
    return host;
  }

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  close(): void {
    this.#server.close();
  }
}

/** LIST_INFO with the rows of these songs. */
export function listOf(offers: readonly object[]): Buffer {
  const rows = offers.map(encodeRow);
  const length = rows.reduce((sum, row) => sum + row.length, 0);
  return Buffer.concat([encode({ type: 'LIST_INFO', revision: 0, length }), ...rows]);
}

/**
 * Says `hello` to the tracker at `port` from address number `index`, then what it is asked for, as long as it lives; `take`
 * has what else comes. What is wrong with it only shows in 'error' and 'close'.
 */
export function openPeer(
  port: number,
  index: number,
  hello: Buffer,
  { host, list }: { readonly host?: LightHost; readonly list?: Buffer },
  take: (event: FrameEvent) => void,
): Socket {
  const framer = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  const received = (bytes: number): boolean => {
    framer.push(READ.subarray(0, bytes));
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      const message = event.kind === 'message' ? event.message : undefined;
      if (message?.type === 'PING') socket.write(encode({ type: 'PONG', value: message.value }));
      else if (message?.type === 'LIST' && list !== undefined) socket.write(list);
      else take(event);
    }
    return true;
  };
  const onread = { buffer: READ, callback: received };
  const from = addressOf(index);
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true, onread });
  if (host !== undefined) host.registration = socket;
  socket.write(hello);
  return socket;
}
