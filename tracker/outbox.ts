/**
 * What one connection has still to write, in order, and how far its reader is behind.
 *
 *     send ─▶ [ message · message · … ] ──one segment at a time──▶ sink        write() false: wait for «drained»
 *
 * The rule: a message is queued as references to its bytes, which may be everybody's, and handed to the socket only as
 * the reader takes it. So a slow reader holds no list of its own, and one that takes nothing for 10 s is known.
 */
import type { Milliseconds } from '../protocol/ports.js';

/** A reader that takes no segment for so long is gone, or wants to hurt. */
export const LIST_READER_STALL_MS = 10_000;
/** What all connections together may hold of their own; the largest is dropped. */
export const MAX_OWN_BYTES = 256 * 1024 * 1024;

export interface Sink {
  /** False: nothing more until `drained` is called. */
  write(bytes: Uint8Array): boolean;
}

interface Item {
  readonly bytes: readonly Uint8Array[];
  next: number;
  /** Bytes that are held for this connection alone. */
  readonly own: number;
  readonly written: (() => void) | undefined;
}

/** The sum over all connections. */
export class OwnBytes {
  total = 0;
}

export class Outbox {
  readonly #sink: Sink;
  readonly #all: OwnBytes;
  readonly #items: Item[] = [];
  #own = 0;
  #blockedSince: Milliseconds | undefined;

  constructor(sink: Sink, all: OwnBytes) {
    this.#sink = sink;
    this.#all = all;
  }

  /** Bytes of its own that wait. */
  get ownBytes(): number {
    return this.#own;
  }

  /** Nothing waits. */
  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** When the reader will have stalled; undefined while it takes what it is given. */
  get stalledAt(): Milliseconds | undefined {
    return this.#blockedSince === undefined ? undefined : this.#blockedSince + LIST_READER_STALL_MS;
  }

  /** A whole message. `written` is called when its last byte has been handed over. */
  send(
    bytes: readonly Uint8Array[],
    now: Milliseconds,
    { shared = false, written }: { readonly shared?: boolean; readonly written?: () => void } = {},
  ): void {
    const own = shared ? 0 : bytes.reduce((sum, piece) => sum + piece.length, 0);
    this.#items.push({ bytes, next: 0, own, written });
    this.#count(own);
    this.#write(now);
  }

  drained(now: Milliseconds): void {
    this.#blockedSince = undefined;
    this.#write(now);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#count(-this.#own);
    this.#items.length = 0;
  }

  #write(now: Milliseconds): void {
    while (this.#blockedSince === undefined) {
      const item = this.#items[0];
      if (item === undefined) return;
      const piece = item.bytes[item.next];
      item.next += 1;
      if (piece !== undefined && piece.length > 0 && !this.#sink.write(piece)) this.#blockedSince = now;
      if (item.next < item.bytes.length) continue;
      this.#items.shift();
      this.#count(-item.own);
      item.written?.();
    }
  }

  #count(own: number): void {
    this.#own += own;
    this.#all.total += own;
  }
}
