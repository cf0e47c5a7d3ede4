/**
 * What the kernel still holds for each connection: the only way to see whether a slow listener takes anything at all.
 *
 *     written by us ─▶ [ kernel: up to megabytes, `tx_queue` in /proc/net/tcp ] ─▶ acknowledged by the other side
 *
 * A player that reads at the pace of its music empties two megabytes of kernel buffer before Node may write again, so
 * for a minute it looks dead; here its queue is seen to shrink. Linux only; elsewhere nothing is known.
 */
import { readFile } from 'node:fs/promises';

export interface Endpoints {
  readonly localPort: number;
  readonly remotePort: number;
}

/** Bytes that were not acknowledged yet, by `queueKey`. */
export type SendQueues = ReadonlyMap<string, number>;

/** Addresses are left out, as proc(5) writes them in its own way. */
export const queueKey = ({ localPort, remotePort }: Endpoints): string => `${localPort} ${remotePort}`;

export async function readSendQueues(): Promise<SendQueues> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readTable));
  return parseSendQueues(tables.join('\n'));
}

/** Connections that share both ports are added up: any change among them counts for each. */
export function parseSendQueues(table: string): SendQueues {
  const queues = new Map<string, number>();
  for (const match of table.matchAll(ROW)) {
    const [, local, remote, bytes] = match;
    const key = queueKey({
      localPort: Number.parseInt(local!, 16),
      remotePort: Number.parseInt(remote!, 16),
    });
    queues.set(key, (queues.get(key) ?? 0) + Number.parseInt(bytes!, 16));
  }
  return queues;
}

/** `  7: 0100007F:1D25 0100007F:C3A8 01 0027AC40:00000000 …`: the addresses, the state, then tx_queue. */
const ROW = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]{2} ([0-9A-F]{8}):/gm;

async function readTable(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch {
    return '';
  }
}
