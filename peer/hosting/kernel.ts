/**
 * The system calls by which bytes leave without being copied, which Node does not have: koffi, an optional package, makes
 * them. Linux only.
 */

// Linux, on all architectures that Node runs on.
export const O_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
export const F_SETPIPE_SZ = 1031;
export const SPLICE_F_MOVE_NONBLOCK = 0x1 | 0x2;
export const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
export const MSG_MORE = 0x8000;

/** The calls as Linux has them; addresses are numbers. Negative answers are refusals. */
export interface Kernel {
  mmap(
    at: null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number | bigint;
  madvise(at: bigint, length: number, advice: number): number;
  pipe2(ends: number[], flags: number): number;
  socketpair(family: number, type: number, protocol: number, ends: number[]): number;
  fcntl(fd: number, command: number, value: number): number;
  send(socket: number, bytes: Uint8Array, count: number, flags: number): number;
  vmsplice(pipe: number, pieces: BigUint64Array, count: number, flags: number): number;
  splice(from: number, fromOffset: null, to: number, toOffset: null, count: number, flags: number): number;
  tee(from: number, to: number, count: number, flags: number): number;
  view(at: bigint, length: number): ArrayBuffer;
}

/** Rejects with the reason where there is none that can be called. */
export async function loadKernel(): Promise<Kernel> {
  if (process.platform !== 'linux') throw new Error('only Linux can send them otherwise');
  const { load, view } = await import('koffi').catch(cause => {
    throw new Error('koffi is not installed', { cause });
  });
  const libc = load(null);
  return {
    mmap: libc.func('intptr_t mmap(void *at, size_t length, int protection, int flags, int fd, long offset)'),
    madvise: libc.func('int madvise(uintptr_t at, size_t length, int advice)'),
    pipe2: libc.func('int pipe2(_Out_ int *ends, int flags)'),
    socketpair: libc.func('int socketpair(int family, int type, int protocol, _Out_ int *ends)'),
    fcntl: libc.func('int fcntl(int fd, int command, int value)'),
    send: libc.func('long send(int socket, const void *bytes, size_t count, int flags)'),
    vmsplice: libc.func('long vmsplice(int pipe, const void *pieces, size_t count, unsigned int flags)'),
    splice: libc.func('long splice(int from, void *a, int to, void *b, size_t count, unsigned int flags)'),
    tee: libc.func('long tee(int from, int to, size_t count, unsigned int flags)'),
    view,
  };
}
