/**
 * Our part in one swarm: whom we know, what we ask of whom, what came from whom, and who lied.
 *
 *     events of its channels ─▶ heed ─▶ store, picker, neighbours          drive(now) ─▶ dials, questions
 *
 * It opens nothing: the node that it is added to has the socket, and drives it when something happened or is due.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { Channel } from '../../protocol/ppspp/channel.js';
import type { EndpointEvent } from '../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import { earliest } from '../../protocol/ppspp/liveness.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import type { ChunkFile } from './chunk-file.js';
import { Neighbours } from './neighbours.js';
import { Picker } from './picker.js';

/** While chunks are missing it is looked this often who is late. */
const LOOK_EVERY_MS = 250;

export interface Source {
  /** `host:port`. */
  readonly host: string;
  readonly bytes: number;
}

export interface Failed {
  readonly host: string;
  readonly why: string;
  readonly lied?: true;
}

export interface JoinedSwarmOptions {
  readonly swarm: Swarm;
  readonly store: ChunkFile;
  /** Who is dialled, and dialled again. */
  readonly peers: readonly PeerAddress[];
  readonly maxPeers: number;
  /** False: it only gives. */
  readonly fetches: boolean;
  /** Where to begin where all is equal, 0 … 1. */
  readonly place: number;
  /** Something changed that its owner may want to know: a chunk came, somebody came or went. */
  readonly onChange?: () => void;
}

export class JoinedSwarm {
  readonly swarm: Swarm;
  readonly #options: JoinedSwarmOptions;
  readonly #picker: Picker;
  readonly #neighbours: Neighbours;
  readonly #open = new Set<Channel>();
  readonly #sources = new Map<string, number>();
  readonly #failed = new Map<string, Failed>();
  #lookAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #lastChunkAt: Milliseconds | undefined;

  constructor(options: JoinedSwarmOptions) {
    this.swarm = options.swarm;
    this.#options = options;
    this.#picker = new Picker(options.swarm.have, options.place);
    this.#neighbours = new Neighbours({ named: options.peers, maxPeers: options.maxPeers });
  }

  get isComplete(): boolean {
    const { chunks } = this.swarm.integrity;
    return chunks !== undefined && (chunks === 0 || this.swarm.have.covers({ start: 0, end: chunks - 1 }));
  }

  /** Peers that answer. */
  get peers(): number {
    return this.#open.size;
  }

  /** When a chunk last came. */
  get lastChunkAt(): Milliseconds | undefined {
    return this.#lastChunkAt;
  }

  /** Who gave how much, most first. */
  get sources(): Source[] {
    return [...this.#sources].map(([host, bytes]) => ({ host, bytes })).sort((a, b) => b.bytes - a.bytes);
  }

  get failed(): readonly Failed[] {
    return [...this.#failed.values()];
  }

  /** True: who it came from has lied, and is not to be let in again. */
  heed({ channel, from, event }: EndpointEvent, isIncoming: boolean, now: Milliseconds): boolean {
    const host = formatHostPort(from.address, from.port);
    this.#lookAt = Number.NEGATIVE_INFINITY;
    switch (event.kind) {
      case 'open':
        if (isIncoming) this.#neighbours.arrived(from);
        this.#neighbours.opened(from);
        this.#open.add(channel);
        this.#failed.delete(host);
        this.#picker.add(channel);
        if (this.#options.fetches) channel.askForPeers();
        break;
      case 'chunk':
        this.#options.store.write(event.chunk, event.bytes);
        this.#picker.came(event.chunk, channel, now);
        this.#sources.set(host, (this.#sources.get(host) ?? 0) + event.bytes.length);
        this.#lastChunkAt = now;
        break;
      case 'wrong':
        // Somebody else may be asked for it at once.
        channel.cancel({ start: event.chunk, end: event.chunk });
        break;
      case 'peer':
        this.#neighbours.heardOf(event.peer);
        break;
      case 'ended':
        this.#open.delete(channel);
        this.#picker.remove(channel);
        this.#neighbours.left(from, now, event.why === 'lies');
        if (event.why !== 'closed') this.#failed.set(host, failure(host, event.why));
        break;
    }
    if (event.kind !== 'have') this.#options.onChange?.();
    return event.kind === 'ended' && event.why === 'lies';
  }

  /** Dials who is due, and asks for what there is room for. `dial`: false when that cannot be just now. */
  drive(now: Milliseconds, dial: (to: PeerAddress) => boolean): void {
    const { fetches, store } = this.#options;
    for (const address of this.#neighbours.due(now))
      if (!dial(address)) this.#neighbours.left(address, now, false);
    if (!fetches || this.isComplete) return;
    this.#lookAt = now + LOOK_EVERY_MS;
    if (!store.isFull) this.#picker.pick(this.swarm.integrity.chunks, now);
  }

  nextDeadline(): Milliseconds | undefined {
    const look = this.#options.fetches && !this.isComplete ? this.#lookAt : undefined;
    return earliest(look, this.#neighbours.nextDeadline());
  }
}

const REASONS: Readonly<Record<string, string>> = {
  unanswered: 'does not answer',
  dead: 'has fallen silent',
  lies: 'sent what is not in the file',
  nonsense: 'does not keep to the protocol',
};

const failure = (host: string, why: string): Failed => ({
  host,
  why: REASONS[why] ?? why,
  ...(why === 'lies' ? { lied: true as const } : {}),
});
