/**
 * A peer's answer to LIST, as the tracker reads it: row by row, bounded, and maybe read past (TSP §5.1).
 *
 *     begin ─▶ push … ─▶ end ─▶ the songs          skip: the rest of it means nothing any more
 */
import type { StreamHeader } from './messages.js';
import { roomForRows } from './row-room.js';
import { type OfferRow, parseOffer, type RowReader } from './rows.js';

export class OfferList {
  #rows: RowReader | undefined;
  #isSkipping = false;

  /** A list has begun and not ended. */
  get isOpen(): boolean {
    return this.#rows !== undefined;
  }

  /** Throws RemoteProtocolError `too-large`. */
  begin(header: StreamHeader): void {
    this.#rows = roomForRows(header);
    this.#isSkipping = false;
  }

  /** The rows that `bytes` completes. Throws RemoteProtocolError when one is none. */
  push(bytes: Uint8Array): OfferRow[] {
    return this.#rows === undefined || this.#isSkipping ? [] : this.#rows.push(bytes).map(parseOffer);
  }

  /** The last rows; undefined when the list was skipped. */
  end(): OfferRow[] | undefined {
    const rows = this.#isSkipping ? undefined : (this.#rows?.end() ?? []).map(parseOffer);
    this.#rows = undefined;
    this.#isSkipping = false;
    return rows;
  }

  skip(): void {
    this.#isSkipping = this.isOpen;
  }
}
