/**
 * Method 2, Sign All (RFC 7574 §6.1.1): each chunk of a live swarm has a signature of its own, and there is no tree.
 *
 *     SIGNED_INTEGRITY(chunk, time, signature) · DATA(chunk)
 *
 * Dear: a verification a chunk. Beyond the discard window (§6.2) everything is forgotten, `have` too.
 */
import type { KeyObject } from 'node:crypto';
import type { ChunkSet } from './chunk-set.js';
import { type SwarmMetadata, wireFormatOf } from './handshake.js';
import type { Integrity, Judge } from './integrity.js';
import { signedBytes, timestampOf } from './live-signing.js';
import type { Claim, WireFormat } from './messages.js';
import { type LiveKey, signLive } from './signatures.js';

interface Signed {
  readonly timestamp: bigint;
  readonly signature: Uint8Array;
}

/** Signatures of one peer whose chunks have not come. */
const MAX_WAITING = 256;
/** Chunks whose signatures are remembered where everything is kept: 64 MiB of them and their chunks. */
const MAX_SIGNATURES = 65_536;

export class SignAllIntegrity implements Integrity {
  readonly proves = true;
  readonly chunks = Number.POSITIVE_INFINITY;
  readonly metadata: SwarmMetadata;
  readonly #format: WireFormat;
  readonly #key: LiveKey;
  readonly #have: ChunkSet;
  readonly #signed = new Map<number, Signed>();
  #end = 0;

  constructor(options: {
    readonly metadata: SwarmMetadata;
    readonly key: LiveKey;
    /** Of the swarm: what falls out of the discard window is taken out of it. */
    readonly have: ChunkSet;
  }) {
    this.metadata = options.metadata;
    this.#format = wireFormatOf(options.metadata, []);
    this.#key = options.key;
    this.#have = options.have;
  }

  proofOf(chunk: number): Claim[] {
    return [{ type: 'SIGNED_INTEGRITY', range: { start: chunk, end: chunk }, ...this.#signed.get(chunk)! }];
  }

  tuneIn(): Claim[] {
    return [];
  }

  judge(): Judge {
    const waiting = new Map<number, Signed>();
    return {
      hear: claim => {
        if (claim.type !== 'SIGNED_INTEGRITY' || claim.range.start !== claim.range.end) return false;
        const { range, timestamp, signature } = claim;
        waiting.delete(range.start);
        waiting.set(range.start, { timestamp, signature: new Uint8Array(signature) });
        if (waiting.size > MAX_WAITING) waiting.delete(waiting.keys().next().value!);
        return true;
      },
      judge: (chunk, bytes) => {
        const signed = waiting.get(chunk);
        if (signed === undefined || chunk < this.#windowStart) return 'unproven';
        waiting.delete(chunk);
        if (!this.#key.verify(this.#bytes(chunk, signed.timestamp, bytes), signed.signature)) return 'wrong';
        this.#keep(chunk, signed);
        return 'verified';
      },
    };
  }

  /** The source's own: signs a chunk, which is stored by then, and announces it. */
  add(chunk: number, bytes: Uint8Array, key: KeyObject, unixMs: number): void {
    const timestamp = timestampOf(unixMs, 'rfc7574');
    const signature = signLive(this.metadata.live!.signature, key, this.#bytes(chunk, timestamp, bytes));
    this.#keep(chunk, { timestamp, signature });
    this.#have.add({ start: chunk, end: chunk });
  }

  #bytes(chunk: number, timestamp: bigint, bytes: Uint8Array): Uint8Array {
    return signedBytes({ start: chunk, end: chunk }, timestamp, bytes, this.#format, 'rfc7574');
  }

  #keep(chunk: number, signed: Signed): void {
    this.#signed.set(chunk, signed);
    this.#end = Math.max(this.#end, chunk + 1);
    const start = this.#windowStart;
    if (start === 0) return;
    for (const old of this.#signed.keys()) if (old < start) this.#signed.delete(old);
    this.#have.delete({ start: 0, end: start - 1 });
  }

  get #windowStart(): number {
    return Math.max(0, this.#end - Math.min(this.metadata.live!.discardWindow, MAX_SIGNATURES));
  }
}
