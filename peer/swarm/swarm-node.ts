/**
 * One socket and all swarms behind it: reads, lets the endpoint and the swarms work, sends, and waits for what is due.
 *
 *     datagrams of one turn ─▶ endpoint.receive ─▶ swarms heed ─┐
 *                         timer ─▶ endpoint.expire ─────────────┼─▶ swarms drive ─▶ endpoint.transmit ─▶ wire
 *                                  a chunk was loaded ──────────┘
 *
 * What came in one turn of the event loop is answered together: ACKs and questions of many datagrams go in one. Deadlines
 * are looked up at most each few milliseconds, for that walks all channels.
 */
import { addressKey, addressScope } from '../../protocol/ip.js';
import type { Clock, Logger, Milliseconds, RandomBytes } from '../../protocol/ports.js';
import { Endpoint, type EndpointEvent } from '../../protocol/ppspp/endpoint.js';
import { addressText, type PeerAddress } from '../../protocol/ppspp/gate.js';
import { earliest } from '../../protocol/ppspp/liveness.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import type { DatagramWire, ListenAt } from './datagram-wire.js';
import { JoinedSwarm, type SwarmHome } from './joined-swarm.js';
import type { JoinOptions } from './joining.js';
import { type OfferedContent, OfferedSwarm } from './offered-content.js';
import { ServedNeighbours, type Slots } from './served-neighbours.js';
import type { Failed } from './tally.js';
import { UploadAllowance, type UploadRate } from './upload-allowance.js';

/** No deadline is met more exactly than this while something happens all the time. */
const TICK_MS = 10;
/** So long an offered content stays open after the last who wanted it. Longer than a handshake takes. */
const OFFERED_IDLE_MS = 30_000;
/** Offered contents that are open at once: for more of them than that those are closed with which nobody talks. */
const MAX_OFFERED = 64;

export interface SwarmNodeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly wire: DatagramWire;
  /** Milliseconds since 1970, for the stamps of DATA; absent: what this machine says. */
  readonly unixMs?: () => number;
  /** To all others together, TSP's listeners too; absent: no limit. */
  readonly rate?: UploadRate;
  /** How many are sent chunks at a time, TSP's listeners too; absent: no limit. */
  readonly slots?: Slots;
  /** Whole contents that are given to who comes for them, by swarm ID in hex. Asked for strangers: it must cost little. */
  readonly offered?: (swarmId: string) => OfferedContent | undefined;
}

interface Offered {
  readonly offered: OfferedSwarm;
  readonly joined: JoinedSwarm;
  usedAt: Milliseconds;
}

export class SwarmNode implements SwarmHome {
  readonly #options: SwarmNodeOptions;
  readonly #endpoint: Endpoint;
  readonly #swarms = new Map<Swarm, JoinedSwarm>();
  /** By swarm ID in hex; least recently asked for first. */
  readonly #offered = new Map<string, Offered>();
  readonly #touched = new Set<JoinedSwarm>();
  readonly #banned = new Set<string>();
  readonly #allowance: UploadAllowance | undefined;
  readonly #served: ServedNeighbours | undefined;
  #readers: (() => void)[] = [];
  #sentBytes = 0;
  #isFlushing = false;
  #isRunning = false;
  #cancelTimer: () => void = () => {};
  #timerAt: Milliseconds = Number.POSITIVE_INFINITY;

