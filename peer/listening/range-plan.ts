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
import type { Ask, FetchSource } from './fetch-source.js';
import type { PieceHashes } from './pieces.js';

/** What is fetched ahead of the reader. */
export const WINDOW_BYTES = 4 * 1024 * 1024;
/** In a full window so much room is awaited before more is asked, so that requests don't become crumbs. */
const REFILL_BYTES = 4 * PIECE_BYTES;
/** A range is what a host delivers in this time: short enough to turn elsewhere, long enough to hide the round trip. */
const RANGE_MS = 250;
const LARGEST_RANGE_BYTES = 16 * PIECE_BYTES;
const STRANGER_RANGE_BYTES = 4 * PIECE_BYTES;
/** The next range is asked for while this one is coming. */
const RANGES_OPEN = 2;

/** The ranges to ask `source` for now, in pieces of 64 KiB. */
export function planRanges(
  source: FetchSource,
  plan: {
    readonly task: Pick<FetchTask, 'song' | 'urgency'>;
    readonly hashes: PieceHashes | undefined;
    readonly takenTo: number;
    /** As last seen of this host. */
    readonly bytesPerSecond: number | undefined;
    readonly now: Milliseconds;
  },
): Ask[] {
  const { task, hashes, now } = plan;
  const end = hashes?.longestSize ?? wholePieces(task.song.size ?? Number.POSITIVE_INFINITY);
  // Until the first sound is on its way, nothing takes the machine's time but the piece that it is in.
  const windowBytes = task.urgency === 'now' && plan.takenTo === 0 ? PIECE_BYTES : WINDOW_BYTES;
  const windowEnd = Math.floor((plan.takenTo + windowBytes) / PIECE_BYTES) * PIECE_BYTES;
  const asks: Ask[] = [];
  while (source.rangesOpen < RANGES_OPEN) {
    const room = windowEnd - source.askedTo;
    const wanted = Math.min(end - source.askedTo, rangeBytes(plan.bytesPerSecond));
    if (wanted <= 0 || room < Math.min(wanted, REFILL_BYTES)) break;
    asks.push(source.askRange(task.song, Math.min(wanted, room), now, hashes));
  }
  return asks;
}

function rangeBytes(bytesPerSecond: number | undefined): number {
  if (bytesPerSecond === undefined) return STRANGER_RANGE_BYTES;
  const bytes = wholePieces((bytesPerSecond * RANGE_MS) / 1_000);
  return Math.max(PIECE_BYTES, Math.min(LARGEST_RANGE_BYTES, bytes));
}

const wholePieces = (bytes: number): number => Math.ceil(bytes / PIECE_BYTES) * PIECE_BYTES;
