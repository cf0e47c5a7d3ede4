/** What the library tells about itself: while it scans, and when somebody asks. Pure. */
import { SKIP_REASONS, type SkipReason } from './file-facts.js';
import type { Root } from './roots.js';

export interface ScanProgress {
  readonly phase: 'scanning' | 'reading' | 'encoding' | 'idle';
  /** Files of this scan that have to be read, and those of them that were. */
  readonly toRead: number;
  readonly read: number;
}

export interface LibraryReport {
  readonly songs: number;
  readonly phase: ScanProgress['phase'];
  /** Most frequent first; `text` is for people: «3 empty». */
  readonly skipped: readonly { readonly reason: SkipReason; readonly count: number; readonly text: string }[];
  readonly roots: readonly {
    readonly path: string;
    readonly available: boolean;
    readonly watching: boolean;
    /** Why not. */
    readonly unwatched?: string;
  }[];
  /** With `encode` only. `missing`: why nothing is encoded, with what mends it. */
  readonly encoding?: { readonly waiting: number; readonly encoded: number; readonly missing?: string };
}

export const saySkipped = (skipped: ReadonlyMap<SkipReason, number>): LibraryReport['skipped'] =>
  [...skipped]
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => ({ reason, count, text: SKIP_REASONS[reason] }));

/** What is told of a scan: its songs, or where there are none, what was skipped. `reason` is for people. */
export function sayListed({ songs, skipped }: LibraryReport): {
  readonly songs: number;
  readonly skipped?: readonly { readonly reason: string; readonly count: number }[];
} {
  if (songs > 0) return { songs };
  return { songs, skipped: skipped.map(({ text, count }) => ({ reason: text, count })) };
}

export const sayRoots = (roots: readonly Root[]): LibraryReport['roots'] =>
  roots.map(({ path, identity, unwatched }) => ({
    path,
    available: identity !== undefined,
    watching: identity !== undefined && unwatched === undefined,
    ...(unwatched !== undefined && { unwatched }),
  }));
