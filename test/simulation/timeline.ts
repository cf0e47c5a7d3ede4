/**
 * Virtual time for a whole network: what is to happen, in the order of its time, then of its planning.
 *
 *     at(time, happen) ─▶ heap ─▶ now = time ─▶ happen() ─▶ promises settle ─▶ observe() ─▶ the next
 *
 * No real time passes and nothing of the machine is looked at, so the same seed gives the same history, which `digest`
 * sums up. A moment of the event loop between two happenings lets promises and streams go on, in Node's own fixed order.
 */
import { createHash } from 'node:crypto';
import type { Clock, Milliseconds } from '../../protocol/ports.js';

interface Happening {
  readonly at: Milliseconds;
  readonly order: number;
  readonly happen: () => void;
}

export class Timeline implements Clock {
  #now: Milliseconds = 0;
  #order = 0;
  #happened = 0;
  readonly #heap: Happening[] = [];
  readonly #history = createHash('sha1');
  readonly #tell: ((line: string) => void) | undefined;

  /** `tell` takes a line for everything that is noted. */
  constructor(tell?: (line: string) => void) {
    this.#tell = tell;
  }

  now(): Milliseconds {
    return this.#now;
  }

  get happened(): number {
    return this.#happened;
  }

  after(delayMs: number, happen: () => void): () => void {
    let isWanted = true;
    this.at(this.#now + Math.max(0, delayMs), () => {
      if (isWanted) happen();
    });
    return () => {
      isWanted = false;
    };
  }

  at(time: Milliseconds, happen: () => void): void {
    this.#add({ at: Math.max(time, this.#now), order: this.#order++, happen });
  }

  /** Goes into history. */
  note(line: string): void {
    this.#history.update(`${this.#now} ${line}\n`);
    this.#tell?.(`${(this.#now / 1_000).toFixed(3).padStart(9)}  ${line}`);
  }

  /** Of all that was noted. To be asked once, at the end. */
  digest(): string {
    return this.#history.digest('hex');
  }

  /** Lets happen what is due within `ms`; `observe` looks on after each. */
  async run(ms: Milliseconds, observe: () => void): Promise<void> {
    const end = this.#now + ms;
    await settled();
    while (this.#heap.length > 0 && this.#heap[0]!.at <= end) {
      const { at, happen } = this.#take();
      this.#now = at;
      this.#happened += 1;
      happen();
      await settled();
      observe();
    }
    this.#now = end;
  }

  #add(happening: Happening): void {
    const heap = this.#heap;
    let index = heap.push(happening) - 1;
    for (
      let above = (index - 1) >> 1;
      index > 0 && isSooner(happening, heap[above]!);
      above = (index - 1) >> 1
    ) {
      heap[index] = heap[above]!;
      index = above;
    }
    heap[index] = happening;
  }

  #take(): Happening {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isSooner(heap[below + 1]!, heap[below]!)) below += 1;
      if (!isSooner(heap[below]!, last)) break;
      heap[index] = heap[below]!;
      index = below;
    }
    heap[index] = last;
    return first;
  }
}

const isSooner = (a: Happening, b: Happening): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
