/**
 * Own changes on their way to the tracker, as UPDATEs of at most 64 KiB (TSP §2.2, §3).
 *
 *     catalogue ──add──▶ { hash → newest change } ──takeBatch──▶ UPDATE
 *
 * The rule: of several changes of one song only the newest is said, in the place of the first, so a library that
 * changes faster than the tracker answers costs no more than its size.
 */
import type { Milliseconds } from '../ports.js';
import { MAX_PAYLOAD_BYTES } from './constants.js';
import { type ContentHash, encodeOfferChange, type OfferChange } from './rows.js';

export class OfferQueue {
  #changes = new Map<ContentHash, OfferChange>();
  #heldUntil: Milliseconds | undefined;

  get size(): number {
    return this.#changes.size;
  }

  /** When changes that the tracker would not have yet may be said again. */
  get heldUntil(): Milliseconds | undefined {
    return this.#heldUntil;
  }

  add(changes: Iterable<OfferChange>): void {
    for (const change of changes) this.#changes.set(change.hash, change);
  }

  /** The oldest changes that fit into one UPDATE; none while they are held. */
  takeBatch(now: Milliseconds): OfferChange[] {
    if (this.#heldUntil !== undefined && now < this.#heldUntil) return [];
    this.#heldUntil = undefined;
    const batch: OfferChange[] = [];
    let bytes = 0;
    for (const change of this.#changes.values()) {
      bytes += encodeOfferChange(change).length;
      if (bytes > MAX_PAYLOAD_BYTES) break;
      batch.push(change);
    }
    for (const change of batch) this.#changes.delete(change.hash);
    return batch;
  }

  /** Keeps refused changes for later, under what came since. False when the refusal was for good. */
  putBack(changes: readonly OfferChange[], retryAfterMs: number | undefined, now: Milliseconds): boolean {
    if (retryAfterMs === undefined) return false;
    const newer = this.#changes;
    this.#changes = new Map(changes.map(change => [change.hash, change]));
    this.add(newer.values());
    this.#heldUntil = now + retryAfterMs;
    return true;
  }
}
