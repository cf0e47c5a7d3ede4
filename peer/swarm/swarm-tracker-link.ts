/**
 * Our end at a swarm tracker, PyPPSPP's or `tsp-tracker --swarm-port`: says where our swarms are given, hears who else is there.
 *
 *     connects ─▶ register, get_peers a swarm ─▶ peers · each minute get_peers again · lost: later again
 *
 * A tracker that is wrong, silent or away costs nothing but what it could have told.
 */
import { connect, type Socket } from 'node:net';
import { toHex } from '../../protocol/bytes.js';
import { RemoteProtocolError } from '../../protocol/errors.js';
import { canonicalIp } from '../../protocol/ip.js';
import type { Clock, Logger, Milliseconds, RandomUnit } from '../../protocol/ports.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { DatagramFramer } from '../../protocol/ppspp/stream-framing.js';
import {
  encodeTrackerMessage,
  MAX_TRACKER_MESSAGE_BYTES,
  parseTrackerNews,
  peerOf,
  type TrackerRequest,
} from '../../protocol/ppspp/tracker-messages.js';
import type { HostPort } from '../../protocol/tsp/addresses.js';
import { Backoff } from '../tracker-client/backoff.js';

const ASK_EVERY_MS = 60_000;

/** The part of a JoinedSwarm that is needed here. */
export interface Tracked {
  readonly swarm: { readonly metadata: { readonly swarmId: Uint8Array } };
  hearOf(peers: readonly PeerAddress[]): void;
}

export interface SwarmTrackerLinkOptions {
  readonly tracker: HostPort;
  /** Where our swarms are given; at the address from which the tracker is reached. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomUnit: RandomUnit;
}

export class SwarmTrackerLink {
  readonly #options: SwarmTrackerLinkOptions;
  readonly #backoff: Backoff;
  readonly #swarms = new Map<string, Tracked>();
  #socket: Socket | undefined;
  #isRunning = false;
  #cancel: () => void = () => {};

  constructor(options: SwarmTrackerLinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.randomUnit);
  }

  start(): void {
    this.#isRunning = true;
    this.#connect();
  }

  add(tracked: Tracked): void {
    const id = toHex(tracked.swarm.metadata.swarmId);
    this.#swarms.set(id, tracked);
    this.#introduce(id);
  }

  /** The tracker is told, if it is there. */
  stop(): void {
    this.#isRunning = false;
    this.#cancel();
    for (const id of this.#swarms.keys()) this.#send(this.#asTo('unregister', id));
    this.#socket?.end();
    this.#socket?.unref();
  }

  #connect(): void {
    const { tracker, clock, logger } = this.#options;
    const startedAt = clock.now();
    let upSince: Milliseconds | undefined;
    const socket = connect({ ...tracker, noDelay: true });
    this.#socket = socket;
    const framer = new DatagramFramer({ maxDatagramBytes: MAX_TRACKER_MESSAGE_BYTES });
    socket.on('connect', () => {
      upSince = clock.now();
      for (const id of this.#swarms.keys()) this.#introduce(id);
      this.#askLater();
    });
    socket.on('data', (bytes: Buffer) => {
      try {
        framer.push(bytes);
        for (let frame = framer.next(); frame !== undefined; frame = framer.next()) this.#hear(frame);
      } catch (error) {
        if (!(error instanceof RemoteProtocolError)) throw error;
        logger.info({ tracker, why: error.message }, 'this is no swarm tracker');
        socket.destroy();
      }
    });
    socket.on('error', err => logger.info({ tracker, err }, 'the swarm tracker cannot be reached'));
    socket.on('close', () => {
      this.#cancel();
      if (!this.#isRunning) return;
      const waitMs = this.#backoff.next(clock.now() - (upSince ?? startedAt));
      this.#cancel = clock.after(waitMs, () => this.#connect());
    });
  }

  #introduce(id: string): void {
    this.#send(this.#asTo('register', id));
    this.#send({ type: 'get_peers', swarm_id: id });
  }

  #askLater(): void {
    this.#cancel = this.#options.clock.after(ASK_EVERY_MS, () => {
      for (const swarm_id of this.#swarms.keys()) this.#send({ type: 'get_peers', swarm_id });
      this.#askLater();
    });
  }

  #hear(frame: Uint8Array): void {
    const news = parseTrackerNews(frame);
    if (news === undefined || news.type === 'remove_node') return;
    const endpoints = news.type === 'new_node' ? [news.endpoint] : news.details;
    this.#swarms.get(news.swarm_id)?.hearOf(endpoints.map(peerOf));
  }

  #asTo(type: 'register' | 'unregister', swarm_id: string): TrackerRequest {
    const address = canonicalIp(this.#socket?.localAddress ?? '');
    return { type, swarm_id, endpoint: [address, this.#options.port] };
  }

  #send(request: TrackerRequest): void {
    if (this.#socket?.readyState === 'open') this.#socket.write(encodeTrackerMessage(request));
  }
}
