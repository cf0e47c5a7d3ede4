/** Cuts of ranges of chunks: what two have in common, and about the first so many. */
import type { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { FRAME_CHUNKS } from '../../protocol/ppspp/frames.js';
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

/** Its first `most` chunks, or a little less, so that it ends with a whole frame; undefined for none. */
export function cut({ start, end }: ChunkRange, most: number): ChunkRange | undefined {
  if (most < 1) return undefined;
  const last = start + most - 1;
  if (end <= last) return { start, end };
  const lastWhole = last - ((last + 1) % FRAME_CHUNKS);
  return { start, end: lastWhole < start ? last : lastWhole };
}
