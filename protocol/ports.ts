/**
 * What the world supplies to the rest of the house, as interfaces: time, timers, chance, a log.
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

/** Where a store is kept. */
export interface Disk {
  /** Rejects, with Node's error or RequestError `unavailable`, when it takes nothing more just now. */
  ask(): Promise<void>;
  close(): void;
}

/** The disk of `folder`, which there must be. With less than `minFreeBytes` free it takes nothing. */
export type OpenDisk = (folder: string, minFreeBytes: number) => Disk;

/** The part of pino that we use: fields first, then one sentence. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}
