/**
 * The sending side of one listener's socket: one write at a time, each known to be in the kernel before the next.
 *
 *     write([header, slice]) ─▶ one system call ─▶ kernel ─▶ … resolves, and `progressed` is called
 *     send(header, slice)    ─▶ the same; or, of a slice in the page arena, no more than 16 KiB are written and the rest
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
const WRITTEN_BYTES = 16 * 1024;

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

  /** Resolves when the kernel has everything; when the connection is gone, rejects or resolves. */
  write(chunks: readonly Uint8Array[]): Promise<void> {
    this.#writingSince = this.#clock.now();
    this.#kernelBytes = undefined;
    return new Promise((resolve, reject) => {
      const written = (error?: Error | null): void => {
        this.#writingSince = undefined;
        this.#progressed(this.#clock.now());
        if (error) reject(error);
        else resolve();
      };
      this.#socket.cork();
      for (const [index, chunk] of chunks.entries())
        this.#socket.write(chunk, index === chunks.length - 1 ? written : undefined);
      this.#socket.uncork();
    });
  }

  /** As `write`, for bytes that may lie in the arena. They must not change until then. */
  async send(header: Uint8Array | undefined, bytes: Uint8Array, arena: PageArena | undefined): Promise<void> {
    const before = header === undefined ? [] : [header];
    if (arena === undefined || !arena.holds(bytes)) return await this.write([...before, bytes]);
    let at = header === undefined ? this.#splice(bytes, arena) : 0;
    while (at < bytes.length || before.length > 0) {
      const written = bytes.subarray(at, at + WRITTEN_BYTES);
      await this.write([...before.splice(0), written]);
      this.stillThere();
      at += written.length;
      at += this.#splice(bytes.subarray(at), arena);
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
