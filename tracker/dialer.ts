/**
 * The real dialer of proofs (TSP §5.2): a TCP connection, a few bytes, and whatever comes back thrown away.
 *
 *     dial ─▶ a socket that has closed, or a new one ─▶ connected, bytes written ─▶ closed ─▶ kept for the next dial
 *
 * To make a socket is a third of what a dial costs; as many are kept as were ever open at once, which the Prover bounds.
 */
import { lookup as systemLookup } from 'node:dns/promises';
import { Socket } from 'node:net';
import type { Dial } from './proof.js';

/** All addresses of a name. */
type LookUp = (
  name: string,
  options: { readonly all: true },
) => Promise<readonly { readonly address: string }[]>;

/**
 * A name that nobody answers for holds one of the process's four threads for many seconds, and by these the disk is asked,
 * too, for which all who register wait.
 */
const LOOKUPS_AT_ONCE = 2;
/** Who comes with a name after so many is told that it cannot be reached. */
const MAX_WAITING = 1_000;

export class TcpDialer {
  readonly #lookup: LookUp;
  readonly #closed: Line[] = [];
  #lookingUp = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(lookup: LookUp = systemLookup) {
    this.#lookup = lookup;
  }

  async resolve(name: string): Promise<readonly string[]> {
    if (this.#waiting.length === MAX_WAITING) throw new Error('too many names wait to be looked up');
    if (this.#lookingUp === LOOKUPS_AT_ONCE) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#lookingUp += 1;
    try {
      const found = await this.#lookup(name, { all: true });
      return found.map(({ address }) => address);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#lookingUp -= 1;
      else next();
    }
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
