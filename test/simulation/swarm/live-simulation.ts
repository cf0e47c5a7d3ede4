/**
 * One seed: a live stream through a swarm over bad links, with listeners that come late, crash and come back, a relay that
 * spoils what it passes on, and somebody with another key who says that he is the source.
 *
 *     source ─ 32 chunks, signed, each second ─▶ listeners ◀─▶ listeners        relay ─ false chunks     impostor ─ false munros
 *
 * Whoever tuned in has the stream from there to its end, bit by bit, and nothing of what was false; else BrokenRule.
 */
import { generateKeyPairSync } from 'node:crypto';
import type { JoinedSwarm } from '../../../peer/swarm/joined-swarm.js';
import { LIVE_WINDOW_CHUNKS, type LiveSwarm, liveSwarm } from '../../../peer/swarm/live-swarm.js';
import type { SwarmNode } from '../../../peer/swarm/swarm-node.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { LiveIntegrity } from '../../../protocol/ppspp/live-integrity.js';
import { LiveSource } from '../../../protocol/ppspp/live-source.js';
import { liveSwarmId, parseLiveSwarmId } from '../../../protocol/ppspp/signatures.js';
import type { Swarm } from '../../../protocol/ppspp/swarm.js';
import { Chance } from '../chance.js';
import { BrokenRule } from '../invariants.js';
import { Timeline } from '../timeline.js';
import { DatagramNetwork, SWARM_PORT, type VirtualWire } from './datagram-network.js';
import { at, nodeOn, SOME_DAY_MS } from './swarm-programs.js';
import { ipOf } from './swarm-rules.js';

const LISTENERS = 5;
const BLOCK = 32;
const CHUNK_BYTES = 1_024;
const STREAM_BLOCKS = 7;
const BLOCK_MS = 1_000;
/** So long after the end everybody must have it. */
const PATIENCE_MS = 120_000;
const SOURCE = '10.0.0.1';
const RELAY = '10.0.2.1';
const IMPOSTOR = '10.0.2.2';
const LIARS: readonly string[] = [RELAY, IMPOSTOR];
/** Who is who is told by keys; signatures differ from run to run, and nothing follows from them. */
const KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const OTHER_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const ID = liveSwarmId(13, KEY);

export interface LiveOutcome {
  readonly seed: number;
  readonly loss: number;
  readonly happened: number;
  /** How often a liar was caught. */
  readonly caught: number;
  readonly crashes: number;
}

interface Listener {
  readonly address: string;
  program: { readonly node: SwarmNode; readonly wire: VirtualWire; readonly joined: JoinedSwarm } | undefined;
  /** Where it tuned in. */
  first: number | undefined;
}

export class LiveSimulation {
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #timeline: Timeline;
  readonly #network: DatagramNetwork;
  readonly #loss: number;
  readonly #content: Uint8Array;
  readonly #chunks: number;
  readonly #listeners: Listener[] = [];
  readonly #caught = new Set<string>();
  #crashes = 0;
  #broken: unknown;

