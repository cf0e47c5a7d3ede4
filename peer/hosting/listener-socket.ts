/**
 * The sending side of one listener's socket: one write at a time, each known to be in the kernel before the next.
 *
 *     write([header, slice]) ─▶ one system call ─▶ kernel ─▶ … resolves, and `progressed` is called
 *     send(header, slice)    ─▶ the same; or, of a slice in the page arena, nothing is copied but the header, and a page
 *                               whenever the socket is full: writing it is how Node tells that there is room again
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
/** Written when the socket is full. */
const WRITTEN_BYTES = 4 * 1024;

const NOTHING = new Uint8Array();

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
    const written = (error?: Error | null) => settle?.(error);
    if (chunks.length === 1) this.#socket.write(chunks[0]!, written);
    else {
      this.#socket.cork();
      for (const [index, chunk] of chunks.entries())
        this.#socket.write(chunk, index === chunks.length - 1 ? written : undefined);
      this.#socket.uncork();
    }
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
  send(
    header: Uint8Array | undefined,
    bytes: Uint8Array,
    arena: PageArena | undefined,
  ): Promise<void> | undefined {
    if (arena === undefined || !arena.holds(bytes))
      return this.write(header === undefined ? [bytes] : [header, bytes]);
    const sent = this.#splice(header ?? NOTHING, bytes, arena);
    if (sent === bytes.length + (header?.length ?? 0)) return undefined;
    return this.#sendRest(header ?? NOTHING, bytes, sent, arena);
  }

  async #sendRest(header: Uint8Array, bytes: Uint8Array, begun: number, arena: PageArena): Promise<void> {
    let left = header.subarray(begun);
    let rest = bytes.subarray(Math.max(0, begun - header.length));
    while (rest.length > 0) {
      const written = rest.subarray(0, WRITTEN_BYTES);
      await this.write(left.length === 0 ? [written] : [left, written]);
      this.stillThere();
      left = NOTHING;
      rest = rest.subarray(written.length);
      rest = rest.subarray(this.#splice(NOTHING, rest, arena));
    }
  }

  /** All that was written is in the kernel, so these bytes follow it. */
  #splice(header: Uint8Array, bytes: Uint8Array, arena: PageArena): number {
    // Not documented, but as old as Node's pipes to child processes; without it everything is written.
    const { _handle: handle } = this.#socket as { _handle?: { readonly fd?: number } | null };
    const descriptor = handle?.fd;
    if (bytes.length === 0 || descriptor === undefined || descriptor < 0) return 0;
    return arena.send(descriptor, header, bytes);
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
