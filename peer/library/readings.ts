/**
 * The files that are being read just now, and what was seen of them meanwhile.
 *
 * A look may pass by while a file is read, and find it changed or gone: its fingerprint is noted, and when the reading
 * is of another one, the path is looked at again. Counts what there is to do, for a progress bar.
 *
 *     begin   a  b  c  d        several are read at a time, and a short one overtakes a long one;
 *     read       b  c     a     what was read is told in the order of beginning: songs are listed, and get
 *     settled             a b c their IDs, in the order of the folder
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
}

/** What was read and waits for one before it; with more, they don't wait: one slow file is no reason to list nothing. */
const MAX_WAITING = 64;

const NOTHING: ReadingCounts = { toRead: 0, read: 0 };

export class Readings {
  readonly #hashing: Pick<Hashing, 'read'>;
  readonly #events: ReadingsEvents;
  /** Undefined: it was not seen any more. */
  readonly #lastSeen = new Map<string, Fingerprint | undefined>();
  readonly #running = new Set<Promise<void>>();
  /** Readings are numbered as they begin; all before this one were told. */
  #next = 0;
  #begun = 0;
  /** Read, and not told because one before it is not read. */
  readonly #waiting = new Map<number, () => void>();
  /** Told before their turn. */
  readonly #early = new Set<number>();
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
    const running = this.#read(path, urgent).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #read(path: string, urgent: boolean): Promise<void> {
    this.#counts.toRead += 1;
    const number = urgent ? undefined : this.#begun++;
    const reading = await this.#hashing.read(path, { urgent });
    this.#counts.read += 1;
    if (number === undefined) this.#tell(path, reading);
    else this.#tellInTurn(number, () => this.#tell(path, reading));
    this.#events.progressed();
  }

  #tellInTurn(number: number, tell: () => void): void {
    this.#waiting.set(number, tell);
    for (; this.#early.delete(this.#next) || this.#waiting.has(this.#next); this.#next += 1) {
      this.#waiting.get(this.#next)?.();
      this.#waiting.delete(this.#next);
    }
    if (this.#waiting.size <= MAX_WAITING) return;
    for (const [early, tellEarly] of [...this.#waiting].sort(([a], [b]) => a - b)) {
      tellEarly();
      this.#early.add(early);
    }
    this.#waiting.clear();
  }

  #tell(path: string, reading: FileReading | { readonly kind: 'cancelled' }): void {
    const seen = this.#lastSeen.get(path);
    this.#lastSeen.delete(path);
    if (reading.kind === 'cancelled') return;
    this.#events.settled(path, reading);
    const isOutdated =
      reading.kind === 'read' && (seen === undefined || !isSameFile(seen, reading.fingerprint));
    if (isOutdated) this.#events.outdated(path);
  }
}
