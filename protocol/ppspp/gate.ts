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
import type { Milliseconds, RandomBytes } from '../ports.js';
import { decodeDatagram, encodeDatagram } from './codec.js';
import { MESSAGE_TYPE, NO_CHANNEL } from './constants.js';
import {
  type Dialect,
  dialectOf,
  handshakeMismatch,
  ownOptions,
  type SwarmMetadata,
  wireFormatOf,
} from './handshake.js';
import type { ChunkRange, Options } from './messages.js';
import { readOptions } from './options.js';

export const MAX_HALF_OPEN = 1_024;
export const MAX_HALF_OPEN_PER_ADDRESS = 16;
export const HALF_OPEN_MS = 10_000;

/** A swarm that takes newcomers. */
export interface OpenSwarm {
  readonly metadata: SwarmMetadata;
  readonly dialects: readonly Dialect[];
  /** What is announced with the answer, as far as there is room. */
  have(): readonly ChunkRange[];
}

/** Somebody who asked, and was answered. */
export interface HalfOpen {
  /** Ours: what the other side puts before its datagrams. */
  readonly channel: number;
  readonly peerChannel: number;
  readonly swarm: OpenSwarm;
  readonly dialect: Dialect;
  /** `address` and port, as the shell writes them. */
  readonly from: string;
  readonly address: string;
  readonly since: Milliseconds;
}

export class Gate {
  readonly #random: RandomBytes;
  readonly #swarmOf: (swarmId: Uint8Array) => OpenSwarm | undefined;
  readonly #isTaken: (channel: number) => boolean;
  /** By our channel, oldest first. */
  readonly #halfOpen = new Map<number, HalfOpen>();

  constructor(world: {
    readonly random: RandomBytes;
    swarmOf(swarmId: Uint8Array): OpenSwarm | undefined;
    /** Whether a channel number is in use. */
    isTaken(channel: number): boolean;
  }) {
    this.#random = world.random;
    this.#swarmOf = world.swarmOf;
    this.#isTaken = world.isTaken;
  }

  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** A datagram to channel 0; the answer, or undefined for silence. */
  greet(
    datagram: Uint8Array,
    from: { readonly address: string; readonly port: number },
    now: Milliseconds,
  ): Uint8Array | undefined {
    const options = peekOptions(datagram);
    const swarm = options?.swarmId && this.#swarmOf(options.swarmId);
    if (options === undefined || swarm === undefined) return undefined;
    const format = wireFormatOf(swarm.metadata, swarm.dialects);
    const { messages, error } = decodeDatagram(datagram, format);
    const [hello] = messages;
    if (error !== undefined || hello?.type !== 'HANDSHAKE' || hello.channel === NO_CHANNEL) return undefined;
    if (handshakeMismatch(options, swarm.metadata, 'initiator', swarm.dialects) !== undefined)
      return undefined;

    const dialect = dialectOf(options);
    const half = this.#admit(
      `${from.address} ${from.port}`,
      from.address,
      hello.channel,
      swarm,
      dialect,
      now,
    );
    const handshake = {
      type: 'HANDSHAKE',
      channel: half.channel,
      options: ownOptions(swarm.metadata, dialect, 'responder'),
    } as const;
    let answer = encodeDatagram(hello.channel, [handshake], format);
    for (const range of swarm.have()) {
      const more = encodeDatagram(hello.channel, [{ type: 'HAVE', range }], format).subarray(4);
      if (answer.length + more.length > datagram.length) break;
      answer = Buffer.concat([answer, more]);
    }
    return answer.length <= datagram.length ? answer : undefined;
  }

  /** A datagram to a channel that nobody has: who it is, once, if it comes from where the answer went. */
  claim(
    channel: number,
    from: { readonly address: string; readonly port: number },
    now: Milliseconds,
  ): HalfOpen | undefined {
    const half = this.#halfOpen.get(channel);
    if (half === undefined || half.from !== `${from.address} ${from.port}`) return undefined;
    this.#halfOpen.delete(channel);
    return now - half.since < HALF_OPEN_MS ? half : undefined;
  }

  #admit(
    from: string,
    address: string,
    peerChannel: number,
    swarm: OpenSwarm,
    dialect: Dialect,
    now: Milliseconds,
  ): HalfOpen {
    const ofAddress: HalfOpen[] = [];
    for (const half of this.#halfOpen.values()) {
      // The same HANDSHAKE again gets the same answer (RFC 7574 §8.2: messages are idempotent).
      if (half.from === from && half.peerChannel === peerChannel && half.swarm === swarm) return half;
      if (half.address === address) ofAddress.push(half);
    }
    if (ofAddress.length >= MAX_HALF_OPEN_PER_ADDRESS) this.#halfOpen.delete(ofAddress[0]!.channel);
    if (this.#halfOpen.size >= MAX_HALF_OPEN)
      this.#halfOpen.delete(this.#halfOpen.keys().next().value as number);
    const half = { channel: this.#freeChannel(), peerChannel, swarm, dialect, from, address, since: now };
    this.#halfOpen.set(half.channel, half);
    return half;
  }

  /** Random, so that nobody who has not seen the answer can name it (RFC 7574 §3.11). */
  #freeChannel(): number {
    while (true) {
      const channel = new ByteReader(this.#random(4)).u32('channel');
      if (channel !== NO_CHANNEL && !this.#halfOpen.has(channel) && !this.#isTaken(channel)) return channel;
    }
  }
}

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
