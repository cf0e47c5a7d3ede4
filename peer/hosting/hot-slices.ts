/**
 * The slices that many listeners are sent, once more, in a form that costs the kernel less: what it does for each piece
 * of a pipe outweighs all else that a song costs, and here a piece is 32 KiB, where a page has 4.
 *
 *     slice ──32 KiB a write──▶ pair of sockets ──splice──▶ a pipe of its own      once, after some sendings
 *                                                               └──tee──▶ the pipe that leads to a listener, each time
 *
 * A socket's own memory comes in such pieces, and `splice` and `tee` hand them on as they are. The copy is as the slice
 * was: what is written to the slice has to be `forget`-ed first. Of those that are hot, the one that was sent least
 * lately makes room for the next. Whatever the kernel refuses, the slice is sent from its pages, as before.
 */
import { closeSync } from 'node:fs';
import {
  F_SETPIPE_SZ,
  type Kernel,
  MSG_DONTWAIT_NOSIGNAL,
  O_NONBLOCK_CLOEXEC,
  SPLICE_F_MOVE_NONBLOCK,
} from './kernel.js';

/** Copying costs what four sendings do, so it has to be for more than a few listeners. */
const HOT_SENDINGS = 16;
/** As many descriptors, and so many MiB. */
const MOST_HOT = 16;
/** What the kernel takes in one piece for a socket. */
const WRITTEN_BYTES = 32 * 1024;
/** In bytes of pages, of which each stands for a piece: two pieces for each that is needed. */
const PIPE_BYTES = 64 * 4096;

const AF_UNIX_STREAM = [1, 1, 0] as const;

interface HotSlice {
  /** The end to be read. */
  readonly pipe: number;
  readonly length: number;
}

export class HotSlices {
  readonly #kernel: Kernel;
  readonly #sendings: Uint8Array;
  /** By slot; the one that was sent least lately first. */
  readonly #hot = new Map<number, HotSlice>();

  constructor(kernel: Kernel, slots: number) {
    this.#kernel = kernel;
    this.#sendings = new Uint8Array(slots);
  }

  /** A slice is sent from its beginning on, not for the first time perhaps. `bytes`: what is sent of it. */
  sending(slot: number, bytes: Uint8Array): void {
    const sendings = this.#sendings[slot]! + 1;
    if (sendings < HOT_SENDINGS) this.#sendings[slot] = sendings;
    else if (bytes.length > (this.#hot.get(slot)?.length ?? 0)) this.#heat(slot, bytes);
  }

  /**
   * Puts the slice up to `end`, from its beginning on, into an empty pipe. Answers how many bytes are in there now: none
   * when it is not hot, or not that long.
   */
  pipeInto(pipe: number, slot: number, end: number): number {
    const hot = this.#hot.get(slot);
    if (hot === undefined || end > hot.length) return 0;
    this.#hot.delete(slot);
    this.#hot.set(slot, hot);
    return Math.max(0, this.#kernel.tee(hot.pipe, pipe, end, SPLICE_F_MOVE_NONBLOCK));
  }

  /** Other bytes come to lie in the slot, or nobody asks for these any more. */
  forget(slot: number): void {
    this.#sendings[slot] = 0;
    const hot = this.#hot.get(slot);
    if (hot === undefined) return;
    this.#hot.delete(slot);
    closeSync(hot.pipe);
  }

  close(): void {
    for (const slot of [...this.#hot.keys()]) this.forget(slot);
  }

  #heat(slot: number, bytes: Uint8Array): void {
    // Refused or not, it is tried again after as many sendings, not with each.
    this.forget(slot);
    const pipe = this.#copyOf(bytes);
    if (pipe === undefined) return;
    if (this.#hot.size === MOST_HOT) this.forget(this.#hot.keys().next().value!);
    this.#hot.set(slot, { pipe, length: bytes.length });
  }

  /** The end to be read of a pipe with these bytes in it. Undefined: the kernel refuses. */
  #copyOf(bytes: Uint8Array): number | undefined {
    const ends = [0, 0];
    if (this.#kernel.pipe2(ends, O_NONBLOCK_CLOEXEC) !== 0) return undefined;
    const [read, write] = ends as [number, number];
    const isWhole = this.#fill(write, bytes);
    closeSync(write);
    if (isWhole) return read;
    closeSync(read);
    return undefined;
  }

  #fill(pipe: number, bytes: Uint8Array): boolean {
    const { fcntl, socketpair, send, splice } = this.#kernel;
    const ends = [0, 0];
    if (fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES) < PIPE_BYTES || socketpair(...AF_UNIX_STREAM, ends) !== 0)
      return false;
    const [near, far] = ends as [number, number];
    try {
      for (let at = 0; at < bytes.length; at += WRITTEN_BYTES) {
        const piece = bytes.subarray(at, at + WRITTEN_BYTES);
        const { length } = piece;
        if (send(near, piece, length, MSG_DONTWAIT_NOSIGNAL) !== length) return false;
        if (splice(far, null, pipe, null, length, SPLICE_F_MOVE_NONBLOCK) !== length) return false;
      }
      return true;
    } finally {
      closeSync(near);
      closeSync(far);
    }
  }
}
