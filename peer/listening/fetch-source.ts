/**
 * One host's part in a fetch: what it was asked, and the piece that is coming in from it.
 *
 *     asked ─▶ [ HASHES │ RANGE piece 7 │ INFO │ RANGE pieces 12–15 ] ─▶ bytes ─▶ piece 7, piece 12, …
 *
 * The rule: a piece comes whole from one host, so that when it is wrong there is no doubt who lied. Pure: the caller
 * says what time it is and judges the pieces.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { NO_SONG, PIECE_BYTES, PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import type { Question } from '../../protocol/tsp/download.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { type PieceHashes, PieceInProgress } from './pieces.js';

/** A question on its way, and the least that an honest SONG_DATA announces. */
export interface Ask {
  readonly question: Question;
  readonly least: number;
}

type Range = Extract<Question, { type: 'RANGE' }>;

/** Pieces that stand side by side: `first` … `first + count - 1`. */
export interface PieceRun {
  readonly first: number;
  readonly count: number;
}

const RATE_WINDOW_MS = 1_000;

export class FetchSource {
  readonly asked: Question[] = [];
  /** When it last showed a sign of life. */
  heardAt: Milliseconds;
  /** Pieces that proved true. */
  proven = 0;
  /** Why another host was asked besides, if it was for a fault. */
  doubt: string | undefined;
  /** Pieces that it owes, by the range in which they come. */
  readonly #owed = new Map<
    Question,
    { next: number; readonly end: number; readonly askedAt: Milliseconds }
  >();
  #piece: PieceInProgress | undefined;
  /** Where the content ends, as it says; known once a range reaches the last piece. */
  #endsAt: number | undefined;
  #frontSince: Milliseconds;
  #frontBytes = 0;
  readonly #rate: RateMeter;

  constructor(
    readonly host: string,
    readonly openedAt: Milliseconds,
  ) {
    this.heardAt = openedAt;
    this.#frontSince = openedAt;
    this.#rate = new RateMeter(openedAt);
  }

  get owes(): boolean {
    return this.asked.length > 0;
  }

  get rangesOpen(): number {
    return this.#owed.size;
  }

  /** The piece that it sends now or next. */
  get nextOwed(): number | undefined {
    return this.#owed.values().next().value?.next;
  }

  /** It was asked for this piece, which has not come whole. */
  isToSend(index: number): boolean {
    return this.owesSince(index) !== undefined;
  }

  owesSince(index: number): Milliseconds | undefined {
    for (const { next, end, askedAt } of this.#owed.values())
      if (index >= next && index < end) return askedAt;
    return undefined;
  }

  askHashes(song: { readonly hash: ContentHash; readonly id?: SongId }): Ask {
    return this.#ask({ type: 'HASHES', song: song.id ?? NO_SONG, level: PIECE_LEVEL, hash: song.hash });
  }

  askInfo(id: SongId): Ask {
    return this.#ask({ type: 'INFO', song: id });
  }

  askRange(
    song: { readonly hash: ContentHash; readonly id?: SongId },
    run: PieceRun,
    now: Milliseconds,
    hashes: PieceHashes | undefined,
  ): Ask {
    if (!this.owes) {
      this.#frontSince = now;
      this.heardAt = now;
      this.#rate.restart(now);
    }
    const offset = run.first * PIECE_BYTES;
    const count = run.count * PIECE_BYTES;
    const range = { type: 'RANGE', song: song.id ?? NO_SONG, offset, count, hash: song.hash } as const;
    this.#owed.set(range, { next: run.first, end: run.first + run.count, askedAt: now });
    return this.#ask(range, hashes === undefined ? 0 : leastOf(range, hashes));
  }

  /** Why the announced length can't be right, if so. */
  begun(range: Range, length: number, hashes: PieceHashes): string | undefined {
    const end = range.offset + length;
    if (length < leastOf(range, hashes)) return `sent ${length} of ${range.count} bytes`;
    if (end > hashes.longestSize) return `sent ${end - hashes.longestSize} bytes more than there are`;
    if (end > hashes.lastPieceAt) this.#endsAt = end;
    return undefined;
  }

  /** The pieces that `bytes`, of the answer to `range`, complete, in order; each is owed until it is taken out. */
  *take(range: Question, bytes: Uint8Array, now: Milliseconds): Generator<PieceInProgress, void> {
    this.heardAt = now;
    this.#frontBytes += bytes.length;
    this.#rate.add(bytes.length);
    const owed = this.#owed.get(range);
    if (owed === undefined) return;
    for (let at = 0; at < bytes.length; ) {
      this.#piece ??= new PieceInProgress(owed.next);
      at += this.#piece.add(at === 0 ? bytes : bytes.subarray(at));
      if (!this.#isComplete(this.#piece)) continue;
      const complete = this.#piece;
      this.#piece = undefined;
      owed.next += 1;
      yield complete;
    }
  }

  /** The answer to `question` is whole. For a range, says how many bytes came in which time. */
  answered(question: Question, now: Milliseconds): { readonly bytes: number; readonly ms: number } {
    this.asked.splice(this.asked.indexOf(question), 1);
    if (this.#owed.delete(question)) this.#piece = undefined;
    this.heardAt = now;
    const measured = { bytes: this.#frontBytes, ms: now - this.#frontSince };
    this.#frontBytes = 0;
    this.#frontSince = now;
    return measured;
  }

  /** bytes/s of late, once it has been seen owing for long enough to say. */
  bytesPerSecond(now: Milliseconds): number | undefined {
    return this.#rate.bytesPerSecond(now);
  }

  get measuredAt(): Milliseconds {
    return this.#rate.windowAt;
  }

  #isComplete(piece: PieceInProgress): boolean {
    return piece.isFull || piece.index * PIECE_BYTES + piece.length === this.#endsAt;
  }

  #ask(question: Question, least = 0): Ask {
    this.asked.push(question);
    return { question, least };
  }
}

/** All that was asked for, or at least one byte of the last piece. */
function leastOf(range: Range, hashes: PieceHashes): number {
  const end = range.offset + range.count;
  return end <= hashes.lastPieceAt ? range.count : Math.max(0, hashes.lastPieceAt + 1 - range.offset);
}

/** Bytes a second over the last one to two seconds in which some were owed. */
export class RateMeter {
  /** Since when it counts. */
  windowAt: Milliseconds;
  #windowBytes = 0;
  #earlier: { readonly bytes: number; readonly ms: number } | undefined;

  constructor(now: Milliseconds) {
    this.windowAt = now;
  }

  restart(now: Milliseconds): void {
    this.windowAt = now;
    this.#windowBytes = 0;
    this.#earlier = undefined;
  }

  add(bytes: number): void {
    this.#windowBytes += bytes;
  }

  bytesPerSecond(now: Milliseconds): number | undefined {
    const ms = now - this.windowAt;
    const { bytes: earlierBytes = 0, ms: earlierMs = 0 } = this.#earlier ?? {};
    const rate = ((earlierBytes + this.#windowBytes) * 1_000) / Math.max(1, earlierMs + ms);
    const known = earlierMs + ms >= 2 * RATE_WINDOW_MS;
    if (ms >= RATE_WINDOW_MS) {
      this.#earlier = { bytes: this.#windowBytes, ms };
      this.windowAt = now;
      this.#windowBytes = 0;
    }
    return known ? rate : undefined;
  }
}
