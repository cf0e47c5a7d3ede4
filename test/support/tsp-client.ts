/**
 * A bare TSP connection for tests: it says exactly what it is told, and hands over what comes back, message by message.
 *
 *     const client = await connectTsp(t, port);
 *     client.send({ type: 'LIST' });
 *     const list = await client.receive('LIST_INFO');        list.rows → the parsed lines, list.payload → the bytes
 *
 * It answers nothing by itself and keeps no rule, so that a test can break them: `write` takes any bytes.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { Message, PlainMessage, StreamHeader, WholeMessage } from '../../protocol/tsp/messages.js';
import { DEADLINE_MS, type Teardown, until, within } from './until.js';

/** A message as it came: one whose payload is read as it comes has it here whole. */
export type Received = PlainMessage | WholeMessage | (StreamHeader & Payload);
type ReceivedOf<T extends Received['type']> = Extract<Received, { type: T }>;

export interface Payload {
  readonly payload: Buffer;
  /** Each line of the payload, parsed; [] when it is no NDJSON. */
  readonly rows: Record<string, unknown>[];
}

/** Big enough for what any test asks; the other side's limits are what is tested, not ours. */
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

export class TspClient {
  readonly #framer = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  readonly #received: Received[] = [];
  #data: Buffer[] = [];
  #failure: unknown;
  /** The other side said that nothing more comes. */
  ended = false;
  /** Resolves when the connection is over, with the reason: a clean end or a reset. */
  readonly closed: Promise<'ended' | 'reset'>;

  constructor(readonly socket: Socket) {
    socket.on('data', chunk => this.#take(chunk));
    socket.on('end', () => {
      this.ended = true;
    });
    this.closed = new Promise(resolve => {
      let reset = false;
      socket.on('error', () => {
        reset = true;
      });
      socket.once('close', () => resolve(reset ? 'reset' : 'ended'));
    });
  }

  /** Raw bytes; a string counts as latin1, so `'\x01\0\0\0\0'` is LIST. */
  write(bytes: Uint8Array | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  send(...messages: Message[]): void {
    for (const message of messages) this.socket.write(encode(message));
  }

  /** An answer that is read as it comes (LIST_INFO, SONG_INFO, …): header and payload. */
  sendRows(header: DistributiveOmit<StreamHeader, 'length'>, rows: readonly object[]): void {
    const payload = Buffer.from(rows.map(row => `${JSON.stringify(row)}\n`).join(''));
    this.socket.write(
      Buffer.concat([encode({ ...header, length: payload.length } as StreamHeader), payload]),
    );
  }

  /** Half-closes: nothing more is asked. */
  end(): void {
    this.socket.end();
  }

  /** Closes at once; with `reset`, as a crash would. */
  destroy(how: 'close' | 'reset' = 'close'): void {
    if (how === 'reset') this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** The next message, whatever it is. */
  async next(deadlineMs = DEADLINE_MS): Promise<Received> {
    return await until(
      'a message',
      () => {
        const message = this.#received.shift();
        if (message !== undefined) return message;
        if (this.#failure !== undefined) throw this.#failure;
        if (this.socket.closed || this.ended) throw new Error('the connection ended, and no message came');
        return undefined;
      },
      deadlineMs,
    );
  }

  /** The next message, which must be of this type. */
  async receive<T extends Received['type']>(type: T, deadlineMs = DEADLINE_MS): Promise<ReceivedOf<T>> {
    const message = await this.next(deadlineMs);
    if (message.type !== type) throw new Error(`${type} was awaited, ${JSON.stringify(message)} came`);
    return message as ReceivedOf<T>;
  }

  /** The next message of this type; what comes before it is dropped. */
  async await<T extends Received['type']>(
    type: T,
    matches: (message: ReceivedOf<T>) => boolean = () => true,
  ): Promise<ReceivedOf<T>> {
    for (;;) {
      const message = await this.next();
      if (message.type === type && matches(message as ReceivedOf<T>)) return message as ReceivedOf<T>;
    }
  }

  /** Everything until the other side closes. */
  async drain(): Promise<Received[]> {
    await within('the other side closes', this.closed);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#received.splice(0);
  }

  #take(chunk: Buffer): void {
    try {
      this.#framer.push(chunk);
      for (let event = this.#framer.next(); event !== undefined; event = this.#framer.next()) {
        if (event.kind === 'message') this.#received.push(event.message);
        else if (event.kind === 'data') this.#data.push(Buffer.from(event.bytes));
        else if (event.kind === 'end') {
          const payload = Buffer.concat(this.#data);
          this.#data = [];
          this.#received.push({ ...event.header, payload, rows: parseRows(payload) });
        }
      }
    } catch (error) {
      this.#failure ??= error;
    }
  }
}

type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;

function parseRows(payload: Buffer): Record<string, unknown>[] {
  if (payload[0] !== 0x7b || payload.at(-1) !== 0x0a) return [];
  return payload
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
}

/** Connects to a port of this machine; the connection ends with the test. */
export async function connectTsp(t: Teardown, port: number, host = '127.0.0.1'): Promise<TspClient> {
  const socket = connect({ host, port, allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return new TspClient(socket);
}

/** A server of a test's own on a free port: each connection is a TspClient that `serve` may answer, or be silent to. */
export async function listenTsp(
  t: Teardown,
  serve: (client: TspClient) => unknown,
): Promise<{ port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket.once('close', () => sockets.delete(socket)));
    const client = new TspClient(socket);
    void Promise.resolve(serve(client)).catch(() => socket.destroy());
  });
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise(resolve => server.close(resolve));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port };
}

/** What `nc` does: connects, writes, half-closes, and gives everything that came back until the other side closed. */
export async function netcat(t: Teardown, port: number, bytes: Uint8Array | string): Promise<Buffer> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  const over = once(socket, 'close');
  socket.end(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  socket.once('end', () => socket.destroy());
  await within('the other side closes', over);
  return Buffer.concat(chunks);
}

/** What the tracker at that port lists, asked as anybody would ask: connect, LIST, leave. */
export async function listAt(t: Teardown, port: number): Promise<Record<string, unknown>[]> {
  const client = await connectTsp(t, port);
  client.send({ type: 'LIST' });
  const { rows } = await client.receive('LIST_INFO');
  client.destroy();
  return rows;
}
