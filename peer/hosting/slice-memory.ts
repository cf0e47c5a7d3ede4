/**
 * The memory in which songs are served: slices of files, shared by all who listen, within one budget.
 *
 *     reserve(bytes) ─▶ room was made by forgetting the slices that nobody has used for longest; or false: all are in use
 *
 * A slice that is being sent is pinned and counts until it is released, so the budget bounds what is held and not just
 * what is kept. What finds no room is served in small unshared pieces (served-song.ts).
 */

export interface Slice {
  readonly length: number;
  /** Readers that use it at this moment. */
  pins: number;
  /** Takes it out of its owner's table. */
  forget(): void;
}

export class SliceMemory {
  #held = 0;
  /** Oldest use first; a pinned slice stays in its place and is passed over. */
  readonly #slices = new Set<Slice>();

  constructor(readonly budgetBytes: number) {}

  get heldBytes(): number {
    return this.#held;
  }

  get slices(): number {
    return this.#slices.size;
  }

  /** Makes room for a slice and counts it; false when everything is pinned. */
  add(slice: Slice): boolean {
    if (!this.#makeRoom(slice.length)) return false;
    this.#slices.add(slice);
    this.#held += slice.length;
    return true;
  }

  /** Somebody uses it: it is now the last to be forgotten. */
  touch(slice: Slice): void {
    if (!this.#slices.delete(slice)) return;
    this.#slices.add(slice);
  }

  remove(slice: Slice): void {
    if (!this.#slices.delete(slice)) return;
    this.#held -= slice.length;
    slice.forget();
  }

  #makeRoom(bytes: number): boolean {
    if (bytes > this.budgetBytes) return false;
    for (const slice of this.#slices) {
      if (this.#held + bytes <= this.budgetBytes) return true;
      if (slice.pins === 0) this.remove(slice);
    }
    return this.#held + bytes <= this.budgetBytes;
  }
}
