/**
 * Many clients at once, each from an address of its own if that is wanted: 127.0.0.0/8 is all this machine.
 *
 *     await inTurns(range(3_000), 64, async i => { const socket = await connectFrom(t, port, i); … });
 */
import { once } from 'node:events';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import type { Teardown } from './until.js';

/** Address number `index` of this machine; none of them is the usual 127.0.0.1. */
export const addressOf = (index: number): string =>
  `127.${16 + (index >> 16)}.${(index >> 8) & 0xff}.${index & 0xff}`;

/** A connected socket whose other end sees address number `index`. What goes wrong later only shows in 'close'. */
export async function connectFrom(t: Teardown, port: number, index: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress: addressOf(index), allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket.on('error', () => {});
}

/** Listens at that port, or, where it is taken, at one of the system's choice. Resolves with the port. */
export async function listenAt(server: Server, port: number, address: string): Promise<number> {
  try {
    await once(server.listen(port, address), 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    await once(server.listen(0, address), 'listening');
  }
  return (server.address() as AddressInfo).port;
}

/** Resolves when the socket is closed, by whomever, with whether it was reset. What still comes is dropped. */
export async function gone(socket: Socket): Promise<'ended' | 'reset'> {
  if (!socket.closed) {
    socket.resume().once('end', () => socket.destroy());
    await new Promise(resolve => socket.once('close', resolve));
  }
  return socket.errored === null ? 'ended' : 'reset';
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Does it for all, `atOnce` at a time. */
export async function inTurns<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const waiting = [...items].reverse();
  const lane = async (): Promise<void> => {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) await work(item);
  };
  await Promise.all(range(Math.min(atOnce, items.length)).map(lane));
}

/** The same numbers for the same seed, 0 … 2³² − 1 (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
