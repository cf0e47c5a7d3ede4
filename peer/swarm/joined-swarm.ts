/**
 * Our part in one swarm: whom we know, what we ask of whom, what came from whom, and who lied.
 *
 *     events of its channels ─▶ heed ─▶ store, picker, neighbours          drive(now) ─▶ dials, questions
 *
 * It opens nothing: the node that it is joined at has the socket, and drives it when something happened or is due.
 */
import { cutInto } from '../../protocol/bytes.js';
import { LocalProtocolError } from '../../protocol/errors.js';
import { PIECE_LEVEL } from '../../protocol/merkle.js';
import type { Milliseconds } from '../../protocol/ports.js';
import type { Channel, EndReason } from '../../protocol/ppspp/channel.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { EndpointEvent } from '../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../protocol/ppspp/gate.js';
import type { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { MerkleIntegrity } from '../../protocol/ppspp/integrity.js';
import { earliest } from '../../protocol/ppspp/liveness.js';
import type { ChunkRange } from '../../protocol/ppspp/messages.js';
import type { Swarm } from '../../protocol/ppspp/swarm.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import type { Asked } from './asked-host.js';
import { Feeders } from './feeders.js';
import type { JoinOptions, Lack, Playing } from './joining.js';
import { LiveCompany } from './live-company.js';
import { Neighbours } from './neighbours.js';
import { Patience } from './patience.js';
import { Picker } from './picker.js';
import { ServedNeighbours } from './served-neighbours.js';
import { type Failed, REASONS, type Source, Tally } from './tally.js';
import { type ReadOptions, verifiedBytes } from './verified-bytes.js';

/** While chunks are missing it is looked this often who is late. */
const LOOK_EVERY_MS = 250;
/** Who owes chunks and says nothing at all for so long is gone. Who lives shows it each second. */
const SILENT_MS = 4_000;
/** In a live swarm there is always something to be said: who says nothing for so long is dialled again. */
const LIVE_SILENT_MS = 6_000;
/** In a live swarm who is fed asks all the time: who does not for so long makes place. */
const LIVE_HOLD_MS = 2_000;
const DEFAULT_MAX_PEERS = 50;

/** The part of the node that its swarms use. */
export interface SwarmHome {
  now(): Milliseconds;
  /** Drives the swarm soon. */
  stir(joined: JoinedSwarm): void;
  /** Resolves when the swarms were next driven, or a chunk was loaded. */
  turned(): Promise<void>;
}

interface OpenChannel {
  readonly from: PeerAddress;
  /** `host:port`, as it is told of. */
  readonly name: string;
}

export class JoinedSwarm {
  readonly swarm: Swarm;
  readonly serves: boolean;
  readonly tally = new Tally();
  /** Who is sent chunks, where that is its own affair. */
  readonly served: ServedNeighbours | undefined;
  readonly #home: SwarmHome;
  readonly #options: JoinOptions;
  readonly #picker: Picker;
  readonly #wanted: ChunkSet | undefined;
  readonly #neighbours: Neighbours;
  readonly #open = new Map<Channel, OpenChannel>();
  /** Other ways to the content. */
  readonly #hosts = new Map<Asked, string>();
  #lookAt: Milliseconds = Number.NEGATIVE_INFINITY;
  readonly #patience: Patience;
  #problem: string | undefined;
  readonly #company = new LiveCompany();

  constructor(options: JoinOptions, home: SwarmHome) {
    const { swarm, place = 0, peers = [], maxPeers = DEFAULT_MAX_PEERS, serves = true } = options;
    this.swarm = swarm;
    this.serves = serves;
    this.#options = options;
    this.#home = home;
    this.#patience = new Patience(this.#isLive);
    this.#wanted = options.onDemand === true ? new ChunkSet() : undefined;
    if (options.slots !== undefined)
      this.served = new ServedNeighbours(options.slots, this.#isLive ? LIVE_HOLD_MS : undefined);
    const { maxFeeders } = options;
    const feeders = maxFeeders === undefined ? undefined : new Feeders(maxFeeders);
    this.#picker = new Picker(options.unproven ?? swarm.have, place, this.#wanted, feeders);
    this.#neighbours = new Neighbours({ named: peers, maxPeers, ranking: options.ranking });
    this.#rank(peers);
  }

  get isComplete(): boolean {
    const { chunks } = this.swarm.integrity;
    return chunks !== undefined && (chunks === 0 || this.swarm.have.covers({ start: 0, end: chunks - 1 }));
  }

  /** Peers that answer, and other hosts. */
  get peers(): number {
    return this.#open.size + this.#hosts.size;
  }

  /** What is waited for, if anything is. */
  get lacks(): Lack | undefined {
    if (this.isComplete || this.#hosts.size > 0) return undefined;
    if (this.#open.size === 0) return 'peer';
    // Of a stream everybody has the same most of the time.
    const isMore = (range: ChunkRange): boolean => this.#isLive || !this.swarm.have.covers(range);
    if (!this.there.ranges.some(isMore)) return 'chunks';
    return [...this.#open.keys()].some(({ mayRequest }) => mayRequest) ? undefined : 'place';
  }

  /** Why nothing more can be expected, for a person; undefined: something can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Who gave how much, most first. */
  get sources(): readonly Source[] {
    return this.tally.sources;
  }

  get failed(): readonly Failed[] {
    return this.tally.failed;
  }

  /** More peers to dial, and to dial again. */
  addPeers(peers: readonly PeerAddress[]): void {
    for (const peer of peers) this.#neighbours.name(peer);
    this.#rank(peers);
    this.#home.stir(this);
  }

  /** Peers that somebody told us of: dialled until they don't answer. */
  hearOf(peers: readonly PeerAddress[]): void {
    for (const peer of peers) this.#neighbours.heardOf(peer);
    this.#rank(peers);
    this.#home.stir(this);
  }

  /** These are asked for from now on. */
  want(range: ChunkRange): void {
    this.#wanted?.add(range);
    this.#picker.countAnew();
    this.#home.stir(this);
  }

  /** These come from elsewhere, or are here. */
  unwant(range: ChunkRange): void {
    this.#wanted?.delete(range);
    for (const channel of this.#open.keys()) channel.cancel(range);
    this.#home.stir(this);
  }

  /** Chunks that came some other way and whose proofs are in the tree: others are told. */
  took(range: ChunkRange): void {
    this.swarm.have.add(range);
    this.#home.stir(this);
  }

  /** What is needed first. */
  playFrom({ byte, bytesPerSecond, aheadBytes }: Playing): void {
    const { chunkBytes } = this.swarm.metadata;
    const playhead = {
      chunk: Math.floor(byte / chunkBytes),
      ...(bytesPerSecond === undefined ? {} : { chunksPerSecond: bytesPerSecond / chunkBytes }),
      ...(aheadBytes === undefined ? {} : { ahead: Math.ceil(aheadBytes / chunkBytes) }),
    };
    this.#picker.playFrom(playhead, this.#home.now());
    this.#home.stir(this);
  }

  /**
   * Verified bytes in order, to the end of the content; what is read is what is fetched first. One reader at a time.
   * Throws TransportError when nothing more can be expected.
   */
  read(options: ReadOptions = {}): AsyncGenerator<Uint8Array, void> {
    return verifiedBytes(this, this.#options.store ?? this.swarm.source, options);
  }

  /** What those have together who are here. */
  get there(): ChunkSet {
    const there = new ChunkSet();
    for (const { peerHas } of this.#open.keys()) for (const range of peerHas?.ranges ?? []) there.add(range);
    return there;
  }

  now(): Milliseconds {
    return this.#home.now();
  }

  /** Resolves when something may have changed that a reader waits for. */
  changed(): Promise<void> {
    return this.#home.turned();
  }

  /** Another way to the content, asked as peers are. `name`: `host:port`. */
  addHost(host: Asked, name: string): void {
    this.#hosts.set(host, name);
    this.#picker.add(host);
    this.tally.here(name);
    this.#home.stir(this);
  }

  removeHost(host: Asked, why?: string, lied = false): void {
    const name = this.#hosts.get(host);
    this.#hosts.delete(host);
    this.#picker.remove(host);
    if (name !== undefined && why !== undefined) this.tally.gone(name, why, lied);
    this.#home.stir(this);
  }

  /** All nodes of level 6, as TSP has them, and the last piece of the content; its size is known. False: they are none. */
  proveLevel(nodes: Uint8Array, lastPiece: Uint8Array): boolean {
    return this.#tree.proveLevel(nodes, PIECE_LEVEL, lastPiece);
  }

  /** A piece of 64 KiB (or up to the end) from such a host, taken if it is what its node says. False: the host lied. */
  deliver(host: Asked, firstChunk: number, piece: Uint8Array): boolean {
    if (!this.#tree.verifyPiece(firstChunk, piece, PIECE_LEVEL)) return false;
    const { have, metadata } = this.swarm;
    const name = this.#hosts.get(host) ?? '';
    const range = { start: firstChunk, end: firstChunk + Math.ceil(piece.length / metadata.chunkBytes) - 1 };
    const missing = have.gaps(range, Number.POSITIVE_INFINITY);
    have.add(range);
    const { chunkBytes } = metadata;
    for (const { start, end } of missing) {
      const bytes = piece.subarray((start - firstChunk) * chunkBytes, (end + 1 - firstChunk) * chunkBytes);
      this.#took(start, cutInto(chunkBytes, bytes), host, name, this.#home.now());
    }
    this.#home.stir(this);
    this.#options.onChange?.();
    return true;
  }

  /** True: who it came from has lied, and is not to be let in again. */
  heed({ channel, from, isIncoming, event }: EndpointEvent, now: Milliseconds): boolean {
    // In a live swarm something happens all the time.
    if (!this.#isLive) this.#lookAt = Number.NEGATIVE_INFINITY;
    if (event.kind === 'chunks') {
      if (!event.isProven && this.#options.unproven?.has(event.first) !== false) return false;
      this.#took(event.first, event.chunks, channel, this.#open.get(channel)!.name, now);
      this.#options.onChange?.();
      return false;
    }
    switch (event.kind) {
      case 'open':
        this.#opened(channel, from, isIncoming, now);
        break;
      case 'located':
        this.#neighbours.moved(this.#open.get(channel)!.from, from, now);
        this.#open.set(channel, { from, name: nameOf(from) });
        break;
      case 'wrong':
        // Somebody else may be asked for it at once.
        channel.cancel({ start: event.chunk, end: event.chunk });
        break;
      case 'peer':
        this.#neighbours.heardOf(event.peer);
        this.#rank([event.peer]);
        break;
      case 'ended':
        this.#ended(channel, from, event.why, now);
        break;
    }
    if (event.kind !== 'have') this.#options.onChange?.();
    return event.kind === 'ended' && event.why === 'lies';
  }

  /** Dials who is due, gives up who is gone, asks for what there is room for. `dial`: false when that cannot be now. */
  drive(now: Milliseconds, dial: (to: PeerAddress) => boolean): void {
    const { store } = this.#options;
    this.#patience.begin(now);
    for (const address of this.#neighbours.due(now))
      if (!dial(address)) this.#neighbours.left(address, now, false);
    this.served?.look(now);
    if (this.#isLive && now >= this.#lookAt) this.#look(now);
    if (store === undefined || this.isComplete) return;
    if (now >= this.#lookAt) this.#look(now);
    if (!store.isFull) this.#picker.pick(this.swarm.integrity.chunks, now);
  }

  /** Nothing more comes, and nobody is served. */
  left(): void {
    for (const channel of this.#open.keys()) this.served?.left(channel);
    this.#problem = 'the swarm was left';
  }

  nextDeadline(): Milliseconds | undefined {
    const look =
      this.#isLive || (this.#options.store !== undefined && !this.isComplete) ? this.#lookAt : undefined;
    return earliest(look, this.#neighbours.nextDeadline(), this.served?.nextDeadline());
  }

  #rank(peers: readonly PeerAddress[]): void {
    this.#options.ranking?.consider(peers, () => this.#home.stir(this));
  }

  get #isLive(): boolean {
    return this.swarm.metadata.live !== undefined;
  }

  /** Whether all who are there have this chunk; of one that is not here there is nothing to give. */
  isGiven(chunk: number): boolean {
    if (!this.swarm.have.has(chunk)) return true;
    return [...this.#open.keys()].every(({ peerHas }) => peerHas?.has(chunk) === true);
  }

  get #tree(): HashTree {
    const { integrity } = this.swarm;
    if (integrity instanceof MerkleIntegrity) return integrity.tree;
    throw new LocalProtocolError('only static content has pieces');
  }

  #opened(channel: Channel, from: PeerAddress, isIncoming: boolean, now: Milliseconds): void {
    const name = nameOf(from);
    if (isIncoming) this.#neighbours.arrived(from);
    this.#neighbours.opened(from);
    this.#open.set(channel, { from, name });
    this.tally.here(name);
    this.#picker.add(channel);
    this.#patience.heard(now);
    if (!this.serves) channel.choke();
    if (this.#options.store !== undefined) channel.askForPeers();
  }

  #ended(channel: Channel, from: PeerAddress, reason: EndReason, now: Milliseconds): void {
    if (this.#open.delete(channel)) this.#patience.heard(channel.heardAt);
    this.#picker.remove(channel);
    const hasLied = reason === 'lies';
    this.#neighbours.left(from, now, hasLied);
    if (reason === 'closed') return;
    const [host, why] = [nameOf(from), REASONS[reason]];
    if (this.tally.gone(host, why, hasLied)) this.#options.onLiar?.({ host, why, lied: true });
  }

  #took(first: number, chunks: readonly Uint8Array[], from: Asked, name: string, now: Milliseconds): void {
    const range = { start: first, end: first + chunks.length - 1 };
    this.#options.store?.write(first, chunks, name);
    this.#options.unproven?.add(range);
    this.#picker.came(range, from, now);
    this.tally.came(
      name,
      chunks.reduce((sum, { length }) => sum + length, 0),
    );
    this.#patience.came(now);
  }

  /** Gives up who is gone without a word, and sees whether there is hope. */
  #look(now: Milliseconds): void {
    this.#lookAt = now + LOOK_EVERY_MS;
    for (const [channel, { from }] of this.#open) {
      const owesSince = this.#picker.owesSince(channel);
      const isSilent =
        owesSince === undefined
          ? this.#isLive && now - channel.heardAt >= LIVE_SILENT_MS
          : now - Math.max(owesSince, channel.heardAt) >= SILENT_MS;
      if (!isSilent) continue;
      channel.close();
      this.#ended(channel, from, 'dead', now);
    }
    if (this.#options.waits !== true) this.#problem = this.#patience.problemAt(now, this);
    if (this.#isLive && this.#options.store !== undefined) this.#keepCompany(now);
  }

  /** In a live swarm most are fed by somebody else than whom they knew first. */
  #keepCompany(now: Milliseconds): void {
    const { lacksFeeders } = this.#picker;
    const { isFull } = this.#neighbours;
    for (const channel of this.#company.look(this.#open.keys(), now, { lacksFeeders, isFull })) {
      const { from } = this.#open.get(channel)!;
      channel.close();
      this.#ended(channel, from, 'closed', now);
    }
  }
}

const nameOf = ({ address, port }: PeerAddress): string => formatHostPort(address, port);
