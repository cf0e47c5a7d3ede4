/**
 * The real dialer of proofs (TSP §5.2): a TCP connection, a few bytes, and whatever comes back thrown away.
 *
 *     dial ─▶ a socket that has closed, or a new one ─▶ connected, bytes written ─▶ closed ─▶ kept for the next dial
 *
 * To make a socket is a third of what a dial costs; as many are kept as were ever open at once, which the Prover bounds.
 */
import { lookup } from 'node:dns/promises';
import { Socket } from 'node:net';
import type { Dial } from './proof.js';

export class TcpDialer {
  readonly #closed: Line[] = [];

  async resolve(name: string): Promise<readonly string[]> {
    const found = await lookup(name, { all: true });
    return found.map(({ address }) => address);
  }

  dial(host: string, port: number, bytes: Uint8Array): Dial {
    const line = this.#closed.pop() ?? new Line(closed => this.#closed.push(closed));
    return line.dial(host, port, bytes);
  }
}

/** A socket that dials again once it has closed. */
class Line {
  readonly #socket = new Socket(THROWING_AWAY);
  /** The dial under way. */
  #number = 0;
  #connected: () => void = nothing;
  #failed: () => void = nothing;

  constructor(closed: (line: Line) => void) {
    this.#socket.on('connect', () => this.#connected());
    // What went wrong is nobody's concern, so no stack is made for it.
    this.#socket.on('error', nothing);
    this.#socket.on('close', () => {
      this.#failed();
      closed(this);
    });
  }

  dial(host: string, port: number, bytes: Uint8Array): Dial {
    this.#number += 1;
    const number = this.#number;
    const sent = new Promise<void>((resolve, reject) => {
      this.#connected = () => {
        this.#socket.write(bytes);
        resolve();
      };
      this.#failed = reject;
      this.#socket.connect({ host, port });
    });
    const close = (): void => {
      // The other side may have closed first, and somebody else be dialled by now.
      if (number === this.#number) this.#socket.destroy();
    };
    return { sent, close };
  }
}

function nothing(): void {}

/** One buffer for whatever comes, and no stream that hands it on. */
const THROWING_AWAY = { allowHalfOpen: false, onread: { buffer: Buffer.alloc(1024), callback: () => true } };
