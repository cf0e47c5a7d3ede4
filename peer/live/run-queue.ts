/**
 * Runs that came and were not read yet, and the seam where one host went on for another.
 *
 *     host A   … 41 42 43 ✗
 *     host B            │ 39 40 41 42 43 │ 44 45 …        what A had brought is found in B's burst, and left out
 *
 * A reader that is slower than the feed loses whole runs, the oldest first.
 */
import { ChunkQueue } from '../chunk-queue.js';

/** Half a minute of 128 kbit/s: a reader that pauses for longer joins the present again. */
const MAX_QUEUED_BYTES = 512 * 1024;
/** So much of the end is looked for: more than a frame of 128 kbit/s. */
const SEAM_BYTES = 512;
/** A burst of a second is five runs, and may be cut otherwise than ours. */
const SEAM_RUNS = 6;

export class RunQueue {
  readonly #added: (bytes: number) => void;
  readonly #queue = new ChunkQueue();
  /** The end of what came. */
  #tail: Buffer = Buffer.alloc(0);
  /** Of the host that goes on, as long as the seam is not found. */
  #opening: Uint8Array[] | undefined;
  /** In so many of its runs the seam is looked for. */
  #seamRuns = SEAM_RUNS;

  /** `added`: told of bytes that are new, as soon as that is known. */
  constructor(added: (bytes: number) => void = () => {}) {
    this.#added = added;
  }

  push(run: Uint8Array): void {
    if (this.#opening === undefined) this.#add(run);
    else this.#sew(run);
  }

  /** The host is gone; another one will begin a little before where this one ended. */
  broken(seamRuns = SEAM_RUNS): void {
    this.#flush();
    this.#seamRuns = seamRuns;
    if (this.#tail.length > 0) this.#opening = [];
  }

  end(error?: Error): void {
    this.#flush();
    this.#queue.end(error);
  }

  /** One reader at a time. */
  next(): Promise<IteratorResult<Uint8Array>> {
    return this.#queue.next();
  }

  #sew(run: Uint8Array): void {
    this.#opening!.push(run);
    const opening = Buffer.concat(this.#opening!);
    const at = opening.indexOf(this.#tail);
    if (at === -1 && this.#opening!.length < this.#seamRuns) return;
    this.#opening = undefined;
    const fresh = at === -1 ? opening : opening.subarray(at + this.#tail.length);
    if (fresh.length > 0) this.#add(fresh);
  }

  /** No seam was found in what there is. */
  #flush(): void {
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening !== undefined && opening.length > 0) this.#add(Buffer.concat(opening));
  }

  #add(run: Uint8Array): void {
    this.#tail = Buffer.concat([this.#tail, run]).subarray(-SEAM_BYTES);
    this.#added(run.length);
    this.#queue.push(run);
    while (this.#queue.bytes > MAX_QUEUED_BYTES) this.#queue.dropOldest();
  }
}
