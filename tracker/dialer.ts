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
    const socket = connect({ host, port, onread: THROWN_AWAY });
    const sent = new Promise<void>((resolve, reject) => {
      socket.on('connect', () => {
        socket.write(bytes);
        resolve();
      });
      // What went wrong is nobody's concern, so no stack is made for it.
      socket.on('error', () => {});
      socket.on('close', reject);
    });
    return { sent, close: () => socket.destroy() };
  },
};

/** One buffer for whatever comes, and no stream that hands it on. */
const THROWN_AWAY = { buffer: Buffer.alloc(1024), callback: () => true };