  constructor(seed: number, tell?: (line: string) => void) {
    const chance = new Chance(seed);
    this.#seed = seed;
    this.#chance = chance;
    this.#timeline = new Timeline(tell);
    this.#loss = chance.is(0.3) ? 0 : 0.3 * chance.unit();
    this.#network = new DatagramNetwork(this.#timeline, chance.fork(), {
      loss: this.#loss,
      doubles: 0.05,
      cuts: 0.001,
      delayMs: chance.int(2, 40),
      reorderMs: chance.int(0, 50),
    });
    this.#content = chance.bytes(STREAM_BLOCKS * BLOCK * CHUNK_BYTES - chance.int(0, BLOCK * CHUNK_BYTES));
    this.#chunks = Math.ceil(this.#content.length / CHUNK_BYTES);
  }

  async run(): Promise<LiveOutcome> {
    const chance = this.#chance;
    await this.#startSource();
    await this.#startRelay();
    await this.#startImpostor();
    for (let i = 0; i < LISTENERS; i += 1) {
      const listener: Listener = { address: `10.0.1.${i}`, program: undefined, first: undefined };
      this.#listeners.push(listener);
      this.#timeline.after(chance.int(0, (STREAM_BLOCKS - 3) * BLOCK_MS), () => this.#start(listener));
    }
    this.#timeline.after(chance.int(1, 5) * BLOCK_MS, () => this.#crash(chance.pick(this.#listeners)));
    await this.#timeline.run(STREAM_BLOCKS * BLOCK_MS, () => this.#observe());
    const endAt = this.#timeline.now() + PATIENCE_MS;
    while (this.#waiting.length > 0 && this.#timeline.now() < endAt)
      await this.#timeline.run(1_000, () => this.#observe());
    for (const { address, first, program } of this.#waiting)
      throw new BrokenRule(
        `${address} tuned in at ${first} and has ${program!.joined.swarm.have.size} chunks`,
      );
    const { happened } = this.#timeline;
    return {
      seed: this.#seed,
      loss: this.#loss,
      happened,
      caught: this.#caught.size,
      crashes: this.#crashes,
    };
  }

  /** Who is there and lacks something. */
  get #waiting(): Listener[] {
    const last = this.#chunks - 1;
    return this.#listeners.filter(
      ({ first, program }) =>
        program !== undefined &&
        (first === undefined ||
          // Who came when all was over tunes in behind the end, and lacks nothing.
          (first <= last && !program.joined.swarm.have.covers({ start: first, end: last }))),
    );
  }

  #observe(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  #chunk(chunk: number): Uint8Array {
    return this.#content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
  }

  // Who takes part

  async #startSource(): Promise<void> {
    const live = liveSwarm(ID, { chunkBytes: CHUNK_BYTES, dialects: ['rfc7574'] });
    const node = await this.#node(SOURCE, 300);
    node.join({ swarm: live.swarm });
    const source = new LiveSource({ integrity: live.integrity, key: KEY, have: live.swarm.have });
    this.#make(source, live, 0, chunk => this.#chunk(chunk), node);
  }

  /** A block of chunks now, and the next in a second. */
  #make(
    source: LiveSource,
    { store }: Pick<LiveSwarm, 'store'>,
    first: number,
    chunk: (chunk: number) => Uint8Array,
    node: SwarmNode,
  ): void {
    const unixMs = SOME_DAY_MS + this.#timeline.now();
    for (let n = first; n < Math.min(first + BLOCK, this.#chunks); n += 1) {
      const bytes = chunk(n);
      store.write(n, [bytes]);
      source.add(bytes, unixMs);
    }
    if (first + BLOCK >= this.#chunks) source.finish(unixMs);
    else this.#timeline.after(BLOCK_MS, () => this.#make(source, { store }, first + BLOCK, chunk, node));
    node.wake();
  }

  /** Listens as others do, and gives what it has with a bit flipped. */
  async #startRelay(): Promise<void> {
    const live = liveSwarm(ID, { chunkBytes: CHUNK_BYTES, dialects: ['rfc7574'] });
    const read = (chunk: number): Uint8Array | undefined =>
      live.store.read(chunk)?.map((byte, i) => (i === chunk % 64 ? byte ^ 1 : byte));
    const node = await this.#node(RELAY, 1_000);
    const swarm: Swarm = { ...live.swarm, source: { read } };
    this.#tuneIn(node.join({ swarm, store: live.store, peers: [at(SOURCE)] }), live.integrity, () => {});
  }

  /** Makes a stream of its own under the source's ID: what it signs is signed with another key. */
  async #startImpostor(): Promise<void> {
    const live = liveSwarm(ID, { chunkBytes: CHUNK_BYTES, dialects: ['rfc7574'] });
    const { metadata } = live.swarm;
    const have = new ChunkSet();
    const key = { ...parseLiveSwarmId(ID), verify: () => true };
    const integrity = new LiveIntegrity({ metadata, key, have });
    const node = await this.#node(IMPOSTOR, 1_000);
    node.join({ swarm: { ...live.swarm, have, integrity }, peers: this.#everybody });
    const source = new LiveSource({ integrity, key: OTHER_KEY, have });
    const chance = this.#chance.fork();
    this.#make(source, live, 0, () => chance.bytes(CHUNK_BYTES), node);
  }

  get #everybody() {
    return Array.from({ length: LISTENERS }, (_, i) => at(`10.0.1.${i}`));
  }

  #start(listener: Listener): void {
    const { address } = listener;
    const { swarm, integrity, store } = liveSwarm(ID, { chunkBytes: CHUNK_BYTES, dialects: ['rfc7574'] });
    const write = (first: number, chunks: readonly Uint8Array[]): void => {
      for (const [i, bytes] of chunks.entries())
        if (Buffer.compare(bytes, this.#chunk(first + i)) !== 0)
          throw new BrokenRule(`${address} keeps chunk ${first + i}, which is not what it should be`);
      store.write(first, chunks);
    };
    const others = [SOURCE, RELAY, IMPOSTOR, this.#chance.pick(this.#listeners).address];
    const wire = this.#network.wire(address, 200_000);
    const node = nodeOn({ network: this.#network, wire, chance: this.#chance.fork() });
    const joined = node.join({
      swarm,
      store: { isFull: false, read: chunk => store.read(chunk), write },
      peers: others.filter(other => other !== address).map(at),
      onLiar: ({ host }) => {
        this.#timeline.note(`${address} has caught ${host}`);
        if (LIARS.includes(ipOf(host))) this.#caught.add(`${address} ${host}`);
        else this.#broken ??= new BrokenRule(`${address} takes ${host} for a liar`);
      },
    });
    this.#timeline.note(`${address} starts`);
    listener.program = { node, wire, joined };
    listener.first = undefined;
    this.#soon(node.start({ port: SWARM_PORT }));
    this.#tuneIn(joined, integrity, first => {
      this.#timeline.note(`${address} tunes in at ${first}`);
      listener.first = first;
    });
  }

  /** As `swarm get --live` does: nothing is fetched before somebody has shown where the stream is. */
  #tuneIn(joined: JoinedSwarm, integrity: LiveIntegrity, told: (first: number) => void): void {
    joined.playFrom({ byte: Number.MAX_SAFE_INTEGER, aheadBytes: 0 });
    const look = (): void => {
      const first = integrity.newest?.range.start;
      if (first === undefined) {
        this.#timeline.after(50, look);
        return;
      }
      joined.playFrom({ byte: first * CHUNK_BYTES, aheadBytes: LIVE_WINDOW_CHUNKS * CHUNK_BYTES });
      told(first);
    };
    look();
  }

  #crash(listener: Listener): void {
    const { program } = listener;
    if (program === undefined) return;
    this.#crashes += 1;
    this.#timeline.note(`${listener.address} crashes`);
    listener.program = undefined;
    program.wire.cut();
    this.#soon(program.node.stop());
    this.#timeline.after(this.#chance.int(100, 3_000), () => this.#start(listener));
  }

  async #node(address: string, kilobytes: number): Promise<SwarmNode> {
    const wire = this.#network.wire(address, kilobytes * 1_000);
    const node = nodeOn({ network: this.#network, wire, chance: this.#chance.fork() });
    await node.start({ port: SWARM_PORT });
    return node;
  }

  #soon(work: Promise<unknown>): void {
    work.catch(error => {
      this.#broken ??= error;
    });
  }
}
