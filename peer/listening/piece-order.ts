/**
 * Proven pieces on their way to the reader: they come in any order, and leave in theirs, once.
 *
 *     came: 7, 9, 8 …  ─▶ [ waiting: 9 ] ─▶ delivered: 7, then 8 and 9 together
 */

export interface ProvenPiece {
  readonly index: number;
  readonly bytes: Uint8Array;
  /** Who sent how many of the bytes. */
  readonly from: readonly { readonly host: string; readonly bytes: number }[];
}

export class PieceOrder {
  #next: number;
  readonly #waiting = new Map<number, ProvenPiece>();

  constructor(first: number) {
    this.#next = first;
  }

  /** The index of the next piece to deliver. */
  get next(): number {
    return this.#next;
  }

  /** Some are here and cannot be delivered, for one before them is missing. */
  get isHeldUp(): boolean {
    return this.#waiting.size > 0;
  }

  has(index: number): boolean {
    return index < this.#next || this.#waiting.has(index);
  }

  /** Takes one that is not here yet; what can be delivered now, in order. */
  add(piece: ProvenPiece): ProvenPiece[] {
    this.#waiting.set(piece.index, piece);
    const ready: ProvenPiece[] = [];
    for (let first = this.#waiting.get(this.#next); first !== undefined; ) {
      ready.push(first);
      this.#waiting.delete(this.#next);
      this.#next += 1;
      first = this.#waiting.get(this.#next);
    }
    return ready;
  }
}
