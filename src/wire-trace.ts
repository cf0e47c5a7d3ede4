/** `--trace-wire`: every message as one readable line on stderr (`describe.ts` of each protocol makes the line safe). */
import type { Writable } from 'node:stream';
import type { Clock } from '../protocol/ports.js';
import { WireTrace } from '../protocol/tsp/describe.js';

/** Lines that nobody reads may not pile up: past this they are lost. */
const MAX_UNREAD_BYTES = 1024 * 1024;

export const openWireTrace = (stderr: Writable, clock: Clock): WireTrace =>
  new WireTrace(line => {
    if (stderr.writableLength <= MAX_UNREAD_BYTES) stderr.write(`${clock.now().toFixed(1)} ms  ${line}\n`);
  });
