/**
 * Channel 0 of a socket: answers first HANDSHAKEs, and lets in only who got the answer (RFC 7574 §3.1.1, §12.1).
 *
 *     datagram 1 ─▶ fits? ─▶ answer, not longer than the question ─▶ half open ─ datagram 3 from there ─▶ a channel
 *                     └ no: silence
 *
 * Before the third datagram nothing of a swarm is touched: a half-open channel is one small record in a table of fixed
 * size, in which the newest take the place of the oldest, and one address has few.
 */
import { ByteReader } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import { addressKey } from '../ip.js';
import type { Milliseconds, RandomBytes } from '../ports.js';
import { sayable } from './chunk-spec.js';
import { decodeDatagram, encodeDatagram } from './codec.js';
import { MESSAGE_TYPE, NO_CHANNEL } from './constants.js';
import {
  type Abilities,
  abilitiesOf,
  type Dialect,
  dialectOf,
  handshakeMismatch,
  ownOptions,
  wireFormatOf,
} from './handshake.js';
import type { Options } from './messages.js';
import { readOptions } from './options.js';
import type { OpenSwarm } from './swarm.js';

export const MAX_HALF_OPEN = 1_024;
export const MAX_HALF_OPEN_PER_ADDRESS = 16;
export const HALF_OPEN_MS = 10_000;
/** So many numbers are kin: more than there can be channels of one end. */
const KIN = 1_024;
/** Ranges in an answer: no more of them has room in it anyway. */
const MAX_ANNOUNCED = 8;

/** `address`: an IP address, as `canonicalIp` writes it. */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
}

export const addressText = ({ address, port }: PeerAddress): string => `${address} ${port}`;

/** Somebody who asked, and was answered. */
export interface HalfOpen<S extends OpenSwarm = OpenSwarm> extends Abilities {
  /** Ours: what the other side puts before its datagrams. */
  readonly channel: number;
  readonly peerChannel: number;
  readonly swarm: S;
  readonly dialect: Dialect;
  /** Where it is, and who that counts as in limits. */
  readonly from: string;
  readonly address: string;
  readonly since: Milliseconds;
}

export class Gate<S extends OpenSwarm = OpenSwarm> {
  readonly #random: RandomBytes;
  readonly #swarmOf: (swarmId: Uint8Array) => S | undefined;
  readonly #isTaken: (channel: number) => boolean;
  readonly #kinOf: (swarm: OpenSwarm, address: string) => number | undefined;
  /** By our channel, oldest first. */
  readonly #halfOpen = new Map<number, HalfOpen<S>>();

