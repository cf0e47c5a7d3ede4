/**
 * What could not be looked at or read, for want of descriptors or memory, or because a disk failed for a moment, is looked
 * at again: the periodic scan would find it only minutes later.
 *
 *     add(path) … add(path) ──(10 s after the first)──▶ due(paths)
 */
import type { Clock } from '../../protocol/ports.js';

/** Long enough for a crowd to have gone, and for a file that kills whoever reads it to cost next to nothing. */
export const TRY_AGAIN_MS = 10_000;

export class SecondTries {
  readonly #clock: Clock;
  readonly #due: (paths: readonly string[]) => void;
  readonly #paths = new Set<string>();
  #cancelTimer: (() => void) | undefined;

  constructor(options: { readonly clock: Clock; readonly due: (paths: readonly string[]) => void }) {
    this.#clock = options.clock;
    this.#due = options.due;
  }

  add(path: string): void {
    this.#paths.add(path);
    this.#cancelTimer ??= this.#clock.after(TRY_AGAIN_MS, () => {
      this.#cancelTimer = undefined;
      const paths = [...this.#paths];
      this.#paths.clear();
      this.#due(paths);
    });
  }

  stop(): void {
    this.#cancelTimer?.();
    // Nothing is begun any more.
    this.#cancelTimer = () => {};
  }
}
