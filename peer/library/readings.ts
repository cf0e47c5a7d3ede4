/**
 * The files that are being read just now, and what was seen of them meanwhile.
 *
 * A look may pass by while a file is read, and find it changed or gone: its fingerprint is noted, and when the reading
 * is of another one, the path is looked at again. Counts what there is to do, for a progress bar.
 */
import { type FileReading, type Fingerprint, isSameFile } from './file-facts.js';
import type { Hashing } from './hashing.js';

export interface ReadingsEvents {
  settled(path: string, reading: FileReading): void;
  /** The file is not what it was when it was read. */
  outdated(path: string): void;
  progressed(): void;
}

export interface ReadingCounts {
  readonly toRead: number;
  readonly read: number;
  readonly bytesToRead: number;
  readonly bytesRead: number;
}

const NOTHING: ReadingCounts = { toRead: 0, read: 0, bytesToRead: 0, bytesRead: 0 };

export class Readings {
  readonly #hashing: Pick<Hashing, 'read'>;
  readonly #events: ReadingsEvents;
  /** Undefined: it was not seen any more. */
  readonly #lastSeen = new Map<string, Fingerprint | undefined>();
  readonly #running = new Set<Promise<void>>();
  #counts = { ...NOTHING };

  constructor(options: { readonly hashing: Pick<Hashing, 'read'>; readonly events: ReadingsEvents }) {
    this.#hashing = options.hashing;
    this.#events = options.events;
  }

  /** Files being read or waiting for it. */
  get size(): number {
    return this.#lastSeen.size;
  }

  get counts(): ReadingCounts {
    return this.#counts;
  }

  /** Counts from zero again, if nothing is being read. */
  reset(): void {
    if (this.size === 0) this.#counts = { ...NOTHING };
  }

  /** Whether `path` is being read; if so, it was seen so just now. */
  saw(path: string, fingerprint: Fingerprint): boolean {
    if (!this.#lastSeen.has(path)) return false;
    this.#lastSeen.set(path, fingerprint);
    return true;
  }

  /** Of those being read, the ones for which `isMissing` holds were not seen where they should be. */
  missed(isMissing: (path: string) => boolean): void {
    for (const path of this.#lastSeen.keys()) if (isMissing(path)) this.#lastSeen.set(path, undefined);
  }

  begin(path: string, fingerprint: Fingerprint, urgent: boolean): void {
    this.#lastSeen.set(path, fingerprint);
    const running = this.#read(path, fingerprint.size, urgent).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #read(path: string, size: number, urgent: boolean): Promise<void> {
    this.#counts.toRead += 1;
    this.#counts.bytesToRead += size;
    let counted = 0;
    const count = (bytes: number) => {
      this.#counts.bytesRead += bytes - counted;
      counted = bytes;
      this.#events.progressed();
    };
    const reading = await this.#hashing.read(path, { urgent, onBytes: count });
    const seen = this.#lastSeen.get(path);
    this.#lastSeen.delete(path);
    this.#counts.read += 1;
    if (reading.kind !== 'cancelled') {
      this.#events.settled(path, reading);
      const isOutdated =
        reading.kind === 'read' && (seen === undefined || !isSameFile(seen, reading.fingerprint));
      if (isOutdated) this.#events.outdated(path);
    }
    count(size);
  }
}