  constructor(world: {
    readonly random: RandomBytes;
    swarmOf(swarmId: Uint8Array): S | undefined;
    /** Whether a channel number is in use. */
    isTaken(channel: number): boolean;
    /** Another number of ours, whose kin the one for a peer at this address is to be. */
    kinOf?(swarm: OpenSwarm, address: string): number | undefined;
  }) {
    this.#random = world.random;
    this.#swarmOf = world.swarmOf;
    this.#isTaken = world.isTaken;
    this.#kinOf = world.kinOf ?? (() => undefined);
  }

  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** A datagram to channel 0; the answer, or undefined for silence. */
  greet(datagram: Uint8Array, from: PeerAddress, now: Milliseconds): Uint8Array | undefined {
    const options = peekOptions(datagram);
    const swarm = options?.swarmId && this.#swarmOf(options.swarmId);
    if (options === undefined || swarm === undefined) return undefined;
    const format = wireFormatOf(swarm.metadata, swarm.dialects);
    const { messages, error } = decodeDatagram(datagram, format);
    const [hello] = messages;
    if (error !== undefined || hello?.type !== 'HANDSHAKE' || hello.channel === NO_CHANNEL) return undefined;
    if (handshakeMismatch(options, swarm.metadata, 'initiator', swarm.dialects) !== undefined)
      return undefined;

    const dialect = dialectOf(options, swarm.metadata);
    const half = this.#admit({
      peerChannel: hello.channel,
      swarm,
      dialect,
      ...abilitiesOf(options, swarm.metadata),
      from: addressText(from),
      address: addressKey(from.address),
      since: now,
    });
    const handshake = {
      type: 'HANDSHAKE',
      channel: half.channel,
      options: ownOptions(swarm.metadata, dialect, 'responder'),
    } as const;
    let answer = encodeDatagram(hello.channel, [handshake], format);
    const announced = swarm.have.ranges.slice(0, MAX_ANNOUNCED);
    for (const range of announced.flatMap(have => sayable(have, format.addressing))) {
      const more = encodeDatagram(hello.channel, [{ type: 'HAVE', range }], format).subarray(4);
      if (answer.length + more.length > datagram.length) break;
      answer = Buffer.concat([answer, more]);
    }
    return answer.length <= datagram.length ? answer : undefined;
  }

  /** A datagram to a channel that nobody has: who it is, once, if it comes from where the answer went. */
  claim(channel: number, from: PeerAddress, now: Milliseconds): HalfOpen<S> | undefined {
    const half = this.#halfOpen.get(channel);
    if (half === undefined || half.from !== addressText(from)) return undefined;
    this.#halfOpen.delete(channel);
    return now - half.since < HALF_OPEN_MS ? half : undefined;
  }

  #admit(asked: Omit<HalfOpen<S>, 'channel'>): HalfOpen<S> {
    const { from, address, peerChannel, swarm } = asked;
    const ofAddress: HalfOpen<S>[] = [];
    for (const half of this.#halfOpen.values()) {
      // The same HANDSHAKE again gets the same answer (RFC 7574 §8.2: messages are idempotent).
      if (half.from === from && half.peerChannel === peerChannel && half.swarm === swarm) {
        if (asked.since - half.since < HALF_OPEN_MS) return half;
        this.#halfOpen.delete(half.channel);
      } else if (half.address === address) ofAddress.push(half);
    }
    if (ofAddress.length >= MAX_HALF_OPEN_PER_ADDRESS) this.#halfOpen.delete(ofAddress[0]!.channel);
    if (this.#halfOpen.size >= MAX_HALF_OPEN)
      this.#halfOpen.delete(this.#halfOpen.keys().next().value as number);
    const half = { channel: this.freeChannel(this.#kinOf(swarm, address)), ...asked };
    this.#halfOpen.set(half.channel, half);
    return half;
  }

  /** Our number for who was answered at this address and has not come back. */
  numberFor(swarm: OpenSwarm, address: string): number | undefined {
    for (const half of this.#halfOpen.values())
      if (half.swarm === swarm && half.address === address) return half.channel;
    return undefined;
  }

  /** Random, so that nobody who has not seen the answer can name it (RFC 7574 §3.11), or `kin` to another. */
  freeChannel(kin?: number): number {
    while (true) {
      const random = new ByteReader(this.#random(4)).u32('channel');
      const channel = kin === undefined ? random : kin - (kin % KIN) + (random % KIN);
      if (channel !== NO_CHANNEL && !this.#halfOpen.has(channel) && !this.#isTaken(channel)) return channel;
    }
  }
}

/** Whether somebody gave both numbers so that they are known for one's. */
export const areKin = (a: number, b: number): boolean => Math.floor(a / KIN) === Math.floor(b / KIN);

/** The options of a first datagram, before it is known how the rest of it is laid out. */
function peekOptions(datagram: Uint8Array): Options | undefined {
  try {
    const reader = new ByteReader(datagram);
    if (reader.u32('channel') !== NO_CHANNEL || reader.u8('type') !== MESSAGE_TYPE.HANDSHAKE)
      return undefined;
    reader.u32('source channel');
    return readOptions(reader, true);
  } catch (error) {
    if (error instanceof RemoteProtocolError) return undefined;
    throw error;
  }
}
