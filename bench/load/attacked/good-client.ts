/**
 * A client that keeps all rules, and how long it has to wait: it asks INFO on one connection and lists on another.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';
import { encode } from '../../../protocol/tsp/codec.js';
import { Framer } from '../../../protocol/tsp/framing.js';

export const ASK_EVERY_MS = 10;
const LIST_EVERY_MS = 1_000;
/** It connects anew after so many questions. */
export const ASKED_EACH = 100;
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

export interface GoodReport {
  readonly askMs: readonly number[];
  readonly connectMs: readonly number[];
  readonly listMs: readonly number[];
  readonly errors: readonly string[];
}

/** A good client for so long, which lists on one connection and asks on another; what goes wrong is counted. */
export async function askFor(port: number, ms: number): Promise<GoodReport> {
  const askMs: number[] = [];
  const connectMs: number[] = [];
  const listMs: number[] = [];
  const errors: string[] = [];
  const end = performance.now() + ms;
  const again = async (work: (client: GoodClient) => Promise<void>): Promise<void> => {
    while (performance.now() < end) {
      const client = new GoodClient(port);
      try {
        connectMs.push(await timed(client.connected));
        await work(client);
      } catch (error) {
        errors.push(String(error));
      }
      client.end();
    }
  };
  const asking = again(async client => {
    for (let asked = 0; asked < ASKED_EACH && performance.now() < end; asked += 1) {
      const question = encode({ type: 'INFO', song: 1 as never });
      askMs.push(await timed(client.asks(question, 'SONG_INFO')));
      await rest(ASK_EVERY_MS);
    }
  });
  const listing = again(async client => {
    listMs.push(await timed(client.asks(encode({ type: 'LIST' }), 'LIST_INFO')));
    await rest(LIST_EVERY_MS);
  });
  await Promise.all([asking, listing]);
  return { askMs, connectMs, listMs, errors };
}

async function timed(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work;
  return performance.now() - began;
}

/** Reads no row: what is measured is the tracker's part. */
class GoodClient {
  readonly #socket: Socket;
  readonly #answers = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  #expects: { type: string; resolve: () => void; reject: (error: Error) => void } | undefined;
  readonly connected: Promise<unknown>;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.connected = once(this.#socket, 'connect');
    this.#socket.on('data', chunk => this.#take(chunk));
    this.#socket.on('error', error => this.#expects?.reject(error));
    this.#socket.on('close', () => this.#expects?.reject(new Error('the tracker closed')));
  }

  /** Resolves when an answer of that type is there whole; rejects at any other. */
  asks(question: Buffer, type: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#expects = { type, resolve, reject };
      this.#socket.write(question);
    });
  }

  end(): void {
    this.#expects = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#answers.push(chunk);
    for (let event = this.#answers.next(); event !== undefined; event = this.#answers.next()) {
      if (event.kind === 'message') this.#answered(event.message.type);
      else if (event.kind === 'end') this.#answered(event.header.type);
    }
  }

  #answered(type: string): void {
    if (type === this.#expects?.type) this.#expects.resolve();
    else this.#expects?.reject(new Error(`${type} came for ${this.#expects.type}`));
    this.#expects = undefined;
  }
}
