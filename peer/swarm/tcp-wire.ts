/**
 * Datagrams over TCP, each with its length before it, as PyPPSPP has them: for an endpoint one connection is one peer.
 *
 *     listens ─ accepted ─┐
 *     first HANDSHAKE to a new address ─ connects ─┴─▶ frames in and out ─ closed, silent ─▶ lost
 *
 * A peer that came in is known by its end of the connection, which nobody else can dial. What waits for a slow one is
 * bounded by `roomFor`, so it holds up nobody else.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { readU32 } from '../../protocol/bytes.js';
import { TransportError } from '../../protocol/errors.js';
import { addressKey, canonicalIp } from '../../protocol/ip.js';
import type { Clock } from '../../protocol/ports.js';
import { NO_CHANNEL } from '../../protocol/ppspp/constants.js';
import { MAX_INCOMING_PER_ADDRESS, type Outgoing } from '../../protocol/ppspp/endpoint.js';
import { addressText, type PeerAddress } from '../../protocol/ppspp/gate.js';
import { FRAME_BYTES } from '../../protocol/ppspp/packer.js';
import { DatagramFramer, frameHeader } from '../../protocol/ppspp/stream-framing.js';
import { Doorkeeper } from '../../protocol/tsp/doorkeeper.js';
import type { DatagramWire, ListenAt, Lost, Receive } from './datagram-wire.js';
import { FrameMemory } from './frame-memory.js';

/** Waiting for one peer, beside what the system holds … */
const MAX_QUEUED_BYTES = 512 * 1_024;
/** … and room for less than a frame is none: of a frame that is cut each part is judged by itself. */
const FULL_BYTES = MAX_QUEUED_BYTES - FRAME_BYTES;
const MAX_CONNECTIONS = 1_000;
/** Who has not said a whole datagram by then is not going to. */
const FIRST_FRAME_MS = 10_000;
/** Channels show life each 55 s at least (RFC 7574 §3.12). */
const IDLE_MS = 120_000;
/** Read at once from a connection that we made: all of them read into the same memory, one after the other. */
const READ_BYTES = 128 * 1_024;
/** What was sent may take so long to leave when everything ends. */
const FLUSH_MS = 500;

interface Connection {
  readonly socket: Socket;
  readonly peer: PeerAddress;
  readonly framer: DatagramFramer;
  /** A whole datagram came: it may stay. */
  readonly stays: () => void;
}

export class TcpWire implements DatagramWire {
  readonly isReliable = true;
  readonly #clock: Clock;
  readonly #connections = new Map<string, Connection>();
  /** Of those that came in. */
  readonly #doorkeeper = new Doorkeeper<Socket>({
    maxConnections: MAX_CONNECTIONS,
    maxPerAddress: MAX_INCOMING_PER_ADDRESS,
  });
  readonly #memory = new FrameMemory();
  /** Given to the reader before anything else is read. */
  #input: Uint8Array | undefined;
  #server: Server | undefined;
  #receive: Receive = () => {};
  #hasRoom: () => void = () => {};
  #lost: Lost = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Each connection has its own. */
  get room(): number {
    return Number.POSITIVE_INFINITY;
  }

  roomFor(to: PeerAddress): number {
    const socket = this.#connections.get(addressText(to))?.socket;
    if (socket === undefined || socket.writableLength >= FULL_BYTES) return 0;
    return MAX_QUEUED_BYTES - socket.writableLength;
  }

  async start(
    at: ListenAt,
    receive: Receive,
    hasRoom: () => void,
    lost: Lost = () => {},
  ): Promise<PeerAddress> {
    this.#receive = receive;
    this.#hasRoom = hasRoom;
    this.#lost = lost;
    const server = createServer({ noDelay: true, highWaterMark: FULL_BYTES });
    server.maxConnections = MAX_CONNECTIONS;
    server.on('connection', socket => this.#accept(socket));
    server.listen(at.port, at.host);
    try {
      await once(server, 'listening');
    } catch (error) {
      throw new TransportError((error as Error).message, { cause: error });
    }
    this.#server = server;
    const { address, port } = server.address() as { address: string; port: number };
    return { address, port };
  }

  allocate(length: number): Buffer {
    return this.#memory.take(length);
  }

  send({ to, datagram }: Outgoing): void {
    const connection = this.#connections.get(addressText(to)) ?? this.#dial(to, datagram);
    if (connection === undefined) return;
    const { socket } = connection;
    socket.cork();
    socket.write(frameHeader(datagram));
    socket.write(datagram, () => this.#memory.giveBack(datagram));
    socket.uncork();
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    const sockets = [...this.#connections.values()].map(({ socket }) => socket);
    for (const socket of sockets) socket.end();
    const cancel = this.#clock.after(FLUSH_MS, () => {
      for (const socket of sockets) socket.destroy();
    });
    // Not `once`, which takes an error of one that is being dialled for the end of all this.
    const isOver = (socket: Socket) => new Promise(resolve => socket.once('close', resolve));
    await Promise.all(sockets.map(socket => (socket.closed ? undefined : isOver(socket))));
    cancel();
    await closed;
  }

  /** Only a HANDSHAKE opens a way; what is late for one that is gone is dropped. */
  #dial(to: PeerAddress, datagram: Uint8Array): Connection | undefined {
    if (
      readU32(datagram, 0) !== NO_CHANNEL ||
      this.#server === undefined ||
      this.#connections.size >= MAX_CONNECTIONS
    )
      return undefined;
    this.#input ??= new Uint8Array(READ_BYTES);
    const onread = {
      buffer: this.#input,
      callback: (length: number, input: Uint8Array): boolean => {
        this.#read(connection, input.subarray(0, length));
        return true;
      },
    };
    const connection = this.#add(connect({ host: to.address, port: to.port, noDelay: true, onread }), to);
    return connection;
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const key = addressKey(remoteAddress);
    if (this.#doorkeeper.refusal(key, this.#clock.now()) !== undefined) {
      socket.destroy();
      return;
    }
    socket.once('close', () => this.#doorkeeper.left(key, socket));
    this.#add(socket, { address: canonicalIp(remoteAddress), port: remotePort });
    this.#doorkeeper.entered(key, socket)?.destroy();
  }

  #add(socket: Socket, peer: PeerAddress): Connection {
    const stays = this.#clock.after(FIRST_FRAME_MS, () => socket.destroy());
    const connection = { socket, peer, framer: new DatagramFramer(), stays };
    const key = addressText(peer);
    this.#connections.set(key, connection);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    // Why it ended is no matter: that it did is told by `close`.
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => this.#read(connection, bytes));
    socket.on('end', () => socket.end());
    socket.on('drain', () => this.#hasRoom());
    socket.once('close', () => {
      stays();
      if (this.#connections.get(key) === connection) this.#connections.delete(key);
      this.#lost(peer);
    });
    return connection;
  }

  #read({ framer, peer, socket, stays }: Connection, bytes: Uint8Array): void {
    framer.push(bytes);
    try {
      for (let datagram = framer.next(); datagram !== undefined; datagram = framer.next()) {
        stays();
        this.#doorkeeper.greeted(socket);
        this.#receive(datagram, peer);
      }
    } catch {
      // Whatever follows a length that cannot be, nobody can read.
      socket.destroy();
    }
  }
}
