/**
 * A set of things with a word each, sorted by it, in runs of at most 512, so that adding one moves little and all with
 * a common beginning lie side by side.
 *
 *     [ ace · aces · back ][ bad · badger … ]        startingWith('ace') → ace, aces
 */
const RUN_LENGTH = 512;

export class SortedWords<T extends { readonly word: string }> {
  readonly #runs: T[][] = [];

  /** Its word must not be here yet. */
  add(item: T): void {
    const at = this.#runFor(item.word);
    const run = this.#runs[at];
    if (run === undefined) {
      this.#runs.push([item]);
      return;
    }
    run.splice(lowerBound(run, item.word), 0, item);
    if (run.length > RUN_LENGTH) this.#runs.splice(at + 1, 0, run.splice(RUN_LENGTH / 2));
  }

  delete({ word }: T): void {
    const at = this.#runFor(word);
    const run = this.#runs[at] ?? [];
    const index = lowerBound(run, word);
    if (run[index]?.word !== word) return;
    run.splice(index, 1);
    if (run.length === 0) this.#runs.splice(at, 1);
  }

  /** At most `most` items whose word begins with `prefix`, in order; that with the word itself, if any, first. */
  startingWith(prefix: string, most: number): T[] {
    const found: T[] = [];
    const first = this.#runFor(prefix);
    for (let at = first; at < this.#runs.length; at += 1) {
      const run = this.#runs[at]!;
      for (let index = at === first ? lowerBound(run, prefix) : 0; index < run.length; index += 1) {
        if (found.length === most || !run[index]!.word.startsWith(prefix)) return found;
        found.push(run[index]!);
      }
    }
    return found;
  }

  /** The last run that does not begin after `word`. */
  #runFor(word: string): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#runs[middle]![0]!.word <= word) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

function lowerBound(run: readonly { readonly word: string }[], word: string): number {
  let low = 0;
  let high = run.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (run[middle]!.word < word) low = middle + 1;
    else high = middle;
  }
  return low;
}
