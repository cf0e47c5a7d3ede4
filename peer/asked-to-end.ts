/** The wait for the signal that asks a command to end (`World.signal`). */
import type { EndingSignal } from './world.js';

/** Resolves with the signal that came. */
export async function askedToEnd(signal: AbortSignal): Promise<EndingSignal> {
  if (!signal.aborted)
    await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
  return signal.reason as EndingSignal;
}
