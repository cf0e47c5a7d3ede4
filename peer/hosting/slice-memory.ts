/**
 * The memory in which songs are served: slices of files, shared by all who listen, within one budget.
 *
 *     reserve(bytes) ─▶ room was made by forgetting the slices that nobody has used for longest; or none: all are in use
 *
 * A slice that is being sent is pinned, and counts until the last has released it, so the budget bounds what is held and
 * not just what is kept. What finds no room is served in small unshared pieces (served-song.ts).
 */

/** Where the bytes of slices lie. */
export interface SliceRoom {
  /** What a slice of `length` bytes takes of the budget. */
  costOf(length: number): number;
  /** Undefined when there is none left. */
  allocate(length: number): Uint8Array | undefined;
  /** They stay, but nobody has asked for them for a while. */
  rest(bytes: Uint8Array): void;
  /** Nobody reads or writes these bytes any more. */
  free(bytes: Uint8Array): void;
}

/** Each slice in memory of its own, not of the shared pool: it lives long and leaves as a whole. */
const HEAP: SliceRoom = {
  costOf: length => length,
  allocate: length => Buffer.allocUnsafeSlow(length),
  rest() {},
  free() {},
};

export class Slice {
  /** Readers that use it at this moment. */
  pins = 0;
  isForgotten = false;

  /** `forgotten` takes it out of its owner's table. */
  constructor(
    readonly bytes: Uint8Array,
    readonly forgotten: () => void,
  ) {}
}

export class SliceMemory {
  #room: SliceRoom = HEAP;
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

  /** Where slices lie from now on. To be called before there are any. */
  useRoom(room: SliceRoom): void {
    this.#room = room;
  }

  /** A slice to be filled; undefined when everything is pinned. */
  reserve(length: number, forgotten: () => void): Slice | undefined {
    const bytes = this.#makeRoom(length) ? this.#room.allocate(length) : undefined;
    if (bytes === undefined) return undefined;
    const slice = new Slice(bytes, forgotten);
    this.#slices.add(slice);
    this.#held += this.#room.costOf(length);
    return slice;
  }

  /** Somebody uses it: it stays until `release`, and is now the last to be forgotten. */
  pin(slice: Slice): void {
    slice.pins += 1;
    if (this.#slices.delete(slice)) this.#slices.add(slice);
  }

  release(slice: Slice): void {
    slice.pins -= 1;
    if (slice.isForgotten && slice.pins === 0) this.#free(slice);
  }

  /** It stays, at less expense. */
  rest(slice: Slice): void {
    this.#room.rest(slice.bytes);
  }

  /** Nobody finds it any more; who uses it may go on. */
  forget(slice: Slice): void {
    if (!this.#slices.delete(slice)) return;
    slice.isForgotten = true;
    if (slice.pins === 0) this.#free(slice);
    slice.forgotten();
  }

  #free({ bytes }: Slice): void {
    this.#held -= this.#room.costOf(bytes.length);
    this.#room.free(bytes);
  }

  #makeRoom(length: number): boolean {
    const cost = this.#room.costOf(length);
    if (cost > this.budgetBytes) return false;
    for (const slice of this.#slices) {
      if (this.#held + cost <= this.budgetBytes) return true;
      if (slice.pins === 0) this.forget(slice);
    }
    return this.#held + cost <= this.budgetBytes;
  }
}
