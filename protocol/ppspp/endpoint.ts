/**
 * All channels behind one socket (RFC 7574 §3.11): which datagram is whose, who is let in, and who must be left alone.
 *
 *     receive ─▶ channel 0 ─▶ gate ─▶ an answer
 *                a channel of ours, from where its peer is ─▶ that channel
 *                a channel that was promised ─▶ a new one
 *                anything else ─▶ silence
 *
 * Pure as its channels are: the shell owns the socket, hands in what came, and sends what `transmit` gives. Over TCP an
 * endpoint is the same with `isReliable`, and addresses are those of the connections: of one that came in nobody knows where
 * its other end listens. So all our numbers for one address in one swarm are kin, and a peer to which two connections lead
 * shows itself by its own.
 */
import { readU32, toHex } from '../bytes.js';
import { addressKey } from '../ip.js';
import type { Milliseconds, RandomBytes } from '../ports.js';
import { Channel, type ChannelEvent } from './channel.js';
import { CHANNEL_BYTES, NO_CHANNEL } from './constants.js';
import { addressText, areKin, Gate, type HalfOpen, type PeerAddress } from './gate.js';
import type { Dialect } from './handshake.js';
import { earliest } from './liveness.js';
import type { Allocate } from './packer.js';
import { type KnownPeer, maySpeakOf, peersToTell } from './peer-exchange.js';
import type { OpenSwarm, Swarm } from './swarm.js';

export const MAX_CHANNELS = 1_000;
/** The rest is for those that we dial, so that nobody can surround us (RFC 7574 §12.1). */
export const MAX_INCOMING = 600;
/** Of one address: so many swarms at once with one peer, or peers behind one router. */
export const MAX_INCOMING_PER_ADDRESS = 64;

/** Channel 0, the type, the sender's channel: as far as a HANDSHAKE says whose it is. */
const HELLO_BYTES = 2 * CHANNEL_BYTES + 1;

/** Addresses of a machine, seen from here and there. */
const MAX_OWN = 64;

/** What one channel may send in its turn. */
const TURN_BYTES = 128 * 1_024;

export interface Outgoing {
  readonly to: PeerAddress;
  readonly datagram: Uint8Array;
}

/** Of a peer that we are told of only if who told us may be believed; who asks for peers is told, and no event. */
export interface EndpointEvent {
  readonly channel: Channel;
  /** Where it can be dialled, where that is known; else its end of a connection. */
  readonly from: PeerAddress;
  /** Not one that we dialled. */
  readonly isIncoming: boolean;
  /** `located`: from now on `from` is where it can be dialled. */
  readonly event: Exclude<ChannelEvent, { kind: 'peers-wanted' }> | { readonly kind: 'located' };
}

interface Line {
  readonly channel: Channel;
  readonly to: PeerAddress;
  readonly isIncoming: boolean;
  /** The channel of the end that dialled, which both ends know. */
  readonly calledAs: number;
  /** Where it can be dialled. */
  at: PeerAddress | undefined;
}

