/**
 * The thread of thread-dialer.ts: dials what it is told to, and says what became of it.
 *
 *     orders ─▶ TcpDialer ─▶ results, gathered like the orders
 */
import { parentPort, workerData } from 'node:worker_threads';
import { TcpDialer } from './dialer.js';
import type { Dial } from './proof.js';
import type { DialOrders, DialResults } from './thread-dialer.js';

const { gatherMs } = workerData as { readonly gatherMs: number };
const dialer = new TcpDialer();
/** Those that are to be closed yet, by number. */
const dials = new Map<number, Dial>();
let results: { readonly sent: number[]; readonly failed: number[] } | undefined;

function note(outcome: keyof DialResults, number: number): void {
  if (results === undefined) {
    results = { sent: [], failed: [] };
    setTimeout(post, gatherMs);
  }
  results[outcome].push(number);
}

function post(): void {
  parentPort?.postMessage(results satisfies DialResults | undefined);
  results = undefined;
}

parentPort?.on('message', ({ dialled, closed }: DialOrders) => {
  for (const { number, host, port, bytes } of dialled) {
    const dial = dialer.dial(host, port, bytes);
    dials.set(number, dial);
    dial.sent.then(
      () => note('sent', number),
      () => note('failed', number),
    );
  }
  for (const number of closed) {
    dials.get(number)?.close();
    dials.delete(number);
  }
});
