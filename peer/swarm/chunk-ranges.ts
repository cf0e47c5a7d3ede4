/** Cuts of ranges of chunks: what two have in common, and the first so many. */
import type { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { ChunkRange } from '../../protocol/ppspp/messages.js';

/** The parts of `range` that are in the set, from left to right. */
export function shared(set: ChunkSet, { start, end }: ChunkRange): ChunkRange[] {
  const parts: ChunkRange[] = [];
  for (let at = set.firstFrom(start); at !== undefined && at <= end; ) {
    const last = Math.min(end, set.rangeAround(at)!.end);
    parts.push({ start: at, end: last });
    at = set.firstFrom(last + 1);
  }
  return parts;
}

/** Its first `most` chunks; undefined for none. */
export const cut = ({ start, end }: ChunkRange, most: number): ChunkRange | undefined =>
  most < 1 ? undefined : { start, end: Math.min(end, start + most - 1) };
