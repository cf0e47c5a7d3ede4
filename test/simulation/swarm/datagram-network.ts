/**
 * A network of datagrams: uplinks with a rate and a short queue, links that lose, double, spoil and reorder, machines that
 * go without a word.
 *
 *     wire.send ─▶ uplink, full: dropped ─▶ carried(link) ─▶ after a while: onArrival, wire.receive
 */
import type { DatagramWire, ListenAt, Receive } from '../../../peer/swarm/datagram-wire.js';
import type { Milliseconds } from '../../../protocol/ports.js';
import type { Outgoing } from '../../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../../protocol/ppspp/gate.js';
import { carried, type Link } from '../../support/virtual-link.js';
import type { Chance } from '../chance.js';
import type { Timeline } from '../timeline.js';

export const SWARM_PORT = 6_778;
/** What waits before an uplink: as the queue of a home router. */
const QUEUE_MS = 200;
/** Taken from an engine at once. */
const ROOM_BYTES = 64 * 1_024;

export class DatagramNetwork {
  readonly timeline: Timeline;
  datagrams = 0;
  /** Looks on when one is sent, and just before one is received. */
  onSent: (from: PeerAddress, outgoing: Outgoing) => void = () => {};
  onArrival: (from: PeerAddress, outgoing: Outgoing) => void = () => {};
  readonly #chance: Chance;
  readonly #link: Link;
  readonly #wires = new Map<string, VirtualWire>();

  constructor(timeline: Timeline, chance: Chance, link: Link) {
    this.timeline = timeline;
    this.#chance = chance;
    this.#link = link;
  }

  /** A new one in the place of whatever was at that address. */
  wire(address: string, bytesPerSecond: number): VirtualWire {
    const wire = new VirtualWire(this, { address, port: SWARM_PORT }, bytesPerSecond);
    this.#wires.set(address, wire);
    return wire;
  }

  /** `from` may be forged. */
  send(from: PeerAddress, outgoing: Outgoing, waitMs = 0): void {
    const { to, datagram: sent } = outgoing;
    this.datagrams += 1;
    this.onSent(from, outgoing);
    for (const { delayMs, datagram } of carried(this.#link, this.#chance, sent))
      this.timeline.after(waitMs + delayMs, () => {
        const wire = this.#wires.get(to.address);
        if (wire === undefined || to.port !== SWARM_PORT) return;
        this.onArrival(from, { to, datagram });
        wire.receive(datagram, from);
      });
  }
}

/** The socket of one machine. */
export class VirtualWire implements DatagramWire {
  readonly isReliable = false;
  readonly room = ROOM_BYTES;
  readonly #network: DatagramNetwork;
  readonly #address: PeerAddress;
  readonly #bytesPerSecond: number;
  #receive: Receive | undefined;
  #freeAt: Milliseconds = 0;

  constructor(network: DatagramNetwork, address: PeerAddress, bytesPerSecond: number) {
    this.#network = network;
    this.#address = address;
    this.#bytesPerSecond = bytesPerSecond;
  }

  async start(_at: ListenAt, receive: Receive): Promise<PeerAddress> {
    this.#receive = receive;
    return this.#address;
  }

  receive(datagram: Uint8Array, from: PeerAddress): void {
    this.#receive?.(datagram, from);
  }

  send(outgoing: Outgoing): void {
    if (this.#receive === undefined) return;
    const now = this.#network.timeline.now();
    const begins = Math.max(now, this.#freeAt);
    if (begins - now > QUEUE_MS) return;
    this.#freeAt = begins + (outgoing.datagram.length * 1_000) / this.#bytesPerSecond;
    this.#network.send(this.#address, outgoing, this.#freeAt - now);
  }

  async stop(): Promise<void> {
    this.cut();
  }

  /** Nothing comes or goes any more. */
  cut(): void {
    this.#receive = undefined;
  }
}
