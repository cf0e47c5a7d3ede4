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
import { dirname, join } from 'node:path';
import { type Found, MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, type SkipReason } from './file-facts.js';
import { fingerprintOf } from './open-file.js';
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
  readonly files: number;
}

export function* walk(
  job: ScanJob,
  limits: ScanLimits = { depth: MAX_DEPTH, files: MAX_FILES },
): Generator<Found, void, undefined> {
  const counted = { files: 0 };
  // Without its root nothing below it can be judged: it may be a disk that is not mounted.
  if (!lstatSync(job.root, { throwIfNoEntry: false })?.isDirectory())
    return yield { kind: 'gone', path: job.root };
  for (const start of job.starts) {
    if (start === job.root) yield* visit(start);
    else if (isHiddenBelow(job.root, start)) yield skipped(start, 'hidden');
    else if (realPath(dirname(start)) === dirname(start)) yield* visit(start);
    else yield { kind: 'gone', path: start };
  }

  function* visit(path: string): Generator<Found, void, undefined> {
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) yield { kind: 'gone', path };
    else if (stat.isDirectory()) yield* visitFolder(path, stat);
    else if (stat.isSymbolicLink()) yield* visitLink(path);
    else yield visitFile(path, stat);
  }

  function* visitFolder(path: string, stat: BigIntStats): Generator<Found, void, undefined> {
    if (namesBelow(job.root, path).length > limits.depth) return yield skipped(path, 'too-deep');
    // Said before it is read, so that whoever begins to watch it on hearing of it misses nothing that comes later.
    yield { kind: 'folder', path, identity: `${stat.dev}:${stat.ino}` };
    let names: string[];
    try {
      names = readdirSync(path).sort();
    } catch {
      return yield skipped(path, 'unreadable');
    }
    for (const name of names) {
      const entry = join(path, name);
      if (name.startsWith('.')) yield skipped(entry, 'hidden');
      else
        try {
          yield* visit(entry);
        } catch {
          yield skipped(entry, 'unreadable');
        }
    }
  }

  function* visitLink(path: string): Generator<Found, void, undefined> {
    const real = realPath(path);
    if (real === undefined || !job.roots.some(root => isInside(root, real))) yield skipped(path, 'link');
  }

  function visitFile(path: string, stat: BigIntStats): Found {
    if (!stat.isFile()) return skipped(path, 'not-regular');
    if (stat.size === 0n) return skipped(path, 'empty');
    if (stat.size > BigInt(MAX_FILE_BYTES)) return skipped(path, 'too-large');
    counted.files += 1;
    if (counted.files > limits.files) return skipped(path, 'too-many');
    return { kind: 'file', path, fingerprint: fingerprintOf(stat) };
  }
}

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
