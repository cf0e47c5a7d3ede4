/**
 * Tells which paths to look at: those where something happened and that have become quiet since.
 *
 *     fs.watch ──▶ FolderWatcher ──▶ QuietPaths ──(500 ms later)──▶ due(paths)
 */
import type { watch } from 'node:fs';
import type { Clock } from '../../protocol/ports.js';
import { FolderWatcher, QUIET_MS, QuietPaths } from './watch.js';

export interface NoticeEvents {
  due(paths: readonly string[]): void;
  /** `folder` cannot be watched. */
  failed(folder: string, error: NodeJS.ErrnoException): void;
}

export class Notice {
  readonly #clock: Clock;
  readonly #events: NoticeEvents;
  readonly #quiet = new QuietPaths();
  readonly #watcher: FolderWatcher;
  #cancelTimer: (() => void) | undefined;
  #stopped = false;

  constructor(options: {
    readonly clock: Clock;
    readonly events: NoticeEvents;
    /** Default fs.watch. */
    readonly watch?: typeof watch | undefined;
  }) {
    this.#clock = options.clock;
    this.#events = options.events;
    this.#watcher = new FolderWatcher(
      {
        touched: path => this.touch(path),
        failed: (folder, error) => this.#events.failed(folder, error),
      },
      options.watch,
    );
  }

  /** Watches a folder; what came into it before the watch began is found by a second look. */
  watch(folder: string, identity: string): void {
    if (!this.#stopped && this.#watcher.watch(folder, identity)) this.touch(folder);
  }

  unwatch(folder: string): void {
    this.#watcher.unwatch(folder);
  }

  touch(path: string): void {
    if (this.#stopped) return;
    this.#quiet.touch(path, this.#clock.now());
    this.#cancelTimer ??= this.#clock.after(QUIET_MS, () => this.#fire());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#watcher.stop();
  }

  #fire(): void {
    const now = this.#clock.now();
    const due = this.#quiet.due(now);
    const next = this.#quiet.nextDeadline();
    this.#cancelTimer =
      next === undefined ? undefined : this.#clock.after(Math.max(0, next - now), () => this.#fire());
    if (due.length > 0) this.#events.due(due);
  }
}
