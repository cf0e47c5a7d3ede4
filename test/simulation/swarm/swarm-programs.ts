/**
 * Who takes part in a simulated swarm: the real node on a virtual wire, and some that mean no good.
 *
 *     SwarmProgram   SwarmNode, JoinedSwarm, a disk          liar   the same, its chunks or its hashes or both false
 *     idler          says it has 2^32 chunks, asks for as many, gives none, and tells of peers that are none
 *     forger         HANDSHAKEs in the name of addresses that never asked
 */
import type { JoinedSwarm } from '../../../peer/swarm/joined-swarm.js';
import { SwarmNode } from '../../../peer/swarm/swarm-node.js';
import type { Failed } from '../../../peer/swarm/tally.js';
import type { UploadRate } from '../../../peer/swarm/upload-allowance.js';
import type { Logger } from '../../../protocol/ports.js';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { NO_CHANNEL } from '../../../protocol/ppspp/constants.js';
import { Endpoint } from '../../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../../protocol/ppspp/gate.js';
import { ownOptions, wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { type Integrity, MerkleIntegrity } from '../../../protocol/ppspp/integrity.js';
import type { Claim } from '../../../protocol/ppspp/messages.js';
import type { Swarm } from '../../../protocol/ppspp/swarm.js';
import type { Chance } from '../chance.js';
import { type DatagramNetwork, SWARM_PORT, type VirtualWire } from './datagram-network.js';
import { SwarmContent, type SwarmDisk } from './swarm-content.js';

export const QUIET: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => QUIET };
/** 2023-11-14; clocks differ by seconds. */
export const SOME_DAY_MS = 1.7e12;
const ALL: { readonly start: number; readonly end: number } = { start: 0, end: 0xffff_ffff };

export const at = (address: string): PeerAddress => ({ address, port: SWARM_PORT });

export interface Lent {
  readonly network: DatagramNetwork;
  readonly wire: VirtualWire;
  readonly chance: Chance;
}

export interface SwarmProgramOptions {
  readonly peers: readonly PeerAddress[];
  readonly maxPeers: number;
  readonly serves: boolean;
  readonly onChange: () => void;
  readonly onLiar: (liar: Failed) => void;
}

/** A process on one machine. */
export class SwarmProgram {
  readonly joined: JoinedSwarm;
  readonly #node: SwarmNode;
  readonly #wire: VirtualWire;

  constructor({ network, wire, chance }: Lent, disk: SwarmDisk, options: SwarmProgramOptions) {
    this.#wire = wire;
    this.#node = nodeOn({ network, wire, chance });
    const { swarm } = disk;
    this.joined = this.#node.join({ ...options, swarm, store: disk, place: chance.unit() });
  }

  async start(): Promise<void> {
    await this.#node.start({ port: SWARM_PORT });
  }

  /** Its peers are told. */
  async stop(): Promise<void> {
    await this.#node.stop();
  }

  /** Nobody is told anything. */
  async crash(): Promise<void> {
    this.#wire.cut();
    await this.#node.stop();
  }
}

export function nodeOn({ network, wire, chance }: Lent, rate?: UploadRate): SwarmNode {
  const offsetMs = SOME_DAY_MS + chance.int(-5_000, 5_000);
  return new SwarmNode({
    clock: network.timeline,
    logger: QUIET,
    randomBytes: length => chance.bytes(length),
    unixMs: () => network.timeline.now() + offsetMs,
    wire,
    ...(rate && { rate }),
  });
}

/** How it lies: a bit of each chunk, or of a hash; or of both nothing is true, and the one proves the other. */
export type Lie = 'chunks' | 'hashes' | 'all';

