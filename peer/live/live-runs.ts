/**
 * A feed as TSP sends it: runs of whole frames, cut at the same places for everybody (TSP §5.5).
 *
 *     time line  0        200       400       600 ms
 *     frames     │ 0 1 2 … │ 8 9 …   │ …       │          a run: the frames that begin within 200 ms
 *
 * Because the places are fixed, all who keep up are sent the very same Buffer, header and all.
 */
import { encode } from '../../protocol/tsp/codec.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { LiveFrame } from './frame-ring.js';
import type { FeedReader } from './live-feed.js';

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

/** SONG_DATA messages of one feed; the latest is kept for whoever needs the same. */
export class SharedRuns {
  #song: SongId | 0 = 0;
  #first = -1;
  #count = 0;
  #bytes = Buffer.alloc(0);

  bytes(song: SongId | 0, run: readonly LiveFrame[]): Buffer {
    const first = run[0]!.seq;
    if (this.#first !== first || this.#count !== run.length || this.#song !== song) {
      const length = run.reduce((sum, { bytes }) => sum + bytes.length, 0);
      const header = encode({ type: 'SONG_DATA', song, length });
      this.#bytes = Buffer.concat([header, ...run.map(({ bytes }) => bytes)]);
      this.#song = song;
      this.#first = first;
      this.#count = run.length;
    }
    return this.#bytes;
  }
}
