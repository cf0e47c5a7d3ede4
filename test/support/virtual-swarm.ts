/**
 * Peers of a swarm in one process, joined by links that lose, double, delay and spoil datagrams, on a clock of their own.
 *
 *     const swarm = new VirtualSwarm(seed, { loss: 0.3, reorderMs: 40, doubles: 0.1 })
 *     swarm.peer({ … })      a.dial(b)      swarm.run(untilMs, () => a.isComplete)
 *
 * Each peer has an endpoint and the simplest engine there can be: it asks whoever has what it lacks, a few chunks at a time.
 */
import { MerkleTree } from '../../protocol/merkle.js';
import type { Channel } from '../../protocol/ppspp/channel.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { Endpoint, type EndpointEvent, type Outgoing } from '../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import type { Dialect, SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { type Integrity, MerkleIntegrity } from '../../protocol/ppspp/integrity.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import { Chance } from '../simulation/chance.js';
import { carried, type Link } from './virtual-link.js';
import { wholeTree } from './whole-tree.js';

const PORT = 6_778;
/** Where the near ends of connections begin, one for each peer that is dialled. */
const FIRST_EPHEMERAL = 50_000;

/** Questions open to one peer. */
const WINDOW_CHUNKS = 24;

interface Flying {
  readonly at: number;
  readonly from: PeerAddress;
  readonly to: PeerAddress;
  readonly datagram: Uint8Array;
}

export class VirtualSwarm {
  readonly chance: Chance;
  readonly peers: VirtualPeer[] = [];
  now = 0;
  /** Every datagram that was sent, lost or not. */
  onSent: (from: PeerAddress, outgoing: Outgoing) => void = () => {};
  readonly #link: Link;
  #flying: Flying[] = [];

  constructor(seed: number, link: Link = {}) {
    this.chance = new Chance(seed);
    this.#link = link;
  }

  peer(options: PeerOptions): VirtualPeer {
    const peer = new VirtualPeer(this, `10.0.0.${this.peers.length + 1}`, options);
    this.peers.push(peer);
    return peer;
  }

  send(from: PeerAddress, outgoing: Outgoing): void {
    this.onSent(from, outgoing);
    const seen = this.#seenAs(from, outgoing.to);
    for (const { delayMs, datagram } of carried(this.#link, this.chance, outgoing.datagram))
      this.#flying.push({ at: this.now + delayMs, from: seen, to: outgoing.to, datagram });
  }

  /** Who dials over a stream is seen at the near end of a connection; who answers over it where it was dialled. */
  #seenAs(from: PeerAddress, to: PeerAddress): PeerAddress {
    const there = this.peers.findIndex(({ address }) => address.address === to.address);
    const isCall = this.peers[there]?.isReliable === true && to.port === PORT;
    return isCall ? { ...from, port: FIRST_EPHEMERAL + there } : from;
  }

  /** Lets time pass until `done`, or `untilMs`; true when it is done. */
  run(untilMs: number, done: () => boolean = () => false): boolean {
    for (const peer of this.peers) peer.flush();
    while (!done()) {
      const next = Math.min(
        ...this.#flying.map(({ at }) => at),
        ...this.peers.map(({ endpoint }) => endpoint.nextDeadline() ?? Number.POSITIVE_INFINITY),
      );
      if (next > untilMs) {
        this.now = untilMs;
        return false;
      }
      this.now = Math.max(this.now, next);
      const arrived = this.#flying.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
      this.#flying = this.#flying.filter(({ at }) => at > this.now);
      for (const { to, from, datagram } of arrived)
        this.peers.find(({ address }) => address.address === to.address)?.take(datagram, from);
      for (const peer of this.peers) peer.flush();
    }
    return true;
  }
}

export interface PeerOptions {
  readonly metadata: SwarmMetadata;
  /** What it has from the start. */
  readonly content?: Uint8Array;
  readonly dialects?: readonly Dialect[];
  /** Known from elsewhere. */
  readonly size?: number;
  readonly integrity?: Integrity;
  readonly have?: ChunkSet;
  /** It asks for nothing of its own accord. */
  readonly isIdle?: boolean;
  readonly isReliable?: boolean;
  /** What is sent for a chunk; a liar sends something else. */
  readonly spoil?: (chunk: number, bytes: Uint8Array) => Uint8Array;
}

export class VirtualPeer {
  readonly address: PeerAddress;
  readonly isReliable: boolean;
  readonly endpoint: Endpoint;
  /** Each has a clock of its own. */
  readonly unixOffsetMs: number;
  readonly swarm: Swarm;
  readonly chunks = new Map<number, Uint8Array>();
  readonly events: EndpointEvent['event'][] = [];
  readonly channels: Channel[] = [];
  readonly banned = new Set<string>();
  readonly #net: VirtualSwarm;
  readonly #isIdle: boolean;

  constructor(net: VirtualSwarm, ip: string, options: PeerOptions) {
    this.#net = net;
    this.address = { address: ip, port: PORT };
    const { metadata, content, isIdle = false, isReliable = false, spoil = (_, bytes) => bytes } = options;
    this.#isIdle = isIdle;
    this.isReliable = isReliable;
    const have = options.have ?? new ChunkSet();
    this.swarm = {
      metadata,
      dialects: options.dialects ?? ['rfc7574'],
      have,
      integrity: options.integrity ?? integrityOf(options),
      source: {
        read: chunk => {
          const bytes = this.chunks.get(chunk);
          return bytes && spoil(chunk, bytes);
        },
      },
    };
    if (content !== undefined) this.store(content, 0);
    const chance = net.chance.fork();
    this.unixOffsetMs = 1.7e12 + chance.int(-1e4, 1e4);
    this.endpoint = new Endpoint({
      random: length => chance.bytes(length),
      isReliable,
      unixOffsetMs: this.unixOffsetMs,
      admits: from => !this.banned.has(from.address),
    });
    this.endpoint.join(this.swarm);
  }

  /** Chunks from elsewhere. */
  store(content: Uint8Array, first: number): void {
    const { chunkBytes } = this.swarm.metadata;
    for (let at = 0; at < content.length; at += chunkBytes) {
      const chunk = first + at / chunkBytes;
      this.chunks.set(chunk, content.subarray(at, at + chunkBytes));
      this.swarm.have.add({ start: chunk, end: chunk });
    }
  }

  get isComplete(): boolean {
    const { chunks } = this.swarm.integrity;
    return chunks !== undefined && this.swarm.have.covers({ start: 0, end: chunks - 1 });
  }

  get content(): Uint8Array {
    const chunks = [...this.chunks].sort(([a], [b]) => a - b);
    return Buffer.concat(chunks.map(([, bytes]) => bytes));
  }

  dial(peer: VirtualPeer): Channel {
    const channel = this.endpoint.dial(this.swarm, peer.address, this.#net.now)!;
    this.channels.push(channel);
    return channel;
  }

  take(datagram: Uint8Array, from: PeerAddress): void {
    this.#heed(this.endpoint.receive(datagram, from, this.#net.now));
  }

  flush(): void {
    this.#heed(this.endpoint.expire(this.#net.now));
    if (!this.#isIdle) for (const channel of this.channels) if (channel.mayRequest) this.#ask(channel);
    for (const outgoing of this.endpoint.transmit(this.#net.now)) this.#net.send(this.address, outgoing);
  }

  #heed(events: readonly EndpointEvent[]): void {
    for (const { channel, from, event } of events) {
      this.events.push(event);
      if (event.kind === 'open' && !this.channels.includes(channel)) this.channels.push(channel);
      if (event.kind === 'chunks')
        for (const [i, bytes] of event.chunks.entries())
          this.chunks.set(event.first + i, Uint8Array.from(bytes));
      if (event.kind === 'ended') {
        this.channels.splice(this.channels.indexOf(channel), 1);
        if (event.why === 'lies') this.banned.add(from.address);
      }
    }
  }

  /** Whatever it has and we don't, as far as there is room; twice from two, should both have it. */
  #ask(channel: Channel): void {
    const { have } = this.swarm;
    let room = WINDOW_CHUNKS - channel.wanted.reduce((sum, { start, end }) => sum + end - start + 1, 0);
    const asked = new ChunkSet();
    for (const range of channel.wanted) asked.add(range);
    for (const theirs of channel.peerHas?.ranges ?? []) {
      for (const gap of have.gaps(theirs, 8)) {
        for (const { start, end } of asked.gaps(gap, 8)) {
          if (room <= 0) return;
          const range = { start, end: Math.min(end, start + room - 1) };
          if (channel.request(range)) room -= range.end - range.start + 1;
        }
      }
    }
  }
}

function integrityOf({ metadata, content, size }: PeerOptions): Integrity {
  const { hash, chunkBytes, swarmId } = metadata;
  if (content === undefined)
    return new MerkleIntegrity(
      new HashTree({ root: swarmId, hash, chunkBytes, ...(size === undefined ? {} : { size }) }),
    );
  return new MerkleIntegrity(wholeTree(content, hash, chunkBytes));
}

/** Of a static swarm with this content. */
export function metadataOf(content: Uint8Array, more: Partial<SwarmMetadata> = {}): SwarmMetadata {
  const hash = more.hash ?? 'sha256';
  const swarmId = new MerkleTree({ hash }).update(content).digest().root;
  return { swarmId, integrity: 'merkle', hash, addressing: 'chunk32', chunkBytes: 1_024, ...more };
}
