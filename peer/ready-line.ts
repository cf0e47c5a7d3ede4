/**
 * The line on standard output from which a script learns where a server listens.
 *
 *     tsp-peer ready on [::]:6778               {"event":"ready","address":"::","port":6778}
 */
import { formatHostPort, type ListeningAt } from '../protocol/tsp/addresses.js';
import { safeJson } from './prompt/terminal-text.js';

/** `facts`: what a program is told besides. */
export function readyLine(
  name: string,
  { address, port }: ListeningAt,
  json: boolean,
  { event = 'ready', ...facts }: { readonly event?: string; readonly [fact: string]: unknown } = {},
): string {
  return json
    ? safeJson({ event, address, port, ...facts })
    : `${name} ready on ${formatHostPort(address, port)}`;
}
