/** Trees and chunks hashed and verified, beside `sha256sum`: MB a second of CPU time. */
import { pathTree } from '../../peer/swarm/content-tree.js';
import { type HashName, hashChunk, PIECE_LEVEL } from '../../protocol/merkle.js';
import { Claims } from '../../protocol/ppspp/claims.js';
import { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { median } from '../harness.js';
import { costOf } from './processes.js';

const CHUNK_BYTES = 1_024;
const HASH: HashName = 'sha256';
const RUNS = 3;

export async function measureHashing(file: string, content: Uint8Array): Promise<Record<string, number>> {
  const { signal } = new AbortController();
  const source = await pathTree(file, { hash: HASH, chunkBytes: CHUNK_BYTES, signal });
  const work: Record<string, () => Promise<number>> = {
    sha256sum: async () => (await costOf(['sha256sum', file], [])).cpuSeconds,
    'a chunk at a time, the leaves alone': () => spent(async () => leaves(content)),
    'a tree': () =>
      spent(async () => void (await pathTree(file, { hash: HASH, chunkBytes: CHUNK_BYTES, signal }))),
    'verified chunk by chunk': () => spent(async () => verifyChunks(source, content)),
    'verified in pieces of 64 KiB': () => spent(async () => verifyPieces(source, content)),
  };
  const rates: Record<string, number> = {};
  for (const [what, run] of Object.entries(work)) {
    const seconds: number[] = [];
    for (let i = 0; i < RUNS; i += 1) seconds.push(await run());
    rates[what] = content.length / 1e6 / median(seconds);
  }
  return rates;
}

async function spent(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function leaves(content: Uint8Array): void {
  for (let at = 0; at < content.length; at += CHUNK_BYTES)
    hashChunk(content.subarray(at, at + CHUNK_BYTES), HASH);
}

/** As over UDP: each with the hashes that the reader lacks. */
function verifyChunks(source: HashTree, content: Uint8Array): void {
  const tree = new HashTree({ root: source.root, size: content.length });
  const claims = new Claims();
  let done = -1;
  for (let chunk = 0; chunk < source.chunks!; chunk += 1) {
    const proof = source.proofOf(chunk, chunk === 0, ({ start }) => start <= done);
    for (const claim of proof) if (claim.type === 'INTEGRITY') claims.add(claim.range, claim.hash);
    const bytes = content.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
    if (tree.verify(chunk, bytes, claims) !== 'verified') throw new Error(`chunk ${chunk} is not verified`);
    done = chunk;
  }
}

/** As what comes by TSP: the nodes of pieces are known. */
function verifyPieces(source: HashTree, content: Uint8Array): void {
  const pieceBytes = CHUNK_BYTES << PIECE_LEVEL;
  const pieces = Math.ceil(content.length / pieceBytes);
  const nodes = Array.from({ length: pieces }, (_, piece) => nodeOfPiece(source, piece));
  const tree = new HashTree({ root: source.root, size: content.length });
  if (!tree.proveLevel(Buffer.concat(nodes), PIECE_LEVEL, content.subarray((pieces - 1) * pieceBytes)))
    throw new Error('the level does not lead to the root');
  for (let piece = 0; piece < pieces; piece += 1) {
    const bytes = content.subarray(piece * pieceBytes, (piece + 1) * pieceBytes);
    if (!tree.verifyPiece(piece << PIECE_LEVEL, bytes, PIECE_LEVEL))
      throw new Error(`piece ${piece} is not verified`);
  }
}

/** The bin of a piece (RFC 7574 §4.2). */
const nodeOfPiece = (source: HashTree, piece: number): Uint8Array =>
  source.node(piece * 2 ** (PIECE_LEVEL + 1) + 2 ** PIECE_LEVEL - 1)!;
