/**
 * The list as bytes, ready to be sent to anybody (TSP §3.1): a row a song, in segments of at most 64 KiB.
 *
 *     [ row 1 · row 2 · … ][ row 218 · … ][ … ]        a Buffer a segment, shared by all sockets, never changed
 *           └ apply: rows of a batch ─▶ a new Buffer for each segment that has one of them, the others stay
 *
 * The rule: an answer that is still on its way keeps the old Buffers. What stands between two changed rows is copied as
 * one piece, so a batch costs what it changes and not a list.
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

/** A song's new row; undefined: it has none any more. */
type Change = readonly [SongId, Buffer | undefined];

export class ListSegments {
  #segments: readonly Segment[] = [];
  #whole: ListBytes | undefined;

  /** The row of a song; shared. */
  get(id: SongId): Buffer | undefined {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#segments[middle]!.first <= id) low = middle + 1;
      else high = middle;
    }
    return this.#segments[low - 1]?.get(id);
  }

  get bytes(): number {
    return this.whole().length;
  }

  /** Everything, as it is now. The Buffers are shared: nobody may write to them. */
  whole(): ListBytes {
    this.#whole ??= {
      segments: this.#segments.map(({ bytes }) => bytes),
      length: this.#segments.reduce((sum, { bytes }) => sum + bytes.length, 0),
    };
    return this.#whole;
  }

  apply(changes: ReadonlyMap<SongId, Buffer | undefined>): void {
    if (changes.size === 0) return;
    const sorted = [...changes].sort(([a], [b]) => a - b);
    const old = this.#segments.length === 0 ? [EMPTY] : this.#segments;
    const segments: Segment[] = [];
    let from = 0;
    for (const [at, segment] of old.entries()) {
      const end = old[at + 1]?.first ?? Number.POSITIVE_INFINITY;
      let to = from;
      while (to < sorted.length && sorted[to]![0] < end) to += 1;
      const isLast = at === old.length - 1;
      const parts = from === to ? [segment] : rewritten(segment, sorted.slice(from, to), isLast);
      for (const part of parts) append(segments, part);
      from = to;
    }
    this.#segments = segments;
    this.#whole = undefined;
  }
}

class Segment {
  constructor(
    readonly ids: readonly SongId[],
    readonly lengths: readonly number[],
    readonly bytes: Buffer,
  ) {}

  get first(): SongId {
    return this.ids[0]!;
  }

  get(id: SongId): Buffer | undefined {
    const index = this.ids.indexOf(id);
    if (index === -1) return undefined;
    let start = 0;
    for (let before = 0; before < index; before += 1) start += this.lengths[before]!;
    return this.bytes.subarray(start, start + this.lengths[index]!);
  }
}

const EMPTY = new Segment([], [], Buffer.alloc(0));

/** A segment while it is written: rows that lie behind one another in the same Buffer are one piece of it. */
class Draft {
  readonly #ids: SongId[] = [];
  readonly #lengths: number[] = [];
  readonly #pieces: Buffer[] = [];
  #source: Buffer | undefined;
  #start = 0;
  #end = 0;
  bytes = 0;

  add(id: SongId, length: number, source: Buffer, start: number): void {
    if (source !== this.#source || start !== this.#end) {
      this.#endPiece();
      this.#source = source;
      this.#start = start;
    }
    this.#end = start + length;
    this.#ids.push(id);
    this.#lengths.push(length);
    this.bytes += length;
  }

  take(): Segment {
    this.#endPiece();
    return new Segment(this.#ids, this.#lengths, Buffer.concat(this.#pieces, this.bytes));
  }

  #endPiece(): void {
    const source = this.#source;
    if (source === undefined) return;
    const isWhole = this.#end - this.#start === source.length;
    this.#pieces.push(isWhole ? source : source.subarray(this.#start, this.#end));
  }
}

/** The segment with these rows changed, cut into as many as it then takes. */
function rewritten({ ids, lengths, bytes }: Segment, changes: readonly Change[], isLast: boolean): Segment[] {
  const most = bytes.length + changes.reduce((sum, [, row]) => sum + (row?.length ?? 0), 0);
  // IDs grow: behind the newest ones a full segment needs no room, between others it does.
  const room = isLast ? SEGMENT_BYTES : most / Math.ceil(most / SEGMENT_BYTES);
  const segments: Segment[] = [];
  let draft = new Draft();
  const add = (id: SongId, length: number, source: Buffer, start: number): void => {
    if (draft.bytes > 0 && (draft.bytes >= room || draft.bytes + length > SEGMENT_BYTES)) {
      segments.push(draft.take());
      draft = new Draft();
    }
    draft.add(id, length, source, start);
  };
  let at = 0;
  let start = 0;
  const copyUntil = (id: number): void => {
    for (; at < ids.length && ids[at]! < id; at += 1) {
      add(ids[at]!, lengths[at]!, bytes, start);
      start += lengths[at]!;
    }
  };
  for (const [id, row] of changes) {
    copyUntil(id);
    if (ids[at] === id) {
      start += lengths[at]!;
      at += 1;
    }
    if (row !== undefined) add(id, row.length, row, 0);
  }
  copyUntil(Number.POSITIVE_INFINITY);
  if (draft.bytes > 0) segments.push(draft.take());
  return segments;
}

/** At the end, or into the last one if both are small. */
function append(segments: Segment[], next: Segment): void {
  const last = segments.at(-1);
  if (last === undefined || last.bytes.length + next.bytes.length > MERGED_BYTES) segments.push(next);
  else
    segments[segments.length - 1] = new Segment(
      last.ids.concat(next.ids),
      last.lengths.concat(next.lengths),
      Buffer.concat([last.bytes, next.bytes]),
    );
}
