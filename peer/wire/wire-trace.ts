/**
 * `--trace-wire`: every message as one readable line on stderr (protocol/tsp/describe.ts makes the line safe).
 */
import type { PeerConfig } from '../config.js';
import type { World } from '../world.js';

export type WireTrace = (line: string) => void;

/** Undefined when nobody asked for it, so that nothing is described in vain. */
export function wireTrace(
  config: Pick<PeerConfig, 'traceWire'>,
  world: Pick<World, 'clock' | 'stderr'>,
): WireTrace | undefined {
  if (!config.traceWire) return undefined;
  return line => void world.stderr.write(`${world.clock.now().toFixed(1)} ms  ${line}\n`);
}
