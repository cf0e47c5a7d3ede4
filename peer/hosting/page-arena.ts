/**
 * Memory whose pages the kernel sends as they lie there: on its way from here to a socket no byte is copied.
 *
 *     slot of 1 MiB ──vmsplice──▶ pipe ──splice──▶ socket    what the socket does not take is dropped from the pipe
 *
 * Node has no such call, so koffi, an optional package, makes it; Linux only. Where either is missing, or the kernel
 * refuses (`openPageArena` tries it), songs lie on the heap and are copied.
 *
 * The rule: pages that may be under way are never written. Packets share them until the last is acknowledged, so a slot
 * that is given back loses its pages (the kernel keeps those that it still sends) and gets new ones when it is filled.
 * The addresses stay mapped as long as the process lives, so no view of them ever dangles.
 */
import { closeSync, openSync } from 'node:fs';
import { HotSlices } from './hot-slices.js';
import {
  F_SETPIPE_SZ,
  type Kernel,
  loadKernel,
  MSG_DONTWAIT_NOSIGNAL,
  MSG_MORE,
  O_NONBLOCK_CLOEXEC,
  SPLICE_F_MOVE_NONBLOCK,
} from './kernel.js';
import type { SliceRoom } from './slice-memory.js';

/** Half of a huge page: two slots side by side share one, and a packet then needs few pieces. */
const SLOT_BYTES = 1024 * 1024;
/** A slot in one go; the most that Linux allows without privileges. */
const PIPE_BYTES = 1024 * 1024;

// Linux, on all architectures that Node runs on.
const PROT_READ_WRITE = 0x1 | 0x2;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x02 | 0x20 | 0x4000;
const MAP_FAILED = -1n;
const MADV_DONTNEED = 4;
const MADV_HUGEPAGE = 14;
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

export class PageArena implements SliceRoom {
  readonly #kernel: Kernel;
  readonly #base: bigint;
  readonly #memory: ArrayBuffer;
  readonly #free: number[];
  readonly #hot: HotSlices;
  readonly #pipe: { readonly read: number; readonly write: number };
  readonly #nowhere: number;
  /** A struct iovec: an address and a length. */
  readonly #piece = new BigUint64Array(2);
  #isUsable = true;

