/** Standard output as the place where fetched bytes go, at the pace of whoever reads it; a signal ends the wait. */
import { once } from 'node:events';
import type { World } from '../world.js';

export class StdoutSink {
  readonly #world: Pick<World, 'stdout' | 'signal'>;

  constructor(world: Pick<World, 'stdout' | 'signal'>) {
    this.#world = world;
  }

  /** Resolves when there is room for more. Rejects with the signal's reason. */
  async write(bytes: Uint8Array): Promise<void> {
    const { stdout, signal } = this.#world;
    if (stdout.write(bytes)) return;
    signal.throwIfAborted();
    // Ends both waits: a song has many pieces, and each would leave a listener behind.
    const settled = new AbortController();
    const either = { signal: AbortSignal.any([settled.signal, signal]) };
    const ended = [once(stdout, 'drain', either), once(stdout, 'close', either)];
    try {
      await Promise.race(ended);
    } catch {
      signal.throwIfAborted();
    } finally {
      for (const wait of ended) wait.catch(() => {});
      settled.abort();
    }
  }

  async finish(): Promise<void> {}

  async discard(): Promise<void> {}
}
