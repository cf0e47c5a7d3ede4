/**
 * Peer address exchange (RFC 7574 §3.10, §12.2): who may be told of whom, and how much of what is told is listened to.
 *
 *     asked from    told                                  in plain only where everybody is trusted: not to, nor by, somebody
 *     loopback      loopback, private, public             at a public address
 *     private       private, public
 *
 * Each peer that is told of causes a HANDSHAKE somewhere, so nobody is told unasked, nor of more than a few, nor of one
 * with whom nothing was exchanged for a minute.
 */
import { type AddressScope, addressScope, ipBytes, ipText } from '../ip.js';
import type { Milliseconds } from '../ports.js';
import { addressText, type PeerAddress } from './gate.js';
import type { Message } from './messages.js';

export const EXCHANGED_WITHIN_MS = 60_000;
/** How many go with one answer. */
export const MAX_PEERS_TOLD = 16;
/** libswift asks each 1.1 s. */
const ASKED_EVERY_MS = 1_000;

export interface KnownPeer extends PeerAddress {
  /** When anything but silence last came from it. */
  readonly exchangedAt: Milliseconds;
}

type PeerMessage = Extract<Message, { type: 'PEX_RESv4' | 'PEX_RESv6' }>;

/** By the scope of who asks, or tells. */
const MAY_SPEAK_OF: Readonly<Partial<Record<AddressScope, readonly AddressScope[]>>> = {
  loopback: ['loopback', 'private', 'public'],
  private: ['private', 'public'],
};

/** Whether somebody at `of` may be told of `peer`, or be believed about it. */
export function maySpeakOf(of: PeerAddress, peer: PeerAddress): boolean {
  const told = MAY_SPEAK_OF[addressScope(of.address)];
  return peer.port !== 0 && told?.includes(addressScope(peer.address)) === true;
}

/** Whom to tell somebody at `asker` of; the first that may be told. */
export function peersToTell(
  asker: PeerAddress,
  known: Iterable<KnownPeer>,
  now: Milliseconds,
): PeerAddress[] {
  const told: PeerAddress[] = [];
  for (const peer of known) {
    if (told.length === MAX_PEERS_TOLD) break;
    const isFresh = now - peer.exchangedAt < EXCHANGED_WITHIN_MS;
    if (isFresh && addressText(peer) !== addressText(asker) && maySpeakOf(asker, peer)) told.push(peer);
  }
  return told;
}

export function encodePeer({ address, port }: PeerAddress): PeerMessage {
  const bytes = Uint8Array.from(ipBytes(address) ?? []);
  return { type: bytes.length === 4 ? 'PEX_RESv4' : 'PEX_RESv6', address: bytes, port };
}

export const decodePeer = ({ address, port }: PeerMessage): PeerAddress => ({
  address: ipText([...address]),
  port,
});

/** How much of it one channel may do. */
export class ExchangeLimits {
  #answerable = 0;
  #answeredAt = Number.NEGATIVE_INFINITY;

  /** We asked. */
  asked(): void {
    this.#answerable = MAX_PEERS_TOLD;
  }

  /** Whether a peer that we are told of was asked for. */
  listens(): boolean {
    if (this.#answerable === 0) return false;
    this.#answerable -= 1;
    return true;
  }

  /** Whether the other side, which asks, is to be answered. */
  answers(now: Milliseconds): boolean {
    if (now - this.#answeredAt < ASKED_EVERY_MS) return false;
    this.#answeredAt = now;
    return true;
  }
}
