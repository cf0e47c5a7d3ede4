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
import { TokenBucket } from '../../protocol/token-bucket.js';
import type { DatagramWire, ListenAt } from './datagram-wire.js';
import type { JoinedSwarm } from './joined-swarm.js';

/** No deadline is met more exactly than this while something happens all the time. */
const TICK_MS = 10;
/** What may leave at once where a rate is set, in time: enough for a datagram at 50 kB/s. */
const BURST_MS = 50;
/** A chunk and its proofs: less room is none. */
const LEAST_BUDGET_BYTES = 2_048;

export interface SwarmNodeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly wire: DatagramWire;
  /** To all others together; Infinity: no limit. */
  readonly maxUploadBytesPerSecond: number;
  /** Milliseconds since 1970, for the stamps of DATA; absent: what this machine says. */
  readonly unixMs?: () => number;
}

export class SwarmNode {
  readonly #options: SwarmNodeOptions;
  readonly #endpoint: Endpoint;
  readonly #swarms = new Map<Swarm, JoinedSwarm>();
  readonly #touched = new Set<JoinedSwarm>();
  /** Numbers of the channels that we dialled. */
  readonly #dialled = new Set<number>();
  readonly #banned = new Set<string>();
  readonly #bucket: TokenBucket | undefined;
  #isFlushing = false;
  #isRunning = false;
  #cancelTimer: () => void = () => {};
  #timerAt: Milliseconds = Number.POSITIVE_INFINITY;

  constructor(options: SwarmNodeOptions) {
    const { clock, randomBytes, wire, maxUploadBytesPerSecond, unixMs = Date.now } = options;
    this.#options = options;
    this.#endpoint = new Endpoint({
      random: randomBytes,
      unixOffsetMs: unixMs() - clock.now(),
      isReliable: wire.isReliable,
      admits: from => !this.#banned.has(banKey(from)),
    });
    if (maxUploadBytesPerSecond < Number.POSITIVE_INFINITY) {
      const burst = Math.max(2 * LEAST_BUDGET_BYTES, (maxUploadBytesPerSecond * BURST_MS) / 1_000);
      this.#bucket = new TokenBucket({ burst, perSecond: maxUploadBytesPerSecond }, clock.now());
    }
  }

  /** Rejects with TransportError when it cannot listen there. */
  async start(at: ListenAt): Promise<PeerAddress> {
    const { wire, clock } = this.#options;
    const receive = (datagram: Uint8Array, from: PeerAddress): void => {
      const now = clock.now();
      this.#heed(this.#endpoint.receive(datagram, from, now), now);
      this.wake();
    };
    const address = await wire.start(at, receive, () => this.wake());
    this.#isRunning = true;
    this.wake();
    return address;
  }

  /** From now on it asks and answers. */
  add(joined: JoinedSwarm): void {
    this.#swarms.set(joined.swarm, joined);
    this.#endpoint.join(joined.swarm);
    this.#touched.add(joined);
    this.wake();
  }

  /** Its peers are told. */
  remove(joined: JoinedSwarm): void {
    this.#swarms.delete(joined.swarm);
    this.#touched.delete(joined);
    this.#endpoint.leave(joined.swarm);
    this.wake();
  }

  /** Something may be sent that could not be before: looks at the end of this turn of the event loop. */
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
    for (const joined of [...this.#swarms.values()]) this.remove(joined);
    this.#isRunning = false;
    this.#cancelTimer();
    const { wire, clock } = this.#options;
    for (const outgoing of this.#endpoint.transmit(clock.now(), 0)) wire.send(outgoing);
    await wire.stop();
  }

  #flush(): void {
    const { clock, wire } = this.#options;
    const now = clock.now();
    for (const joined of this.#touched) this.#drive(joined, now);
    this.#touched.clear();
    const budget = this.#budget(now);
    let sent = 0;
    for (const outgoing of this.#endpoint.transmit(now, budget < LEAST_BUDGET_BYTES ? 0 : budget)) {
      sent += outgoing.datagram.length;
      wire.send(outgoing);
    }
    this.#bucket?.takeAnyway(sent, now);
    // Turns are short; who still may send goes on in the next one. Sent nothing: the disk, or the rate, is waited for.
    if (sent > 0 && this.#endpoint.isReady && budget >= LEAST_BUDGET_BYTES) this.wake();
    this.#arm(now, now + TICK_MS);
  }

  /** What may be sent now. */
  #budget(now: Milliseconds): number {
    const { room } = this.#options.wire;
    return this.#bucket === undefined ? room : Math.min(room, this.#bucket.available(now));
  }

  #heed(events: readonly EndpointEvent[], now: Milliseconds): void {
    for (const event of events) {
      const joined = this.#swarms.get(event.channel.swarm);
      if (joined === undefined) continue;
      this.#touched.add(joined);
      const isIncoming = !this.#dialled.has(event.channel.channel);
      if (event.event.kind === 'ended') this.#dialled.delete(event.channel.channel);
      if (joined.heed(event, isIncoming, now)) this.#ban(event.from);
    }
  }

  #ban(peer: PeerAddress): void {
    this.#banned.add(banKey(peer));
    this.#options.logger.warn(
      { peer: addressText(peer) },
      'a peer sent what is not in the file; it is left alone',
    );
  }

  #drive(joined: JoinedSwarm, now: Milliseconds): void {
    joined.drive(now, to => {
      if (this.#banned.has(banKey(to))) return false;
      const channel = this.#endpoint.dial(joined.swarm, to, now);
      if (channel !== undefined) this.#dialled.add(channel.channel);
      return channel !== undefined;
    });
  }

  /** Whatever is due, and when to look again. */
  #tick(): void {
    const now = this.#options.clock.now();
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#heed(this.#endpoint.expire(now), now);
    for (const joined of this.#swarms.values())
      if ((joined.nextDeadline() ?? Number.POSITIVE_INFINITY) <= now) this.#touched.add(joined);
    this.#flush();
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#cancelTimer();
    const waiting = this.#bucket !== undefined && this.#endpoint.isReady ? now + TICK_MS : undefined;
    let next = earliest(this.#endpoint.nextDeadline(), waiting);
    for (const joined of this.#swarms.values()) next = earliest(next, joined.nextDeadline());
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
