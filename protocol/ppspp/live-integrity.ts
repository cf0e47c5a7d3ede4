/**
 * Method 3, Unified Merkle Trees (RFC 7574 §6.1.2): a live swarm's chunks under signed subtree roots, its munros.
 *
 *            munro, signed            munro, signed         …         each over as many chunks, a power of two
 *          ┌─────┴─────┐            ┌─────┴─────┐
 *        c0 c1 c2 … c31           c32 … c63                           a source announces none before its munro is signed
 *
 * Sending: munro and signature unless the reader has a chunk under it, then uncles up to the munro. Reading: a signature
 * proves its munro, a chunk its way up to it. Beyond the discard window (§6.2) everything is forgotten, `have` too.
 *
 * Zeros stand where no chunk is. A source leaves none out, so the first proven zeros are the end, until it goes on behind.
 */
import { hashChunk } from '../merkle.js';
import { binAt, binOf, layerOf, rangeOf, unclesOf } from './bins.js';
import type { ChunkSet } from './chunk-set.js';
import { Claims, climb } from './claims.js';
import type { SwarmMetadata } from './handshake.js';
import { wireFormatOf } from './handshake.js';
import type { Integrity, Judge, Reader } from './integrity.js';
import { type LiveDialect, STALE_MS, signedBytes, unixMsOf } from './live-signing.js';
import type { ChunkRange, Claim, WireFormat } from './messages.js';
import { NodeStore } from './node-store.js';
import type { LiveKey } from './signatures.js';
import { nodesOf } from './tree-builder.js';

/** A signed subtree root. */
export interface Munro {
  readonly range: ChunkRange;
  readonly hash: Uint8Array;
  readonly timestamp: bigint;
  readonly signature: Uint8Array;
}

type SignedClaim = Extract<Claim, { type: 'SIGNED_INTEGRITY' }>;

/** A source that signs more rarely than that has a listener wait for minutes. */
const MAX_MUNRO_LAYER = 16;
/** Munros remembered where everything is kept: an hour of them at three a second. */
const MAX_MUNROS = 10_800;

export class LiveIntegrity implements Integrity {
  readonly proves = true;
  readonly metadata: SwarmMetadata;
  readonly dialect: LiveDialect;
  readonly format: WireFormat;
  readonly #key: LiveKey;
  readonly #have: ChunkSet;
  readonly #nodes: NodeStore;
  /** By first chunk, as they came. */
  readonly #munros = new Map<number, Munro>();
  /** How high they stand: of the metadata, or as the first that was proven. */
  #layer: number | undefined;
  #newest: Munro | undefined;
  #end = 0;
  /** The first chunk of which it is proven that there is none. */
  #blank = Number.POSITIVE_INFINITY;

  constructor(options: {
    readonly metadata: SwarmMetadata;
    readonly key: LiveKey;
    /** Of the swarm: what falls out of the discard window is taken out of it. */
    readonly have: ChunkSet;
    readonly chunksPerSignature?: number;
    readonly dialect?: LiveDialect;
  }) {
    this.metadata = options.metadata;
    this.dialect = options.dialect ?? 'rfc7574';
    this.format = wireFormatOf(options.metadata, []);
    this.#key = options.key;
    this.#have = options.have;
    this.#nodes = new NodeStore(this.format.hashBytes);
    if (options.chunksPerSignature !== undefined) this.#layer = Math.log2(options.chunksPerSignature);
  }

  /** Infinity while they are still being made; known when the end is proven. */
  get chunks(): number {
    return this.#blank;
  }

  /** The right-most munro that was fresh when it came: a newcomer tunes in at its first chunk (RFC 7574 §6.1.2.3). */
  get newest(): Munro | undefined {
    return this.#newest;
  }

  /** When the source signed it, by its own clock: milliseconds since 1970. Undefined: no proof of it is known. */
  signedAt(chunk: number): number | undefined {
    const munro = this.#munroOf(chunk);
    return munro && unixMsOf(munro.timestamp, this.dialect);
  }

