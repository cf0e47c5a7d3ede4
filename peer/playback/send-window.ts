/**
 * How far ahead of the decoder a song's bytes are sent: as far as its window reaches.
 *
 *     sent ── consumed ──▶│◀────── waiting ≤ 512 KiB ──────▶│        beyond it, the sender waits
 *
 * 512 KiB is 13 s at 320 kbit/s, more than the 5 s that a change of hosts may take. Each song has a window of its own, so
 * the next one, which nobody consumes yet, can't hold up the one that sounds.
 */
const WINDOW_BYTES = 524_288;

export class SendWindow {
  /** Bytes sent and not consumed, by song. */
  readonly #waiting = new Map<number, number>();
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
    this.#waiting.set(song, 0);
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
    if (this.waiting(song) < WINDOW_BYTES) return true;
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

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (!this.has(waiter.song)) waiter.resolve(false);
      else if (this.waiting(waiter.song) < WINDOW_BYTES) waiter.resolve(true);
      else this.#waiters.push(waiter);
    }
  }
}
