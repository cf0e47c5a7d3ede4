/**
 * What a fetch has delivered, how far its reader has come, and how long what lies between will last.
 *
 *     fromByte ├──── taken ────┤──── in store ────┤ deliveredTo
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { SAFE_BUFFER_MS } from './fetch-effects.js';
import type { FetchReport, Urgency } from './song-stream.js';

export class Supply {
  readonly #fromByte: number;
  readonly #bytesPerSecond: number;
  readonly #bytesFrom = new Map<string, number>();
  #firstPieceAt: Milliseconds | undefined;
  #deliveredTo: number;
  #takenTo: number;
  #starvedSince: Milliseconds | undefined;

  /** `bytesPerSecond`: what playing the song takes. */
  constructor(fromByte: number, bytesPerSecond: number) {
    this.#fromByte = fromByte;
    this.#bytesPerSecond = bytesPerSecond;
    this.#deliveredTo = fromByte;
    this.#takenTo = fromByte;
  }

  /** The reader took everything before this byte. */
  get takenTo(): number {
    return this.#takenTo;
  }

  get hasBegun(): boolean {
    return this.#firstPieceAt !== undefined;
  }

  /** Since when the reader has nothing left to take; undefined while it has. */
  get starvedSince(): Milliseconds | undefined {
    return this.#starvedSince;
  }

  start(now: Milliseconds): void {
    this.#starvedSince = now;
  }

  /** A piece whose bytes are `from` these hosts; its first `skip` bytes come before what was asked for. */
  deliver(
    from: readonly { readonly host: string; readonly bytes: number }[],
    skip: number,
    now: Milliseconds,
  ): void {
    let skipped = skip;
    for (const { host, bytes } of from) {
      const used = Math.max(0, bytes - skipped);
      skipped -= bytes - used;
      this.#deliveredTo += used;
      this.#bytesFrom.set(host, (this.#bytesFrom.get(host) ?? 0) + used);
    }
    this.#firstPieceAt ??= now;
    this.#starvedSince = undefined;
  }

  take(to: number, now: Milliseconds): void {
    this.#takenTo = to;
    if (to >= this.#deliveredTo) this.#starvedSince ??= now;
  }

  /** A slow host does no harm yet. A song for later may come slowly, too, until its reader waits for it. */
  suffices(urgency: Urgency, now: Milliseconds): boolean {
    if (urgency === 'ahead' && this.#starvedSince === undefined) return true;
    return this.#bufferedMs(now) >= SAFE_BUFFER_MS;
  }

  report(): Pick<FetchReport, 'sources' | 'verified'> {
    return {
      sources: [...this.#bytesFrom].map(([host, bytes]) => ({ host, bytes })),
      verified: this.hasBegun,
    };
  }

  /** At least so much playing time is in store, if playing began with the first piece. */
  #bufferedMs(now: Milliseconds): number {
    if (this.#firstPieceAt === undefined) return 0;
    const playingMs = ((this.#deliveredTo - this.#fromByte) * 1_000) / this.#bytesPerSecond;
    return playingMs - (now - this.#firstPieceAt);
  }
}