  proofOf(chunk: number, reader: Reader): Claim[] {
    const munro = this.#munroOf(chunk)!;
    const top = binOf(munro.range)!;
    const uncles = unclesOf(chunk, top, range => reader.knows(range));
    return [
      ...(reader.knows(munro.range) ? [] : signed(munro)),
      ...uncles.map(
        bin => ({ type: 'INTEGRITY', range: rangeOf(bin), hash: this.#nodes.get(bin)! }) as const,
      ),
    ];
  }

  tuneIn(reader: Reader): Claim[] {
    const newest = this.#newest;
    if (newest === undefined || reader.knows({ start: newest.range.start, end: Number.POSITIVE_INFINITY }))
      return [];
    return signed(newest);
  }

  judge(): Judge {
    const claims = new Claims();
    return {
      hear: (claim, unixMs) => {
        if (claim.type === 'INTEGRITY') return claims.add(claim.range, claim.hash);
        return this.#hearSigned(claim, claims, unixMs);
      },
      judge: (chunk, bytes) => {
        const munro = this.#munroOf(chunk);
        if (munro === undefined) return 'unproven';
        const top = binOf(munro.range)!;
        const { verdict, way } = climb(
          binAt(0, chunk),
          hashChunk(bytes, this.metadata.hash),
          this.metadata.hash,
          {
            proven: bin => this.#nodes.get(bin),
            believed: (bin, way) => {
              const hash = bin === top ? undefined : (this.#nodes.get(bin) ?? claims.get(bin));
              if (hash !== undefined) way.set(bin, hash);
              return hash;
            },
          },
        );
        if (verdict === 'wrong') claims.clear();
        if (verdict !== 'verified') return verdict;
        for (const [bin, hash] of way) {
          this.#keep(bin, hash);
          claims.delete(bin);
        }
        return verdict;
      },
    };
  }

  /** The source's own: a whole subtree, its rows from the leaves up, and it is signed. */
  add(munro: Munro, rows: readonly Uint8Array[], unixMs: number): void {
    this.#prove(munro, unixMs);
    for (const [layer, row] of rows.entries()) {
      let offset = munro.range.start / 2 ** layer;
      for (const hash of nodesOf(row, this.metadata.hash)) this.#keep(binAt(layer, offset++), hash);
    }
  }

  #hearSigned({ range, timestamp, signature }: SignedClaim, claims: Claims, unixMs: number): boolean {
    const bin = binOf(range);
    const layer = bin === undefined ? 0 : layerOf(bin);
    if (layer === 0 || layer > MAX_MUNRO_LAYER || layer !== (this.#layer ?? layer)) return false;
    // Already proven, or too old to be of use; nor is it worth a signature's verification without its hash.
    const hash = claims.get(bin!);
    if (this.#munros.has(range.start) || range.end < this.#windowStart || hash === undefined) return true;
    const bytes = signedBytes(range, timestamp, hash, this.format, this.dialect);
    if (!this.#key.verify(bytes, signature)) return false;
    this.#prove({ range, hash, timestamp, signature: new Uint8Array(signature) }, unixMs);
    return true;
  }

  #prove(munro: Munro, unixMs: number): void {
    const { range, hash, timestamp } = munro;
    this.#layer ??= layerOf(binOf(range)!);
    this.#munros.set(range.start, munro);
    // It went on after an end.
    if (range.start > this.#blank) this.#blank = Number.POSITIVE_INFINITY;
    this.#keep(binOf(range)!, hash);
    this.#end = Math.max(this.#end, range.end + 1);
    const isFresh = unixMs - unixMsOf(timestamp, this.dialect) < STALE_MS;
    if (isFresh && range.start > (this.#newest?.range.start ?? -1)) this.#newest = munro;
    this.#forget();
  }

  /** A proven node. */
  #keep(bin: number, hash: Uint8Array): void {
    this.#nodes.set(bin, hash);
    const { start } = rangeOf(bin);
    const isLast = start >= this.#end - 2 ** (this.#layer ?? 0);
    if (isLast && hash.every(byte => byte === 0)) this.#blank = Math.min(this.#blank, start);
  }

  #forget(): void {
    const start = this.#windowStart;
    if (start === 0) return;
    for (const [first, { range }] of this.#munros) if (range.end < start) this.#munros.delete(first);
    this.#nodes.forgetBefore(start);
    this.#have.delete({ start: 0, end: start - 1 });
  }

  /** The first chunk that is kept; whole subtrees are, so that each can be proven. */
  get #windowStart(): number {
    const width = 2 ** (this.#layer ?? 0);
    const kept = Math.min(this.metadata.live!.discardWindow, MAX_MUNROS * width);
    return Math.floor(Math.max(0, this.#end - kept) / width) * width;
  }

  #munroOf(chunk: number): Munro | undefined {
    const width = 2 ** (this.#layer ?? 0);
    return this.#munros.get(Math.floor(chunk / width) * width);
  }
}

/** Both in this order (RFC 7574 §6.1.2.2). */
const signed = ({ range, hash, timestamp, signature }: Munro): Claim[] => [
  { type: 'INTEGRITY', range, hash },
  { type: 'SIGNED_INTEGRITY', range, timestamp, signature },
];
