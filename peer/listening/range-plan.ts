/**
 * How much to ask of a host, and when to ask on: RANGE after RANGE, two at a time, bounded ahead of the reader.
 *
 *     reader ─────────┤ delivered ├──── asked ────┤ room ├ window's end
 *
 * The rule: nothing is asked for that could not be held, so no connection is ever left unread; and a range is short
 * enough that little is on its way when the reader turns elsewhere.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { FetchTask } from './fetch-effects.js';
import type { Ask, FetchSource, PieceRun } from './fetch-source.js';
import type { PieceHashes } from './pieces.js';

/** What is fetched ahead of the reader. */
export const WINDOW_BYTES = 4 * 1024 * 1024;
/** In a full window so much room is awaited before more is asked, so that requests don't become crumbs. */
const REFILL_PIECES = 4;
/** A range is what a host delivers in this time: short enough to turn elsewhere, long enough to hide the round trip. */
const RANGE_MS = 250;
const LARGEST_RANGE_PIECES = 16;
const STRANGER_RANGE_PIECES = 4;
/** The next range is asked for while this one is coming. */
const RANGES_OPEN = 2;

/** What the reader needs next, as much of it as may be here. */
export interface FetchWindow {
  readonly task: Pick<FetchTask, 'song' | 'urgency'>;
  readonly hashes: PieceHashes | undefined;
  /** The next piece to deliver. */
  readonly next: number;
  readonly takenTo: number;
  /** It is neither here nor to come from anybody. */
  readonly isFree: (index: number) => boolean;
}

export interface RangePlan extends FetchWindow {
  /** As last seen of this host. */
  readonly bytesPerSecond: number | undefined;
  /** Hosts that are asked by RANGE. */
  readonly sharers: number;
  readonly now: Milliseconds;
}

/** The ranges to ask `source` for now, in pieces of 64 KiB; it is to owe no more than `most`. */
export function planRanges(source: FetchSource, plan: RangePlan, most = RANGES_OPEN): Ask[] {
  const { task, hashes, now } = plan;
  const asks: Ask[] = [];
  while (source.rangesOpen < most) {
    const run = freeRun(plan);
    if (run === undefined) break;
    asks.push(source.askRange(task.song, run, now, hashes));
  }
  return asks;
}

/** The first pieces that nobody was asked for, together or not; none past the window. */
export function freePieces(window: FetchWindow, most: number): number[] {
  const pieces: number[] = [];
  for (const piece of piecesIn(window)) {
    if (pieces.length === most) break;
    if (window.isFree(piece)) pieces.push(piece);
  }
  return pieces;
}

export function* piecesIn(window: FetchWindow): Generator<number> {
  const end = Math.min(countOf(window), windowEndOf(window));
  for (let piece = window.next; piece < end; piece += 1) yield piece;
}

/** The first pieces that nobody was asked for, as many as go into one range; undefined while there is no room. */
function freeRun(plan: RangePlan): PieceRun | undefined {
  const { next, isFree } = plan;
  const end = countOf(plan);
  const windowEnd = windowEndOf(plan);
  let first = next;
  while (first < Math.min(end, windowEnd) && !isFree(first)) first += 1;
  const wanted = Math.min(
    end - first,
    rangePieces(plan.bytesPerSecond),
    fairShare(end - first, plan.sharers),
  );
  const room = windowEnd - first;
  if (wanted <= 0 || room < Math.min(wanted, REFILL_PIECES)) return undefined;
  let count = 1;
  while (count < Math.min(wanted, room) && isFree(first + count)) count += 1;
  return { first, count };
}

/** Pieces of the song, as far as that is known. */
const countOf = ({ hashes, task }: FetchWindow): number =>
  hashes?.count ?? Math.ceil((task.song.size ?? Number.POSITIVE_INFINITY) / PIECE_BYTES);

/** The first piece that is too far ahead of the reader. */
function windowEndOf({ task, takenTo }: FetchWindow): number {
  const windowBytes = isFirstAwaited(task, takenTo) ? PIECE_BYTES : WINDOW_BYTES;
  return Math.floor((takenTo + windowBytes) / PIECE_BYTES);
}

/** Of what is left, so that the quick and the slow are done at the same time. */
const fairShare = (pieces: number, sharers: number): number =>
  sharers < 2 ? pieces : Math.ceil(pieces / (RANGES_OPEN * sharers));

/** Until the first sound is on its way, nothing takes the machine's time but the piece that it is in. */
export const isFirstAwaited = ({ urgency }: Pick<FetchTask, 'urgency'>, takenTo: number): boolean =>
  urgency === 'now' && takenTo === 0;

function rangePieces(bytesPerSecond: number | undefined): number {
  if (bytesPerSecond === undefined) return STRANGER_RANGE_PIECES;
  const pieces = Math.ceil((bytesPerSecond * RANGE_MS) / 1_000 / PIECE_BYTES);
  return Math.max(1, Math.min(LARGEST_RANGE_PIECES, pieces));
}
