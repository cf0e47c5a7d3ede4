/**
 * The list as bytes, ready to be sent to anybody (TSP §3.1): a row a song, in segments of at most 64 KiB.
 *
 *     [ row 1 · row 2 · … ][ row 218 · … ][ … ]        a Buffer a segment, shared by all sockets, never changed
 *
 * The rule: a change makes a new Buffer for its segment only, and only when somebody asks; an answer that is still on
 * its way keeps the old one. A segment is joined (one Buffer) or open (a Buffer a row, to be joined again).
 */
import type { SongId } from '../protocol/tsp/messages.js';

/** One write to a socket. */
export const SEGMENT_BYTES = 64 * 1024;
/** Two segments that have shrunk below this together become one. */
const MERGED_BYTES = SEGMENT_BYTES / 2;

export interface ListBytes {
  readonly segments: readonly Buffer[];
  readonly length: number;
}

export class ListSegments {
  readonly #segments: Segment[] = [];
  #whole: ListBytes | undefined;

  /** The row of a song, new or changed. */
  set(id: SongId, row: Buffer): void {
    this.#whole = undefined;
    const at = this.#segmentFor(id);
    const segment = this.#segments[at];
    if (segment === undefined) this.#segments.push(new Segment([id], [row]));
    else {
      segment.set(id, row);
      if (segment.bytes > SEGMENT_BYTES && segment.count > 1) {
        // IDs grow: behind the newest one a full segment needs no room.
        const isNewest = at === this.#segments.length - 1 && segment.last === id;
        this.#segments.splice(at + 1, 0, segment.split(isNewest ? segment.count - 1 : segment.count >> 1));
      }
    }
  }

  /** The row of a song; shared. */
  get(id: SongId): Buffer | undefined {
    return this.#segments[this.#segmentFor(id)]?.get(id);
  }

  delete(id: SongId): void {
    const at = this.#segmentFor(id);
    const segment = this.#segments[at];
    if (segment === undefined || !segment.delete(id)) return;
    this.#whole = undefined;
    if (segment.count === 0) this.#segments.splice(at, 1);
    else if (!this.#merge(at)) this.#merge(at - 1);
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** Everything, as it is now. The Buffers are shared: nobody may write to them. */
  whole(): ListBytes {
    this.#whole ??= {
      segments: this.#segments.map(segment => segment.join()),
      length: this.bytes,
    };
    return this.#whole;
  }

  /** Takes the next segment into this one, if both are small; false if not. */
  #merge(at: number): boolean {
    const [segment, next] = [this.#segments[at], this.#segments[at + 1]];
    if (segment === undefined || next === undefined || segment.bytes + next.bytes > MERGED_BYTES)
      return false;
    segment.append(next);
    this.#segments.splice(at + 1, 1);
    return true;
  }

  /** The segment that has or would take `id`: the last one that does not begin after it. */
  #segmentFor(id: SongId): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#segments[middle]!.first <= id) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

class Segment {
  bytes: number;
  readonly #ids: SongId[];
  readonly #lengths: number[];
  /** Open: each row's bytes. */
  #rows: Buffer[] | undefined;
  #joined: Buffer | undefined;

  constructor(ids: SongId[], rows: Buffer[]) {
    this.#ids = ids;
    this.#rows = rows;
    this.#lengths = rows.map(row => row.length);
    this.bytes = this.#lengths.reduce((sum, length) => sum + length, 0);
  }

  get count(): number {
    return this.#ids.length;
  }

  get first(): SongId {
    return this.#ids[0]!;
  }

  get last(): SongId {
    return this.#ids.at(-1)!;
  }

  get(id: SongId): Buffer | undefined {
    const index = lowerBound(this.#ids, id);
    if (this.#ids[index] !== id) return undefined;
    if (this.#joined === undefined) return this.#rows![index];
    let start = 0;
    for (let before = 0; before < index; before += 1) start += this.#lengths[before]!;
    return this.#joined.subarray(start, start + this.#lengths[index]!);
  }

  set(id: SongId, row: Buffer): void {
    const rows = this.#open();
    const index = lowerBound(this.#ids, id);
    const replaced = this.#ids[index] === id ? 1 : 0;
    this.bytes += row.length - (replaced === 1 ? this.#lengths[index]! : 0);
    this.#ids.splice(index, replaced, id);
    this.#lengths.splice(index, replaced, row.length);
    rows.splice(index, replaced, row);
  }

  /** False when it is not here. */
  delete(id: SongId): boolean {
    const index = lowerBound(this.#ids, id);
    if (this.#ids[index] !== id) return false;
    this.#open().splice(index, 1);
    this.#ids.splice(index, 1);
    const [length = 0] = this.#lengths.splice(index, 1);
    this.bytes -= length;
    return true;
  }

  /** Gives away the rows from `from` on. */
  split(from: number): Segment {
    const rows = this.#open().splice(from);
    const segment = new Segment(this.#ids.splice(from), rows);
    this.#lengths.length = from;
    this.bytes -= segment.bytes;
    return segment;
  }

  append(next: Segment): void {
    this.#open().push(...next.#open());
    this.#ids.push(...next.#ids);
    this.#lengths.push(...next.#lengths);
    this.bytes += next.bytes;
  }

  join(): Buffer {
    this.#joined ??= Buffer.concat(this.#rows ?? [], this.bytes);
    this.#rows = undefined;
    return this.#joined;
  }

  #open(): Buffer[] {
    const joined = this.#joined;
    if (joined !== undefined) {
      let start = 0;
      this.#rows = this.#lengths.map(length => {
        const row = joined.subarray(start, start + length);
        start += length;
        return row;
      });
      this.#joined = undefined;
    }
    this.#rows ??= [];
    return this.#rows;
  }
}

/** The index of the first ID that is not smaller. */
function lowerBound(ids: readonly SongId[], id: SongId): number {
  // IDs grow, so the end is the likeliest place.
  if (ids.length === 0 || ids.at(-1)! < id) return ids.length;
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ids[middle]! < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
