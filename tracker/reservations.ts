/**
 * Places in the list for songs that are on their way into it: libraries that come at once do not all get the last one.
 *
 *     take ─▶ its ID goes to disk, its host is told ─▶ use, when it is listed        release: what is left, however it ends
 */
export class Reservations {
  #places = 0;

  /** How many songs more the list may have once what is under way is listed. */
  get places(): number {
    return this.#places;
  }

  /** For one library; nothing is taken yet. */
  open(): Reservation {
    return new Reservation(change => {
      this.#places += change;
    });
  }
}

export class Reservation {
  readonly #changed: (by: number) => void;
  #places = 0;

  constructor(changed: (by: number) => void) {
    this.#changed = changed;
  }

  take(): void {
    this.#change(1);
  }

  /** A song has entered the list; none may have been taken for it, when another's place became free for it. */
  use(): void {
    if (this.#places > 0) this.#change(-1);
  }

  release(): void {
    this.#change(-this.#places);
  }

  #change(by: number): void {
    this.#places += by;
    this.#changed(by);
  }
}
