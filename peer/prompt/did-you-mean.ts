/**
 * The known word that a mistyped one is closest to: one or two letters changed, swapped, missing or too many, or its
 * beginning alone.
 */

const MAX_DISTANCE = 2;

/** ` (did you mean --port?)`, or nothing when no known word is close. */
export function didYouMean(word: string, known: readonly string[], prefix = ''): string {
  const closest = closestTo(word, known);
  return closest === undefined ? '' : ` (did you mean ${prefix}${closest}?)`;
}

/** Undefined when none is close. */
export function closestTo<Known extends string>(word: string, known: readonly Known[]): Known | undefined {
  let best: Known | undefined;
  // A word that is mostly wrong is no typo: half its letters must be right.
  let bestDistance = Math.min(MAX_DISTANCE, Math.floor(word.length / 2)) + 1;
  for (const candidate of known) {
    const distance = candidate.startsWith(word) && word.length > 1 ? 1 : distanceOf(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours. */
function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_DISTANCE) return MAX_DISTANCE + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, beforeLast[column - 2]! + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}