export interface EndpointOptions {
  readonly random: RandomBytes;
  /** From `now` to milliseconds since 1970. */
  readonly unixOffsetMs: number;
  /** Over a stream; see `Channel`. */
  readonly isReliable?: boolean;
  /** Room for chunks to one peer, where each has a way of its own. */
  readonly roomFor?: (to: PeerAddress) => number;
  /** Where datagrams are put, and where who sends them takes them back; default: on the heap. */
  readonly allocate?: Allocate;
  /** Whether somebody may come in at all: not who was caught lying. */
  readonly admits?: (from: PeerAddress) => boolean;
  /** A swarm that is not joined, but given when somebody comes for it. */
  readonly offered?: (swarmId: string) => Swarm | undefined;
}

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #gate: Gate<Swarm>;
  readonly #swarms = new Map<string, Swarm>();
  readonly #lines = new Map<number, Line>();
  /** Incoming lines of an address. */
  readonly #incoming = new Map<string, number>();
  /** Who may have something to send. */
  readonly #busy = new Set<Line>();
  readonly #answers: Outgoing[] = [];
  /** Where we are, as others see us. */
  readonly #own = new Set<string>();

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#gate = new Gate({
      random: options.random,
      swarmOf: id => this.#swarmOf(id),
      isTaken: channel => this.#lines.has(channel),
      kinOf: (swarm, address) => this.#kinOf(swarm, address),
    });
  }

  get channels(): number {
    return this.#lines.size;
  }

  /** Lets newcomers into a swarm. */
  join(swarm: Swarm): void {
    this.#swarms.set(toHex(swarm.metadata.swarmId), swarm);
  }

  /** Closes all its channels, with the next `transmit`. */
  leave(swarm: Swarm): void {
    this.#swarms.delete(toHex(swarm.metadata.swarmId));
    for (const { channel } of this.#lines.values()) if (channel.swarm === swarm) channel.close();
  }

  /** A channel of our own making; undefined when there are too many, or it would lead to ourselves. */
  dial(swarm: Swarm, to: PeerAddress, now: Milliseconds): Channel | undefined {
    if (this.#lines.size >= MAX_CHANNELS || this.#own.has(addressText(to))) return undefined;
    return this.#add(swarm, to, now, undefined);
  }

  /** Who is at the other end. */
  addressOf(channel: Channel): PeerAddress | undefined {
    return this.#lines.get(channel.channel)?.to;
  }

  receive(datagram: Uint8Array, from: PeerAddress, now: Milliseconds): EndpointEvent[] {
    if (datagram.length < CHANNEL_BYTES) return [];
    const number = readU32(datagram, 0);
    if (number === NO_CHANNEL) return this.#greet(datagram, from, now);
    const line = this.#lines.get(number);
    if (line === undefined) return this.#enter(number, datagram, from, now);
    if (!isSame(line.to, from)) return [];
    return this.#told(line, line.channel.receive(datagram, now), now);
  }

  /** A stream is over, and with it all channels in it. */
  disconnected(from: PeerAddress): EndpointEvent[] {
    return this.#drop(({ to }) => isSame(to, from));
  }

  /** Leaves alone whoever `admits` refuses by now, without a word. */
  shun(): EndpointEvent[] {
    return this.#drop(({ to }) => this.#options.admits?.(to) === false);
  }

  /** All that is to be sent now; chunks up to about `budgetBytes`, in turns. */
  transmit(now: Milliseconds, budgetBytes = Number.POSITIVE_INFINITY): Outgoing[] {
    const out = this.#answers.splice(0);
    let left = budgetBytes;
    for (const line of [...this.#busy]) {
      const { channel, to } = line;
      this.#busy.delete(line);
      const room = Math.min(left, TURN_BYTES, this.#options.roomFor?.(to) ?? TURN_BYTES);
      for (const datagram of channel.transmit(now, room)) {
        out.push({ to, datagram });
        left -= datagram.length;
      }
      if (channel.state === 'ended') this.#remove(line);
      // Behind the others: what is left of the budget is theirs first.
      else if (channel.isReady) this.#busy.add(line);
    }
    return out;
  }

  /** Whether chunks could go if there were budget for them, or were at hand. */
  get isReady(): boolean {
    for (const { channel } of this.#busy) if (channel.isReady) return true;
    return false;
  }

  expire(now: Milliseconds): EndpointEvent[] {
    const events: EndpointEvent[] = [];
    for (const line of [...this.#lines.values()]) {
      if (now < (line.channel.nextDeadline() ?? Number.POSITIVE_INFINITY)) continue;
      events.push(...this.#told(line, line.channel.expire(now), now));
    }
    return events;
  }

  /** When `expire` and then `transmit` have something to do. Walks all channels: not for every datagram. */
  nextDeadline(): Milliseconds | undefined {
    let first: Milliseconds | undefined;
    for (const { channel } of this.#lines.values()) first = earliest(first, channel.nextDeadline());
    return first;
  }

  #greet(datagram: Uint8Array, from: PeerAddress, now: Milliseconds): EndpointEvent[] {
    const own = this.#dialledBy(datagram);
    if (own !== undefined) {
      if (this.#own.size < MAX_OWN) this.#own.add(addressText(own.to));
      this.#remove(own);
      return [eventOf(own, { kind: 'ended', why: 'closed' })];
    }
    // Over a stream, who does not read our answers would have them all kept for it.
    if (!this.#hasRoomFor(from) || this.#options.roomFor?.(from) === 0) return [];
    const answer = this.#gate.greet(datagram, from, now);
    if (answer !== undefined) this.#answers.push({ to: from, datagram: answer });
    return [];
  }

  /** The line of ours that a first HANDSHAKE came through: it leads to ourselves, or to somebody who wants us to think so. */
  #dialledBy(datagram: Uint8Array): Line | undefined {
    if (datagram.length < HELLO_BYTES) return undefined;
    const number = readU32(datagram, HELLO_BYTES - CHANNEL_BYTES);
    const line = this.#lines.get(number);
    return line?.channel.state === 'opening' ? line : undefined;
  }

  /** The third datagram: its sender has our answer, and is where it says. */
  #enter(number: number, datagram: Uint8Array, from: PeerAddress, now: Milliseconds): EndpointEvent[] {
    const halfOpen = this.#gate.claim(number, from, now);
    if (halfOpen === undefined || !this.#hasRoomFor(from)) return [];
    // It may have been left since the first datagram, or be another by now.
    const swarm = this.#swarmOf(halfOpen.swarm.metadata.swarmId);
    if (swarm === undefined) return [];
    const gone = this.#makeRoom(now);
    const channel = this.#add(swarm, from, now, halfOpen);
    const line = this.#lines.get(number)!;
    const open = { kind: 'open', dialect: halfOpen.dialect } as const;
    return [...gone, ...this.#told(line, [open, ...channel.receive(datagram, now)], now)];
  }

  /**
   * Two that dial each other at once keep one channel, that whose caller gave itself the greater number. Who made the other
   * hangs up, and only now: the one that is kept is open at both ends, so what is asked again goes that way.
   */
  #hangUp(opened: Line, dialect: Dialect): EndpointEvent[] {
    const events: EndpointEvent[] = [];
    for (const other of this.#lines.values()) {
      const [call, came] = opened.isIncoming ? [other, opened] : [opened, other];
      if (call.isIncoming || !came.isIncoming || call.calledAs >= came.calledAs) continue;
      if (call.channel.state === 'ended' || came.channel.state !== 'open') continue;
      if (call.channel.swarm !== came.channel.swarm || !this.#isOnePeer(call, came, dialect)) continue;
      if (came.at === undefined) {
        came.at = call.to;
        events.push(eventOf(came, { kind: 'located' }));
      }
      call.channel.close();
      events.push(eventOf(call, { kind: 'ended', why: 'closed' }));
    }
    return events;
  }

  /** PyPPSPP, which gives itself small numbers, tells its own doubles apart. */
  #isOnePeer(call: Line, came: Line, dialect: Dialect): boolean {
    if (this.#options.isReliable !== true) return isSame(call.to, came.to);
    return (
      dialect !== 'pyppspp' &&
      addressKey(call.to.address) === addressKey(came.to.address) &&
      areKin(call.channel.peerChannel, came.channel.peerChannel)
    );
  }

  /** Over a stream: one of our numbers for that address. */
  #kinOf(swarm: OpenSwarm, address: string): number | undefined {
    if (this.#options.isReliable !== true) return undefined;
    for (const { channel, to } of this.#lines.values())
      if (channel.swarm === swarm && addressKey(to.address) === address) return channel.channel;
    return this.#gate.numberFor(swarm, address);
  }

  #swarmOf(swarmId: Uint8Array): Swarm | undefined {
    const id = toHex(swarmId);
    return this.#swarms.get(id) ?? this.#options.offered?.(id);
  }

  /** Where all places are taken, who comes from an address that has fewer of them than another gets one of that other's. */
  #hasRoomFor(from: PeerAddress): boolean {
    if (this.#options.admits?.(from) === false) return false;
    const ofAddress = this.#incoming.get(addressKey(from.address)) ?? 0;
    if (ofAddress >= MAX_INCOMING_PER_ADDRESS) return false;
    return !this.#isFull || Math.max(0, ...this.#incoming.values()) > ofAddress + 1;
  }

  get #isFull(): boolean {
    let incoming = 0;
    for (const count of this.#incoming.values()) incoming += count;
    return incoming >= MAX_INCOMING || this.#lines.size >= MAX_CHANNELS;
  }

  /** Of the address that has most, who was silent longest goes, and is told. */
  #makeRoom(now: Milliseconds): EndpointEvent[] {
    if (!this.#isFull) return [];
    const most = Math.max(...this.#incoming.values());
    let gone: Line | undefined;
    for (const line of this.#lines.values()) {
      if (!line.isIncoming || this.#incoming.get(addressKey(line.to.address)) !== most) continue;
      if (line.channel.heardAt < (gone?.channel.heardAt ?? Number.POSITIVE_INFINITY)) gone = line;
    }
    const events = this.#drop(line => line === gone);
    for (const datagram of gone!.channel.transmit(now)) this.#answers.push({ to: gone!.to, datagram });
    return events;
  }

  #add(swarm: Swarm, to: PeerAddress, now: Milliseconds, halfOpen: HalfOpen | undefined): Channel {
    const { unixOffsetMs, isReliable = false, allocate } = this.#options;
    const isIncoming = halfOpen !== undefined;
    const number = halfOpen?.channel ?? this.#gate.freeChannel(this.#kinOf(swarm, addressKey(to.address)));
    const channel: Channel = new Channel(
      {
        swarm,
        channel: number,
        unixOffsetMs,
        isReliable,
        allocate,
        // Not for what an engine still says to a channel that is over.
        stirred: () => this.#lines.has(number) && this.#busy.add(line),
        ...(halfOpen && { halfOpen }),
      },
      now,
    );
    const calledAs = halfOpen?.peerChannel ?? number;
    const line = { channel, to, isIncoming, calledAs, at: isReliable && isIncoming ? undefined : to };
    this.#lines.set(number, line);
    this.#busy.add(line);
    if (isIncoming) this.#count(to, 1);
    return channel;
  }

  #drop(isGone: (line: Line) => boolean): EndpointEvent[] {
    const lines = [...this.#lines.values()].filter(isGone);
    return lines.flatMap(line => {
      const { state } = line.channel;
      this.#remove(line);
      const why = state === 'opening' ? 'unanswered' : 'closed';
      return state === 'ended' ? [] : eventOf(line, { kind: 'ended', why });
    });
  }

  #remove(line: Line): void {
    const { channel, to, isIncoming } = line;
    channel.close();
    this.#busy.delete(line);
    this.#lines.delete(channel.channel);
    if (isIncoming) this.#count(to, -1);
  }

  #count({ address }: PeerAddress, by: number): void {
    const key = addressKey(address);
    const count = (this.#incoming.get(key) ?? 0) + by;
    if (count === 0) this.#incoming.delete(key);
    else this.#incoming.set(key, count);
  }

  #told(line: Line, events: readonly ChannelEvent[], now: Milliseconds): EndpointEvent[] {
    this.#busy.add(line);
    const told: EndpointEvent[] = [];
    for (const event of events) {
      if (event.kind === 'peers-wanted') {
        const peers = this.#peersOf(line.channel.swarm);
        line.channel.tell(peersToTell(line.to, peers, now));
      } else if (event.kind !== 'peer' || this.#mayBelieve(line, event.peer)) told.push(eventOf(line, event));
    }
    const [first] = events;
    if (first?.kind === 'open') told.push(...this.#hangUp(line, first.dialect));
    return told;
  }

  #mayBelieve({ to }: Line, peer: PeerAddress): boolean {
    return maySpeakOf(to, peer) && !this.#own.has(addressText(peer));
  }

  *#peersOf(swarm: Swarm): Iterable<KnownPeer> {
    const lines = [...this.#lines.values()];
    // Not the same to everybody, or the first to come would be all that anybody knows.
    const first = readU32(this.#options.random(4), 0) % Math.max(1, lines.length);
    for (const { channel, at } of [...lines.slice(first), ...lines.slice(0, first)])
      if (at !== undefined && channel.swarm === swarm && channel.state === 'open')
        yield { ...at, exchangedAt: channel.heardAt };
  }
}

const isSame = (a: PeerAddress, b: PeerAddress): boolean =>
  a === b || (a.address === b.address && a.port === b.port);

const eventOf = ({ channel, to, at, isIncoming }: Line, event: EndpointEvent['event']): EndpointEvent => ({
  channel,
  from: at ?? to,
  isIncoming,
  event,
});
