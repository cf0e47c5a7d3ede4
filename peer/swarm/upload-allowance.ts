/**
 * What a node may send now, out of an upload rate that it shares with others (`--max-upload`): fetched a share at a time.
 *
 *     rate ─ a share, at once or when its turn comes ─▶ [ bytes ] ─▶ datagrams          nothing to send: given back
 */
import type { RateLimit } from '../hosting/rate-limit.js';

/** A chunk and its proofs: with less nothing can go. */
const LEAST_BYTES = 2_048;
/** Asked for at once; the rate gives as much of it as one's turn is. Where there is no limit few frames are cut for it. */
const SHARE_BYTES = 1_024 * 1_024;

/** The part of hosting's rate limit that is used here. */
export type UploadRate = Pick<RateLimit, 'take' | 'giveBack' | 'cancel'>;

export class UploadAllowance {
  readonly #rate: UploadRate;
  /** Tells that there is more. */
  readonly #granted: () => void;
  #bytes = 0;
  #isWaiting = false;

  constructor(rate: UploadRate, granted: () => void) {
    this.#rate = rate;
    this.#granted = granted;
  }

  /** What may go now; 0 while that is less than a chunk needs. Then `granted` tells when it is enough. */
  bytes(): number {
    while (this.#bytes < LEAST_BYTES && !this.#isWaiting) {
      const share = this.#rate.take(this, SHARE_BYTES);
      if (typeof share === 'number') this.#bytes += share;
      else void this.#wait(share);
    }
    return this.#bytes < LEAST_BYTES ? 0 : this.#bytes;
  }

  /** So many went; a little more than was allowed is a debt. */
  sent(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** There is nothing to send: others may have what is left, and the place in the queue. */
  rest(): void {
    this.#rate.cancel(this);
    if (this.#bytes <= 0) return;
    this.#rate.giveBack(this.#bytes);
    this.#bytes = 0;
  }

  async #wait(share: Promise<number>): Promise<void> {
    this.#isWaiting = true;
    const bytes = await share;
    this.#isWaiting = false;
    this.#bytes += bytes;
    if (bytes > 0) this.#granted();
  }
}
