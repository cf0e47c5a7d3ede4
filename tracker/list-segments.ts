/**
 * The list as bytes, ready to be sent to anybody (TSP §3.1): a row a song, in segments of at most 64 KiB.
 *
 *     [ row 1 · row 2 · … ][ row 218 · … ][ … ]        a Buffer a segment, shared by all sockets, never changed
 *
 * The rule: a change makes a new Buffer for its segment only, and only when somebody asks; an answer that is still on
 * its way keeps the old one.
 */
import type { SongId } from '../protocol/tsp/messages.js';

/** One write to a socket. */
export const SEGMENT_BYTES = 64 * 1024;

interface Segment {
  readonly ids: SongId[];
  readonly rows: Buffer[];
  bytes: number;
  joined: Buffer | undefined;
}

export interface ListBytes {
  readonly segments: readonly Buffer[];
  readonly length: number;
}

export class ListSegments {
  #segments: Segment[] = [];
  #whole: ListBytes | undefined;

  /** The row of a song, new or changed. */
  set(id: SongId, row: Buffer): void {
    this.#whole = undefined;
    const at = this.#segmentFor(id);
    const segment = this.#segments[at];
    if (segment === undefined) {
      this.#segments.push({ ids: [id], rows: [row], bytes: row.length, joined: undefined });
      return;
    }
    const index = lowerBound(segment.ids, id);
    segment.joined = undefined;
    segment.bytes += row.length;
    if (segment.ids[index] === id) {
      segment.bytes -= segment.rows[index]!.length;
      segment.rows[index] = row;
    } else {
      segment.ids.splice(index, 0, id);
      segment.rows.splice(index, 0, row);
    }
    if (segment.bytes > SEGMENT_BYTES && segment.ids.length > 1) this.#split(at, index);
  }

  delete(id: SongId): void {
    const at = this.#segmentFor(id);
    const segment = this.#segments[at];
    const index = segment === undefined ? -1 : segment.ids.indexOf(id);
    if (segment === undefined || index === -1) return;
    this.#whole = undefined;
    segment.joined = undefined;
    segment.bytes -= segment.rows[index]!.length;
    segment.ids.splice(index, 1);
    segment.rows.splice(index, 1);
    if (segment.ids.length === 0) this.#segments.splice(at, 1);
    else if (segment.bytes < SEGMENT_BYTES / 4) this.#merge(at);
  }

  /** Everything, as it is now. The Buffers are shared: nobody may write to them. */
  whole(): ListBytes {
    this.#whole ??= {
      segments: this.#segments.map(joined),
      length: this.#segments.reduce((sum, segment) => sum + segment.bytes, 0),
    };
    return this.#whole;
  }

  /** The segment that has or would take `id`: the last one that does not begin after it. */
  #segmentFor(id: SongId): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#segments[middle]!.ids[0]! <= id) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** In the middle, but behind the newest ID: IDs grow, and full segments need no room. */
  #split(at: number, inserted: number): void {
    const segment = this.#segments[at]!;
    const { length } = segment.ids;
    const isLast = at === this.#segments.length - 1 && inserted === length - 1;
    const from = isLast ? length - 1 : length >> 1;
    const ids = segment.ids.splice(from);
    const rows = segment.rows.splice(from);
    const bytes = rows.reduce((sum, row) => sum + row.length, 0);
    segment.bytes -= bytes;
    this.#segments.splice(at + 1, 0, { ids, rows, bytes, joined: undefined });
  }

  #merge(at: number): void {
    const [segment, next] = [this.#segments[at]!, this.#segments[at + 1]];
    if (next === undefined || segment.bytes + next.bytes > SEGMENT_BYTES / 2) return;
    segment.ids.push(...next.ids);
    segment.rows.push(...next.rows);
    segment.bytes += next.bytes;
    this.#segments.splice(at + 1, 1);
  }
}

function joined(segment: Segment): Buffer {
  if (segment.joined !== undefined) return segment.joined;
  const bytes = Buffer.concat(segment.rows, segment.bytes);
  // The rows go on living in the joined bytes, so that they are not held twice.
  let start = 0;
  for (const [index, row] of segment.rows.entries()) {
    segment.rows[index] = bytes.subarray(start, start + row.length);
    start += row.length;
  }
  segment.joined = bytes;
  return bytes;
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
