/**
 * A feed as listeners are sent it: runs of whole frames, cut at the same places for everybody (TSP §5.5).
 *
 *     time line  0        200       400       600 ms
 *     frames     │ 0 1 2 … │ 8 9 …   │ …       │          a run: the frames that begin within 200 ms
 *
 * Because the places are fixed, all who keep up are sent the very same Buffer, header and all, in one write.
 */
import type { LiveFrame } from './frame-ring.js';
import type { FeedReader, LiveFeed } from './live-feed.js';

/** With the longest frame there is, 72 ms, a run stays below the 250 ms of TSP §5.5. */
const RUN_MS = 200;

const runOf = (atMs: number): number => Math.floor(atMs / RUN_MS);

/** The reader's next run, if all of it is there; `endMs`: how far the feed is. Once it `isOver`, whatever is left. */
export function takeRun(
  reader: Pick<FeedReader, 'peek' | 'next'>,
  { endMs, isOver }: { readonly endMs: number; readonly isOver: boolean },
): readonly LiveFrame[] {
  const first = reader.peek();
  if (first === undefined) return [];
  const run = runOf(first.atMs);
  if (!isOver && runOf(endMs) === run) return [];
  const frames: LiveFrame[] = [];
  for (let next = reader.peek(); next !== undefined && runOf(next.atMs) === run; next = reader.peek()) {
    frames.push(next);
    reader.next();
  }
  return frames;
}

interface Made<Context> {
  readonly first: number;
  readonly count: number;
  readonly context: Context;
  readonly bytes: Buffer;
}

/** What one protocol makes of runs; of each feed the latest is kept for whoever needs the same. */
export class SharedRuns<Context> {
  readonly #make: (run: readonly LiveFrame[], context: Context) => Buffer;
  readonly #latest = new WeakMap<LiveFeed, Made<Context>>();

  /** `make`: what it gives depends on nothing but the run and the context. */
  constructor(make: (run: readonly LiveFrame[], context: Context) => Buffer) {
    this.#make = make;
  }

  /** Never to be written to: it is sent to many. */
  bytes(feed: LiveFeed, run: readonly LiveFrame[], context: Context): Buffer {
    const first = run[0]!.seq;
    const count = run.length;
    const latest = this.#latest.get(feed);
    if (latest?.first === first && latest.count === count && latest.context === context) return latest.bytes;
    const bytes = this.#make(run, context);
    this.#latest.set(feed, { first, count, context, bytes });
    return bytes;
  }
}
