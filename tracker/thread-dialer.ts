/**
 * Dials for proofs in a thread of its own as soon as many are under way: to connect is a quarter of what a registration
 * costs, and thousands may come at once.
 *
 *     dial ─▶ few under way: TcpDialer, here
 *          └▶ many: orders of 4 ms ─▶ dialing-thread.ts ─▶ results of 4 ms        ended after a while without
 *
 * The rule: nobody's proof fails because of the thread. If it dies, what it was told to dial is dialled here.
 */
import { Worker } from 'node:worker_threads';
import type { Clock, Logger } from '../protocol/ports.js';
import { TcpDialer } from './dialer.js';
import type { Dial, Dialer } from './proof.js';

/** With so many under way here, the next ones are the thread's: by the time it runs, a few more will have come. */
export const FEW_DIALS = 32;
/** Each message to a thread wakes it, which costs as much as a tenth of a registration. Whoever comes in such a crowd waits longer. */
export const GATHER_MS = 4;
const IDLE_MS = 10_000;
/** Hardly anything outlives its dial, and V8 would let 32 MB pile up before it looks. */
const MEMORY = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

interface DialOrder {
  /** By which it is closed, and its result is known. */
  readonly number: number;
  readonly host: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** To the thread. */
export interface DialOrders {
  readonly dialled: readonly DialOrder[];
  readonly closed: readonly number[];
}

/** From the thread: the numbers of dials whose bytes were handed over, and of those that came to nothing. */
export interface DialResults {
  readonly sent: readonly number[];
  readonly failed: readonly number[];
}

/** A dial that is the thread's until it is closed. */
interface Entrusted {
  readonly order: DialOrder;
  resolve(): void;
  reject(): void;
  /** Here, because the thread died. */
  dial?: Dial;
}

export interface ThreadDialerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: dialing-thread.js. */
  readonly script?: URL;
}

export class ThreadDialer implements Dialer {
  readonly #options: ThreadDialerOptions;
  readonly #tcp = new TcpDialer();
  #underWayHere = 0;
  #thread: Worker | undefined;
  /** It died once, and is not begun again. */
  #isLost = false;
  #number = 0;
  readonly #entrusted = new Map<number, Entrusted>();
  /** Not posted yet. */
  #orders: { readonly dialled: DialOrder[]; readonly closed: number[] } | undefined;
  #cancelIdle: () => void = () => {};

  constructor(options: ThreadDialerOptions) {
    this.#options = options;
  }

  resolve(name: string): Promise<readonly string[]> {
    return this.#tcp.resolve(name);
  }

  dial(host: string, port: number, bytes: Uint8Array): Dial {
    if (this.#thread === undefined && !this.#isLost && this.#underWayHere >= FEW_DIALS) this.#begin();
    return this.#thread === undefined ? this.#dialHere(host, port, bytes) : this.#entrust(host, port, bytes);
  }

  /** Resolves when the thread has ended. */
  async stop(): Promise<void> {
    this.#cancelIdle();
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }

  #dialHere(host: string, port: number, bytes: Uint8Array): Dial {
    const { sent, close } = this.#tcp.dial(host, port, bytes);
    this.#underWayHere += 1;
    let isClosed = false;
    return {
      sent,
      close: () => {
        if (!isClosed) this.#underWayHere -= 1;
        isClosed = true;
        close();
      },
    };
  }

  #entrust(host: string, port: number, bytes: Uint8Array): Dial {
    this.#number += 1;
    const number = this.#number;
    const order = { number, host, port, bytes };
    const sent = new Promise<void>((resolve, reject) => {
      this.#entrusted.set(number, { order, resolve, reject });
    });
    this.#gathered().dialled.push(order);
    this.#cancelIdle();
    return { sent, close: () => this.#close(number) };
  }

  #close(number: number): void {
    const entrusted = this.#entrusted.get(number);
    if (entrusted === undefined) return;
    this.#entrusted.delete(number);
    if (entrusted.dial !== undefined) entrusted.dial.close();
    else if (this.#thread !== undefined) this.#gathered().closed.push(number);
    if (this.#entrusted.size === 0)
      this.#cancelIdle = this.#options.clock.after(IDLE_MS, () => void this.stop());
  }

  #gathered(): { readonly dialled: DialOrder[]; readonly closed: number[] } {
    if (this.#orders === undefined) {
      this.#orders = { dialled: [], closed: [] };
      this.#options.clock.after(GATHER_MS, () => {
        this.#thread?.postMessage(this.#orders satisfies DialOrders | undefined);
        this.#orders = undefined;
      });
    }
    return this.#orders;
  }

  #begin(): void {
    const script = this.#options.script ?? new URL('./dialing-thread.js', import.meta.url);
    const thread = new Worker(script, {
      execArgv: [],
      resourceLimits: MEMORY,
      workerData: { gatherMs: GATHER_MS },
    });
    // A tracker lives by its sockets.
    thread.unref();
    thread.on('message', ({ sent, failed }: DialResults) => {
      for (const number of sent) this.#entrusted.get(number)?.resolve();
      for (const number of failed) this.#entrusted.get(number)?.reject();
    });
    thread.on('error', error => this.#lose(thread, error));
    this.#thread = thread;
  }

  #lose(thread: Worker, error: Error): void {
    if (thread !== this.#thread) return;
    this.#options.logger.warn({ err: error }, 'the dialling thread died; it is dialled without it');
    this.#thread = undefined;
    this.#isLost = true;
    for (const entrusted of this.#entrusted.values()) {
      const { order, resolve, reject } = entrusted;
      entrusted.dial = this.#dialHere(order.host, order.port, order.bytes);
      entrusted.dial.sent.then(resolve, reject);
    }
  }
}
