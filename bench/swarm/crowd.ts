/**
 * What swarms and neighbours take of memory: a peer in a thousand swarms, and a peer with two hundred neighbours, each in a
 * process of its own. Run as a program it is one of these processes.
 *
 *     startCrowd ─▶ bare · swarms · neighbours ◀─ dialled by ─ callers, from several addresses of loopback
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as rest } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { staticMetadata, staticSwarm } from '../../peer/swarm/static-swarm.js';
import { SwarmNode } from '../../peer/swarm/swarm-node.js';
import { UdpWire } from '../../peer/swarm/udp-wire.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { systemClock } from '../../src/clock.js';
import { RecordingLogger } from '../../test/support/recording-logger.js';
import { residentBytes } from '../harness.js';
import { ended, Rows } from './processes.js';

/** As many as one address may have. */
const CALLERS_AN_ADDRESS = 50;
const FILE = fileURLToPath(import.meta.url);

export interface CrowdMemory {
  readonly bareBytes: number;
  readonly swarmsBytes: number;
  readonly neighboursBytes: number;
  readonly bytesASwarm: number;
  readonly bytesANeighbour: number;
}

export async function startCrowd(swarms: number, neighbours: number): Promise<CrowdMemory> {
  const bareBytes = await resident(['0', '0']);
  const swarmsBytes = await resident([`${swarms}`, '0']);
  const neighboursBytes = await resident(['1', `${neighbours}`], neighbours);
  return {
    bareBytes,
    swarmsBytes,
    neighboursBytes,
    bytesASwarm: (swarmsBytes - bareBytes) / swarms,
    bytesANeighbour: (neighboursBytes - bareBytes) / neighbours,
  };
}

async function resident(words: readonly string[], callers = 0): Promise<number> {
  const peer = start(['peer', ...words]);
  const rows = new Rows(peer);
  const { port } = await rows.next('ready');
  const crowd = callers === 0 ? undefined : start(['callers', `${callers}`, `${port}`]);
  await rows.next('settled');
  const bytes = await residentBytes(peer.pid!);
  if (crowd !== undefined) await ended(crowd);
  await ended(peer);
  return bytes;
}

const start = (words: readonly string[]): ChildProcess =>
  spawn(process.execPath, ['--expose-gc', FILE, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });

const CONTENT_BYTES = 4_000_000;

/** The swarms are known by their numbers. */
const swarmId = (number: number): Uint8Array => {
  const id = Buffer.alloc(32, 7);
  id.writeUInt32BE(number);
  return id;
};

async function nodeAt(host: string): Promise<{ node: SwarmNode; port: number }> {
  const world = { clock: systemClock, logger: new RecordingLogger(), randomBytes };
  const node = new SwarmNode({ ...world, wire: new UdpWire() });
  return { node, port: (await node.start({ host, port: 0 })).port };
}

function joined(node: SwarmNode, number: number, port?: number) {
  const tree = new HashTree({ root: swarmId(number), size: CONTENT_BYTES });
  const metadata = staticMetadata(swarmId(number), 'sha256', 1_024);
  const swarm = staticSwarm({ metadata, tree, have: new ChunkSet(), source: { read: () => undefined } });
  return node.join({
    swarm,
    peers: port === undefined ? [] : [{ address: '127.0.0.1', port }],
    maxPeers: 1_000,
  });
}

async function bePeer(swarms: number, neighbours: number): Promise<void> {
  const { node, port } = await nodeAt('127.0.0.1');
  const all = Array.from({ length: swarms }, (_, number) => joined(node, number));
  say({ event: 'ready', port });
  while ((all[0]?.peers ?? 0) < neighbours) await rest(50);
  (globalThis as { gc?: () => void }).gc?.();
  say({ event: 'settled' });
}

async function beCallers(count: number, port: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const { node } = await nodeAt(`127.0.0.${2 + Math.floor(i / CALLERS_AN_ADDRESS)}`);
    joined(node, 0, port);
  }
}

const say = (row: object): boolean => process.stdout.write(`${JSON.stringify(row)}\n`);

if (process.argv[1] === FILE) {
  const [role, ...numbers] = process.argv.slice(2);
  const [first = 0, second = 0] = numbers.map(Number);
  if (role === 'peer') await bePeer(first, second);
  else await beCallers(first, second);
  // Sockets keep it running until it is ended.
  await once(process, 'SIGTERM');
  process.exit(0);
}