  /** Throws when the kernel refuses any of it. */
  constructor(kernel: Kernel, bytes: number) {
    const slots = Math.floor(bytes / SLOT_BYTES);
    const size = slots * SLOT_BYTES;
    this.#kernel = kernel;
    const mapped = kernel.mmap(
      null,
      size + HUGE_PAGE_BYTES,
      PROT_READ_WRITE,
      MAP_PRIVATE_ANONYMOUS_NORESERVE,
      -1,
      0,
    );
    if (BigInt(mapped) === MAP_FAILED) throw new Error('no memory can be mapped');
    const huge = BigInt(HUGE_PAGE_BYTES);
    this.#base = ((BigInt(mapped) + huge - 1n) / huge) * huge;
    // Only a wish: without huge pages all works the same, at somewhat more cost.
    kernel.madvise(this.#base, size, MADV_HUGEPAGE);
    this.#memory = kernel.view(this.#base, size);
    this.#free = Array.from({ length: slots }, (_, index) => slots - 1 - index);
    this.#hot = new HotSlices(kernel, slots);
    const ends = [0, 0];
    if (kernel.pipe2(ends, O_NONBLOCK_CLOEXEC) !== 0) throw new Error('no pipe can be had');
    const [read, write] = ends as [number, number];
    this.#pipe = { read, write };
    this.#nowhere = openSync('/dev/null', 'w');
    try {
      if (kernel.fcntl(write, F_SETPIPE_SZ, PIPE_BYTES) < PIPE_BYTES)
        throw new Error('no pipe of 1 MiB can be had');
      this.#tryOut();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  costOf(): number {
    return SLOT_BYTES;
  }

  /** At most 1 MiB. */
  allocate(length: number): Uint8Array | undefined {
    const slot = this.#free.pop();
    return slot === undefined ? undefined : new Uint8Array(this.#memory, slot * SLOT_BYTES, length);
  }

  /** What it takes beside its slot is given back. */
  rest({ byteOffset }: Uint8Array): void {
    this.#hot.forget(byteOffset / SLOT_BYTES);
  }

  free({ byteOffset }: Uint8Array): void {
    // From now on other pages lie there, all zeros.
    this.#kernel.madvise(this.#base + BigInt(byteOffset), SLOT_BYTES, MADV_DONTNEED);
    const slot = byteOffset / SLOT_BYTES;
    this.#hot.forget(slot);
    this.#free.push(slot);
  }

  /** Whether `send` can send these bytes. */
  holds(bytes: Uint8Array): boolean {
    return this.#isUsable && bytes.buffer === this.#memory;
  }

  /**
   * Gives a socket, by its descriptor, as much as it takes now of a header, which may be empty and lies anywhere, and of
   * bytes that lie here; answers how many bytes that was. Less than all also when the socket is broken: what is then
   * written to it says why.
   */
  send(socket: number, header: Uint8Array, bytes: Uint8Array): number {
    const announced = header.length === 0 ? 0 : this.#announce(socket, header);
    return announced < header.length ? announced : announced + this.#splice(socket, bytes);
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isUsable = false;
    this.#hot.close();
    closeSync(this.#pipe.read);
    closeSync(this.#pipe.write);
    closeSync(this.#nowhere);
  }

  /** Copied, and kept back until bytes follow or are written. */
  #announce(socket: number, header: Uint8Array): number {
    return Math.max(0, this.#kernel.send(socket, header, header.length, MSG_DONTWAIT_NOSIGNAL | MSG_MORE));
  }

  #splice(socket: number, bytes: Uint8Array): number {
    const { byteOffset, length } = bytes;
    if (byteOffset % SLOT_BYTES === 0) this.#hot.sending(byteOffset / SLOT_BYTES, bytes);
    let sent = 0;
    while (sent < length && this.#isUsable) {
      const piped = this.#pipeIn(byteOffset + sent, length - sent);
      if (piped <= 0) break;
      const passed = Math.max(0, this.#pass(socket, piped));
      sent += passed;
      if (passed === piped) continue;
      this.#drop(piped - passed);
      break;
    }
    return sent;
  }

  /** Answers how many bytes are in the pipe now. */
  #pipeIn(offset: number, count: number): number {
    const start = offset % SLOT_BYTES;
    const end = start + count;
    const copied = this.#hot.pipeInto(this.#pipe.write, Math.floor(offset / SLOT_BYTES), end);
    this.#drop(copied === end ? start : copied);
    if (copied === end) return this.#isUsable ? count : 0;
    this.#piece[0] = this.#base + BigInt(offset);
    this.#piece[1] = BigInt(count);
    return this.#kernel.vmsplice(this.#pipe.write, this.#piece, 1, SPLICE_F_MOVE_NONBLOCK);
  }

  #pass(to: number, count: number): number {
    return this.#kernel.splice(this.#pipe.read, null, to, null, count, SPLICE_F_MOVE_NONBLOCK);
  }

  /** What stayed in the pipe would go to the next listener. */
  #drop(count: number): void {
    if (count > 0 && this.#pass(this.#nowhere, count) !== count) this.#isUsable = false;
  }

  #tryOut(): void {
    if (this.#free.length === 0) throw new Error('too small');
    // The slot is not given back: half of a huge page would be gone.
    const sent = this.#splice(this.#nowhere, new Uint8Array(this.#memory, 0, 1));
    if (sent !== 1) throw new Error('the kernel does not splice');
  }
}

/** Rejects with the reason where songs have to be copied. */
export async function openPageArena(bytes: number): Promise<PageArena> {
  return new PageArena(await loadKernel(), bytes);
}
