/**
 * The real dialer of proofs (TSP §5.2): a TCP connection, a few bytes, and whatever comes back thrown away.
 */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import type { Dial, Dialer } from './proof.js';

export const tcpDialer: Dialer = {
  async resolve(name) {
    const found = await lookup(name, { all: true });
    return found.map(({ address }) => address);
  },

  dial(host, port, bytes): Dial {
    const socket = connect({ host, port });
    const sent = new Promise<void>((resolve, reject) => {
      socket.once('connect', () => socket.write(bytes, error => (error ? reject(error) : resolve())));
      socket.on('error', reject);
      socket.once('close', () => reject(new Error('closed')));
    });
    socket.resume();
    // Not an abrupt end: the other side may still be about to read.
    return { sent, close: () => socket.end().destroySoon() };
  },
};
