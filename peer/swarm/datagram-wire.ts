/**
 * What carries datagrams for an endpoint: one UDP socket, or many TCP connections that look like one.
 */
import type { Outgoing } from '../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';

/** Where to listen: `host` absent means all addresses of this machine. */
export interface ListenAt {
  readonly host?: string;
  /** 0: any. */
  readonly port: number;
}

export interface DatagramWire {
  /** Over a stream; what is sent arrives, in order. */
  readonly isReliable: boolean;
  /** Bytes that it takes now before memory fills. */
  readonly room: number;
  /** And for this peer alone, where each has a way of its own. */
  roomFor?(to: PeerAddress): number;
  /**
   * `receive`: the bytes are valid until it returns, unless they are copied. `hasRoom`: there was none, and now is. `lost`:
   * the way to a peer is gone.
   */
  start(at: ListenAt, receive: Receive, hasRoom: () => void, lost?: Lost): Promise<PeerAddress>;
  /** Memory for a datagram, which `send` takes back. Absent: the heap's. */
  allocate?(length: number): Buffer;
  send(outgoing: Outgoing): void;
  /** Resolves when what was sent has left and everything is closed. */
  stop(): Promise<void>;
}

export type Receive = (datagram: Uint8Array, from: PeerAddress) => void;
export type Lost = (peer: PeerAddress) => void;
