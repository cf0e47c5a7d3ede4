/**
 * Our end at a swarm tracker, PyPPSPP's or `tsp-tracker --swarm-port`: says where our swarms are given, hears who else is there.
 *
 *     connects ─▶ register, get_peers a swarm ─▶ peers · each minute get_peers again · lost, or silent: later again
 *
 * A tracker that is wrong or away costs nothing but what it could have told; that it is is said once, until it speaks.
 */
import { connect, type Socket } from 'node:net';
import { toHex } from '../../protocol/bytes.js';
import { RemoteProtocolError, TransportError } from '../../protocol/errors.js';
import { canonicalIp } from '../../protocol/ip.js';
import type { Clock, Milliseconds, RandomUnit } from '../../protocol/ports.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { DatagramFramer } from '../../protocol/ppspp/stream-framing.js';
import {
  encodeTrackerMessage,
  MAX_TRACKER_MESSAGE_BYTES,
  parseTrackerNews,
  peerOf,
  type TrackerRequest,
} from '../../protocol/ppspp/tracker-messages.js';
import { formatHostPort, type HostPort } from '../../protocol/tsp/addresses.js';
import { Backoff } from '../tracker-client/backoff.js';
import { socketProblem } from '../wire/connect-error.js';

const ASK_EVERY_MS = 60_000;
/** Who was asked has answered by then, if only that there is nobody else. */
const ANSWER_MS = 5_000;

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
  /** Told why the tracker is of no use, once until it is. */
  readonly onTrouble: (why: TransportError) => void;
  readonly randomUnit: RandomUnit;
}

export class SwarmTrackerLink {
  readonly #options: SwarmTrackerLinkOptions;
  readonly #backoff: Backoff;
  readonly #swarms = new Map<string, Tracked>();
  #socket: Socket | undefined;
  #isRunning = false;
  #saidTrouble = false;
  #cancel: () => void = () => {};
  /** While an answer is due. */
  #cancelSilence: (() => void) | undefined;

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
  remove(tracked: Tracked): void {
    const id = toHex(tracked.swarm.metadata.swarmId);
    if (this.#swarms.delete(id)) this.#send(this.#asTo('unregister', id));
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancel();
    this.#endSilence();
    for (const tracked of this.#swarms.values()) this.remove(tracked);
    this.#socket?.end();
    this.#socket?.unref();
  }

  #connect(): void {
    const { tracker, clock } = this.#options;
    const name = formatHostPort(tracker.host, tracker.port);
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
        this.#trouble(new TransportError(`${name} is no tracker of swarms`, { cause: error }));
        socket.destroy();
      }
    });
    socket.on('error', cause =>
      this.#trouble(new TransportError(`${name} ${socketProblem(cause)}`, { cause })),
    );
    socket.on('close', () => {
      this.#cancel();
      this.#endSilence();
      if (!this.#isRunning) return;
      this.#trouble(new TransportError(`${name} ended the connection`));
      const waitMs = this.#backoff.next(clock.now() - (upSince ?? startedAt));
      this.#cancel = clock.after(waitMs, () => this.#connect());
    });
  }

  #trouble(why: TransportError): void {
    if (this.#saidTrouble) return;
    this.#saidTrouble = true;
    this.#options.onTrouble(why);
  }

  #introduce(id: string): void {
    this.#send(this.#asTo('register', id));
    this.#ask(id);
  }

  #ask(swarm_id: string): void {
    this.#cancelSilence ??= this.#options.clock.after(ANSWER_MS, () => {
      this.#endSilence();
      const { host, port } = this.#options.tracker;
      this.#trouble(new TransportError(`${formatHostPort(host, port)} does not answer`));
      this.#socket?.destroy();
    });
    this.#send({ type: 'get_peers', swarm_id });
  }

  #endSilence(): void {
    this.#cancelSilence?.();
    this.#cancelSilence = undefined;
  }

  #askLater(): void {
    this.#cancel = this.#options.clock.after(ASK_EVERY_MS, () => {
      for (const id of this.#swarms.keys()) this.#ask(id);
      this.#askLater();
    });
  }

  #hear(frame: Uint8Array): void {
    const news = parseTrackerNews(frame);
    this.#saidTrouble = false;
    this.#endSilence();
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
