/**
 * The sending side of one listener's socket: one write at a time, each known to be in the kernel before the next.
 *
 *     write([header, slice]) ─▶ one system call ─▶ kernel ─▶ … resolves, and `progressed` is called
 *     send(header, slice)    ─▶ the same; or, of a slice in the page arena, no more than a page is written and the rest
 *                               goes without being copied, as often as the socket can take more
 *
 * So a listener that takes nothing holds one slice, shared with others, and no queue. While a write waits, the kernel is
 * asked from time to time whether the listener takes anything at all (send-queues.ts).
 */
import type { Socket } from 'node:net';
import { TransportError } from '../../protocol/errors.js';
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import type { PageArena } from './page-arena.js';
import { queueKey, type SendQueues } from './send-queues.js';

/** A write that has not been taken for this long is looked up in the kernel. */
const SLOW_WRITE_MS = 4_000;
/** Copied with the header, in one packet with it; and when the socket is full, to be told when it no longer is. */
const WRITTEN_BYTES = 4 * 1024;

export class ListenerSocket {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #progressed: (now: Milliseconds) => void;
  /** When the write began that the kernel has not taken whole. */
  #writingSince: Milliseconds | undefined;
  #kernelBytes: number | undefined;

  /** `progressed` is called whenever the listener was seen to take something. */
  constructor(socket: Socket, clock: Clock, progressed: (now: Milliseconds) => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#progressed = progressed;
  }

  get isWriting(): boolean {
    return this.#writingSince !== undefined;
  }

  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  /** Throws TransportError when the listener has left. */
  stillThere(): void {
    if (this.isGone) throw new TransportError('the listener left');
  }

  /**
   * Undefined when the kernel took everything at once; else resolves when it has. When the connection is gone it is one
   * of these, or rejects.
   */
  write(chunks: readonly Uint8Array[]): Promise<void> | undefined {
    let settle: ((error?: Error | null) => void) | undefined;
    this.#socket.cork();
    for (const [index, chunk] of chunks.entries())
      this.#socket.write(chunk, index === chunks.length - 1 ? error => settle?.(error) : undefined);
    this.#socket.uncork();
    if (this.#socket.writableLength === 0) return undefined;
    this.#writingSince = this.#clock.now();
    this.#kernelBytes = undefined;
    return new Promise((resolve, reject) => {
      settle = error => {
        this.#writingSince = undefined;
        this.#progressed(this.#clock.now());
        if (error) reject(error);
        else resolve();
      };
    });
  }

  /** As `write`, for bytes that may lie in the arena. They must not change until then. */
  async send(header: Uint8Array | undefined, bytes: Uint8Array, arena: PageArena | undefined): Promise<void> {
    if (arena === undefined || !arena.holds(bytes)) {
      await this.write(header === undefined ? [bytes] : [header, bytes]);
      return;
    }
    let at = 0;
    if (header !== undefined) {
      // One chunk: two would be gathered, at more than the cost of copying them.
      const first = Buffer.concat([header, bytes.subarray(0, WRITTEN_BYTES)]);
      at = first.length - header.length;
      await this.write([first]);
    }
    for (;;) {
      this.stillThere();
      at += this.#splice(bytes.subarray(at), arena);
      if (at === bytes.length) return;
      const written = bytes.subarray(at, at + WRITTEN_BYTES);
      await this.write([written]);
      at += written.length;
    }
  }

  /** All that was written is in the kernel, so these bytes follow it. */
  #splice(bytes: Uint8Array, arena: PageArena): number {
    // Not documented, but as old as Node's pipes to child processes; without it everything is written.
    const { _handle: handle } = this.#socket as { _handle?: { readonly fd?: number } | null };
    if (bytes.length === 0 || handle?.fd === undefined || handle.fd < 0) return 0;
    return arena.send(handle.fd, bytes);
  }

  /** Waits for the kernel to take a write, and nothing is known of the listener. */
  isSlow(now: Milliseconds): boolean {
    return this.#writingSince !== undefined && now - this.#writingSince >= SLOW_WRITE_MS;
  }

  /** What the kernel holds for it: if that is other than last time, bytes were taken. */
  lookedUp(queues: SendQueues): void {
    const { localPort = 0, remotePort = 0 } = this.#socket;
    const bytes = queues.get(queueKey({ localPort, remotePort }));
    if (this.#kernelBytes !== undefined && bytes !== undefined && bytes !== this.#kernelBytes)
      this.#progressed(this.#clock.now());
    this.#kernelBytes = bytes;
  }
}
