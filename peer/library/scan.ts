/**
 * Walks a folder and says what is there, without opening a file. Runs in a worker thread (scan-worker.ts), where it may
 * use synchronous calls: 50,000 files take half a second so, and several with promises.
 *
 *     root ──▶ folder, file, file, skipped, folder, …      depth first, in the order of names
 *
 * Links are never followed. One that leads to a place inside the roots is passed over, since that place is met under its
 * own name; one that leads out of them, or nowhere, is skipped with that reason. So no folder is met twice.
 */
import { type BigIntStats, lstatSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Found, MAX_DEPTH, MAX_ENTRIES, MAX_FILE_BYTES, type SkipReason } from './file-facts.js';
import { fingerprintOf, isPassing } from './open-file.js';
import { isInside, namesBelow } from './paths.js';

export interface ScanJob {
  /** Real paths of all folders of the library. */
  readonly roots: readonly string[];
  /** The one of them that is walked. */
  readonly root: string;
  /** Where: the root, or files and folders in it. */
  readonly starts: readonly string[];
}

export interface ScanLimits {
  readonly depth: number;
  /** Files, folders and what is skipped, together. */
  readonly entries: number;
}

/** Stops, saying where, when there is more than `limits` allow. */
export function* walk(
  job: ScanJob,
  limits: ScanLimits = { depth: MAX_DEPTH, entries: MAX_ENTRIES },
): Generator<Found, void, undefined> {
  let entries = 0;
  for (const found of lookAround(job, limits.depth)) {
    if (entries === limits.entries) return yield skipped(found.path, 'too-many');
    entries += 1;
    yield found;
  }
}

function* lookAround(job: ScanJob, maxDepth: number): Generator<Found, void, undefined> {
  // Without its root nothing below it can be judged: it may be a disk that is not mounted.
  const root = statOf(job.root);
  if (root === 'unseen') return yield { kind: 'unseen', path: job.root };
  if (root === undefined || root === 'unreadable' || !root.isDirectory())
    return yield { kind: 'gone', path: job.root };
  for (const start of job.starts) {
    if (start === job.root) yield* visit(start);
    else if (isHiddenBelow(job.root, start)) yield skipped(start, 'hidden');
    else if (realPath(dirname(start)) === dirname(start)) yield* visit(start);
    else yield { kind: 'gone', path: start };
  }

  function* visit(path: string): Generator<Found, void, undefined> {
    const stat = statOf(path);
    if (stat === undefined) yield isSpelt(path) ? { kind: 'gone', path } : skipped(path, 'not-utf8');
    else if (stat === 'unreadable') yield skipped(path, 'unreadable');
    else if (stat === 'unseen') yield { kind: 'unseen', path };
    else if (stat.isDirectory()) yield* visitFolder(path, stat);
    else if (stat.isSymbolicLink()) yield* visitLink(path);
    else yield visitFile(path, stat);
  }

  function* visitFolder(path: string, stat: BigIntStats): Generator<Found, void, undefined> {
    if (namesBelow(job.root, path).length > maxDepth) return yield skipped(path, 'too-deep');
    // Said before it is read, so that whoever begins to watch it on hearing of it misses nothing that comes later.
    yield { kind: 'folder', path, identity: `${stat.dev}:${stat.ino}` };
    let names: string[];
    try {
      names = readdirSync(path).sort();
    } catch (error) {
      return yield isPassing(error) ? { kind: 'unseen', path } : skipped(path, 'unreadable');
    }
    for (const name of names) {
      if (name.startsWith('.')) yield skipped(join(path, name), 'hidden');
      else yield* visit(join(path, name));
    }
  }

  function* visitLink(path: string): Generator<Found, void, undefined> {
    const real = realPath(path);
    if (real === undefined || !job.roots.some(root => isInside(root, real))) yield skipped(path, 'link');
  }
}

function visitFile(path: string, stat: BigIntStats): Found {
  if (!stat.isFile()) return skipped(path, 'not-regular');
  if (stat.size === 0n) return skipped(path, 'empty');
  if (stat.size > BigInt(MAX_FILE_BYTES)) return skipped(path, 'too-large');
  return { kind: 'file', path, fingerprint: fingerprintOf(stat) };
}

/** Undefined: nothing is there. */
function statOf(path: string): BigIntStats | 'unreadable' | 'unseen' | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    return isPassing(error) ? 'unseen' : 'unreadable';
  }
}

/** Names are read as UTF-8; one that is none comes with U+FFFD in it, and nothing is found under that. */
const isSpelt = (path: string): boolean => !basename(path).includes('\ufffd');

const skipped = (path: string, reason: SkipReason): Found => ({ kind: 'skipped', path, reason });

const isHiddenBelow = (root: string, path: string): boolean =>
  namesBelow(root, path).some(name => name.startsWith('.'));

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
