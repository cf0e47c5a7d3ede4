/**
 * Notices that something happened at a path, and when it has become quiet there.
 *
 *     fs.watch of each folder ──▶ path ──▶ QuietPaths: 500 ms without another event ──▶ look at it
 *
 * One watch a folder, none a file: a folder's watch tells about the files in it. (chokidar 5 also watches each file:
 * 2.6 s of CPU and 180 MB for 20,000 of them.) What a watch can't see, such as changes made elsewhere to a network share,
 * the periodic scan finds.
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Milliseconds } from '../../protocol/ports.js';
import { isInside, isInsideAny } from './paths.js';

/** Long enough for the pauses of a program that writes a file, short enough to be listed within 3 s. */
export const QUIET_MS = 500;
/** What happened so soon after something that is due is due with it: a rename is two events, and one look must see both. */
export const TOGETHER_MS = 100;

/** Pure: which paths changed, and which of them are quiet by now. */
export class QuietPaths {
  readonly #lastChange = new Map<string, Milliseconds>();

  touch(path: string, now: Milliseconds): void {
    this.#lastChange.set(path, now);
  }

  nextDeadline(): Milliseconds | undefined {
    let first: Milliseconds | undefined;
    for (const at of this.#lastChange.values()) if (first === undefined || at < first) first = at;
    return first === undefined ? undefined : first + QUIET_MS;
  }

  /** Takes out the quiet paths; a path in a folder that is quiet too is left to that folder. */
  due(now: Milliseconds): string[] {
    const quiet: string[] = [];
    const deadline = this.nextDeadline();
    if (deadline === undefined || deadline > now) return quiet;
    for (const [path, at] of this.#lastChange) if (at + QUIET_MS <= now + TOGETHER_MS) quiet.push(path);
    for (const path of quiet) this.#lastChange.delete(path);
    const all = new Set(quiet);
    return quiet.filter(path => dirname(path) === path || !isInsideAny(all, dirname(path)));
  }
}

export interface FolderWatcherEvents {
  /** Something happened at or in `path`. */
  touched(path: string): void;
  /** `folder` cannot be watched; `error.code` ENOSPC: the system's limit is reached. */
  failed(folder: string, error: NodeJS.ErrnoException): void;
}

/** Shell over fs.watch. */
export class FolderWatcher {
  readonly #events: FolderWatcherEvents;
  readonly #watchFolder: typeof watch;
  readonly #watched = new Map<string, { readonly identity: string; readonly watcher: FSWatcher }>();

  constructor(events: FolderWatcherEvents, watchFolder: typeof watch = watch) {
    this.#events = events;
    this.#watchFolder = watchFolder;
  }

  /** True if the watch is new: what happened in the folder before it was not seen. `identity`: see Found. */
  watch(folder: string, identity: string): boolean {
    const known = this.#watched.get(folder);
    if (known?.identity === identity) return false;
    known?.watcher.close();
    this.#watched.delete(folder);
    try {
      const watcher = this.#watchFolder(folder, { persistent: false }, (_event, name) => {
        this.#events.touched(name === null ? folder : join(folder, name));
      });
      watcher.on('error', error => this.#lose(folder, error));
      this.#watched.set(folder, { identity, watcher });
      return true;
    } catch (error) {
      this.#lose(folder, error as NodeJS.ErrnoException);
      return false;
    }
  }

  /** Ends the watches of `folder` and of those in it. */
  unwatch(folder: string): void {
    for (const [path, { watcher }] of this.#watched) {
      if (!isInside(folder, path)) continue;
      watcher.close();
      this.#watched.delete(path);
    }
  }

  stop(): void {
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  #lose(folder: string, error: NodeJS.ErrnoException): void {
    this.#watched.get(folder)?.watcher.close();
    this.#watched.delete(folder);
    // A folder that went before it could be watched is no failure; its parent's watch says that it went.
    if (error.code === 'ENOENT') return;
    this.#events.failed(folder, error);
  }
}
