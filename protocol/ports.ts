/**
 * What the world supplies to the rest of the house, as interfaces: time, timers, chance, a disk, a log.
 *
 * `src/` builds the real ones, `test/support/` the fakes; everything between takes them by constructor. Nothing in
 * `protocol/` calls them, but for `turns.ts`: a session is told the time (`receive(message, now)`) and says when it wants to be woken
 * (`nextDeadline()`), so a test or a simulation owns the clock.
 */

/** Monotonic milliseconds from an arbitrary start; never goes back, whatever is done to the wall clock. */
export type Milliseconds = number;

export interface Clock {
  now(): Milliseconds;
  /** Calls back once, not before `delayMs` from now. The returned function cancels; calling it again does nothing. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Cryptographically strong random bytes. */
export type RandomBytes = (length: number) => Uint8Array;

/** A uniformly random number in [0, 1), for jitter; not for secrets. */
export type RandomUnit = () => number;

/** Databases that are opened together, and written in transactions of their root. */
export interface Stores {
  readonly root: {
    /** One transaction of all that `perform` puts and removes. */
    batch(perform: () => void): Promise<unknown>;
    close(): Promise<void>;
  };
}

/** Where stores are kept. */
export interface Disk<S extends Stores> {
  /** Those that are open: after a failure they are others. */
  readonly stores: S;
  /**
   * Resolves when all that `perform` puts and removes is durable; else nothing of it is, and it rejects with the reason:
   * Node's error or the store's.
   */
  commit(perform: () => readonly Promise<unknown>[]): Promise<void>;
  close(): Promise<void>;
}

/** Opens the stores in `folder`, or makes them. With less than `minFreeBytes` free nothing is committed. */
export type OpenDisk = <S extends Stores>(
  folder: string,
  minFreeBytes: number,
  openStores: (folder: string) => S,
) => Disk<S>;

/** The part of pino that we use: fields first, then one sentence. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}
