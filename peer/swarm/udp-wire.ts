/**
 * One UDP socket for all swarms, IPv6 and IPv4 alike where the machine has both.
 *
 *     datagram ─▶ receive(bytes, from)          send ─▶ the system's buffer ─ full ─▶ a queue here, bounded by `room`
 *
 * Addresses come and go as `canonicalIp` writes them; they are kept as objects, for a hundred thousand datagrams come from
 * a handful of them.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { TransportError } from '../../protocol/errors.js';
import { canonicalIp } from '../../protocol/ip.js';
import type { Outgoing } from '../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import type { DatagramWire, ListenAt, Receive } from './datagram-wire.js';

/** What waits in this process; the system has a buffer of its own. */
const MAX_QUEUED_BYTES = 256 * 1_024;
/** Asked of the system, which may give less: what comes while a core is taken. */
const BUFFER_BYTES = 4 * 1_024 * 1_024;
const MAX_REMEMBERED = 4_096;

export class UdpWire implements DatagramWire {
  readonly isReliable = false;
  #socket: Socket | undefined;
  #isIpv6 = false;
  #hasRoom: () => void = () => {};
  #wasFull = false;
  /** By what the system calls it. */
  readonly #addresses = new Map<string, PeerAddress>();
  /** Who sent the last datagram, as the system calls it, for who sends one sends more. */
  #last = { address: '', port: 0, known: { address: '', port: 0 } };

  readonly #onSent = (): void => {
    if (!this.#wasFull || (this.#socket?.getSendQueueSize() ?? 0) > MAX_QUEUED_BYTES / 2) return;
    this.#wasFull = false;
    this.#hasRoom();
  };

  get room(): number {
    const room = MAX_QUEUED_BYTES - (this.#socket?.getSendQueueSize() ?? 0);
    if (room > 0) return room;
    this.#wasFull = true;
    return 0;
  }

  async start(at: ListenAt, receive: Receive, hasRoom: () => void): Promise<PeerAddress> {
    this.#hasRoom = hasRoom;
    const hosts = at.host === undefined ? ['::', '0.0.0.0'] : [at.host];
    for (const [index, host] of hosts.entries()) {
      try {
        return await this.#bind(host, at.port, receive);
      } catch (error) {
        // A machine without IPv6 has no `::`.
        const { code } = error as NodeJS.ErrnoException;
        const isMissing = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
        if (!isMissing || index === hosts.length - 1)
          throw new TransportError((error as Error).message, { cause: error });
      }
    }
    throw new TransportError('nowhere to listen');
  }

  send({ to, datagram }: Outgoing): void {
    const address = this.#isIpv6 && !to.address.includes(':') ? `::ffff:${to.address}` : to.address;
    // Somebody who cannot be reached says so by silence.
    this.#socket?.send(datagram, to.port, address, this.#onSent);
  }

  async stop(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return;
    while (socket.getSendQueueCount() > 0) await new Promise(resolve => setImmediate(resolve));
    this.#socket = undefined;
    socket.close();
    await once(socket, 'close');
  }

  async #bind(host: string, port: number, receive: Receive): Promise<PeerAddress> {
    const socket = createSocket({
      type: isIPv6(host) ? 'udp6' : 'udp4',
      recvBufferSize: BUFFER_BYTES,
      sendBufferSize: BUFFER_BYTES,
      // Addresses are numbers already: looking each up would cost more than sending.
      lookup: (name, _options, callback) => callback(null, name, name.includes(':') ? 6 : 4),
    });
    // Before it is bound, for where nothing is looked up that is at once.
    const listening = once(socket, 'listening');
    socket.bind(port, host);
    try {
      await listening;
    } catch (error) {
      socket.close();
      throw error;
    }
    // What the network reports of single datagrams is no end of the socket.
    socket.on('error', () => {});
    socket.on('message', (datagram, from) => receive(datagram, this.#known(from.address, from.port)));
    this.#socket = socket;
    this.#isIpv6 = isIPv6(host);
    return socket.address();
  }

  #known(address: string, port: number): PeerAddress {
    if (this.#last.port === port && this.#last.address === address) return this.#last.known;
    const key = `${address} ${port}`;
    let known = this.#addresses.get(key);
    if (known === undefined) {
      if (this.#addresses.size >= MAX_REMEMBERED) this.#addresses.clear();
      known = { address: canonicalIp(address), port };
      this.#addresses.set(key, known);
    }
    this.#last = { address, port, known };
    return known;
  }
}