/** Has everything, as it says, and gives it to whoever asks. */
export async function startLiar(
  lent: Lent,
  lie: Lie,
  content: SwarmContent,
  peers: readonly PeerAddress[],
): Promise<void> {
  const { chance } = lent;
  const flipped = (true_: Uint8Array): Uint8Array => {
    const bytes = Uint8Array.from(true_);
    bytes[chance.int(0, bytes.length - 1)]! ^= 1 << chance.int(0, 7);
    return bytes;
  };
  const given = lie === 'all' ? new SwarmContent(chance, content.chunks, content.metadata.hash) : content;
  const honest = new MerkleIntegrity(given.tree());
  const lyingOf = (proof: Claim[]): Claim[] => {
    const place = chance.int(0, proof.length - 1);
    return proof.map((claim, i) =>
      i === place && claim.type === 'INTEGRITY' ? { ...claim, hash: flipped(claim.hash) } : claim,
    );
  };
  const integrity: Integrity =
    lie !== 'hashes'
      ? honest
      : {
          chunks: honest.chunks,
          proves: true,
          proofOf: (chunk, reader) => lyingOf(honest.proofOf(chunk, reader)),
          tuneIn: () => [],
          judge: () => honest.judge(),
        };
  const read = (chunk: number): Uint8Array =>
    lie === 'chunks' ? flipped(given.chunk(chunk)) : given.chunk(chunk);
  const have = new ChunkSet();
  have.add({ start: 0, end: content.chunks - 1 });
  const { metadata } = content;
  const swarm: Swarm = { metadata, dialects: ['rfc7574'], have, integrity, source: { read } };
  const node = nodeOn(lent);
  node.join({ swarm, peers, maxPeers: peers.length });
  await node.start({ port: SWARM_PORT });
}

/** Peers that there cannot be, and one more that there isn't. */
const NOBODY: readonly PeerAddress[] = [
  ...['127.0.0.1', '0.0.0.0', '224.0.0.1', '169.254.7.7', '10.0.9.9'].map(at),
  { address: '10.0.1.7', port: 0 },
];

/** Says that it has all chunks there can be, asks everybody for as many, and never gives one; tells of peers that are none. */
export async function startIdler(
  { network, wire, chance }: Lent,
  { metadata, tree }: { metadata: Swarm['metadata']; tree: Swarm['integrity'] },
  peers: readonly PeerAddress[],
): Promise<void> {
  const { timeline } = network;
  const have = new ChunkSet();
  have.add(ALL);
  const source = { read: () => undefined };
  const swarm: Swarm = { metadata, dialects: ['rfc7574'], have, integrity: tree, source };
  const endpoint = new Endpoint({ random: length => chance.bytes(length), unixOffsetMs: SOME_DAY_MS });
  endpoint.join(swarm);
  const known = new Set<string>();
  const flush = (): void => {
    for (const outgoing of endpoint.transmit(timeline.now())) wire.send(outgoing);
  };
  await wire.start({ port: SWARM_PORT }, (datagram, from) => {
    // What it is given it does not even acknowledge.
    if (known.has(from.address)) return;
    for (const { channel, event } of endpoint.receive(datagram, from, timeline.now())) {
      if (event.kind !== 'open') continue;
      known.add(from.address);
      channel.request(ALL);
      channel.tell(NOBODY);
    }
    flush();
  });
  const beat = (): void => {
    endpoint.expire(timeline.now());
    flush();
    timeline.after(500, beat);
  };
  for (const peer of peers) endpoint.dial(swarm, peer, timeline.now());
  beat();
}

/** A first datagram in somebody else's name. */
export function forge(
  network: DatagramNetwork,
  content: SwarmContent,
  chance: Chance,
  to: PeerAddress,
): PeerAddress {
  const from = { address: `192.0.2.${chance.int(1, 200)}`, port: chance.int(1, 65_535) };
  const { metadata } = content;
  const options = ownOptions(metadata, 'rfc7574', 'initiator');
  const channel = chance.int(1, 0xffff_ffff);
  const more = chance.is(0.5)
    ? []
    : [{ type: 'REQUEST', range: ALL } as const, { type: 'HAVE', range: ALL } as const];
  const datagram = encodeDatagram(
    NO_CHANNEL,
    [{ type: 'HANDSHAKE', channel, options }, ...more],
    wireFormatOf(metadata, ['rfc7574']),
  );
  network.send(from, { to, datagram });
  return from;
}
