/**
 * Changes of the list, noticed quietly: what comes within one pause is one line.
 *
 *     +1 song … +2 songs … −1 song ──(2 s without another, at most 10 s)──▶ «3 songs added, 1 gone.»
 */
import type { Clock } from '../../protocol/ports.js';

/** Long enough that a library being read is one line and not fifty. */
export const QUIET_MS = 2_000;
const LONGEST_MS = 10_000;

export interface ListChanges {
  readonly added: number;
  readonly left: number;
  readonly changed: number;
}

export class ListChangeNotice {
  readonly #clock: Clock;
  readonly #tell: (changes: ListChanges) => void;
  #sum: ListChanges | undefined;
  #since = 0;
  #cancel: () => void = () => {};

  constructor(clock: Clock, tell: (changes: ListChanges) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  add({ added, left, changed }: ListChanges): void {
    const now = this.#clock.now();
    if (this.#sum === undefined) this.#since = now;
    const { added: a, left: l, changed: c } = this.#sum ?? { added: 0, left: 0, changed: 0 };
    this.#sum = { added: a + added, left: l + left, changed: c + changed };
    this.#cancel();
    const wait = Math.min(QUIET_MS, this.#since + LONGEST_MS - now);
    this.#cancel = this.#clock.after(Math.max(0, wait), () => this.#say());
  }

  stop(): void {
    this.#cancel();
    this.#sum = undefined;
  }

  #say(): void {
    const sum = this.#sum;
    this.#sum = undefined;
    // That only a title was corrected is not worth a line.
    if (sum !== undefined && sum.added + sum.left > 0) this.#tell(sum);
  }
}
