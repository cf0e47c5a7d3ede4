/**
 * The songs that were asked for, in order, and which of them it is the turn of. Pure.
 *
 *     a  b  [c]  d  e          next ─▶ d      prev ─▶ b      after e: played out
 */
export class Queue<Song> {
  #songs: readonly Song[] = [];
  /** Index of the song whose turn it is; the length when the queue is played out. */
  #cursor = 0;

  get songs(): readonly Song[] {
    return this.#songs;
  }

  get cursor(): number {
    return this.#cursor;
  }

  get current(): Song | undefined {
    return this.#songs[this.#cursor];
  }

  /** These songs and no others, from the first on. */
  replace(songs: readonly Song[]): void {
    this.#songs = [...songs];
    this.#cursor = 0;
  }

  append(songs: readonly Song[]): void {
    this.#songs = [...this.#songs, ...songs];
  }

  /** The song `distance` after (before, if negative) the current one. */
  peek(distance: number): Song | undefined {
    return this.#songs[this.#cursor + distance];
  }

  /** Moves on by `distance`. False, and nothing moves, when there is no song there. */
  move(distance: number): boolean {
    if (this.peek(distance) === undefined) return false;
    this.#cursor += distance;
    return true;
  }

  /** The current song has had its turn; so the queue may be played out. */
  advance(): void {
    this.#cursor = Math.min(this.#cursor + 1, this.#songs.length);
  }

  playOut(): void {
    this.#cursor = this.#songs.length;
  }
}