  constructor(options: SwarmNodeOptions) {
    const { clock, randomBytes, wire, rate, slots, unixMs = Date.now } = options;
    this.#options = options;
    this.#endpoint = new Endpoint({
      random: randomBytes,
      unixOffsetMs: unixMs() - clock.now(),
      isReliable: wire.isReliable,
      admits: from => !this.#banned.has(banKey(from)),
      offered: id => this.#offer(id),
      ...(wire.allocate && { allocate: length => wire.allocate!(length) }),
      ...(wire.roomFor && { roomFor: to => wire.roomFor!(to) }),
    });
    if (rate !== undefined) this.#allowance = new UploadAllowance(rate, () => this.wake());
    if (slots !== undefined) this.#served = new ServedNeighbours(slots);
  }

  /** All that was sent, chunks and what is about them. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  now(): Milliseconds {
    return this.#options.clock.now();
  }

  /** Rejects with TransportError when it cannot listen there. */
  async start(at: ListenAt): Promise<PeerAddress> {
    const { wire, clock } = this.#options;
    const receive = (datagram: Uint8Array, from: PeerAddress): void => {
      const now = clock.now();
      this.#heed(this.#endpoint.receive(datagram, from, now), now);
      this.wake();
    };
    const lost = (peer: PeerAddress): void => {
      this.#heed(this.#endpoint.disconnected(peer), clock.now());
      this.wake();
    };
    const address = await wire.start(at, receive, () => this.wake(), lost);
    this.#isRunning = true;
    this.wake();
    return address;
  }

  /** From now on, or from `start`, it asks and answers. */
  join(options: JoinOptions): JoinedSwarm {
    const onLiar = ({ host, why }: Failed): void =>
      this.#options.logger.warn({ peer: host, why }, 'a peer of a swarm is left alone');
    const joined = new JoinedSwarm({ onLiar, ...options }, this);
    this.#swarms.set(joined.swarm, joined);
    this.#endpoint.join(joined.swarm);
    this.stir(joined);
    return joined;
  }

  /** Its peers are told. */
  leave(joined: JoinedSwarm): void {
    this.#swarms.delete(joined.swarm);
    this.#touched.delete(joined);
    joined.left();
    this.#endpoint.leave(joined.swarm);
    this.wake();
  }

  stir(joined: JoinedSwarm): void {
    if (this.#swarms.has(joined.swarm)) this.#touched.add(joined);
    this.wake();
  }

  turned(): Promise<void> {
    return new Promise(resolve => this.#readers.push(resolve));
  }

  /** Something may be sent or read that could not be before: looks at the end of this turn of the event loop. */
  wake(): void {
    if (this.#isFlushing || !this.#isRunning) return;
    this.#isFlushing = true;
    setImmediate(() => {
      this.#isFlushing = false;
      if (this.#isRunning) this.#flush();
    });
  }

  /** Tells everybody, and closes the socket. */
  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    for (const joined of [...this.#swarms.values()]) this.leave(joined);
    for (const { offered } of this.#offered.values()) offered.idle();
    this.#offered.clear();
    this.#isRunning = false;
    this.#cancelTimer();
    this.#allowance?.rest();
    const { wire, clock } = this.#options;
    for (const outgoing of this.#endpoint.transmit(clock.now(), 0)) wire.send(outgoing);
    for (const read of this.#readers.splice(0)) read();
    await wire.stop();
  }

  #flush(): void {
    const { clock, wire } = this.#options;
    const now = clock.now();
    for (const joined of this.#touched) this.#drive(joined, now);
    this.#touched.clear();
    const budget = this.#budget();
    let sent = 0;
    for (const outgoing of this.#endpoint.transmit(now, budget)) {
      sent += outgoing.datagram.length;
      wire.send(outgoing);
    }
    this.#sentBytes += sent;
    this.#allowance?.sent(sent);
    // Turns are short; who still may send goes on in the next one. Sent nothing: the disk, or the rate, is waited for.
    if (!this.#endpoint.isReady) this.#allowance?.rest();
    else if (sent > 0 && budget > 0) this.wake();
    for (const read of this.#readers.splice(0)) read();
    this.#arm(now, now + TICK_MS);
  }

  /** What may be sent now. */
  #budget(): number {
    const { room } = this.#options.wire;
    return this.#endpoint.isReady ? Math.min(room, this.#allowance?.bytes() ?? room) : room;
  }

  #heed(events: readonly EndpointEvent[], now: Milliseconds): void {
    for (const event of events) {
      const { channel } = event;
      const { kind } = event.event;
      const joined = this.#swarms.get(channel.swarm);
      const served = joined?.served ?? this.#served;
      if (kind === 'asked') served?.asked(channel, event.from, now);
      if (kind === 'ended') served?.left(channel);
      if (joined === undefined) continue;
      this.#touched.add(joined);
      if (joined.heed(event, now)) this.#ban(event.from, now);
    }
  }

  #ban(peer: PeerAddress, now: Milliseconds): void {
    this.#banned.add(banKey(peer));
    // Other channels may lead to it, of this swarm and of others.
    this.#heed(this.#endpoint.shun(), now);
  }

  #drive(joined: JoinedSwarm, now: Milliseconds): void {
    joined.drive(now, to => {
      if (this.#banned.has(banKey(to))) return false;
      return this.#endpoint.dial(joined.swarm, to, now) !== undefined;
    });
  }

  /** Opens what is offered, for somebody who comes for it. */
  #offer(id: string): Swarm | undefined {
    const now = this.now();
    const open = this.#offered.get(id);
    if (open !== undefined) {
      open.usedAt = now;
      this.#offered.delete(id);
      this.#offered.set(id, open);
      return open.joined.swarm;
    }
    const content = this.#options.offered?.(id);
    if (content === undefined || !this.#hasRoomToOffer()) return undefined;
    const close = (): void => this.#withdraw(id);
    const offered: OfferedSwarm = new OfferedSwarm(content, {
      onLoaded: () => this.wake(),
      onBroken: error => {
        this.#options.logger.warn({ swarm: id, err: error }, 'a song is not given any more');
        close();
      },
    });
    const joined = new JoinedSwarm({ swarm: offered.swarm }, this);
    this.#swarms.set(joined.swarm, joined);
    this.#offered.set(id, { offered, joined, usedAt: now });
    return joined.swarm;
  }

  /** Who only asks, perhaps in another's name, takes no room from those who are here. */
  #hasRoomToOffer(): boolean {
    if (this.#offered.size < MAX_OFFERED) return true;
    for (const [id, { joined }] of this.#offered) {
      if (joined.peers > 0) continue;
      this.#withdraw(id);
      return true;
    }
    return false;
  }

  #withdraw(id: string): void {
    const open = this.#offered.get(id);
    if (open === undefined) return;
    this.#offered.delete(id);
    this.leave(open.joined);
    open.offered.idle();
  }

  /** Whatever is due, and when to look again. */
  #tick(): void {
    const now = this.#options.clock.now();
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#heed(this.#endpoint.expire(now), now);
    this.#served?.look(now);
    for (const [id, open] of this.#offered) {
      if (open.joined.peers > 0) open.usedAt = now;
      else if (now - open.usedAt >= OFFERED_IDLE_MS) this.#withdraw(id);
    }
    for (const joined of this.#swarms.values())
      if ((joined.nextDeadline() ?? Number.POSITIVE_INFINITY) <= now) this.#touched.add(joined);
    this.#flush();
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#cancelTimer();
    let next = earliest(this.#endpoint.nextDeadline(), this.#served?.nextDeadline());
    for (const joined of this.#swarms.values()) next = earliest(next, joined.nextDeadline());
    if (this.#offered.size > 0) next = earliest(next, now + OFFERED_IDLE_MS);
    if (next !== undefined) this.#arm(now, Math.max(next, now + 1));
  }

  #arm(now: Milliseconds, at: Milliseconds): void {
    if (at >= this.#timerAt) return;
    this.#cancelTimer();
    this.#timerAt = at;
    this.#cancelTimer = this.#options.clock.after(Math.ceil(at - now), () => this.#tick());
  }
}

/** Many may share a machine's own address; elsewhere whoever lied is not let in from another port either. */
const banKey = (peer: PeerAddress): string =>
  addressScope(peer.address) === 'loopback' ? addressText(peer) : addressKey(peer.address);
