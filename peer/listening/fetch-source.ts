/**
 * One host's part in a fetch: what it was asked, and the piece that is coming in from it.
 *
 *     asked ─▶ [ HASHES │ RANGE 64 KiB │ INFO │ RANGE 256 KiB ] ─▶ bytes ─▶ piece 7, piece 8, …
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

const RATE_WINDOW_MS = 1_000;

export class FetchSource {
  readonly asked: Question[] = [];
  /** When it last showed a sign of life. */
  heardAt: Milliseconds;
  /** Pieces that proved true. */
  proven = 0;
  /** Why another host was asked besides, if it was for a fault. */
  doubt: string | undefined;
  /** Up to which byte it was asked. */
  askedTo: number;
  #piece: PieceInProgress;
  /** Where the content ends, as it says; known once a range reaches the last piece. */
  #endsAt: number | undefined;
  #frontSince: Milliseconds;
  #frontBytes = 0;
  readonly #rate: RateMeter;

  constructor(
    readonly host: string,
    firstPiece: number,
    readonly openedAt: Milliseconds,
  ) {
    this.#piece = new PieceInProgress(firstPiece);
    this.askedTo = firstPiece * PIECE_BYTES;
    this.heardAt = openedAt;
    this.#frontSince = openedAt;
    this.#rate = new RateMeter(openedAt);
  }

  get owes(): boolean {
    return this.asked.length > 0;
  }

  get rangesOpen(): number {
    return this.asked.filter(question => question.type === 'RANGE').length;
  }

  askHashes(song: { readonly hash: ContentHash; readonly id?: SongId }): Ask {
    return this.#ask({ type: 'HASHES', song: song.id ?? NO_SONG, level: PIECE_LEVEL, hash: song.hash });
  }

  askInfo(id: SongId): Ask {
    return this.#ask({ type: 'INFO', song: id });
  }

  askRange(
    song: { readonly hash: ContentHash; readonly id?: SongId },
    count: number,
    now: Milliseconds,
    hashes: PieceHashes | undefined,
  ): Ask {
    if (!this.owes) {
      this.#frontSince = now;
      this.heardAt = now;
      this.#rate.restart(now);
    }
    const offset = this.askedTo;
    this.askedTo += count;
    const range = { type: 'RANGE', song: song.id ?? NO_SONG, offset, count, hash: song.hash } as const;
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

  /** The pieces that `bytes` complete, in order. */
  take(bytes: Uint8Array, now: Milliseconds): PieceInProgress[] {
    this.heardAt = now;
    this.#frontBytes += bytes.length;
    this.#rate.add(bytes.length);
    const complete: PieceInProgress[] = [];
    for (let at = 0; at < bytes.length; ) {
      at += this.#piece.add(at === 0 ? bytes : bytes.subarray(at));
      if (this.#isComplete) complete.push(this.#nextPiece());
    }
    return complete;
  }

  /** The answer to `question` is whole. For a range, says how many bytes came in which time. */
  answered(question: Question, now: Milliseconds): { readonly bytes: number; readonly ms: number } {
    this.asked.splice(this.asked.indexOf(question), 1);
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

  get #isComplete(): boolean {
    return this.#piece.isFull || this.#piece.index * PIECE_BYTES + this.#piece.length === this.#endsAt;
  }

  #nextPiece(): PieceInProgress {
    const complete = this.#piece;
    this.#piece = new PieceInProgress(complete.index + 1);
    return complete;
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
class RateMeter {
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
