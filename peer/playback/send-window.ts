/**
 * How far ahead of the decoder a song's bytes are sent: as far as its window reaches.
 *
 *     sent ── consumed ──▶│◀────── waiting ≤ 512 KiB ──────▶│        beyond it, the sender waits
 *
 * 512 KiB is 13 s at 320 kbit/s, more than the 5 s that a change of hosts may take. Each song has a window of its own, so
 * the next one, which nobody consumes yet, can't hold up the one that sounds.
 */
const WINDOW_BYTES = 524_288;
/** Until the first song has sounded: enough to begin with, and not so much that reading it holds up the first sample. */
const FIRST_WINDOW_BYTES = 65_536;

export class SendWindow {
  /** Bytes sent and not consumed, by song. */
  readonly #waiting = new Map<number, number>();
  /** The song that somebody waits to hear. */
  #first: number | undefined;
  #waiters: { readonly song: number; readonly resolve: (goOn: boolean) => void }[] = [];

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  has(song: number): boolean {
    return this.#waiting.has(song);
  }

  waiting(song: number): number {
    return this.#waiting.get(song) ?? 0;
  }

  open(song: number): void {
    if (this.isEmpty) this.#first = song;
    this.#waiting.set(song, 0);
  }

  /** The song sounds: from now on it may be sent as far ahead as any. */
  sounds(song: number): void {
    if (this.#first === song) this.#first = undefined;
    this.#wake();
  }

  /** False when the song is over. */
  take(song: number, bytes: number): boolean {
    const waiting = this.#waiting.get(song);
    if (waiting !== undefined) this.#waiting.set(song, waiting + bytes);
    return waiting !== undefined;
  }

  consumed(song: number, bytes: number): void {
    const waiting = this.#waiting.get(song);
    if (waiting !== undefined) this.#waiting.set(song, Math.max(0, waiting - bytes));
    this.#wake();
  }

  /** Resolves with true when there is room, with false when the song is over. */
  async room(song: number): Promise<boolean> {
    if (!this.has(song)) return false;
    if (this.#hasRoom(song)) return true;
    return new Promise(resolve => this.#waiters.push({ song, resolve }));
  }

  /** This song and those before it are over. */
  close(upTo: number): void {
    for (const song of [...this.#waiting.keys()]) if (song <= upTo) this.#waiting.delete(song);
    this.#wake();
  }

  clear(): void {
    this.close(Number.POSITIVE_INFINITY);
  }

  #hasRoom(song: number): boolean {
    return this.waiting(song) < (song === this.#first ? FIRST_WINDOW_BYTES : WINDOW_BYTES);
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (!this.has(waiter.song)) waiter.resolve(false);
      else if (this.#hasRoom(waiter.song)) waiter.resolve(true);
      else this.#waiters.push(waiter);
    }
  }
}
