/** Standard output as the place where fetched bytes go, at the pace of whoever reads it; a signal ends the wait. */
import { once } from 'node:events';
import type { World } from '../world.js';

type Out = Pick<World, 'stdout' | 'signal'>;

export class StdoutSink {
  readonly #world: Out;

  constructor(world: Out) {
    this.#world = world;
  }

  /** Resolves when there is room for more. Rejects with the signal's reason. */
  async write(bytes: Uint8Array): Promise<void> {
    const { stdout, signal } = this.#world;
    if (stdout.write(bytes)) return;
    await roomIn(this.#world);
    signal.throwIfAborted();
  }

  async finish(): Promise<void> {}

  async discard(): Promise<void> {}
}

/** Resolves when stdout may be written to again, or never can, or a signal came. */
export async function roomIn({ stdout, signal }: Out): Promise<void> {
  // Ends all waits: much is written in many pieces, and each would leave listeners behind.
  const settled = new AbortController();
  const either = { signal: AbortSignal.any([settled.signal, signal]) };
  await Promise.race(['drain', 'close'].map(event => once(stdout, event, either).catch(() => {})));
  settled.abort();
}
