/**
 * Memory for large frames, used again and again: a new piece of the heap for each would have it collected all the time.
 *
 *     take ─▶ packed ─▶ written ─▶ the kernel has it ─▶ giveBack ─▶ the next take
 *
 * A frame that is never written is never given back, and then it is the collector's, as any other.
 */
import { FRAME_BYTES } from '../../protocol/ppspp/packer.js';

/** Smaller ones come from the heap's own pool. */
const SMALL_BYTES = 4 * 1_024;
/** Kept for the next: some 4 MB. */
const MAX_SPARE = 64;

export class FrameMemory {
  readonly #spare: ArrayBufferLike[] = [];

  /** Of no particular content. */
  take(length: number): Buffer {
    if (length < SMALL_BYTES || length > FRAME_BYTES) return Buffer.allocUnsafe(length);
    return Buffer.from(this.#spare.pop() ?? new ArrayBuffer(FRAME_BYTES), 0, length);
  }

  /** Nobody reads it any more. Only what is ours has this length: others are cut from larger memory. */
  giveBack({ buffer }: Uint8Array): void {
    if (buffer.byteLength === FRAME_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(buffer);
  }
}
