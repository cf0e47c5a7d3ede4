/**
 * `--trace-wire`: every message as one readable line on stderr (`describe.ts` of each protocol makes the line safe).
 */
import type { PeerConfig } from '../config.js';
import type { World } from '../world.js';

/** Lines that nobody reads may not pile up: past this they are lost. */
export const MAX_UNREAD_BYTES = 1024 * 1024;

export type WireTrace = (line: string) => void;

/** Undefined when nobody asked for it, so that nothing is described in vain. */
export function wireTrace(
  config: Pick<PeerConfig, 'traceWire'>,
  world: Pick<World, 'clock' | 'stderr'>,
): WireTrace | undefined {
  if (!config.traceWire) return undefined;
  const { clock, stderr } = world;
  return line => {
    if (stderr.writableLength <= MAX_UNREAD_BYTES) stderr.write(`${clock.now().toFixed(1)} ms  ${line}\n`);
  };
}
